"""Memory that is refused, one allocation after the other: to the command line, jobtab-validate and
each role of the daemon. The library itself has memory.c for it.

A program says that it had no memory, or does what it would have done. The HTTP library ends its worker when it
gets none: then another is there in its place, and nobody was told of what is not so.
"""

import contextlib
import http.client
import itertools
import json
import random
import resource
import subprocess
from pathlib import Path
from signal import SIGHUP, SIGKILL

import pytest
from conftest import BUILD, SLOW, TOP, WRAPPER, alive, count, seconds, sh, wait_until
from nomem import COUNT, SO, NoMem

pytestmark = pytest.mark.skipif(
    bool(WRAPPER) or not SO.exists(), reason="another allocator has its place"
)
MEMORY = ("memory", "Resource temporarily unavailable")
PRICES = TOP / "conf/prices"


@pytest.fixture
def nomem(private):
    return NoMem(private / "nomem")


def points(seed, most, sample):
    """(point, and all after it?) of a run that needs `most` allocations: all, or a sample of them."""
    chance = random.Random(seed)
    every = list(itertools.product(range(1, most + 1), (False, True)))
    return every if count(False, True) else sorted(chance.sample(every, min(sample, len(every))))


# -------------------------------------------------------------------- programs


def program(nomem, words, stdin=b""):
    return subprocess.run(
        words, input=stdin, capture_output=True, timeout=seconds(20), env=nomem.environment()
    )


def sweep_program(nomem, seed, words, sample, *, judge, prepare=None, codes=(1, 2, 3, 4)):
    """`prepare` makes the command that a point runs; `judge` looks at one that said it succeeded."""
    prepare = prepare or (lambda: words)
    command = prepare()
    nomem.arm(COUNT)
    good = program(nomem, command)
    nomem.disarm()
    most, reached = nomem.seen, 0
    assert good.returncode in (0, 1), good
    judge(good)
    for at, forever in points(seed, most, sample):
        command = prepare()
        nomem.arm(at, forever)
        ran = program(nomem, command)
        nomem.disarm()
        told = f"{command}, allocation {at}{' and on' * forever} at {nomem.where}: {ran}"
        reached += nomem.failed > 0
        assert ran.returncode >= 0, f"killed: {told}"
        if ran.returncode == good.returncode and not ran.stderr:
            judge(ran)
        else:
            assert ran.returncode in codes, told
            assert any(word in ran.stderr.decode() for word in MEMORY), told
    assert reached
    return reached


def same_output(nomem, words):
    """Judges that a read shows what it showed with all memory."""
    expected = program(nomem, words).stdout

    def judge(ran):
        assert ran.stdout == expected, f"{ran.stdout} is not {expected}"

    return judge


def jobtab(d, *words):
    return [str(BUILD / "jobtab"), "-d", str(d), *map(str, words)]


@pytest.fixture
def table(private, nomem):
    """A table without a daemon, and ids of jobs in it."""
    d = private / "table"

    def submit(*more):
        return program(nomem, jobtab(d, "submit", *more)).stdout.decode().strip()

    big = json.dumps({"x": "y" * 20000})
    ids = [submit("one", "-p", big), *(submit("two") for _ in range(30))]
    program(nomem, jobtab(d, "cancel", ids[1]))
    return d, ids


READS = ["status {0} -o json", "list -o json -s pending", "stat -o json", "verify", "export", "--help"]


def test_a_command_that_reads_shows_the_whole_or_says_that_memory_is_out(nomem, table, seed):
    d, ids = table
    reached = 0
    for read in READS:
        words = jobtab(d, *read.format(*ids).split())
        judge = same_output(nomem, words)
        reached += sweep_program(nomem, seed, words, 8, judge=judge)
    assert b"no faults" in program(nomem, jobtab(d, "verify")).stdout
    print(f"# {reached} points")


def jobs_in(nomem, d):
    lines = program(nomem, jobtab(d, "export")).stdout.splitlines()
    return {job["job_id"]: job["status"] for job in map(json.loads, lines)}


def test_a_command_that_changes_does_all_or_nothing(nomem, table, seed):
    d, ids = table
    reached = 0

    def fresh():
        return program(nomem, jobtab(d, "submit", "two")).stdout.decode().strip()

    def cancelled():
        job = fresh()
        program(nomem, jobtab(d, "cancel", job))
        return job

    for verb, make, before, after in (
        ("cancel", fresh, "pending", "cancelled"),
        ("retry", cancelled, "cancelled", "pending"),
        ("rm", cancelled, "cancelled", None),
    ):
        job = None

        def prepare():
            nonlocal job
            job = make()
            return jobtab(d, verb, job)

        def judge(ran):
            assert jobs_in(nomem, d).get(job) == after, ran

        reached += sweep_program(nomem, seed, None, 8, prepare=prepare, judge=judge)
        assert set(jobs_in(nomem, d).values()) <= {"pending", "cancelled"}

    def submitted(ran):
        assert jobs_in(nomem, d).get(ran.stdout.decode().strip()) == "pending", ran

    words = jobtab(d, "submit", "two", "-p", '{"a": 1}')
    reached += sweep_program(nomem, seed, words, 8, judge=submitted)
    assert b"no faults" in program(nomem, jobtab(d, "verify")).stdout
    print(f"# {reached} points")


