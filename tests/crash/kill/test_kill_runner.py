"""A runner killed at each point of a job's way through it, and the child that it starts before that is another
program and after: strace kills whoever comes to the Nth call of one sort, N = 1, 2, 3, ... until nobody does."""

import pathlib
import shutil
import subprocess

import pytest

from conftest import actor, count, do, effects, job_processes, seconds, wait_until

CALLS = {
    "the runner makes": count("vfork waitid wait4", "pipe2 vfork waitid kill wait4 read"),
    "the child makes": count("prctl dup2 execve", "prctl setpgid dup2 close_range execve exit_group"),
    "writes it": "write pwrite64 fdatasync futex",
}
STRIDE = count(4, 1)
POINTS_MAX = 400


class Tracer:
    """strace on a process and on all that it starts."""

    def __init__(self, pid, calls, point):
        words = ["strace", "-f", "-qq", "-p", str(pid), "-o", "/dev/null", "-e", f"trace={calls}"]
        self.process = subprocess.Popen(
            [*words, "-e", f"inject={calls}:signal=KILL:when={point}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: self.process.poll() is not None or traced(pid), 5, "it is traced")

    def end(self):
        """SIGKILL: the kernel lets go of those who are traced. (One that is told to end waits for each of them to
        stop, and one of them may be dying.)"""
        self.process.kill()
        return self.process.communicate(timeout=seconds(10))[1]


def traced(pid):
    """Whether each thread of it is, or it is gone."""
    try:
        texts = [task.joinpath("status").read_text() for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return True
    return not any("TracerPid:\t0\n" in text for text in texts)


def may_trace():
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0


def struck(d, job_id, runner):
    """The job is done, or somebody was killed; a child that is started in the place of the first would be, too."""
    job = d.job(job_id)
    return job["done"] or job["attempt"] != 1 or job["status"] == "scheduled" or runner not in d.pids("runner")


def kill_once(d, log, call, point):
    """Whether somebody was killed on one job's way, which goes to its end all the same."""
    d.start()
    [runner] = wait_until(lambda: d.pids("runner"), 5, "there is a runner")
    tracer = Tracer(runner, call, point)
    job_id = d.submit("plain", do("effect start", "progress 50 half", "effect end"))["job_id"]
    wait_until(lambda: d.job(job_id)["status"] != "pending" or runner not in d.pids("runner"), 10)
    wait_until(lambda: struck(d, job_id, runner), 10)
    text = tracer.end()
    job = d.wait_job(job_id, bound=10)
    assert job["status"] == "completed", (call, point, job, text)
    happened = [what for i, _, what in effects(log) if i == job_id]
    assert one_at_a_time(happened), (call, point, happened)
    wait_until(lambda: not job_processes(d, job_id), 5, "no process of the job is left")
    assert d.mdb_stat()["running"] == 0
    killed = runner not in d.pids("runner") or job["attempt"] > 1
    d.kill_tree()
    return killed


@pytest.mark.parametrize("whose", CALLS)
def test_a_job_ends_once_whoever_is_killed_at_a_call_that(whose, daemon, private):
    if not may_trace():
        pytest.skip("nobody may be traced here")
    log = private / "effects"
    keys = {"max_crashes": 1000, "max_attempts": 1000, "backoff": "10ms"}
    d = daemon(kinds={"plain": actor(log, **keys)}, start=False)
    kills, calls = {}, CALLS[whose].split()
    for call in calls:
        point = 1
        while kill_once(d, log, call, point):
            kills[call] = kills.get(call, 0) + 1
            point += STRIDE
            assert point < POINTS_MAX, f"still killed at the {point}th {call}"
    assert len(kills) >= len(calls) - 1, f"hardly anybody was killed: {kills}"
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(f"killed at {kills}")


def one_at_a_time(happened):
    """An attempt may be cut short anywhere, and its end may be lost after it was had; the last one is whole. None
    begins before the one before it is over."""
    return happened[-2:] == ["start", "end"] and all(
        after == "start" or before == "start" for before, after in zip(happened, happened[1:])
    )
