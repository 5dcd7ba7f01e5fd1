"""SIGKILL of the daemon's processes under load, told as stories: clients begin (tests/system/storm.c), processes
are killed, the clients end when all work is done; then what they logged, on another file system than the
table's, is held against what the table has (tests/oracle.py) and `jobtab verify` against itself. A story is as
long as memory has room for, and there are as many as it takes."""

import json
import os
import pathlib
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from signal import SIGKILL

import pytest

from conftest import actor, count, do, wait_until, warm
from oracle import acknowledged, check, load
from storm import Storm, storm

KILLS = count(500, 10_000)
ACKNOWLEDGED = count(20_000, 1_000_000)
STORY = 250  # kills of single processes
ENDS = count(20, 1_000)
STORY_ENDS = 10  # of the master, with all others or without
KINDS = "warm,plain,tabled"


@pytest.fixture
def elsewhere(request, private):
    """A directory on another file system than the table's. To be asked for before the daemon, whose children write
    to it. It is kept, as the table is, when the test failed."""
    for place in ("/dev/shm", "/var/tmp", "/run"):
        if os.access(place, os.W_OK) and os.stat(place).st_dev != os.stat(private).st_dev:
            break
    else:
        pytest.skip("there is only one file system to write to")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="jobtab-events-", dir=place))
    yield folder
    if getattr(request.node, "failed", False):
        print(f"the events are in {folder}")
    else:
        shutil.rmtree(folder)


