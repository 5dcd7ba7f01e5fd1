"""A price validation from the submit to its stored result, against reading the same bytes at all
and against the same checks in awk and in pandas. The sources are in the page cache."""
import json
import os
import time

import peers
import prices
from harness import Failed, Goal, Row, Sample, Side, cpu_seconds

SIZES = {"short": 100_000_000, "long": 1_000_000_000}  # read by wc -l
CHECKED = {"short": 10_000_000, "long": 100_000_000}   # by awk, which takes 50 times as long


def sources(bench, size):
    """A folder with the sources, and what is to be found there."""
    def make(folder):
        root = os.path.join(folder, "prices")
        os.makedirs(root)
        return root, {"rows": prices.write(root, size), **prices.WRONG}
    return bench.once(f"prices-{size}", make)


def files(root):
    return [os.path.join(root, f"{name}.csv") for name in prices.SOURCES]


def repeated(bench, once):
    """once() as often as fits: the mean of the seconds it took."""
    begin, n = time.monotonic(), 0
    while n == 0 or time.monotonic() - begin < bench.seconds:
        once()
        n += 1
    return (time.monotonic() - begin) / n


def told(seconds, root, cpu=None, note=""):
    size = sum(os.path.getsize(path) for path in files(root))
    return Sample(seconds * 1000, "ms", cpu=cpu, note=f"{size / seconds / 1e6:.0f} MB/s{note}")


def held(said, wanted):
    if said != wanted:
        raise Failed(f"found {said}, not {wanted}")


def jobtab(sizes):
    def measure(bench, folder):
        root, wanted = sources(bench, sizes[bench.form])
        fresh = bench.fresh(folder, "jobtabd")
        table = os.path.join(fresh, "table")
        command = json.dumps(bench.program("jobtab-validate"))
        kinds = (f'{peers.NOOP}\nkind "validate" {{ command = {{{command}}}  table = true  '
                 f'children = 1  input_root = {json.dumps(root)} }}')
        submit = [bench.program("jobtab"), "-d", table, "-o", "json", "submit", "validate", "-w"]

        def job():
            result = bench.run(submit).json["result"]
            held({"rows": result["rows"], **result["by_rule"]}, wanted)

        with peers.jobtabd(bench, fresh, table, runners=1, kinds=kinds) as (_, process):
            job()
            before, begin = cpu_seconds(process.pid), time.monotonic()
            seconds = repeated(bench, job)
            jobs = max(round((time.monotonic() - begin) / seconds), 1)
            return told(seconds, root, cpu=peers.spent(process, before, jobs * wanted["rows"]))
    return measure


def script(sizes, name, argv):
    """A program of this folder, which prints what it found."""
    def measure(bench, _):
        root, wanted = sources(bench, sizes[bench.form])
        run = bench.run([*argv, os.path.join(bench.source, name), *files(root)], bound=600)
        held(run.json, wanted)
        return told(run.seconds, root, cpu=run.cpu_seconds / wanted["rows"] * 1e6)
    return measure


def wc(bench, _):
    root, wanted = sources(bench, SIZES[bench.form])
    lines = wanted["rows"] + len(prices.SOURCES)  # and the headers

    def count():
        held(int(bench.run(["wc", "-l", *files(root)]).out.split()[-2]), lines)
    return told(repeated(bench, count), root)


OURS = "a job from its submit to its stored result: jobtab submit -w, jobtabd, 1 warm child"

ROWS = [
    Row("validate", "validation of three sources, 100 MB; 1 GB in the long form",
        sides=[Side("jobtab", jobtab(SIZES), settings=OURS),
               Side("wc -l", wc, settings="of the same files")],
        goals=[Goal("jobtab", over="wc -l", at_most=10)],
        better="lower"),
    Row("validate-awk", "the same checks in awk, 10 MB; 100 MB in the long form",
        sides=[Side("jobtab", jobtab(CHECKED), settings=OURS),
               Side("mawk", script(CHECKED, "validate.awk", ["mawk", "-f"]), packages=("mawk",),
                    settings="mawk -f tests/bench/validate.awk")],
        goals=[Goal("jobtab", over="mawk", at_most=1 / 3)],
        better="lower"),
    Row("validate-pandas", "the same checks in pandas, 100 MB",
        sides=[Side("jobtab", jobtab(CHECKED), settings=OURS),
               Side("pandas", script(CHECKED, "validate_pandas.py", [peers.DEBIAN_PYTHON]),
                    packages=("python3-pandas",), settings="tests/bench/validate_pandas.py")],
        goals=[Goal("jobtab", over="pandas", at_most=1 / 3)],
        better="lower", forms=frozenset({"long"})),
]
