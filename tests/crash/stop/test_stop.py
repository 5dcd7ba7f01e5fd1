"""SIGSTOP of a process that holds the writer lock, and of one inside a read transaction: writes go on, the
file stays small, and the one who is in the way is ended."""

import http.client
import os
import random
import subprocess
import threading
import time
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from conftest import actor, alive, count, descendants, seconds, sh, wait_until, warm
from oracle import check, load
from shimmed import CHURN, READ, WRITE, Churn, Shim, gone, is_stopped, snapshots
from storm import Storm
from writer_lock import WriterLock

JOBS = 100_000  # as many as a table keeps by default: what is free is used again from there on
RESUME = 2      # s in which writes go on
GROWTH = 2      # times its size before, that the file may come to

POINTS = {READ: "inside a read transaction", WRITE: "with the writer lock"}
VICTIMS = [
    ("library", READ), ("library", WRITE), ("worker", READ), ("worker", WRITE), ("runner", READ),
    ("runner", WRITE), ("keeper", READ), ("keeper", WRITE), ("child", READ), ("child", WRITE),
]  # fmt: skip


class Users:
    """Requests that give every role something to read and to write, whatever becomes of them."""

    def __init__(self, d):
        self.d, self.over = d, threading.Event()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        bodies = ({"kind": "warm"}, {"kind": "plain"}, {"kind": "warm", "delay": "30ms"})
        n = 0
        while not self.over.is_set():
            client = self.d.client(timeout=1)
            try:
                while not self.over.is_set():
                    n += 1
                    answer = client.post("/run", bodies[n % len(bodies)])
                    if answer.status == 202:
                        client.get("/status/" + answer.json()["job_id"])
                    time.sleep(0.02)  # more would pile up behind runners that are ended all the time
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(seconds(5))


def size(d):
    return os.stat(d.table / "data.mdb").st_size


def filled(daemon, private, **settings):
    """A daemon on a full table, all of it with the shim."""
    shim = Shim(private / "shim")
    kind = warm("/dev/null", children=2, max_attempts=100, backoff="10ms")
    kind["command"] = shim.words() + kind["command"]
    d = daemon(
        start=False, kinds={"warm": kind, "plain": sh("true", concurrency=2)},
        worker_processes=2, table={"map_size": "2g", "max_jobs": JOBS}, **settings,
    )  # fmt: skip
    subprocess.run([str(CHURN), "-d", str(d.table), "fill", str(JOBS)], check=True)
    shim.under(d).start()
    return d, shim


def some_victim(d, role, others, attempt):
    """A process of the role, another at each attempt: all connections may be one worker's. A library
    user's is one of the others that a test has."""
    if role == "library":
        return others.pid
    # One that waiting writers ended again and again is rightly kept down for up to 16 s.
    pids = wait_until(lambda: d.pids(role), 20, f"there is a {role}")
    return pids[attempt % len(pids)]


def stop_one(d, shim, role, point):
    """Stop one there; how long until it is gone."""
    wait_until(d.ready, 20)
    for attempt in range(20):  # one that dies of something else before is none
        with Churn(d.table, "read" if point == READ else "write", shim.environment) as others:
            pid = some_victim(d, role, others, attempt)
            if shim.stop(pid, point, bound=2):
                took = gone(pid, 5)
                assert took is not None, f"the {role} stopped {POINTS[point]} is not ended"
                return took
    pytest.fail(f"no {role} comes to stop {POINTS[point]}")


def test_whoever_is_stopped_in_the_way_is_ended_and_writes_go_on(daemon, private, seed):
    d, shim = filled(daemon, private)
    choice = random.Random(seed)
    rounds = count(1, 20)
    report = []
    with Users(d), Churn(d.table, "write") as writer:
        wait_until(lambda: writer.figures()[0], 10)
        before = size(d)
        for role, point in VICTIMS * rounds if rounds == 1 else choice.choices(VICTIMS, k=200):
            writer.figures()
            took = stop_one(d, shim, role, point)
            times, longest = writer.figures()
            report.append((role, POINTS[point], round(took, 2), longest, size(d) / before))
            assert max(took, longest) < seconds(RESUME), report[-1]
            assert size(d) <= GROWTH * before, report[-1]
    for line in report:
        print(*line)
    print(
        f"# {len(report)} stopped, ended after at most {max(line[2] for line in report)} s, the longest"
        f" write {max(line[3] for line in report)} s, the file {size(d) / before:.2f} times as large"
    )
    assert d.stop() == 0
    verified = d.jobtab("verify", bound=60)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_without_the_watchdog_the_file_grows_and_no_write_is_answered(daemon, private):
    """The control of the one before."""
    d, shim = filled(daemon, private, stall_timeout="0s")
    with Churn(d.table, "write") as writer, Churn(d.table, "read", shim.environment) as reader:
        wait_until(lambda: writer.figures()[0], 10)
        before = size(d)
        assert shim.stop(reader.pid, READ)
        wait_until(lambda: is_stopped(reader.pid), 5)
        wait_until(lambda: size(d) > GROWTH * before, 60, "the file has grown beyond its bound")
        assert is_stopped(reader.pid)
        reader.process.kill()
    with Churn(d.table, "write") as writer:
        with WriterLock(d.table) as lock:
            lock.process.send_signal(SIGSTOP)
            time.sleep(seconds(RESUME) + 1)
            assert is_stopped(lock.process.pid)
            lock.process.send_signal(SIGCONT)
        assert writer.figures()[1] > seconds(RESUME)
    assert d.stop() == 0


