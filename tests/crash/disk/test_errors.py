"""Daemons on a disk that fails: errors come from libfault.so (fault.h), which sits between the processes and
their files and is told by this test, through a file that all map, what shall fail and when."""

import errno
import mmap
import os
import random
import shutil
import struct
import subprocess
import time

import pytest

from conftest import BUILD, DONE, actor, count, do, effects, seconds, wait_until
from disks import make_disk  # noqa: F401
from test_full import attempt, readable, refused, sound, taken

MODULE = BUILD / "tests/crash/disk/libfault.so"
EVER = 2**32 - 1
SHORT = -1
PAGES = -2
RESUME = 5  # seconds after the disk is well
CALLS = [
    "open", "fstat", "lseek", "read", "write", "pwrite", "writev", "fdatasync", "fsync", "truncate",
    "fallocate", "mmap", "lock", "name",
]  # fmt: skip  # enum fault_call


class Fault:
    """struct fault, shared with every process of the daemon."""

    FIELDS = ["only", "pid", "error", "from", "times", "calls", "failed", "last"]
    FORMAT = "=IiiIIIII"

    def __init__(self, path, table):
        path.write_bytes(bytes(256) + bytes(struct.calcsize(self.FORMAT)))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.map[0 : len(str(table)) + 1] = f"{table}/".encode()
        self.disarm()

    def put(self, field, value):
        at = 256 + 4 * self.FIELDS.index(field)
        self.map[at : at + 4] = struct.pack("=i" if field in ("pid", "error") else "=I", value)

    def get(self, field):
        at = 256 + 4 * self.FIELDS.index(field)
        return struct.unpack("=I", self.map[at : at + 4])[0]

    def arm(self, error, first=1, times=1, pid=0, only=CALLS):
        self.disarm()
        for field, value in (
            ("only", sum(1 << CALLS.index(call) for call in only)),
            ("pid", pid),
            ("calls", 0),
            ("failed", 0),
            ("error", error),
            ("times", times),
            ("from", first),
        ):
            self.put(field, value)

    def disarm(self):
        self.put("from", 0)


@pytest.fixture
def failing(daemon, private):
    """failing(...) is daemon(...) with its disk, d.fault, in the test's hands."""
    if "asan" in subprocess.run(["ldd", BUILD / "jobtabd"], capture_output=True, text=True).stdout:
        pytest.skip("a sanitizer wants to be the first to be loaded")

    def make(**more):
        d = daemon(start=False, **more)
        d.fault = Fault(private / "fault", d.table)
        environment = d.environment()
        environment.update(LD_PRELOAD=str(MODULE), JOBTAB_FAULT=str(private / "fault"))
        d.environment = lambda: environment
        return d.start()

    return make


def jobs_by_key(d):
    """{params' key: [job]} of all there are."""
    found, path = {}, "/jobs?limit=500"
    while path:
        page = d.client().get(path).json()
        for job in page["jobs"]:
            whole = d.client().get(f"/status/{job['job_id']}").json()
            found.setdefault(whole["params"].get("key"), []).append(whole)
        path = page.get("next") and f"/jobs?limit=500&cursor={page['next']}"
    return found


def test_an_error_at_any_call_of_a_worker_acknowledges_nothing_that_is_not_there(failing, private, seed):
    dice = random.Random(seed)
    d = failing(kinds={"act": actor(private / "effects")}, runner_processes=0)
    errors = [errno.EIO, errno.ENOSPC, SHORT, errno.EINTR]
    points = [(call, error, times) for call in range(1, 15) for error in errors for times in (1, EVER)]
    points = [point for point in points if point[1:] != (errno.EINTR, EVER)]
    dice.shuffle(points)
    acknowledged, failed = set(), 0
    for number, (call, error, times) in enumerate(points[: count(8, len(points))]):
        key = f"{number}-{call}-{error}-{times}"
        d.fault.arm(error, first=call, times=times, pid=d.pids("worker")[0])
        answer = attempt(d, "POST", "/run", {"params": {"key": key, "pad": "x" * 5000}})
        again = attempt(d, "POST", "/run", {"params": {"key": key + "+"}})
        d.fault.disarm()
        failed += d.fault.get("failed") > 0
        for said, what in ((answer, key), (again, key + "+")):
            if said is not None and said.status == 202:
                acknowledged.add(what)
            elif said is not None:
                refused(said)
        wait_until(d.ready, RESUME, f"it is ready again after {key}")
        wait_until(lambda: taken(d), RESUME, f"a submit is taken after {key}")
    there = jobs_by_key(d)
    assert failed >= count(4, 80)
    assert acknowledged <= set(there)
    assert [key for key, jobs in there.items() if key is not None and len(jobs) > 1] == []
    assert "signal" not in d.log()
    sound(d)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
