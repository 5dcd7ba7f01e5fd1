"""Descriptors that run out, and clients that wait, trickle, leave in the middle and come in thousands.

Within five seconds after each of them the daemon is as it was before: ready, a job goes from its submit to its
end, every role holds as many descriptors as before, and no memory to speak of is left with one.
"""

import os
import re
import resource
import socket
import subprocess
import time
from signal import SIGHUP, SIGKILL

import pytest
from clients import BODY, HEAD, HOST, RESET, Clients, raise_descriptors
from conftest import SLOW, WRAPPER, alive, count, seconds, sh, wait_until

WELL = 5  # seconds
LEFT = 8 << 20  # bytes that a role may have more than before: what its allocator keeps
GOOD = 5  # seconds for a usual request meanwhile

pytestmark = pytest.mark.skipif(bool(WRAPPER), reason="counts processes' descriptors and memory")


def rss(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1)) << 10


def holdings(d):
    """{(role, pid): (descriptors, bytes)}"""
    return {
        (role, pid): (len(os.listdir(f"/proc/{pid}/fd")), rss(pid))
        for role, pids in {**d.roles(), "master": [d.pid]}.items()
        for pid in pids
    }


class Health:
    """What the daemon was like before."""

    def __init__(self, d, kind="echo"):
        self.d, self.kind = d, kind
        self.run_a_job()
        d.http.close()
        self.before = holdings(d)
        wait_until(self.settled, what="as many descriptors as it had")
        self.before = holdings(d)

    def run_a_job(self):
        job = self.d.wait_job(self.d.submit(self.kind, {"a": 1})["job_id"], bound=WELL)
        assert job["status"] == "completed" and job["result"] == {"a": 1}, job

    def settled(self):
        now = holdings(self.d)
        return now.keys() == self.before.keys() and all(
            now[role][0] <= self.before[role][0] for role in now
        )

    def good(self):
        """A usual request on a connection of its own is answered in time."""
        http = self.d.client(timeout=GOOD)
        try:
            assert http.get("/healthz").status == 200
        finally:
            http.close()

    def judge(self):
        end = time.monotonic() + seconds(WELL)
        wait_until(self.d.ready, WELL, "ready again")
        self.run_a_job()
        self.d.http.close()
        wait_until(self.settled, WELL, f"the descriptors of {self.before}: {holdings(self.d)}")
        assert time.monotonic() < end + seconds(1)
        for role, (_, size) in holdings(self.d).items():
            grown = size - self.before[role][1]
            assert grown < LEFT, f"{role} has {grown >> 20} MB more than before"
        return max(size - self.before[role][1] for role, (_, size) in holdings(self.d).items())


def limit(pid, n):
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (n, hard))


def used(pid):
    return max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1


# ---------------------------------------------------------------- descriptors run out


def test_a_daemon_that_may_open_too_little_starts_or_says_why_not(daemon):
    d = daemon(start=False)
    started = []
    for n in count((9, 17, 64), range(4, 65)):
        d.spawn(wrapper=["prlimit", f"--nofile={n}:{n}"])
        # Roles that cannot open the table say so, and try again for as long as it takes.
        wait_until(lambda: d.process.poll() is not None or d.ready() or "Too many open files" in d.log(), 10)
        if d.ready():
            started.append(n)
        else:
            assert "open files" in d.log(), (n, d.log()[-2000:])
        d.stop()
        for file in (d.error_log, d.stderr_file):
            file.write_text("")
    assert 64 in started, started
    print(f"# started with {started}")


WANT = "not started for now: pipes: Too many open files"


