#!/usr/bin/env python3
"""Jobtab against its peers: starts each one itself, measures in rounds, prints a table.

A round measures each row once, all its sides one after the other (the order turns from round to
round), each on a server that was just started; nothing else of ours runs meanwhile. Ratios are
taken within a round, so that what the machine does besides hits both sides; a figure of one run is
not comparable with another run's. There are two rounds at least, and more while they fit into the
time of the form: the short one ends within five minutes.

The rows stand in rows_*.py, every server's settings in peers.py; harness.py tells how to add one.
"""
import argparse
import contextlib
import fnmatch
import glob
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
import report

FORMS = {"short": {"seconds": 0.6, "rounds": (2, 5), "budget": 280},
         "long": {"seconds": 4.0, "rounds": (5, 9), "budget": 3600}}


def die(text):
    sys.exit(f"bench: {text}")


def all_rows():
    rows = []
    for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "rows_*.py"))):
        rows += importlib.import_module(os.path.basename(path)[:-3]).ROWS
    return rows


def chosen(rows, form, patterns):
    """The rows of a form, or those that the patterns name, whatever their form."""
    if not patterns:
        return [row for row in rows if form in row.forms]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(row.key, pattern) for row in rows):
            die(f"--rows: there is no row {pattern}; --list names them")
    return [row for row in rows if any(fnmatch.fnmatch(row.key, one) for one in patterns)]


def install(rows, log):
    """What the sides need and the machine lacks. Who still lacks it has its why_not."""
    def installed(package):
        said = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return said.stdout.endswith(" installed")

    if shutil.which("dpkg-query") is None:
        return
    missing = sorted({package for row in rows for side in row.sides for package in side.packages
                      if not installed(package)})
    if missing and os.getuid() == 0:
        progress(f"installing {' '.join(missing)}")
        # Their services stay down: systemctl does nothing with SYSTEMD_OFFLINE.
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_OFFLINE": "1"}
        get = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-y", "-q",
               "--no-install-recommends", "install", *missing]
        with open(log, "ab") as out:
            for argv in (get, ["apt-get", "-q", "update"], get):
                done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=out, check=False)
                if argv is get and done.returncode == 0:
                    break
        missing = [package for package in missing if not installed(package)]
    for row in rows:
        for side in row.sides:
            lacks = [package for package in side.packages if package in missing]
            if lacks and not side.why_not:
                side.why_not = f"not installed: apt-get install {' '.join(lacks)}"


def progress(text):
    """The line that says what is going on; nothing in a pipe."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{text[:width]}", end="", file=sys.stderr, flush=True)


def measure(bench, row, side):
    """One sample of a side, or why there is none and never will be."""
    if side.why_not or side.measure is None:
        return None
    folder = os.path.join(bench.folder, row.key)
    os.makedirs(folder, exist_ok=True)
    begin, busy, own = time.monotonic(), harness.busy_seconds(), harness.own_seconds()
    try:
        sample = side.measure(bench, folder)
        sample.took = time.monotonic() - begin
        foreign = harness.busy_seconds() - busy - (harness.own_seconds() - own)
        sample.others = max(foreign, 0) / sample.took / os.cpu_count()
        return sample
    except harness.CannotRun as reason:
        side.why_not = str(reason)
    except Exception as reason:  # one row's fault: the others are measured
        name = "" if isinstance(reason, harness.Failed) else f"{type(reason).__name__}: "
        side.why_not = f"FAILED: {name}{reason}"
    return None


def run(bench, rows, rounds, budget):
    """{(row key, side name): [sample or None of each round]}, and how many rounds there were."""
    samples = {(row.key, side.name): [] for row in rows for side in row.sides}
    begin = time.monotonic()
    least, most = rounds
    done = 0
    while done < most:
        started = time.monotonic()
        for row in rows:
            turned = row.sides[done % len(row.sides):] + row.sides[:done % len(row.sides)]
            for side in turned:
                progress(f"round {done + 1}, {started - begin:.0f} s: {row.key}: {side.name}")
                samples[row.key, side.name].append(measure(bench, row, side))
        done += 1
        now = time.monotonic()
        if done >= least and now - begin + (now - started) > budget:
            break
    progress("")
    return samples, done


def file_system(folder):
    best, kind = "", "unknown"
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, point, name = line.split()[:3]
            if (folder + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, name
    return kind


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--rows", metavar="KEY,...", help="only these; get-32,post-*")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--rounds", type=int, help="instead of the form's")
    parser.add_argument("--seconds", type=float, help="of one sample, instead of the form's")
    parser.add_argument("--out", default="bench-result",
                        help="writes OUT.txt, OUT.json and OUT.svg (%(default)s)")
    parser.add_argument("--folder", default=".",
                        help="where the data directories are made; on the disk to be measured")
    parser.add_argument("--build", default=".", help="top build directory")
    return parser.parse_args()


def main():
    options = parse()
    form = FORMS[options.form]
    rows = chosen(all_rows(), options.form, options.rows.split(",") if options.rows else [])
    if options.list:
        for row in rows:
            print(f"{row.key:<20} {row.work}")
        return
    rounds = (options.rounds, options.rounds) if options.rounds else form["rounds"]
    kind = file_system(os.path.realpath(options.folder))
    if kind in ("tmpfs", "ramfs"):
        die(f"{options.folder} is in memory, a durable write there means nothing: use --folder")

    folder = tempfile.mkdtemp(prefix="bench-", dir=os.path.realpath(options.folder))
    try:
        bench = harness.Bench(options.build, folder, options.form,
                              options.seconds or form["seconds"])
        install(rows, os.path.join(folder, "apt.log"))
        begin = time.monotonic()
        samples, done = run(bench, rows, rounds, form["budget"])
        machine = report.machine(bench, kind, done, time.monotonic() - begin)
    finally:
        progress("")
        shutil.rmtree(folder, ignore_errors=True)

    result = report.summarize(rows, samples, machine)
    print(report.write(result, options.out))
    if any(side["why_not"].startswith("FAILED") for row in result["rows"] for side in row["sides"]):
        die("a measure failed: see above")


def interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)  # so that nothing that was started stays
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    die("interrupted")
