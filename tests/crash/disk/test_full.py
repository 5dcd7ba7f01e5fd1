"""Disks and maps that are full: jobs that are there can be ended, new ones are refused with 503 and
words, nothing dies, and all goes on by itself once there is room. Each is done several times over in one
daemon's life; the long form does it a hundred times."""

import random
import shutil
import signal
import subprocess

import pytest

from conftest import DONE, actor, alive, count, do, seconds, wait_until
from disks import make_disk  # noqa: F401

BOTH = pytest.mark.parametrize("kind, kilobytes", [("tmpfs", 6 << 10), ("ext4", 14 << 10)])
RESUME = 5  # seconds after there is room again


def post(d, **body):
    return d.http.post("/run", body)


def refused(answer, *words):
    assert answer.status == 503, answer
    assert int(answer.headers["retry-after"]) >= 1
    detail = answer.json()["detail"]
    assert not words or any(word in detail for word in words), detail
    return True


def post_until_refused(d, *words, size=10000):
    """However much is in reserve, there is an end to it."""
    params = {"text": "x" * size}
    answers = []

    def over():
        answers.append(post(d, kind="later", params=params, delay=3600))
        return answers[-1].status != 202

    wait_until(over, 30, "a submit is refused", every=0)
    assert refused(answers[-1], *words)
    return [answer.json()["job_id"] for answer in answers[:-1]]


def delete_all(d):
    """Page after page, until none is left."""

    def empty():
        jobs = d.http.get("/jobs?limit=500").json()["jobs"]
        for job in jobs:
            path = f"/status/{job['job_id']}"
            if job["status"] not in DONE:
                assert d.http.post(f"{path}/cancel").status in (202, 409)
            assert d.http.delete(path).status in (204, 404, 409)
        return not jobs

    wait_until(empty, 60, "all are deleted")


def accepted(d):
    """A new job, taken again after there was no room."""
    taken = []

    def again():
        answer = post(d)
        assert answer.status in (202, 503), answer
        if answer.status == 202:
            taken.append(answer.json()["job_id"])
        return taken

    wait_until(again, RESUME, "a submit is taken again", every=0.05)
    assert d.wait_job(taken[0])["status"] == "completed"


def resume(d, disk):
    """Room again: what else was on the disk goes, as long as that is much; and the jobs."""
    if disk.free() > 3 << 20:
        accepted(d)
    delete_all(d)
    accepted(d)
    delete_all(d)


def nothing_died(d, roles):
    assert d.roles() == roles
    assert "signal" not in d.log()


def sound(d):
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def kinds(private):
    return {
        "act": actor(private / "effects", concurrency=8),
        "later": actor(private / "effects", concurrency=1),
    }


@BOTH
def test_on_a_full_disk_jobs_are_ended_and_new_ones_wait_for_room(
    make_disk, daemon, private, kind, kilobytes, seed
):
    dice = random.Random(seed)
    disk = make_disk(kind, kilobytes)
    d = daemon(kinds=kinds(private), worker_processes=2)
    accepted(d)
    roles = d.roles()
    for number in range(count(2, 100)):
        gate = private / f"gate-{number}"
        held = [d.submit("act", do(f"hold {gate}", "out done"))["job_id"] for _ in range(4)]
        for job in held:
            d.wait_job(job, "running")
        disk.fill()
        later = post_until_refused(d, "No space left")
        later += post_until_refused(d, "No space left", size=dice.randrange(100))
        for _ in range(5):
            refused(post(d, kind="later", params={"text": "x" * 10000}), "No space left")
        # Nothing of that keeps what is there from its end.
        assert d.http.post(f"/status/{held[0]}/cancel").status == 202
        assert d.wait_job(held[0])["status"] == "cancelled"
        for job in later[:5]:
            assert d.http.post(f"/status/{job}/cancel").status == 202
            assert d.http.delete(f"/status/{job}").status == 204
        gate.touch()
        for job in held[1:]:
            assert d.wait_job(job)["status"] == "completed"
            assert d.job(job)["result"] == "done\n"
        sound(d)
        resume(d, disk)
        nothing_died(d, roles)
    sound(d)
    disk.fill()
    assert d.stop(signal.SIGQUIT) == 0


