"""SIGKILL of each process of the daemon, under load: it heals, and nothing is left behind. (tests/crash/kill has
the storms of it.)"""

import http.client
import os
import random
import subprocess
import threading
import time
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from conftest import (
    BUILD,
    actor,
    alive,
    descendants,
    do,
    effects,
    job_processes,
    processes,
    seconds,
    sh,
    wait_until,
    warm,
)
from oracle import check, load
from storm import Storm


class Load:
    """Users that submit and look while something else happens. Connections may break under
    them; every answer that they get is checked."""

    def __init__(self, d, users=4):
        self.d = d
        self.stop = threading.Event()
        self.acknowledged, self.faults, self.answers = [], [], []
        self.lock = threading.Lock()
        # Daemons, or a test that fails before end() would keep the interpreter for ever.
        self.threads = [
            threading.Thread(target=self.user, args=(n,), daemon=True) for n in range(users)
        ]
        for thread in self.threads:
            thread.start()

    def user(self, number):
        client = self.d.client(timeout=5)
        n = 0
        while not self.stop.is_set():
            n += 1
            begun = time.monotonic()
            try:
                answer = client.post("/run", {"kind": "load", "params": do(f"effect {number}.{n}")})
                with self.lock:
                    self.answers.append((begun, time.monotonic(), answer.status))
                    if answer.status == 202:
                        self.acknowledged.append(answer.json()["job_id"])
                    elif answer.status != 503:
                        self.faults.append(repr(answer))
                    known = self.acknowledged[-1] if self.acknowledged else None
                if known:
                    answer = client.get(f"/status/{known}")
                    if answer.status != 200:
                        self.faults.append(repr(answer))
            except (OSError, http.client.HTTPException):
                client.close()
            time.sleep(0.01)
        client.close()

    def written_after(self, moment):
        """When the first write that began after the moment was answered; None yet."""
        with self.lock:
            done = [ended for begun, ended, status in self.answers if begun > moment and status == 202]
        return min(done, default=None)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(seconds(20))
        assert not any(thread.is_alive() for thread in self.threads)
        assert self.faults == []


def busy(daemon, private, **more):
    """A daemon with jobs of every sort running that wait for the gate, under load."""
    log, gate = private / "effects", private / "gate"
    keys = {"backoff": "100ms", "max_attempts": 5}
    kinds = {
        "load": warm(log, children=2, **keys),
        "held": warm(log, children=1, **keys),
        "plain": actor(log, **keys),
        "table": actor("-t", log, **keys),
        "nest": sh(
            f"echo \"$JOBTAB_JOB_ID $JOBTAB_ATTEMPT start\" >> {log}; sleep 1000 & sleep 1001 &"
            f" while [ ! -e {gate} ]; do sleep 0.05; done;"
            f" echo \"$JOBTAB_JOB_ID $JOBTAB_ATTEMPT end\" >> {log}",
            **keys,
        ),
    }
    d = daemon(kinds=kinds, worker_processes=2, **more)
    steps = do("effect start", "spawn 1000000", f"hold {gate}", "effect end")
    ids = {kind: d.submit(kind, steps)["job_id"] for kind in ("held", "plain", "table", "nest")}
    wait_until(lambda: starts(log, ids) >= set(ids.values()), 10, "all have started")
    return d, ids, log, gate


def starts(log, ids):
    return {i for i, _, text in effects(log) if text == "start" and i in ids.values()}


def count(log, job_id, text):
    return sum(1 for i, _, t in effects(log) if i == job_id and t == text)


def of_job(d, job_id):
    """Processes with the job's id in their environment, the child first."""
    found = job_processes(d, job_id)
    table = processes()
    found = [pid for pid in found if pid in table]  # not those that were about to end
    return sorted(found, key=lambda pid: table[pid].ppid in found)


