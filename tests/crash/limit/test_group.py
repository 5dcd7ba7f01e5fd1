"""A daemon that may have 64 MB, and more asked of it than fits: large bodies, long lists, big results and logs,
from many clients. Roles may be killed for memory; the master is not, another takes each one's place, and what was
acknowledged is there. The table's pages count too, but the kernel takes them back.
"""

import http.client
import json
import os
import pathlib
import random
import re
import resource
import threading
import time

import pytest
from conftest import WRAPPER, count, python, seconds, sh, wait_until

LIMIT = 64 << 20
GROUPS = pathlib.Path("/sys/fs/cgroup/memory")
WELL = 5  # seconds
PARAMS = 500_000
MOST = count(200, 400)  # jobs of that size, or with a result and a log of 6 MB

pytestmark = pytest.mark.skipif(bool(WRAPPER), reason="another program's memory would be limited")


@pytest.fixture
def group(private):
    """A control group of our own: words to put before a command, and its folder."""
    folder = GROUPS / f"{private.name}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"no memory control group can be made here: {error}")
    words = ["/bin/sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$0" "$@"']
    yield words, folder
    # The daemon's fixture, which is set up after this one, has ended all that was in it.
    wait_until(lambda: not (folder / "cgroup.procs").read_text(), 5, "the group is empty")
    folder.rmdir()


class Load:
    """Clients that ask for much, until they are told to end."""

    def __init__(self, d, seed, clients, large):
        self.d, self.large, self.stop = d, large, threading.Event()
        self.acknowledged, self.answers, self.asked, self.cut, self.faults = [], {}, 0, 0, []
        self.threads = [
            threading.Thread(target=self.client, args=(random.Random(seed + n),))
            for n in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def client(self, chance):
        body = json.dumps({"kind": "echo", "params": {"x": "y" * PARAMS}, "delay": "1h"})
        while not self.stop.is_set():
            client = self.d.client(timeout=10)
            try:
                for _ in range(5):
                    self.one(client, chance, body)
            except (OSError, http.client.HTTPException):
                self.cut += 1
                time.sleep(0.05)  # as a client would
            finally:
                client.close()

    def one(self, client, chance, body):
        what = chance.random()
        if self.asked >= MOST:
            what = 0.3 + 0.6 * what  # only reads: a full map is another test's
        self.asked += what < 0.3 or what >= 0.9  # done, too, when the answer is cut
        if what < 0.3:
            answer = client.post("/run", body)
            if answer.status == 202:
                self.acknowledged.append(answer.json()["job_id"])
        elif what < 0.5:
            answer = client.get("/jobs?limit=1000")
        elif what < 0.7:
            answer = client.get(f"/status/{self.large}/result")
        elif what < 0.9:
            answer = client.get(f"/status/{self.large}/log")
        else:
            answer = client.post("/run", {"kind": "large"})
            if answer.status == 202:
                self.acknowledged.append(answer.json()["job_id"])
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        if answer.status not in (200, 202, 503):
            self.faults.append(repr(answer))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


TABLE = {"map_size": "2g", "params_max": "1m", "result_max": "8m", "log_max": "4m", "max_jobs": 100000}
KINDS = {
    "echo": sh("cat"),
    "large": {**sh("head -c 4000000 /dev/zero | tr '\\0' x; head -c 2000000 /dev/zero | tr '\\0' l >&2"),
              "max_attempts": 20, "backoff": "10ms", "concurrency": 2},
    "hog": python("x = bytearray(1 << 30); x[::4096] = b'x' * (1 << 18)"),
}  # fmt: skip


def overload(d, seed):
    large = d.wait_job(d.submit("large")["job_id"], bound=20)
    assert large["status"] == "completed", large
    d.http.close()
    load = Load(d, seed, count(24, 64), large["job_id"])
    time.sleep(seconds(count(3, 40)))
    load.end()
    return load


def judge(d, load):
    master = d.pid
    wait_until(d.ready, WELL, "ready again")
    assert d.running() and d.pid == master
    assert load.faults == []
    assert load.answers.get(202), load.answers
    page = d.http.get("/jobs?limit=1000").json()
    assert page["next"] is None
    found = {job["job_id"] for job in page["jobs"]}
    lost = [job for job in load.acknowledged if job not in found]
    assert not lost, f"{len(lost)} of {len(load.acknowledged)} that were acknowledged are not there"
    assert d.jobtab("verify", bound=60).returncode == 0
    job = d.wait_job(d.submit("echo", {"a": 1})["job_id"], bound=60)
    assert job["status"] == "completed" and job["result"] == {"a": 1}, job
    killed = len(re.findall(r"killed by signal (9|6)", d.log()))
    print(f"# {load.answers}, {load.cut} cut, {killed} roles replaced")


def test_64_megabytes_are_enough_to_come_back_from_any_load(group, daemon, seed):
    words, folder = group
    d = daemon(start=False, kinds=KINDS, table=TABLE, worker_processes=2)
    d.start(wrapper=words)
    load = overload(d, seed)
    judge(d, load)
    peak = int((folder / "memory.max_usage_in_bytes").read_text())
    print(f"# at most {peak >> 20} MB of {LIMIT >> 20}")


def test_a_job_that_the_kernel_kills_for_memory_has_reason_oom(group, daemon):
    words, _ = group
    d = daemon(start=False, kinds=KINDS, table=TABLE)
    d.start(wrapper=words)
    job = d.wait_job(d.submit("hog", max_attempts=1)["job_id"], bound=20)
    assert (job["status"], job["reason"]) == ("failed", "oom"), job
    assert d.ready()


@pytest.mark.skipif(
    count(GROUPS.exists(), False), reason="the long form has both, and there are control groups"
)
def test_data_of_64_megabytes_are_enough_to_come_back_from_any_load(daemon, seed):
    """Where there are no control groups: memory is refused instead, which the HTTP library ends its worker for."""
    d = daemon(start=False, kinds=KINDS, table=TABLE, worker_processes=2)
    d.start(wrapper=["prlimit", f"--data={LIMIT}:{resource.RLIM_INFINITY}"])
    judge(d, overload(d, seed))