@BOTH
def test_on_a_disk_without_any_reserve_nothing_changes_and_all_goes_on_when_there_is_room(
    make_disk, daemon, private, kind, kilobytes
):
    """As after a restore: a copy has no blocks beyond its end, and no free page within."""
    disk = make_disk(kind, kilobytes)
    d = daemon(kinds=kinds(private))
    for number in range(count(1, 100)):
        d.submit("later", delay=3600)
        assert d.stop() == 0
        copy = private / f"copy-{number}"
        assert d.jobtab("backup", copy).returncode == 0
        (d.table / "data.mdb").unlink()
        shutil.copyfile(copy / "data.mdb", d.table / "data.mdb")
        disk.fill()
        before = d.log().count("left for want of the table")
        d.start()
        job = d.http.get("/jobs").json()["jobs"][0]["job_id"]
        for _ in range(3):
            wait_until(lambda: refused_or_cut(d), what="a submit is refused")
            wait_until(lambda: refused_or_cut(d, f"/status/{job}/cancel"), what="a cancel is refused")
            wait_until(lambda: readable(d, job), what="a job can be read")
        wait_until(lambda: attempt(d, "GET", "/healthz").status == 200)
        refused(d.client().get("/readyz"))
        left = d.log().count("left for want of the table")
        for _ in range(20):  # whoever asks now loses no process
            assert refused_or_cut(d, f"/status/{job}/cancel")
        assert d.log().count("left for want of the table") == left <= before + 3
        disk.free()
        wait_until(d.ready, RESUME, "it is ready again")
        wait_until(lambda: cancelled(d, job), RESUME, "the job is cancelled")
        d.http.close()  # its worker may have left
        accepted(d)
        sound(d)
        assert "signal" not in d.log()
        delete_all(d)


def attempt(d, method, path, body=None):
    """The answer, or None when the connection was cut."""
    try:
        return d.client().request(method, path, body=body)
    except OSError:
        return None
    except Exception as error:  # http.client's own are no OSError
        if type(error).__module__ != "http.client":
            raise
        return None


def refused_or_cut(d, path="/run"):
    answer = attempt(d, "POST", path, {})
    return answer is not None and refused(answer)


def readable(d, job):
    answer = attempt(d, "GET", f"/status/{job}")
    return answer is not None and answer.status == 200


def cancelled(d, job):
    attempt(d, "POST", f"/status/{job}/cancel", {})
    answer = attempt(d, "GET", f"/status/{job}")
    return answer is not None and answer.status == 200 and answer.json()["done"]


def taken(d):
    answer = attempt(d, "POST", "/run", {})
    return answer is not None and answer.status == 202


def test_in_a_full_map_jobs_are_ended_and_new_ones_wait_for_room(daemon, private):
    d = daemon(kinds=kinds(private), table={"map_size": "1m"})
    for number in range(count(2, 100)):
        gate = private / f"gate-{number}"
        held = [d.submit("act", do(f"hold {gate}"))["job_id"] for _ in range(2)]
        for job in held:
            d.wait_job(job, "running")
        later = post_until_refused(d, "map_size")
        refused(post(d), "map_size")
        gate.touch()
        for job in held:
            assert d.wait_job(job)["status"] == "completed"
        for job in later:
            assert d.http.post(f"/status/{job}/cancel").status == 202
        sound(d)
        delete_all(d)
        accepted(d)
        delete_all(d)
    assert "signal" not in d.log()