def test_a_command_over_http_does_the_same(nomem, daemon, seed):
    d = daemon(runner_processes=0)
    job = d.submit()["job_id"]
    reached = 0
    for read in (f"status {job} -o json", "list -o json"):
        words = [str(BUILD / "jobtab"), "-u", f"http://127.0.0.1:{d.port}", *read.split()]
        judge = same_output(nomem, words)
        reached += sweep_program(nomem, seed, words, 12, judge=judge)
    print(f"# {reached} points")


def test_a_validation_by_hand_is_whole_or_says_that_memory_is_out(nomem, seed):
    words = [str(BUILD / "jobtab-validate"), "-r", str(PRICES), "-p", "{}"]
    judge = same_output(nomem, words)
    reached = sweep_program(nomem, seed, words, 60, judge=judge)
    print(f"# {reached} points")


def test_a_validation_that_had_no_memory_is_tried_again(nomem, daemon, seed):
    command = [*nomem.wrapper(), str(BUILD / "jobtab-validate")]
    kind = {"command": command, "table": True, "children": 0, "input_root": str(PRICES),
            "max_attempts": 2, "backoff": "1ms", "max_crashes": 3}  # fmt: skip
    d = daemon(kinds={"validate": kind})
    nomem.arm(COUNT, comm="jobtab-validate")
    good = d.wait_job(d.submit("validate")["job_id"], bound=20)["result"]
    most, reached = nomem.seen, 0
    for at, _ in points(seed, most, 12):
        nomem.arm(at, comm="jobtab-validate")
        job = d.wait_job(d.submit("validate")["job_id"], bound=20)
        reached += nomem.failed > 0
        told = f"allocation {at} at {nomem.where}: {job}"
        assert job["status"] == "completed" and job["result"] == good, told
    assert reached
    print(f"# {reached} points")


# -------------------------------------------------------------------- the daemon


def start(d, nomem, at=0, comm=""):
    nomem.arm(at, comm=comm)
    d.start(wrapper=nomem.wrapper())


class Asked:
    """What a client was told, to be held against the table."""

    def __init__(self):
        self.acknowledged, self.unsure, self.faults = [], 0, []

    def ask(self, d, method, path, body=None, fine=(200, 202)):
        http_client = d.client(timeout=5)
        run = path == "/run"
        try:
            answer = http_client.request(method, path, body)
        except (OSError, http.client.HTTPException):
            self.unsure += run
            return None
        finally:
            http_client.close()
        if run and answer.status in (200, 202):
            self.acknowledged.append(answer.json()["job_id"])
        elif answer.status not in (*fine, 503):
            self.faults.append(f"{method} {path}: {answer}")
        return answer

    def judge(self, d):
        found = [json.loads(line)["job_id"] for line in d.jobtab("export").stdout.splitlines()]
        lost = set(self.acknowledged) - set(found)
        assert not lost, f"acknowledged and not there: {lost}"
        assert len(found) <= len(self.acknowledged) + self.unsure, "done and told that it was not"
        assert not self.faults, self.faults
        verified = d.jobtab("verify")
        assert verified.returncode == 0, verified


def replaced(d, role, pid):
    """It lives, or another is there for it."""
    return wait_until(lambda: [p for p in d.pids(role) if p != pid or alive(p)], 5, f"a {role}")


def test_a_worker_without_memory_acknowledges_nothing_that_is_not_so(nomem, daemon, seed):
    d = daemon(start=False, runner_processes=0, table={"max_jobs": 100000})
    asked = Asked()
    body = {"params": {"a": ["b"] * 50}, "delay": "1h", "idempotency_key": "\u00fcber\\n"}

    def script():
        for n in range(2):
            asked.ask(d, "POST", "/run", {**body, "idempotency_key": f"k\\u00fc{random.random()}"})
            asked.ask(d, "GET", f"/status/{job}")
            asked.ask(d, "GET", "/jobs?limit=50")
            asked.ask(d, "POST", "/run", {"no": 1}, fine=(422,))

    start(d, nomem)
    job = d.submit()["job_id"]
    asked.acknowledged.append(job)
    script()
    nomem.arm(COUNT, pid=d.pids("worker")[0])
    script()
    most, deaths, reached = nomem.seen, 0, 0
    for at, forever in points(seed, most, 8):
        worker = d.pids("worker")[0]
        nomem.arm(at, forever, pid=worker)
        script()
        nomem.disarm()
        reached += nomem.failed > 0
        if not alive(worker):
            deaths += 1
            replaced(d, "worker", worker)
            # One that dies again and again is held back: a new master has no such record.
            d.kill_tree()
            start(d, nomem)
        wait_until(d.ready, 5, "ready again")
    asked.judge(d)
    assert reached
    print(f"# {reached} points of {most}, {deaths} workers died")


