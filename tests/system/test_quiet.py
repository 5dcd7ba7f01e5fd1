"""What the daemon does by itself: next to nothing while nothing happens, and never much at once."""

import pathlib
import re
import shutil
import subprocess
import threading
import time
from signal import SIGCONT, SIGINT, SIGSTOP

import pytest

from conftest import descendants, seconds, sh, wait_until, warm

HEARTBEATS = 2  # a second and process, at most
WINDOW = 2      # seconds over which wake-ups are counted
BUDGET = 64     # jobs that one sweep moves, as keeper.c has it


def wake_ups(pids):
    """How often each process has gone to sleep, all its threads together."""
    return {
        pid: sum(
            int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", status.read_text()).group(1))
            for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status")
        )
        for pid in pids
    }


def too_lively(pids):
    """Who woke more often than a heartbeat explains, in a window from now on."""
    before, begun = wake_ups(pids), time.monotonic()
    time.sleep(WINDOW)
    after, took = wake_ups(pids), time.monotonic() - begun
    rates = {pid: (after[pid] - before[pid]) / took for pid in pids}
    return {pid: rate for pid, rate in rates.items() if rate > HEARTBEATS}


def in_threads(n, work):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("jobs", [0, 300])
def test_an_idle_daemon_wakes_for_its_heartbeats_only(daemon, jobs):
    kinds = {"warm": warm(children=2), "cold": sh("true", concurrency=2)}
    d = daemon(kinds=kinds, worker_processes=2, runner_processes=2)

    def submit(_):
        client = d.client()
        for _ in range(jobs // 4):
            assert client.post("/run", {"kind": "warm"}).status == 202
        client.close()

    in_threads(4, submit)
    wait_until(
        lambda: d.http.get("/jobs?state=pending&state=running").json()["jobs"] == [], 30, "all done"
    )
    wait_until(lambda: len(d.pids("child")) == 4, what="the warm children are there")
    pids = [d.pid, *descendants(d.pid)]
    assert len(pids) == 1 + 2 + 2 + 1 + 4
    wait_until(lambda: not too_lively(pids), 20, "nobody wakes but for heartbeats")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_jobs_that_expire_together_go_in_small_transactions_with_pauses(daemon):
    # A keeper that is stopped would be ended, and another one would do its work.
    d = daemon(start=False, runner_processes=0, stall_timeout="0s", table={"retention": "1s"})
    environment = d.environment()
    environment["ASAN_OPTIONS"] += ":detect_leaks=0"  # which does not work under strace
    d.environment = lambda: environment
    d.start()
    keeper = d.pids("keeper")[0]
    d.signal(SIGSTOP, keeper)
    jobs, threads = 1000, 8

    def finish_some(_):
        client = d.client()
        for _ in range(jobs // threads):
            job = client.post("/run", {}).json()["job_id"]
            assert client.post(f"/status/{job}/cancel").status == 202
        client.close()

    in_threads(threads, finish_some)
    assert d.mdb_stat()["done"] == jobs
    last = time.time() + 1
    wait_until(lambda: time.time() > last, what="all are over")
    strace = subprocess.Popen(
        ["strace", "-p", str(keeper), "-o", d.dir / "strace", "-e", "trace=poll,fdatasync"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "attached" not in (line := strace.stderr.readline()):
        if not line:
            d.signal(SIGCONT, keeper)
            pytest.skip("strace may not attach to a process here")
    d.signal(SIGCONT, keeper)
    wait_until(lambda: d.mdb_stat()["jobs"] == 0, 30, "all are gone")
    strace.send_signal(SIGINT)
    strace.wait(seconds(10))
    strace.stderr.close()
    # A sweep is what lies between two sleeps: a poll that may last.
    calls = re.findall(
        r"^(fdatasync|poll)\(.*?(?:, (-?\d+))?\)", (d.dir / "strace").read_text(), re.M
    )
    commits = [name == "fdatasync" for name, timeout in calls if timeout != "0"]
    sweeps = sum(now and not before for before, now in zip([False, *commits], commits))
    assert sweeps >= jobs / BUDGET