@BOTH
@pytest.mark.parametrize("spoil", ["nothing", "no lock file", "holes", "no table"])
def test_a_daemon_that_starts_on_a_full_disk_says_so_and_works_once_it_is_not(
    make_disk, daemon, private, kind, kilobytes, spoil
):
    disk = make_disk(kind, kilobytes)
    d = daemon(kinds=kinds(private), start=False)
    if spoil != "no table":
        assert d.jobtab("submit", "act").returncode == 0
    for _ in range(count(1, 100)):
        for name in {"no lock file": ["lock.mdb"], "holes": ["lock.mdb", "shared"]}.get(spoil, []):
            (d.table / name).unlink()
            if spoil == "holes":
                with open(d.table / name, "wb") as file:
                    file.truncate(4096)
        disk.fill()
        if spoil == "nothing":  # there is what was reserved
            d.start()
            post_until_refused(d, "No space left")
        else:
            opened = d.jobtab("submit", "act")
            assert opened.returncode == 3 and "No space left" in opened.stderr, opened
            d.spawn()
            wait_until(lambda: attempt(d, "GET", "/healthz"), what="somebody answers")
            assert refused(d.client().post("/run", {}), "No space left")
            assert refused(d.client().get("/readyz"), "No space left")
            assert refused(d.client().get("/jobs"), "No space left")
        disk.free()
        wait_until(d.ready, RESUME, "it is ready")
        wait_until(lambda: taken(d), RESUME, "a submit is taken")
        sound(d)
        wait_until(lambda: all(d.roles().values()), what="all roles are there")
        delete_all(d)
        assert d.stop() == 0
        if spoil == "no table":
            for file in d.table.iterdir():
                if file.is_file():
                    file.unlink()
    assert "signal 7" not in d.log()


def test_a_disk_too_small_for_a_table_says_so(make_disk, daemon):
    disk = make_disk("tmpfs", 1 << 10)
    d = daemon(start=False)
    for _ in range(count(2, 100)):
        disk.resize(1 << 10)
        opened = d.jobtab("submit", "echo")
        assert opened.returncode == 3 and "No space left" in opened.stderr, opened
        disk.resize(6 << 10)
        assert d.jobtab("submit", "echo").returncode == 0
        for file in d.table.iterdir():
            file.unlink()


@BOTH
def test_logs_on_a_full_disk_take_nobody_with_them(make_disk, daemon, private, kind, kilobytes):
    disk = make_disk(kind, kilobytes)
    logs = {"error_log": disk.path / "error.log", "access_log": disk.path / "access.log"}
    d = daemon(kinds=kinds(private), **logs)
    accepted(d)
    roles = d.roles()
    for _ in range(count(2, 100)):
        disk.fill()
        post_until_refused(d, "No space left")
        for _ in range(200):
            assert d.http.get("/jobs").status == 200
        assert d.roles() == roles
        resume(d, disk)
    disk.fill()
    assert d.stop(signal.SIGTERM) == 0


def test_a_limit_of_file_sizes_is_a_full_disk(daemon, private):
    d = daemon(kinds=kinds(private), table={"map_size": "1g"}, start=False)
    assert d.jobtab("submit", "act").returncode == 0
    size = (d.table / "data.mdb").stat().st_size + (3 << 20)
    d.start(wrapper=["prlimit", f"--fsize={size}:unlimited"])
    roles = d.roles()
    for _ in range(count(2, 100)):
        limit(d, size)
        post_until_refused(d, "File too large")
        told = subprocess.run(
            ["prlimit", f"--fsize={size}:unlimited", d.build / "jobtab", "-d", d.table, "submit", "act",
             "-p", '{"text": "%s"}' % ("x" * 50000)],
            capture_output=True, text=True, timeout=seconds(10),
        )  # fmt: skip
        assert told.returncode != 0 and "File too large" in told.stderr, told
        limit(d, 1 << 40)
        accepted(d)
        delete_all(d)
        nothing_died(d, roles)
        # All of the file is to be filled again: it grows by little.
        size = (d.table / "data.mdb").stat().st_size + (256 << 10)
    sound(d)


def limit(d, size):
    for pid in d.tree():
        done = subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={size}:unlimited"])
        assert done.returncode == 0 or not alive(pid)  # a job's child may have ended meanwhile