class Stories:
    """What was done in all of them so far."""

    def __init__(self, d, events, seed):
        self.d, self.events, self.seed = d, events, seed
        self.told = self.acknowledged = self.kills = 0

    def clients(self):
        self.told += 1
        return Storm(
            self.d.table, self.events, port=self.d.port, clients=32, seed=self.seed + self.told,
            at_most=240, kinds=KINDS, empty=True,
        )  # fmt: skip

    def close(self, clients):
        """The end of a story: its clients' log and the table, held against each other."""
        code, text = clients.end()
        assert code == 0, text
        happened = load(self.events)
        faults = check(happened, killed=True)
        assert faults == [], "\n".join(faults)
        verified = self.d.jobtab("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        self.acknowledged += acknowledged(happened)
        for file in self.events.iterdir():  # whoever lives on goes on writing to it
            os.truncate(file, 0)
        show(f"{self.told} stories, {self.kills} kills, {self.acknowledged} acknowledgements")


def show(text):
    if sys.__stderr__.isatty():
        print(f"\r\033[K{text}", end="", file=sys.__stderr__, flush=True)


def strike(pid):
    """SIGKILL; False when there was nobody alive."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if select.select([fd], [], [], 0)[0]:
            return False
        signal.pidfd_send_signal(fd, SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


class Victims:
    """Whom to kill next. The master keeps a role down that dies again and again, unless each has lived for ten
    seconds, and a runner its warm children, unless each has lived for two. So only the first few die younger:
    the others are at work again by then, and there are as many of them as before."""

    LIVES = {"worker": 10, "runner": 10, "keeper": 10, "warm": 2, "child": 0}  # s
    YOUNG = {"worker": 1, "runner": 1, "keeper": 1, "warm": 2, "child": 0}  # of the first ones
    FIRST = 2  # of each role's processes
    CHOICE = ("worker", "worker", "runner", "keeper", "warm", "warm", "warm", "child", "child", "child")
    TICK = os.sysconf("SC_CLK_TCK")

    def __init__(self, d, choice, roles):
        self.d, self.choice, self.roles = d, choice, roles
        self.met = dict.fromkeys(self.LIVES, 0)
        self.known = {}  # {pid: (what it is, when it was born)}

    def born(self, pid, of):
        """What it is and when it was born, as its command line and the kernel tell."""
        try:
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            start = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
        except OSError:
            return None, 0
        if of == "runner":
            what = "warm" if b"\0-w\0" in line else "child"
        else:
            what = next((role for role in ("worker", "runner", "keeper") if role.encode() in line), None)
        return what, int(start) / self.TICK

    def least(self, what):
        young = self.met[what] < self.FIRST * self.roles.get(what, 1)
        return (self.YOUNG if young else self.LIVES)[what]

    def walk(self, parent, of, found):
        try:
            pids = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for pid in map(int, pids):
            if self.known.get(pid, (None,))[0] is None:  # it may not have had its name yet
                self.known[pid] = self.born(pid, of)
            what, start = self.seen[pid] = self.known[pid]
            if what and now - start >= self.least(what):
                found[what].append(pid)
            if what == "runner":
                self.walk(pid, what, found)

    def kill_one(self):
        there, self.seen = {what: [] for what in self.LIVES}, {}
        self.walk(self.d.pid, "master", there)
        self.known = self.seen  # another may have the pid of one who is gone
        what = self.choice.choice([what for what in self.CHOICE if there[what]] or [None])
        if not what:
            return 0
        pid = self.choice.choice(there[what])
        del self.known[pid]
        struck = strike(pid)
        self.met[what] += struck
        return struck


def busy(daemon, elsewhere, **more):
    keys = {"max_crashes": 1000, "max_attempts": 1000, "backoff": "10ms"}
    return daemon(
        kinds={
            "warm": warm("/dev/null", elsewhere, children=4, **keys),
            "plain": actor("/dev/null", concurrency=4, **keys),
            "tabled": actor("-t", "/dev/null", elsewhere, concurrency=4, **keys),
        },
        table={"map_size": "2g"},
        error_log="off",
        shutdown_timeout="3s",
        **more,
    )


def test_nothing_is_lost_when_processes_are_killed_under_load(elsewhere, daemon, seed):
    roles = {"worker": count(4, 8), "runner": count(2, 4)}
    d = busy(daemon, elsewhere, **{f"{role}_processes": n for role, n in roles.items()})
    stories, victims = Stories(d, elsewhere, seed), Victims(d, random.Random(seed), roles)
    begun = time.monotonic()
    while stories.kills < KILLS or stories.acknowledged < ACKNOWLEDGED:
        before = stories.kills
        with stories.clients() as clients:
            while stories.kills < before + STORY:
                assert clients.running(), clients.end()[1]
                stories.kills += victims.kill_one()
                time.sleep(0.02)  # of their work
            stories.close(clients)
    wait_until(d.ready, 20)
    assert all(victims.met.values()), victims.met
    print(
        f"{stories.kills} kills {victims.met}, {stories.acknowledged} acknowledgements, "
        f"{stories.told} stories, {time.monotonic() - begun:.0f} s"
    )


def running(d):
    """{job id: when its attempt began} of the jobs of the daemon that have an owner."""
    found = {}
    for kind in KINDS.split(","):
        for state in ("running", "cancelling"):
            listed = d.jobtab("-o", "json", "list", "-s", state, "-k", kind, "-n", "1000")
            assert listed.returncode == 0, listed.stderr
            for line in listed.stdout.splitlines():
                job = json.loads(line)
                found[job["job_id"]] = job["started_at"]
    return found


def test_a_killed_master_or_tree_leaves_no_process_and_no_job_behind(private, elsewhere, daemon, seed):
    d = busy(daemon, elsewhere, worker_processes=2)
    stories, choice = Stories(d, elsewhere, seed), random.Random(seed)
    ends, held, begun = 0, 0, time.monotonic()
    gate = private / "gate"
    while ends < ENDS:
        with stories.clients() as clients:
            for _ in range(STORY_ENDS):
                waiting = [d.submit(kind, do(f"hold {gate}", "story 3")) for kind in KINDS.split(",")]
                for job in waiting:
                    d.wait_job(job["job_id"], "running")
                time.sleep(choice.random() / 5)  # of their work
                assert clients.running(), clients.end()[1]
                d.http.close()
                if ends % 2:
                    d.kill_tree()
                else:
                    d.signal(SIGKILL)
                    d.process.wait()
                wait_until(lambda: not d.tree(), 5, "no process of it is left")
                left = running(d)
                held += len(waiting)
                d.start(bound=10)
                wait_until(
                    lambda: not left.items() & running(d).items(), 5, "no job is left to a dead owner"
                )
                gate.touch()
                for job in waiting:
                    assert d.wait_job(job["job_id"])["status"] == "completed"
                gate.unlink()
                ends += 1
            stories.kills = ends
            stories.close(clients)
    print(
        f"{ends} ends, {held} jobs running then, {stories.acknowledged} acknowledgements, "
        f"{time.monotonic() - begun:.0f} s"
    )


@pytest.mark.parametrize(
    "mutant, rules",
    [("early-bell", {"bell"}), ("no-fencing", {"fencing"}), ("early-answer", {"fresh", "present", "once"})],
)
def test_the_oracle_catches(mutant, rules, private, elsewhere, seed, monkeypatch):
    monkeypatch.setenv("JOBTAB_MUTANT", mutant)
    tries = count(1, 20)
    for number in range(tries):
        storm(
            private / f"table-{number}", elsewhere, program="storm-mutant", clients=8, requests=4000,
            seed=seed + number, at_most=20,
        )  # fmt: skip
        faults = check(load(elsewhere), killed=True, limit=1000)
        assert {fault.partition(":")[0] for fault in faults} & rules, (number, faults[:10])
        for file in elsewhere.iterdir():
            file.unlink()
    print(f"{tries} of {tries}")