def test_while_the_disk_is_bad_jobs_are_read_and_changes_refused_and_nothing_spins(
    failing, private, call
):
    d = failing(kinds={"act": actor(private / "effects", concurrency=4)}, worker_processes=2)
    for _ in range(count(1, 20)):
        known = d.submit("act", do("out kept"))["job_id"]
        d.wait_job(known)
        waits = d.submit("act", delay=3600)["job_id"]
        before = d.log().count("left for want of the table")
        d.fault.arm(errno.EIO, times=EVER, only=[call])
        request = {"params": {"key": f"k-{call}"}, "idempotency_key": f"k-{known}"}
        wait_until(lambda: refused_now(d, "/run", request), what="a submit is refused")
        wait_until(lambda: not d.ready(), what="it is not ready")
        for _ in range(30):
            wait_until(lambda: refused_now(d, "/run", request), what="a submit is refused")
            wait_until(lambda: refused_now(d, f"/status/{waits}/cancel"), what="a cancel is refused")
            wait_until(lambda: readable(d, known), what="a job is read")
        assert attempt(d, "GET", "/healthz").status == 200
        # One process met the error; all others know of it.
        assert d.log().count("left for want of the table") - before <= 3
        lines = d.log().count("\n")
        wait_until(lambda: refused_now(d, "/run", request), what="a submit is refused")
        d.fault.disarm()
        wait_until(d.ready, RESUME, "it is ready again")
        wait_until(lambda: (attempt(d, "POST", "/run", request) or d).status in (200, 202), RESUME)
        assert d.log().count("\n") - lines < 40
        assert len(jobs_by_key(d).get(f"k-{call}", [])) >= 1
        d.http.close()
        assert d.http.post(f"/status/{waits}/cancel").status == 202
    same = jobs_by_key(d)[f"k-{call}"]
    assert len(same) == count(1, 20)  # one a key, however often it was asked for
    sound(d)


def refused_now(d, path, body=None):
    answer = attempt(d, "POST", path, body or {})
    return answer is not None and refused(answer)


def test_a_runner_s_jobs_come_to_their_end_over_a_disk_that_fails_again_and_again(failing, private, seed):
    dice = random.Random(seed)
    kind = actor(private / "effects", concurrency=4, max_crashes=1000)
    d = failing(kinds={"act": kind})
    jobs = []
    for number in range(count(6, 60)):
        only = dice.choice([["fdatasync"], ["pwrite"], ["writev"], CALLS])
        jobs.append(d_submit(d, number))
        d.fault.arm(errno.EIO, first=dice.randrange(1, 8), times=dice.choice([1, 2, 20]), only=only)
        wait_until(lambda: d.fault.get("failed") > 0 or done(d, jobs[-1]), what="something fails")
        d.fault.disarm()
        wait_until(d.ready, RESUME, "it is ready again")
    for job in jobs:
        wait_until(lambda: done(d, job), 20, "the job ends")
        assert attempt(d, "GET", f"/status/{job}").json()["status"] == "completed"
    assert {job for job, _, _ in effects(private / "effects")} >= set(jobs)
    sound(d)


def d_submit(d, number):
    """The job of that key, however many attempts that takes."""
    body = {"params": do("progress 10 begun", "effect done", "out end"), "idempotency_key": f"n-{number}"}
    found = []

    def asked():
        answer = attempt(d, "POST", "/run", body)
        if answer is not None and answer.status in (200, 202):
            found.append(answer.json()["job_id"])
        return found

    wait_until(asked, RESUME, "a submit is taken")
    return found[0]


def done(d, job):
    answer = attempt(d, "GET", f"/status/{job}")
    return answer is not None and answer.status == 200 and answer.json()["status"] in DONE


def test_a_page_that_cannot_be_read_when_the_table_is_verified_refuses_changes(failing, private):
    d = failing(kinds={"act": actor(private / "effects")}, runner_processes=0)
    known = d.submit("act")["job_id"]
    d.fault.arm(errno.EIO, times=EVER, only=["fdatasync"])
    wait_until(lambda: refused_now(d, "/run"), what="a submit is refused")
    wait_until(lambda: readable(d, known), what="a job is read by the next worker")
    d.fault.arm(errno.EIO, times=EVER, only=["read"])
    for _ in range(20):
        assert refused_now(d, "/run")
        assert readable(d, known)
    d.fault.disarm()
    wait_until(lambda: taken(d), RESUME, "a submit is taken")
    sound(d)