def test_a_program_that_is_stopped_with_the_store_s_own_lock_is_ended(daemon):
    """It writes without this library: nobody waits for its turn, all for a lock that knows no time."""
    d = daemon(kinds={"plain": sh("true")})
    for _ in range(count(1, 20)):
        lock = WriterLock(d.table)
        with Churn(d.table, "write") as writer:
            lock.__enter__()
            lock.process.send_signal(SIGSTOP)
            took = gone(lock.process.pid, 5)
            assert took is not None and took < seconds(RESUME)
            lock.process.communicate()
            wait_until(lambda: writer.figures()[0] > 0, 5)
            d.wait_job(d.submit()["job_id"], "completed")
    assert f"process {lock.process.pid} (python3" in d.log()
    assert "has held the writer lock and been stopped for" in d.log()


def test_a_program_that_does_nothing_with_the_store_s_own_lock_is_ended(daemon):
    d = daemon(kinds={"plain": sh("true")}, stall_timeout="1s")
    lock = WriterLock(d.table)
    lock.__enter__()
    took = gone(lock.process.pid, 8)
    lock.process.communicate()
    assert took is not None and took > 0.7
    assert "has held the writer lock and done nothing for" in d.log()
    d.wait_job(d.submit()["job_id"], "completed")
    assert "its loop has not turned" not in d.log(), "a role was ended for another's fault"


def test_a_long_read_that_goes_on_is_left_alone(daemon, private):
    """A verify that takes several times stall_timeout, stopped for moments by a tracer's like."""
    d = daemon(kinds={"plain": sh("true")}, stall_timeout="1s", table={"max_jobs": 30000})
    subprocess.run([str(CHURN), "-d", str(d.table), "fill", "30000"], check=True)
    verify = subprocess.Popen(
        ["/bin/sh", "-c", f"while {d.build}/jobtab -d {d.table} verify >{private}/out; do :; done"],
        start_new_session=True,
    )
    try:
        with Churn(d.table, "write"):
            end = time.monotonic() + seconds(count(2, 20))
            while time.monotonic() < end:
                for pid in descendants(verify.pid):
                    try:
                        os.kill(pid, SIGSTOP)
                        time.sleep(0.05)
                        os.kill(pid, SIGCONT)
                    except ProcessLookupError:
                        pass
                time.sleep(0.05)
        assert verify.poll() is None, "a verify was ended"
    finally:
        os.killpg(verify.pid, SIGKILL)
        verify.wait()
    assert "is ended" not in d.log()


def test_roles_that_are_stopped_or_hang_are_replaced(daemon):
    d = daemon(kinds={"plain": sh("true")}, stall_timeout="1s", worker_processes=2)
    for role in ("worker", "runner", "keeper"):
        pid = d.pids(role)[0]
        d.signal(SIGSTOP, pid)
        took = gone(pid, 6)
        assert took is not None, f"a {role} that is stopped stays"
        assert (took > 1) == (role != "keeper"), "only the keeper must go at once"
        wait_until(lambda: len(d.pids(role)) == (2 if role == "worker" else 1), 5)
        wait_until(d.ready, 5)
    d.wait_job(d.submit()["job_id"], "completed")
    assert d.log().count("its loop has not turned for") == 2


def test_slots_of_dead_roles_are_cleared_before_their_pids_are_free(daemon, private):
    """Stopped with a snapshot, then killed: while the pid can be anybody's the slot is not there."""
    shim = Shim(private / "shim")
    d = daemon(start=False, kinds={"plain": sh("true")}, worker_processes=2, stall_timeout="0s")
    shim.under(d).start()
    with Users(d), Churn(d.table, "write"):
        for role in ("worker", "runner") * count(2, 4):
            # One that dies again and again is rightly kept down for longer and longer.
            for attempt in range(10):
                pids = wait_until(lambda: d.pids(role), 20)
                pid = pids[attempt % len(pids)]
                if shim.stop(pid, READ, bound=2):
                    break
            wait_until(lambda: pid in snapshots(d.table), 5)
            d.signal(SIGKILL, pid)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5, "it is reaped")
            assert pid not in snapshots(d.table)
            wait_until(d.ready, 10)
    assert d.stop() == 0
    assert "may not be cleared" not in d.log()


def test_a_storm_with_stops_keeps_every_promise(daemon, private, seed, monkeypatch):
    """Clients as in test_acceptance; whoever is stopped inside a transaction is ended, wherever."""
    shim, events = Shim(private / "shim"), private / "events"
    events.mkdir()
    kind = warm("/dev/null", events, children=4, max_crashes=100)
    kind["command"] = shim.words() + kind["command"]
    d = daemon(
        start=False, kinds={"warm": kind}, worker_processes=2, runner_processes=2,
        table={"map_size": "1g"},
    )  # fmt: skip
    shim.under(d).start()
    for name, value in shim.environment.items():
        monkeypatch.setenv(name, value)
    choice, stopped = random.Random(seed), 0
    with Storm(d.table, events, port=d.port, clients=32) as clients:
        first = clients.process.pid
        wait_until(lambda: len(descendants(first)) == 32, 10)
        # The first worker lives: somebody has to work off the rest.
        victims = sorted(descendants(first))[1:24]
        while stopped < count(4, 60):
            assert clients.running(), "the clients ended before they were told to"
            what = choice.choice(("worker", "runner", "keeper", "child", "child", "library"))
            point = choice.choice((READ, WRITE))
            pids = d.pids(what) if what != "library" else [p for p in victims if alive(p)][8:]
            if pids and shim.stop(pid := choice.choice(pids), point, bound=1):
                took = gone(pid, 5)
                assert took is not None and took < seconds(RESUME), (what, POINTS[point], took)
                stopped += 1
        code, text = clients.end()
    for name in shim.environment:
        monkeypatch.delenv(name)
    assert code == 0, text
    wait_until(d.ready, 20)
    assert d.stop() == 0
    faults = check(load(events), killed=True)
    assert faults == [], "\n".join(faults)
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
