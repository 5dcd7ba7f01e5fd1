"""What should not depend on how many jobs the table has, and what the daemon costs when idle.

The short form compares smaller tables (filling ten million jobs takes minutes); its rows have keys
of their own: scale-get is 300,000 jobs against 50,000, scale10m-get 10,000,000 against 100,000.
"""
import os
import shutil
import time

import peers
from harness import Failed, Goal, Row, Sample, Side, descendants

OPEN_TIMES = 20
EXPIRED_AFTER = 1000  # ms of retention, of those that are to expire
DAY = 24 * 3600 * 1000
FILL_BOUND = 3600     # seconds; ten million jobs
IDLE_BOUND = 10       # windows until an idle daemon must have come to rest


def scale(bench, *arguments, bound=300):
    return bench.run([bench.program("tests/bench/lib_scale"), *map(str, arguments)],
                     bound=bound).json


def table(bench, jobs, retention=DAY):
    """A table of so many jobs: its folder, and what filling it said."""
    def make(folder):
        said = scale(bench, "fill", folder, jobs, retention, bound=FILL_BOUND)
        return folder, said
    return bench.once(f"scale {jobs} {retention}", make)


# ---------------------------------------------------------------- large against small

def rate(verb, jobs, unit, *arguments, times=None):
    def measure(bench, _):
        folder, _ = table(bench, jobs)
        said = scale(bench, verb, folder, *([times] if times else [bench.seconds]), *arguments)
        return Sample(said["rate"], unit,
                      note=f"p50 {said['p50_us']:.1f} us, p99 {said['p99_us']:.1f} us")
    return measure


def open_time(jobs):
    def measure(bench, _):
        said = scale(bench, "open", table(bench, jobs)[0], OPEN_TIMES)
        return Sample(said["p50_us"] / 1000, "ms", note=f"p99 {said['p99_us'] / 1000:.1f} ms")
    return measure


def verify(jobs):
    def measure(bench, _):
        said = scale(bench, "verify", table(bench, jobs)[0], bound=FILL_BOUND)
        return Sample(said["rate"], "records/s", note=f"{said['seconds']:.2f} s for all")
    return measure


def file_bytes(jobs):
    def measure(bench, _):
        said = table(bench, jobs)[1]
        return Sample(said["file_bytes_a_job"], "bytes",
                      note=f"{said['used_bytes_a_job']:.0f} of them in use; filled at "
                           f"{said['jobs'] / said['seconds']:.0f} jobs/s: submitted, claimed, "
                           "finished")
    return measure


def compared(key, work, large, small, measure, at_least):
    """One measure on both tables."""
    return Row(key, f"{work}: a table of {large:,} jobs against one of {small:,}",
               sides=[Side(f"{large:,} jobs", measure(large)),
                      Side(f"{small:,} jobs", measure(small))],
               goals=[Goal(f"{large:,} jobs", f"{small:,} jobs", at_least=at_least)])


def size_rows(large, small):
    def page(which):
        return lambda jobs: rate("list", jobs, "pages/s", which)

    side = f"{large:,} jobs"
    return [
        compared("scale-get", "jobtab_get of a random job", large, small,
                 lambda jobs: rate("get", jobs, "gets/s"), 0.7),
        compared("scale-submit", "durable submits, 64 a commit", large, small,
                 lambda jobs: rate("submit", jobs, "jobs/s", 64), 0.7),
        compared("scale-list", "pages of 100, newest first", large, small, page("all"), 0.9),
        compared("scale-list-state", "pages of 100 failed jobs, one in fifty", large, small,
                 page("state"), 0.9),
        compared("scale-list-kind", "pages of 100 jobs of a kind, one in fifty", large, small,
                 page("kind"), 0.9),
        compared("scale-verify", "verify, records a second (linear: no fewer in a large table)",
                 large, small, verify, 0.7),
        Row("scale-open", f"jobtab_open of a table of {large:,} jobs",
            sides=[Side(side, open_time(large)), Side(f"{small:,} jobs", open_time(small))],
            goals=[Goal(side, at_most=100)], better="lower"),
        Row("scale-bytes", f"bytes of the table's file a finished job, among {large:,}; parameters "
            "of 83 bytes, a result of 70", sides=[Side(side, file_bytes(large))],
            goals=[Goal(side, at_most=600)], better="lower"),
    ]


