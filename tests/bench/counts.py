#!/usr/bin/env python3
"""How many instructions the hot paths take, against what they took when that was last stored.

    counts.py check --build DIR     a path with more than 5 % more is a failure (make counts)
    counts.py update --build DIR    store today's figures (make counts-update)
    counts.py profile PATH --build DIR   where a path's instructions go

Time is noise on a shared machine; instructions are not. counts.c runs each path under
valgrind --tool=callgrind. `check` prints TAP. It also runs the control, a driver that does all
its work 1.2 times: every path must be found too expensive, or the check itself is broken.

Who makes a path cheaper, or has a good reason to make it dearer, runs `make counts-update` and
commits counts.expected with the change, so that its history says what each change cost. A path
that became more than 5 % cheaper passes and is named, so that what was gained is stored and
cannot be lost again unnoticed.

Why 5 %: two runs on one machine differ by less than 0.1 % (times and random ids). Machines differ
by what glibc chooses for their processor (memcpy, memcmp, ...): GLIBC_TUNABLES below takes that
choice away as far as it can. What is left, and a point release of a library, stays well within
5 %; one needless copy of a record, a parse or a second walk down a tree is more. Another compiler,
libc or LMDB makes figures of its own: there `check` compares nothing and says so (exit 77).
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = os.path.join(HERE, "counts.expected")
TOLERANCE = 0.05
ROWS = 20000  # as counts.c expects
# Every x86-64 has SSE2; with these off glibc takes the functions made for it, on any processor.
# With them figures differ by up to 5 %, and memset by more: valgrind counts each step of rep stosb.
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(
    "-" + name for name in ("AVX512F", "AVX512VL", "AVX512BW", "AVX2", "AVX", "BMI1", "BMI2",
                            "LZCNT", "MOVBE", "RTM", "SSE4_2", "SSE4_1", "SSSE3", "ERMS", "FSRM", "POPCNT",
                            "AVX_Fast_Unaligned_Load", "Fast_Unaligned_Copy", "Slow_BSF"))
EXPLAIN = """\
# Instructions an operation, by tests/bench/counts.c under callgrind. `make counts` compares,
# `make counts-update` writes this file; commit it with the change that made a figure different.
"""


def die(text, code=1):
    print(f"counts: {text}", file=sys.stderr)
    sys.exit(code)


def write_prices(folder):
    """Sound ones, as nearly all prices are; in the order of time, their symbols in turn."""
    with open(os.path.join(folder, "prices.csv"), "w", encoding="ascii") as file:
        file.write("symbol,time,price,open,high,low,close\n")
        for i in range(ROWS):
            price = 100 + (i // 12) ** 2 * 37 % 499 / 100
            file.write("SYM%d,2024-01-02T09:%02d:%02d.%03dZ,%.2f,%.2f,%.2f,%.2f,%.2f\n" % (
                i % 12, i // 600, i // 10 % 60, i % 10 * 100, price, price, price + 1, price - 1,
                price + 0.25))


class Run:
    """One run of the driver: .machine, .figures {path: instructions an operation}, .files."""

    def __init__(self, build, folder, *arguments):
        prices = os.path.join(folder, "prices")
        os.mkdir(prices)
        write_prices(prices)
        environment = dict(os.environ, GLIBC_TUNABLES=TUNABLES, LD_BIND_NOW="1", LC_ALL="C")
        environment.pop("MALLOC_PERTURB_", None)
        driver = os.path.join(build, "tests/bench/counts")
        got = subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
             f"--callgrind-out-file={folder}/out", driver, f"{folder}/table", prices, *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=250)
        if got.returncode != 0:
            die(f"{driver} failed under valgrind:\n{got.stdout}")
        operations = re.findall(r"^([\w-]+) (\d+)$", got.stdout, re.M)
        self.machine = re.search(r"^machine (.*)$", got.stdout, re.M).group(1)
        self.files = {}
        self.figures = {}
        totals = {}
        for name in glob.glob(f"{folder}/out.*"):
            with open(name, encoding="utf-8") as file:
                text = file.read()
            path = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            if path:
                self.files[path.group(1)] = name
                totals[path.group(1)] = int(re.search(r"^totals: (\d+)", text, re.M).group(1))
        for path, n in operations:
            self.figures[path] = totals[path] / int(n)


def measure(build, *arguments):
    with tempfile.TemporaryDirectory(prefix="jobtab-counts-") as folder:
        return Run(build, folder, *arguments)


def read_expected():
    """(machine, {path: figure})"""
    machine, figures = None, {}
    try:
        with open(EXPECTED, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if line.startswith("machine "):
                    machine = line.removeprefix("machine ").strip()
                elif len(words) == 2 and not line.startswith("#"):
                    figures[words[0]] = float(words[1])
    except FileNotFoundError:
        die(f"{EXPECTED} is missing: make counts-update")
    return machine, figures


def too_much(figure, stored):
    return figure > stored * (1 + TOLERANCE)


def check(build):
    machine, expected = read_expected()
    run = measure(build)
    if run.machine != machine:
        print(f"counts: skipped: the figures are of {machine}; this is {run.machine}")
        sys.exit(77)
    faults = 0
    names = list(dict.fromkeys([*expected, *run.figures]))
    print(f"1..{len(names) + 1}")
    for number, name in enumerate(names, 1):
        figure, stored = run.figures.get(name), expected.get(name)
        if figure is None or stored is None:
            verdict, why = "not ok", "not measured any more" if figure is None else "not stored yet"
            why += ": make counts-update"
        else:
            verdict = "not ok" if too_much(figure, stored) else "ok"
            why = f"{figure:.0f} instructions, stored {stored:.0f} ({figure / stored - 1:+.1%})"
            if figure < stored * (1 - TOLERANCE):
                why += ": cheaper; make counts-update stores that"
        faults += verdict != "ok"
        print(f"{verdict} {number} - {name}: {why}", flush=True)
    # Against this run's own figures: the control is about the check, not about the code.
    control = measure(build, "control")
    unseen = [name for name, figure in control.figures.items()
              if not too_much(figure, run.figures[name])]
    print(f"{'not ok' if unseen else 'ok'} {len(names) + 1} - work done 1.2 times is found"
          f"{': not in ' + ', '.join(unseen) if unseen else ''}")
    sys.exit(1 if faults or unseen else 0)


def update(build):
    run = measure(build)
    old = read_expected()[1] if os.path.exists(EXPECTED) else {}
    with open(EXPECTED, "w", encoding="utf-8") as file:
        file.write(EXPLAIN + f"machine {run.machine}\n")
        for name, figure in run.figures.items():
            file.write(f"{name:14} {figure:10.1f}\n")
    for name, figure in run.figures.items():
        was = f"{figure / old[name] - 1:+8.1%}" if name in old else "     new"
        print(f"{name:14} {figure:10.1f} {was}")


def profile(build, path):
    with tempfile.TemporaryDirectory(prefix="jobtab-counts-") as folder:
        run = Run(build, folder)
        if path not in run.files:
            die(f"there is no path {path}: {' '.join(run.files)}")
        print(f"{path}: {run.figures[path]:.0f} instructions an operation")
        for title, option in (("itself", "no"), ("with what it calls", "yes")):
            print(f"\n{title}:")
            text = subprocess.run(["callgrind_annotate", f"--inclusive={option}", "--auto=no",
                                   "--show-percs=yes", run.files[path]],
                                  stdout=subprocess.PIPE, text=True, check=True).stdout
            rows = [line for line in text.splitlines() if re.match(r"^ *[\d,]+ \(", line)]
            print("\n".join(rows[:30]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("check", "update", "profile"))
    parser.add_argument("path", nargs="?", help="of profile: one of counts.expected")
    parser.add_argument("--build", default=".", help="the folder that was built in")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        die("skipped: no valgrind (apt-get install valgrind)", 77)
    if options.what == "profile":
        profile(options.build, options.path)
    elif options.what == "update":
        update(options.build)
    else:
        check(options.build)


if __name__ == "__main__":
    main()
