"""Workers whose table cannot be opened: they answer all the same, say why, and go on when it can be."""

import fcntl
import os
import signal

import pytest

from conftest import wait_until

SOON = 1.5  # s within which anybody is answered: far below what a client waits, and what opening may take
RESUME = 5


def answer(d, method, path):
    """Of a connection of its own, and soon."""
    client = d.client(timeout=SOON)
    try:
        return client.request(method, path, body={} if method == "POST" else None)
    finally:
        client.close()


def refuses(d, job, *words):
    """Everybody is told why, but for who asks whether the worker lives."""
    assert answer(d, "GET", "/healthz").status == 200
    for method, path in (("GET", "/readyz"), ("GET", f"/status/{job}"), ("POST", "/run"), ("GET", "/jobs")):
        said = answer(d, method, path)
        assert said.status == 503, (path, said)
        assert said.headers["content-type"] == "application/problem+json"
        assert int(said.headers["retry-after"]) >= 1
        assert any(word in said.json()["detail"] for word in words), said.json()
    return True


def replaced(d, pids):
    """Kill these, and wait until others are in their places."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(d.roles().values()) and not set(pids) & set(sum(d.roles().values(), [])),
               what="they are replaced")  # fmt: skip


def goes_on(d, job):
    d.http.close()
    wait_until(d.ready, RESUME, "it is ready again")
    assert d.job(job)["status"] == "completed"
    assert d.wait_job(d.submit()["job_id"])["status"] == "completed"
    assert d.jobtab("verify").returncode == 0


@pytest.fixture
def served(daemon):
    """A daemon with one finished job, its id."""
    d = daemon()
    job = d.submit()["job_id"]
    d.wait_job(job)
    d.http.close()
    return d, job


def test_a_worker_that_waits_for_long_to_open_the_table_answers_meanwhile(served):
    d, job = served
    with open(d.table / "open.lock", "rb+") as lock:  # as one who opens from a disk that hangs
        fcntl.flock(lock, fcntl.LOCK_EX)
        replaced(d, d.pids("worker"))
        for _ in range(3):
            refuses(d, job, "is being opened")
        worker = d.pids("worker")
    goes_on(d, job)
    assert d.pids("worker") == worker


def test_a_worker_that_waits_to_open_the_table_leaves_when_it_is_told_to(served):
    d, job = served
    with open(d.table / "open.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        replaced(d, d.pids("worker"))
        refuses(d, job, "is being opened")
        assert d.stop(signal.SIGQUIT, bound=8) == 0


def test_a_reload_waits_for_the_table_before_it_takes_a_connection(served):
    d, job = served
    before = d.pids("worker")
    with open(d.table / "open.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        d.signal(signal.SIGHUP)
        wait_until(lambda: len(d.pids("worker")) == 2, what="the new worker is there")
        for _ in range(50):  # whoever takes it, it is answered by one that has the table
            assert answer(d, "GET", f"/status/{job}").status == 200
    wait_until(lambda: d.pids("worker") and not set(before) & set(d.pids("worker")), what="the reload")
    goes_on(d, job)


def test_a_table_that_is_gone_is_not_made_anew_while_the_daemon_lives(served):
    d, job = served
    away = d.table.with_name("away")
    d.table.rename(away)
    replaced(d, sum(d.roles().values(), []))
    for _ in range(3):
        refuses(d, job, "there is no directory")
    assert not d.table.exists()
    # As where a disk was unmounted: the directory is there, and empty.
    d.table.mkdir()
    replaced(d, d.pids("keeper"))
    wait_until(lambda: "there is no table" in answer(d, "GET", "/readyz").json()["detail"], RESUME)
    refuses(d, job, "there is no table")
    assert list(d.table.iterdir()) == []
    d.signal(signal.SIGHUP)  # whose new roles find no table either: nothing is changed
    wait_until(lambda: "nothing was changed" in d.log(), what="the reload is given up")
    assert list(d.table.iterdir()) == []
    d.table.rmdir()
    away.rename(d.table)
    goes_on(d, job)