def test_jobs_wait_while_the_runner_has_no_descriptors(daemon):
    kinds = {"echo": {**sh("cat"), "max_attempts": 1, "concurrency": 4}}
    d = daemon(kinds=kinds)
    health = Health(d)
    runner = d.pids("runner")[0]
    for more in count((0, 3, 8), range(12)):
        limit(runner, used(runner) + more)
        jobs = [d.submit("echo", {"a": n})["job_id"] for n in range(4)]
        if more == 0:  # not even for one pipe
            wait_until(lambda: WANT in d.log(), what="a job is not started")
        time.sleep(seconds(0.3))  # as long as it lasts, not a wait
        limit(runner, 1024)
        for job in jobs:
            ended = d.wait_job(job, bound=WELL)
            assert (ended["status"], ended["attempt"]) == ("completed", 1), (more, ended)
    assert d.pids("runner") == [runner]
    health.judge()


def test_a_keeper_and_a_master_without_descriptors_go_on(daemon):
    d = daemon()
    health = Health(d)
    keeper = d.pids("keeper")[0]
    limit(keeper, used(keeper))
    assert d.wait_job(d.submit("echo", {"a": 1}, delay="50ms")["job_id"])["status"] == "completed"
    limit(keeper, 1024)
    limit(d.pid, used(d.pid))
    lines = d.log().count("\n")
    d.signal(SIGHUP)
    wait_until(lambda: "nothing was changed" in "".join(d.log().splitlines(True)[lines:]))
    limit(d.pid, 1024)
    health.judge()


def test_a_worker_without_descriptors_pauses_and_answers_those_it_has(daemon):
    d = daemon()
    health = Health(d)
    worker = d.pids("worker")[0]
    d.http.get("/healthz")
    limit(worker, used(worker) + 3)
    with Clients(d.port) as clients:
        clients.add(50, HEAD)
        clients.run(seconds(0.5), b"", lambda: d.http.get("/readyz"))
    limit(worker, 1024)
    health.judge()
    assert d.pids("worker") == [worker]


# --------------------------------------------------------------------- slow clients


@pytest.fixture
def crowd(daemon):
    """A daemon that takes thousands of connections, with a job whose result is large."""
    if not raise_descriptors(9000):
        pytest.skip("this machine allows no 9,000 descriptors")
    kinds = {"echo": sh("cat"), "large": sh("head -c 8000000 /dev/zero | tr '\\0' x")}
    table = {"map_size": "256m", "result_max": "16m"}
    d = daemon(kinds=kinds, table=table, worker_processes=2, worker_connections=4000)
    d.large = d.wait_job(d.submit("large")["job_id"])["job_id"]
    return d


SLOW_KINDS = {
    "send a byte a second": (b"GET /", b"x"),
    "never end their headers": (HEAD + b"X: y", b""),
    "never end their bodies": (BODY, b" "),
    "say nothing": (b"", b""),
}


@pytest.mark.parametrize("kind", SLOW_KINDS)
def test_clients_in_thousands_that(crowd, kind):
    beginning, drip = SLOW_KINDS[kind]
    health = Health(crowd)
    times = []

    def meanwhile():
        begun = time.monotonic()
        health.good()
        times.append(time.monotonic() - begun)

    with Clients(crowd.port) as clients:
        clients.add(count(1500, 5000), beginning)
        clients.run(seconds(count(0.6, 10)), drip, meanwhile)
        n = len(clients.socks)
    left = health.judge()
    print(f"# {n} clients that {kind}: others were answered in {max(times) * 1000:.0f} ms, "
          f"{left >> 10} KB more than before")  # fmt: skip


def workers_rss(d):
    return sum(rss(pid) for pid in d.pids("worker"))


def read_nothing(d, health):
    """Clients that ask for a large result and do not read it. The most that the workers had meanwhile."""
    request = b"GET /status/%s/result HTTP/1.1\r\n%s\r\n" % (d.large.encode(), HOST)
    worst = 0

    def meanwhile():
        nonlocal worst
        health.good()
        worst = max(worst, workers_rss(d))

    with Clients(d.port) as clients:
        clients.add(count(100, 2000), request, read=False, buffer=4096)
        clients.run(seconds(1), b"", meanwhile)
    return worst