def ends_well(d, load, ids, log, gate):
    """Whatever was killed: all that was acknowledged ends, and what was held ends once."""
    load.end()
    gate.touch()
    for job_id in ids.values():
        assert d.wait_job(job_id, bound=15)["status"] == "completed"
        assert count(log, job_id, "end") == 1
    for job_id in load.acknowledged:
        assert d.wait_job(job_id, bound=20)["status"] == "completed"
    assert len(load.acknowledged) > 10, "there was no load"
    wait_until(lambda: d.mdb_stat()["running"] == 0, 5)


def replaced(d, role, pid):
    """The moment at which another process has the role's place."""
    before = set(d.pids(role)) - {pid}
    number = len(before) + 1
    d.signal(SIGKILL, pid)
    wait_until(
        lambda: pid not in d.pids(role) and len(d.pids(role)) >= number, 5, f"{role} is back"
    )
    return time.monotonic()


@pytest.mark.parametrize("role", ["worker", "keeper", "runner"])
def test_a_killed_role_is_replaced_and_the_next_write_answered(daemon, private, role):
    d, ids, log, gate = busy(daemon, private)
    load = Load(d)
    wait_until(lambda: len(load.acknowledged) > 20, 10)
    victim = d.pids(role)[0]
    children = set(d.pids("child"))
    time.sleep(0.2)  # what the shell child starts and ends by itself is not meant
    children &= set(d.pids("child"))
    back = replaced(d, role, victim)
    answered = wait_until(lambda: load.written_after(back), 5, "a write is answered")
    assert answered - back < seconds(1)
    if role == "runner":
        # Its children have no reader any more: none of them may live on beside a new attempt.
        wait_until(lambda: not any(alive(pid) for pid in children), 3, "the old children are gone")
        wait_until(lambda: all(count(log, i, "start") == 2 for i in ids.values()), 5, "all run again")
    else:
        assert all(alive(pid) for pid in children), "a child died with another role"
    ends_well(d, load, ids, log, gate)
    for job_id in ids.values():
        assert d.job(job_id)["attempt"] == 1, "a lost owner costs no attempt"


def test_a_killed_warm_child_s_job_goes_back_and_another_child_comes(daemon, private):
    d, ids, log, gate = busy(daemon, private)
    load = Load(d)
    wait_until(lambda: len(load.acknowledged) > 20, 10)
    number = len(d.pids("child"))
    [owner] = owners(d, ids["held"])
    d.signal(SIGKILL, owner)
    killed = time.monotonic()
    wait_until(lambda: count(log, ids["held"], "start") == 2, 3, "the job runs again")
    assert time.monotonic() - killed < seconds(2.5)
    job = d.job(ids["held"])
    assert (job["status"], job["attempt"]) == ("running", 1)
    wait_until(lambda: len(d.pids("child")) == number, 5, "as many children as before")
    assert load.written_after(killed)
    ends_well(d, load, ids, log, gate)


def owners(d, job_id):
    """Warm children that have the job: their event is the newest start in the effects file."""
    kind = d.job(job_id)["kind"]
    found = []
    for pid in d.pids("child"):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        parent = processes()[pid].ppid
        if f"JOBTAB_KIND={kind}".encode() in words and parent in d.pids("runner"):
            found.append(pid)
    return found


@pytest.mark.parametrize("kind", ["plain", "table", "nest"])
def test_a_killed_child_s_job_is_tried_again_and_its_family_ends(daemon, private, kind):
    d, ids, log, gate = busy(daemon, private)
    load = Load(d)
    wait_until(lambda: len(load.acknowledged) > 20, 10)
    family = of_job(d, ids[kind])
    assert len(family) >= 2, "the child and what it has started"
    d.signal(SIGKILL, family[0])
    wait_until(lambda: not any(alive(pid) for pid in family), 3, "the family is gone")
    wait_until(lambda: count(log, ids[kind], "start") == 2, 5, "the job runs again")
    job = d.job(ids[kind])
    assert (job["status"], job["attempt"]) == ("running", 2)
    ends_well(d, load, ids, log, gate)