def test_a_runner_without_memory_costs_no_job_its_attempt(nomem, daemon, seed):
    kinds = {"echo": {**sh('cat; echo "progress 50 half" >&3; echo said >&2'), "max_attempts": 1}}
    d = daemon(start=False, kinds=kinds)
    params = {"x": "y" * 9000}
    start(d, nomem)
    d.wait_job(d.submit("echo", params)["job_id"])
    nomem.arm(COUNT, pid=d.pids("runner")[0])
    d.wait_job(d.submit("echo", params)["job_id"])
    most, deaths, reached = nomem.seen, 0, 0
    for at, forever in points(seed, most, 5):
        runner = d.pids("runner")[0]
        nomem.arm(at, forever, pid=runner)
        job_id = d.submit("echo", params)["job_id"]
        if forever:  # for a while
            with contextlib.suppress(TimeoutError):
                wait_until_or_not(lambda: nomem.failed > 0 and not alive(runner), 0.3)
            nomem.disarm()
        job = d.wait_job(job_id, bound=15)
        told = f"allocation {at}{' and on' * forever} at {nomem.where}: {job}\n{d.log()[-1500:]}"
        assert job["status"] == "completed" and job["result"] == params, told
        assert job["attempt"] == 1, told
        reached += nomem.failed > 0
        if not alive(runner):
            deaths += 1
            d.kill_tree()
            start(d, nomem)
    assert reached and d.jobtab("verify").returncode == 0
    print(f"# {reached} points of {most}, {deaths} runners died")


SAYS_BIG = sh("head -c 12582912 /dev/zero | tr '\\0' x")