def send_no_end(d, health):
    """Clients whose bodies come in quickly and are never whole."""
    head = b"POST /run HTTP/1.1\r\n" + HOST + b"Content-Length: 17000000\r\n\r\n"
    piece = head + b" " * (12 << 20)
    socks, worst = [], 0
    for _ in range(count(50, 200)):
        sock = socket.create_connection(("127.0.0.1", d.port), timeout=seconds(5))
        try:
            sock.sendall(piece)
        except OSError:
            pass  # cut
        socks.append(sock)
        worst = max(worst, workers_rss(d))
    health.good()
    for sock in socks:
        sock.close()
    return worst


@pytest.mark.parametrize("ask", [read_nothing, send_no_end])
def test_memory_is_bounded_whoever_does_not_read_or_does_not_end(crowd, ask):
    health = Health(crowd)
    base = workers_rss(crowd)
    worst = ask(crowd, health)
    # Each of two workers: 34 MB on their way, as much again for the room that buffers grow by, and two copies
    # of an answer that is made and then refused.
    assert worst - base < 2 * (96 << 20), f"{worst >> 20} MB"
    wait_until(health.settled, WELL, "as many descriptors as it had")
    health.before = holdings(crowd)  # what the allocator keeps is there for the next time
    ask(crowd, health)
    left = health.judge()
    print(f"# {(worst - base) >> 20} MB, and {left >> 20} MB more after the second time")


@pytest.mark.skipif(count(True, False), reason="takes the time-outs' time; the long form has it")
def test_the_daemon_itself_ends_those_that_are_slow(crowd):
    health = Health(crowd)
    request = b"GET /status/%s/result HTTP/1.1\r\n%s\r\n" % (crowd.large.encode(), HOST)
    with Clients(crowd.port) as clients:
        clients.add(500, HEAD)
        clients.add(500, BODY)
        clients.add(20, request, read=False, buffer=4096)
        clients.run(seconds(45), b" ", health.good, lambda: clients.ended == 1000)
        assert clients.ended == 1000
        wait_until(health.settled, 45, "those that do not read are ended, too")
    health.judge()


# ------------------------------------------------------------------- half-open, floods


def half(sock, how):
    """Leave a connection in the middle."""
    if how == "fin":
        sock.shutdown(socket.SHUT_WR)
    elif how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_connections_that_are_left_in_the_middle_are_forgotten(daemon, how):
    d = daemon(worker_connections=2000)
    health = Health(d)
    run = b"POST /run HTTP/1.1\r\n" + HOST + b'Content-Length: 14\r\n\r\n{"delay":"1h"}'
    texts = (b"", b"G", HEAD[:-1], HEAD + b"\r\n", BODY, run[:-1], run, run + HEAD + b"\r\n" + BODY)
    socks = []
    for n in range(count(400, 4000)):
        sock = socket.create_connection(("127.0.0.1", d.port), timeout=seconds(5))
        sock.sendall(texts[n % len(texts)])
        half(sock, how)
        socks.append(sock)
        if n % 100 == 0:
            health.good()
        if len(socks) > 500:
            socks.pop(0).close()
    health.judge()  # while the last of them are still open on their side
    for sock in socks:
        sock.close()


def test_a_flood_beyond_the_cap_is_served_in_turn(daemon):
    d = daemon(worker_processes=2, worker_connections=32)
    health = Health(d)
    with Clients(d.port) as clients:
        request = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        clients.add(count(1000, 4000), request)
        clients.run(seconds(20), b"", until=lambda: clients.ended == len(clients.socks))
        assert clients.ended == len(clients.socks)
    health.judge()


def test_a_leak_would_be_noticed(daemon):
    """The control of the oracle above: connections that stay are descriptors that are left."""
    d = daemon()
    health = Health(d)
    with Clients(d.port) as clients:
        clients.add(3, HEAD)
        wait_until(lambda: not health.settled(), what="the oracle sees them")
    d.signal(SIGKILL, worker := d.pids("worker")[0])
    wait_until(lambda: not alive(worker) and d.ready())
    assert not health.settled(), "another process is none of those before"