def test_a_table_found_damaged_is_read_and_not_written_to_until_a_backup_is_restored(failing, private):
    d = failing(kinds={"act": actor(private / "effects")})
    known = d.submit("act")["job_id"]
    d.wait_job(known)
    assert d.jobtab("backup", private / "copy").returncode == 0
    d.fault.arm(errno.EIO, times=EVER, only=["fdatasync"])
    wait_until(lambda: refused_now(d, "/run"), what="a submit is refused")
    assert d.stop() == 0
    d.fault.disarm()
    subprocess.run([BUILD / "tests/crash/disk/spoil", d.table], check=True)
    d.spawn()
    wait_until(lambda: "faults, see verify" in d.log(), what="the keeper has found the damage")
    for _ in range(10):
        answer = attempt(d, "POST", "/run", {})
        assert refused(answer, "the table is damaged")
        assert answer.json()["type"] == "urn:jobtab:problem:damaged"
        assert readable(d, known)
    assert refused(attempt(d, "GET", "/readyz"), "damaged")
    assert d.jobtab("submit", "act").returncode != 0
    verified = d.jobtab("verify")
    assert verified.returncode == 1 and "no entry in `done`" in verified.stdout
    # As the manual has it.
    assert d.stop() == 0
    shutil.copyfile(private / "copy" / "data.mdb", d.table / "data.mdb")
    d.start()
    wait_until(d.ready, RESUME, "it is ready again")
    wait_until(lambda: taken(d), RESUME, "a submit is taken")
    sound(d)


def test_a_daemon_whose_table_cannot_be_opened_answers_503_and_does_not_give_up(failing, private):
    d = failing(kinds={"act": actor(private / "effects")})
    known = d.submit("act")["job_id"]
    d.wait_job(known)
    for number in range(count(2, 12)):  # whoever is killed again and again is throttled: 16 s each
        wait_until(lambda: all(d.roles().values()), 20, "all roles are there")
        d.fault.arm(errno.EIO, times=EVER, only=[["open", "mmap"][number % 2]])
        os.kill(d.pids("worker")[0], 9)
        os.kill(d.pids("keeper")[0], 9)
        wait_until(lambda: refused_now(d, "/run"), 20, "a submit is refused")
        assert refused(attempt(d, "GET", f"/status/{known}"), "Input/output error")
        assert attempt(d, "GET", "/healthz").status == 200
        d.fault.disarm()
        wait_until(d.ready, RESUME + 16, "it is ready again")
        wait_until(lambda: readable(d, known) and taken(d), RESUME, "a submit is taken")
    sound(d)


def answered(d, method, path):
    """As attempt, and no connection waits for long: whoever dies is replaced at once."""
    begun = time.monotonic()
    answer = attempt(d, method, path, {} if method == "POST" else None)
    assert time.monotonic() - begun < seconds(0.7), (method, path)
    return answer


def test_while_no_page_can_be_read_connections_are_answered_and_not_kept_waiting(failing, private):
    d = failing(kinds={"act": actor(private / "effects")})
    known = d.submit("act")["job_id"]
    d.wait_job(known)
    d.http.close()
    d.fault.arm(PAGES, times=EVER, only=["mmap"])  # who looks at the table dies of SIGBUS
    os.kill(d.pids("worker")[0], 9)
    wait_until(lambda: d.log().count("SIGBUS") >= count(3, 20), 60, "workers die of it")
    answers = []
    until = time.monotonic() + seconds(3)
    while time.monotonic() < until:
        for method, path in (("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/run")):
            answers.append((path, answered(d, method, path)))
    said = [(path, answer) for path, answer in answers if answer is not None]
    assert len(said) > 0.9 * len(answers)
    for path, answer in said:
        assert answer.status == 200 if path == "/healthz" else refused(answer, "is opened again")
    assert d.log().count("SIGBUS") < 60  # it is not tried as often as can be
    d.fault.disarm()
    wait_until(d.ready, RESUME, "it is ready again")
    wait_until(lambda: readable(d, known) and taken(d), RESUME, "a submit is taken")
    sound(d)


def test_while_each_commit_fails_connections_are_answered_and_not_kept_waiting(failing, private):
    d = failing(kinds={"act": actor(private / "effects")}, runner_processes=0)
    d.http.close()
    d.fault.arm(errno.EIO, times=EVER, only=["writev"])
    failed = 0
    for _ in range(count(12, 100)):
        answer = answered(d, "POST", "/run")
        failed += answer is not None and refused(answer)
        assert (answered(d, "GET", "/healthz") or d).status == 200
    assert failed > 0
    d.fault.disarm()
    wait_until(d.ready, RESUME, "it is ready again")
    wait_until(lambda: taken(d), RESUME, "a submit is taken")
    sound(d)


def test_a_disk_that_was_unmounted_is_found_again_and_nothing_is_made_in_its_place(
    make_disk, daemon, private
):
    disk = make_disk("ext4", 14 << 10)
    d = daemon(kinds={"act": actor(private / "effects")})
    known = d.submit("act")["job_id"]
    d.wait_job(known)
    d.http.close()
    for _ in range(count(1, 10)):
        disk.take_away()
        for pid in sum(d.roles().values(), []):
            os.kill(pid, 9)
        wait_until(lambda: refused_now(d, "/run"), 20, "a submit is refused")
        assert refused(attempt(d, "GET", f"/status/{known}"), "there is no table", "again")
        assert attempt(d, "GET", "/healthz").status == 200
        assert list(d.table.iterdir()) == []
        disk.bring_back()
        wait_until(d.ready, RESUME, "it is ready again")
        wait_until(lambda: readable(d, known) and taken(d), RESUME, "a submit is taken")
    sound(d)