# ---------------------------------------------------------------- expiry

def submit_p99(jobs, expiring):
    """One process submits while the daemon's keeper does what there is."""
    def measure(bench, folder):
        made = table(bench, jobs, EXPIRED_AFTER if expiring else DAY)[0]
        own = os.path.join(bench.fresh(folder, "copy"), "table")
        shutil.copytree(made, own)
        os.sync()
        with peers.jobtabd(bench, folder, own):
            said = scale(bench, "submit", own, 2 * bench.seconds, 1)
        if expiring != (said["expired"] > 0):
            raise Failed(f"{said['expired']} jobs expired meanwhile")
        shutil.rmtree(own)
        return Sample(said["p99_us"], "us",
                      note=f"{said['expired'] / said['seconds']:.0f} jobs expired a second; "
                           f"p50 {said['p50_us']:.0f} us")
    return measure


def expiry_row(jobs):
    return Row("scale-expiry", f"p99 of a durable submit, one a commit, while {jobs:,} jobs expire",
               sides=[Side("expiry", submit_p99(jobs, True), peers.jobtabd_told()),
                      Side("no expiry", submit_p99(jobs, False), peers.jobtabd_told())],
               goals=[Goal("expiry", "no expiry", at_most=2.0)], better="lower")


# ---------------------------------------------------------------- idle

WARM = 'kind "validate" {{ command = {{"{program}"}} table = true children = 2 ' \
       'input_root = "{folder}" }}\n' + peers.NOOP.replace("{", "{{").replace("}", "}}")


def switches(pid):
    """How often the threads of a process were switched from, asleep or not."""
    count = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as status:
            count += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
    return count


def wake_ups(jobs):
    """Of the process that wakes most often."""
    def measure(bench, folder):
        made = table(bench, jobs)[0] if jobs else bench.fresh(folder, "empty")
        kinds = WARM.format(program=bench.program("jobtab-validate"), folder=folder)
        with peers.jobtabd(bench, folder, made, runners=1, kinds=kinds) as (_, master):
            rates = {}
            for _ in range(IDLE_BOUND): # until it has come to rest after its start
                pids = descendants(master.pid)
                before, begun = {pid: switches(pid) for pid in pids}, time.monotonic()
                time.sleep(bench.seconds)
                took = time.monotonic() - begun
                last, rates = rates, {pid: (switches(pid) - before[pid]) / took for pid in pids}
                if last and max(rates.values()) >= max(last.values()) - 0.5:
                    break
        return Sample(max(rates.values()), "wake-ups/s",
                      note=f"the busiest of {len(rates)} processes; all of them "
                           f"{sum(rates.values()):.1f}")
    return measure


def idle_row(jobs):
    filled = f"{jobs:,} jobs"
    return Row("scale-idle", "idle daemon, wake-ups a second of its busiest process; two are "
               "heartbeats", better="lower",
               sides=[Side("empty table", wake_ups(0), peers.jobtabd_told(1)),
                      Side(filled, wake_ups(jobs), peers.jobtabd_told(1))],
               goals=[Goal("empty table", at_most=2), Goal(filled, at_most=2)])


def rows(form, prefix, large, small, many):
    made = [*size_rows(large, small), expiry_row(many), idle_row(many)]
    for row in made:
        row.key, row.forms = row.key.replace("scale", prefix), frozenset({form})
    return made


ROWS = [*rows("short", "scale", 300_000, 50_000, 100_000),
        *rows("long", "scale10m", 10_000_000, 100_000, 1_000_000)]
