"""Jobs from one end to the other: warm children, spawned ones, and how soon the first instruction."""
import json
import os

import peers
from harness import Goal, Row, Sample, Side, cpu_seconds
from rows_http import PARAMS
from rows_queue import jobs_bullmq

CHILDREN = 64
SPAWNED = 600   # in a second of measuring, about
PAUSE = "2"     # ms between two jobs on an idle daemon
WARM_UP = 1000  # jobs before those that count: every child has had one


def warm(bench, name, children, argument=""):
    command = [bench.program("tests/bench/empty_child"), *filter(None, [argument])]
    return (f'kind "{name}" {{ command = {{{", ".join(json.dumps(word) for word in command)}}}  '
            f'table = true  children = {children} }}')


def run(bench, table, kind, seconds, jobs):
    return bench.run([bench.program("tests/bench/jobs"), "run", table, kind, str(seconds),
                      str(jobs), json.dumps(PARAMS)]).json


def measured(bench, folder, name, kinds, seconds, jobs, warm_up):
    """jobtabd with these kinds on a fresh table: jobs of the kind `name`."""
    fresh = bench.fresh(folder, f"jobtabd-{name}")
    table = os.path.join(fresh, "table")
    with peers.jobtabd(bench, fresh, table, runners=1, kinds=kinds) as (_, process):
        run(bench, table, name, 60, warm_up)
        before = cpu_seconds(process.pid)
        said = run(bench, table, name, seconds, jobs)
        return Sample(said["rate"], "jobs/s", cpu=peers.spent(process, before, said["jobs"]),
                      note=f"{said['jobs']} jobs, added in {said['adding']:.2f} s of "
                           f"{said['seconds']:.2f} s")


def jobs_warm(bench, folder):
    return measured(bench, folder, "noop", warm(bench, "noop", CHILDREN), bench.seconds, 10**9,
                    WARM_UP)


def jobs_spawned(at_once):
    def measure(bench, folder):
        kinds = f'kind "noop" {{ command = {{"/bin/true"}}  concurrency = {at_once} }}'
        return measured(bench, folder, "noop", kinds, 60, int(SPAWNED * bench.seconds), 2 * at_once)
    return measure


def bare_spawn(at_once):
    def measure(bench, _):
        said = bench.run([bench.program("tests/bench/jobs"), "spawn", "/bin/true",
                          str(int(SPAWNED * bench.seconds)), str(at_once)]).json
        return Sample(said["rate"], "jobs/s")
    return measure


def spawned_row(at_once, forms):
    return Row(
        f"jobs-spawned-{at_once}", f"jobs end to end, one /bin/true each, {at_once} at once",
        sides=[
            Side("jobtabd", jobs_spawned(at_once),
                 f"{peers.jobtabd_told(1)}; concurrency = {at_once}; parameters, result, log and "
                 "progress over pipes as always"),
            Side("posix_spawn", bare_spawn(at_once), "posix_spawn and waitpid, nothing is kept"),
        ],
        goals=[Goal("jobtabd", "posix_spawn", at_least=0.8)],
        forms=forms)


def first_instruction(bench, folder):
    fresh = bench.fresh(folder, "jobtabd-first")
    table = os.path.join(fresh, "table")
    with peers.jobtabd(bench, fresh, table, runners=1, kinds=warm(bench, "noop", 2, "stamp")) as \
            (port, _):
        run(bench, table, "noop", 60, 100)
        said = bench.run([bench.program("tests/bench/jobs"), "start", table, "noop",
                          str(2 * bench.seconds), PAUSE, str(port)]).json
        return latency(said)


def commit_and_wake(bench, folder):
    return latency(bench.run([bench.program("tests/bench/lib_commit_wake"),
                              bench.fresh(folder, "commit"), str(bench.seconds), PAUSE]).json)


def latency(said):
    return Sample(said["p99_us"], "us",
                  note=f"p99; p50 {said['p50_us']:.0f} us, {said['samples']} jobs")


ROWS = [
    Row("jobs-warm", "jobs end to end, empty work, from the first submit to the last end",
        sides=[
            Side("jobtabd", jobs_warm,
                 f"{peers.jobtabd_told(1)}; {CHILDREN} warm children, one job each at a time "
                 "(tests/bench/empty_child.c); one process adds 64 jobs a transaction"),
            Side("BullMQ", jobs_bullmq, f"{peers.bullmq_told()}; one Worker, concurrency 64",
                 packages=("redis-server",)),
        ],
        goals=[Goal("jobtabd", "BullMQ", at_least=3)]),
    spawned_row(16, frozenset({"short", "long"})),
    *(spawned_row(at_once, frozenset({"long"})) for at_once in (1, 4, 64)),
    Row("jobs-first", "POST /run to the child's first instruction, idle daemon, a warm child, p99",
        sides=[
            Side("jobtabd", first_instruction, f"{peers.jobtabd_told(1)}; 2 warm children"),
            Side("commit and wake", commit_and_wake,
                 "one durable commit of 300 bytes by LMDB, one futex wake of another process: "
                 "tests/bench/lib_commit_wake.c"),
        ],
        goals=[Goal("jobtabd", "commit and wake", at_most=3)],
        better="lower"),
]