def test_no_job_stays_running_without_a_living_owner(daemon, private):
    """Everything that owns jobs is killed at once, the keeper too."""
    d, ids, log, gate = busy(daemon, private)
    first = {job_id: d.job(job_id)["started_at"] for job_id in ids.values()}
    for pid in [*d.pids("keeper"), *d.pids("child"), *d.pids("runner")]:
        try:
            d.signal(SIGKILL, pid)
        except ProcessLookupError:
            pass
    killed = time.monotonic()

    def moved():
        jobs = [d.job(job_id) for job_id in ids.values()]
        return all(j["status"] != "running" or j["started_at"] != first[j["job_id"]] for j in jobs)

    wait_until(moved, 4, "no job is left to a dead owner")
    assert time.monotonic() - killed < seconds(2)
    gate.touch()
    for job_id in ids.values():
        assert d.wait_job(job_id, bound=15)["status"] == "completed"


def test_a_killed_master_takes_everything_with_it(daemon, private):
    d, ids, log, gate = busy(daemon, private)
    load = Load(d)
    wait_until(lambda: len(load.acknowledged) > 20, 10)
    family = d.tree()
    assert len(family) > 8
    d.signal(SIGKILL)
    d.process.wait()
    wait_until(lambda: not d.tree(), 5, "roles, children and grandchildren are gone")
    load.stop.set()
    assert not any(alive(pid) for pid in family)
    d.start(bound=5)
    again = Load(d)
    wait_until(lambda: again.acknowledged, 2, "a new start works at once")
    load.acknowledged += again.acknowledged
    again.end()
    ends_well(d, load, ids, log, gate)
    for job_id in ids.values():
        assert d.job(job_id)["attempt"] == 1


def test_processes_killed_inside_the_library_harm_nobody(private):
    """No daemon: clients that submit, claim, report and read through the library are SIGKILLed
    wherever they happen to be, the writer's lock in hand or not."""
    events = private / "events"
    events.mkdir()
    choice = random.Random(5)
    with Storm(private / "table", events, clients=40) as clients:
        first = clients.process.pid
        wait_until(lambda: len(descendants(first)) == 40, 5)
        # The first worker lives: somebody has to work off the rest.
        victims = sorted(descendants(first))[1:]
        choice.shuffle(victims)
        for pid in victims[:24]:
            time.sleep(0.01 + choice.random() / 50)
            os.kill(pid, SIGKILL)
        code, text = clients.end()
    assert code == 0, text
    assert " 24 killed" in text, text
    faults = check(load(events), killed=True)
    assert faults == [], "\n".join(faults)
    verified = subprocess.run(
        [str(BUILD / "jobtab"), "-d", str(private / "table"), "verify"],
        capture_output=True,
        text=True,
        timeout=seconds(30),
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_role_that_dies_again_and_again_is_throttled_not_spun(daemon):
    d = daemon(worker_processes=2)
    dead = set()
    end = time.monotonic() + seconds(3)
    while time.monotonic() < end:
        for pid in d.pids("keeper"):
            if pid not in dead:
                dead.add(pid)
                d.signal(SIGKILL, pid)
        time.sleep(0.002)
    assert len(dead) < 30, f"{len(dead)} keepers in three seconds"
    assert d.http.get("/readyz").status in (200, 503)
    wait_until(lambda: d.pids("keeper") and d.pids("keeper")[0] not in dead, 30, "it comes back")


def test_a_stopped_worker_does_not_stop_the_other(daemon):
    """SIGSTOP of one worker between requests: the other goes on reading and, as long as the
    stopped one does not hold the writer lock, writing."""
    d = daemon(worker_processes=2)
    job_id = d.submit("echo")["job_id"]
    d.wait_job(job_id, "completed")
    d.http.close()
    victim = d.pids("worker")[0]
    d.signal(SIGSTOP, victim)
    try:
        answered = 0
        for _ in range(12):
            client = d.client(timeout=1)
            try:
                answered += client.get(f"/status/{job_id}").status == 200
            except (OSError, http.client.HTTPException):
                pass
            client.close()
            if answered >= 3:
                break
        assert answered >= 3
    finally:
        d.signal(SIGCONT, victim)
    wait_until(d.ready, 5)