def limit_data(pid, more):
    """Private memory of the process: what it has now, and so many bytes more. None: as much as it wants."""
    if more is None:
        resource.prlimit(pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
        return
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + more
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


@pytest.fixture
def big(daemon):
    """A daemon whose runner has no memory for a job's result; its runner and the job."""
    d = daemon(
        kinds={"big": {**SAYS_BIG, "max_attempts": 1}},
        table={"result_max": "16m", "map_size": "256m"},
    )
    runner = d.pids("runner")[0]
    limit_data(runner, 4 << 20)
    job = d.submit("big")["job_id"]
    wait_until(lambda: "no memory for its result for now" in d.log(), what="the lack of memory")
    return d, runner, job


def test_a_result_waits_in_its_pipe_for_the_runners_memory(big):
    d, runner, job = big
    assert d.job(job)["status"] == "running"
    limit_data(runner, None)
    ended = d.wait_job(job)
    assert ended["status"] == "completed" and ended["attempt"] == 1, ended
    assert ended["result"] == "x" * (12 << 20)
    assert d.pids("runner") == [runner]


def test_a_result_that_no_memory_comes_for_ends_its_job_with_the_reason(big):
    d, runner, job = big
    ended = d.wait_job(job, bound=20)
    assert (ended["status"], ended["reason"]) == ("failed", "oom"), ended
    assert ended["error"] == "the runner had no memory for its result"
    limit_data(runner, None)
    assert d.wait_job(d.submit("big")["job_id"])["status"] == "completed"


def wait_until_or_not(condition, bound):
    """As wait_until; that it does not come is no fault."""
    end = seconds(bound) / 0.01
    for _ in range(int(end)):
        if condition():
            return
        subprocess.run(["sleep", "0.01"], check=True)


def test_a_keeper_without_memory_keeps_all_the_same(nomem, daemon, seed):
    d = daemon(start=False)
    start(d, nomem)
    nomem.arm(COUNT, pid=d.pids("keeper")[0])
    d.wait_job(d.submit("echo", delay="50ms")["job_id"])
    reached = 0
    for at, _ in points(seed, max(nomem.seen, 2), 2):
        keeper = d.pids("keeper")[0]
        nomem.arm(at, pid=keeper)
        job = d.wait_job(d.submit("echo", delay="50ms")["job_id"], bound=10)
        assert job["status"] == "completed", job
        reached += nomem.failed > 0
        if not alive(keeper):
            d.kill_tree()
            start(d, nomem)
    print(f"# {reached} points")


def reloads(d):
    """How many came to an end, one or the other."""
    log = d.error_log.read_text()
    return log.count("is in force") + log.count("nothing was changed")


def test_a_master_without_memory_goes_on_as_it_was(nomem, daemon, seed):
    d = daemon(start=False, runner_processes=0)
    start(d, nomem)
    nomem.arm(COUNT, comm="jobtabd")
    d.signal(SIGHUP)
    wait_until(lambda: "new configuration is in force" in d.log(), what="the reload")
    most, reached = nomem.seen, 0
    for at, forever in points(seed, most, 12):
        wait_until(lambda: len(d.pids("worker")) == 1, what="one worker")
        before = reloads(d)
        # Of the master alone, or of the child that reads the file for it, too.
        nomem.arm(at, forever, **({"pid": d.pid} if at % 2 or forever else {"comm": "jobtabd"}))
        d.signal(SIGHUP)
        wait_until(
            lambda: reloads(d) > before,
            what=f"an end of the reload, allocation {at} at {nomem.where}",
        )
        reached += nomem.failed > 0
        nomem.disarm()
        wait_until(d.ready, 5, f"ready, allocation {at} at {nomem.where}")
        assert d.running()
    assert reached
    # What it must do, it does without any memory.
    wait_until(lambda: len(d.pids("worker")) == 1, what="one worker")
    worker = d.pids("worker")[0]
    nomem.arm(1, True, pid=d.pid)
    d.signal(SIGKILL, worker)
    wait_until(lambda: not alive(worker) and d.ready(), 5, "another worker")
    print(f"# {reached} points of {most}")


def worked_off_in_the_end(d):
    """A job, submitted and done. A worker's first request may be its last allocation: a client asks again."""

    def ask(method, path, *body):
        client = d.client(timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = getattr(client, method)(path, *body)
            return answer.json() if answer.status in (200, 202) else None

    def done():
        job = ask("get", f"/status/{submitted['job_id']}")
        return job if job and job["done"] else None

    submitted = wait_until(lambda: ask("post", "/run", {"kind": "echo"}), 10, "a submit is taken")
    return wait_until(done, 10, "it is done")


@pytest.mark.parametrize("comm", ["jobtabd-worker", "jobtabd-runner", "jobtabd-keeper"])
def test_a_role_that_had_no_memory_at_its_start_is_started_again(nomem, daemon, seed, comm):
    d = daemon(start=False)
    start(d, nomem, COUNT, comm)
    role = comm.split("-")[1]
    wait_until(lambda: len(d.pids(role)) == 1 and nomem.seen, what="it has begun")
    most, reached = nomem.seen, 0
    for at, forever in points(seed, most, 5):
        if forever:
            continue  # then there is none, until there is memory
        d.kill_tree()
        start(d, nomem, at, comm)
        job = worked_off_in_the_end(d)
        assert job["status"] == "completed", f"allocation {at} at {nomem.where}: {job}"
        reached += nomem.failed > 0
    print(f"# {reached} points of {most}")


def test_a_commit_without_memory_is_refused_and_the_table_is_taken_again(nomem, daemon):
    """LMDB says the same of memory that it has not and of a disk that has none for it (its result is errno in
    both cases), and what it has written by then is not told: such a commit is one that failed. Its caller
    is told so, nothing of it is there, and the table is verified and written by the next one."""
    d = daemon(start=False, runner_processes=0)
    start(d, nomem)
    asked, refused = Asked(), 0
    for at in itertools.count(1):
        worker = d.pids("worker")[0]
        nomem.arm(at, pid=worker)
        answer = asked.ask(d, "POST", "/run", {"idempotency_key": f"k{at}", "delay": "1h"})
        nomem.disarm()
        if not nomem.failed:
            break
        if answer is not None and answer.status == 503:
            told = answer.json()["detail"]
            assert int(answer.headers["retry-after"]) >= 1
            refused += told == "cannot commit: Cannot allocate memory"
            # Nothing of it was done.
            assert not [job for job in asked_jobs(d) if job not in asked.acknowledged]
        elif not alive(worker):
            d.kill_tree()  # one that dies again and again is held back
            start(d, nomem)
        wait_until(d.ready, 5, "ready again")
        answer = asked.ask(d, "POST", "/run", {"idempotency_key": f"k{at}", "delay": "1h"})
        assert answer is not None and answer.status in (200, 202), answer
        # The next is a worker's first: it has no memory in reserve.
        d.kill_tree()
        start(d, nomem)
    asked.judge(d)
    assert refused > 0
    print(f"# {at} points, {refused} commits refused")


def asked_jobs(d):
    return [json.loads(line)["job_id"] for line in d.jobtab("export").stdout.splitlines()]
