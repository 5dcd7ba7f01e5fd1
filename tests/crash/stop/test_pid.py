"""Pids that are used again: forced, in a pid namespace of these tests' own (stop.sh makes it), where nobody
else takes the pid between."""

import json
import os
import pathlib
import subprocess
import time
from signal import SIGKILL

import pytest

from conftest import actor, alive, count, do, effects, sh, wait_until
from shimmed import CHURN, READ, Churn, Shim, is_stopped, snapshots

LAST_PID = pathlib.Path("/proc/sys/kernel/ns_last_pid")
ROUNDS = count(1, 100)

pytestmark = pytest.mark.skipif(
    os.environ.get("JOBTAB_PIDS") != "own", reason="wants a pid namespace of its own, see stop.sh"
)


def as_pid(pid, words, **more):
    """Run a program under a pid that is free: a fork takes the next one after the last. None when
    somebody else was faster, a thread perhaps, and keeps it."""
    end = time.monotonic() + 10
    while time.monotonic() < end and not exists(pid):
        LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(words, **more)
        if process.pid == pid:
            return process
        process.kill()
        process.communicate()
    return None


def exists(pid):
    """A zombie or a thread, too."""
    return os.path.exists(f"/proc/{pid}")


def ticks():
    """What the kernel would say a process was started at, that is started now."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


class Stranger:
    """Somebody who has nothing to do with jobs, and a pid that meant something."""

    def __init__(self, pid):
        self.process = as_pid(pid, ["/bin/sleep", "600"])
        assert self.process, f"nobody gets the pid {pid}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.process.poll() is None, "a stranger was signalled"
        self.process.kill()
        self.process.wait()


def churn(table, *words, program="churn", **environment):
    ran = subprocess.run(
        [str(CHURN.parent / program), "-d", str(table), *words],
        capture_output=True, text=True, env=dict(os.environ, **environment),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def start_churn(table, *words, environment=None, run=subprocess.Popen):
    return run(
        [str(CHURN), "-d", str(table), *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=dict(os.environ, **(environment or {})),
    )  # fmt: skip


def end(process, number=SIGKILL):
    process.send_signal(number)
    process.communicate()


def test_an_owner_s_job_goes_back_when_a_stranger_has_its_pid(private):
    table = private / "table"
    for _ in range(ROUNDS):
        owner = start_churn(table, "claim", "0")
        job_id = owner.stdout.readline().strip()
        started = ticks()
        assert churn(table, "sweep")[0] == "0", "it lives"
        wait_until(lambda: ticks() > started + 1, what="who comes now was not started with it")
        end(owner)
        with Stranger(owner.pid):
            # The control: a library that takes the stranger for the owner.
            blind = churn(table, "sweep", program="churn-mutant", JOBTAB_MUTANT="pid-alone")
            assert blind[0] == "0", "the control finds what it is to be blind for"
            assert churn(table, "sweep")[0] == "1"
            assert churn(table, "sweep")[0] == "0", "once"
        jobtab = [str(CHURN.parents[3] / "jobtab"), "-d", str(table), "-o", "json"]
        job = json.loads(subprocess.run([*jobtab, "status", job_id], capture_output=True).stdout)
        assert (job["status"], job["reason"]) == ("pending", "owner_lost")
        subprocess.run([*jobtab, "cancel", job_id], check=True, capture_output=True)


def test_a_snapshot_of_the_dead_goes_when_its_pid_opens_the_table(private):
    table, shim = private / "table", Shim(private / "shim")
    churn(table, "fill", "100")
    for n in range(ROUNDS):
        with Churn(table, "write") as writer:
            reader = start_churn(table, "read", environment=shim.environment)
            assert reader.stdout.readline() == "at work\n"
            assert shim.stop(reader.pid, READ)
            wait_until(lambda: is_stopped(reader.pid), 5)
            wait_until(lambda: reader.pid in snapshots(table), 5)
            old = snapshots(table)[reader.pid]
            end(reader)
            # The control first: a library that takes the slot for its own.
            for fault in ("namesake", ""):
                again = as_pid(
                    reader.pid, [str(CHURN) + "-mutant", "-d", str(table), "claim", "0"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env=dict(os.environ, JOBTAB_MUTANT=fault),
                )  # fmt: skip
                again.stdout.readline()
                wait_until(lambda: writer.figures()[0], 5)
                assert (snapshots(table).get(reader.pid) == old) == bool(fault), fault
                if fault:  # killed: an ordered end would clear what has its pid
                    end(again)
            end(again)
        churn(table, "sweep")


def test_a_runner_s_jobs_run_again_and_strangers_with_the_pids_of_its_children_live(daemon, private):
    log, gate = private / "effects", private / "gate"
    d = daemon(kinds={"cold": actor(log, concurrency=2, max_crashes=1000)})
    for n in range(1, 1 + ROUNDS):
        if n % 3 == 0:  # a runner that dies again and again is rightly kept down
            assert d.stop() == 0
            d.start()
        gate.unlink(missing_ok=True)
        job_id = d.submit("cold", do("effect start", f"hold {gate}"))["job_id"]
        wait_until(lambda: any(i == job_id for i, _, _ in effects(log)), 10)
        runner, children = d.pids("runner")[0], d.pids("child")
        assert children
        d.signal(SIGKILL, runner)
        wait_until(lambda: not any(exists(pid) for pid in [runner, *children]), 10, "they are reaped")
        wait_until(lambda: d.pids("runner"), 5)
        # Of the pids behind the first the daemon's own new processes may have got some.
        strangers = [as_pid(pid, ["/bin/sleep", "600"]) for pid in (runner, *children)]
        strangers = [stranger for stranger in strangers if stranger]
        assert strangers
        wait_until(lambda: sum(i == job_id for i, _, _ in effects(log)) == 2, 10, "it runs again")
        gate.touch()
        assert d.wait_job(job_id, "completed")["attempt"] == 1
        for stranger in strangers:
            assert stranger.poll() is None, "a stranger was signalled"
            end(stranger)
    with Stranger(d.pids("runner")[0] + 5000):
        assert d.stop() == 0


def test_a_stranger_with_the_pid_of_a_dead_master_is_not_signalled(daemon, private):
    d = daemon(kinds={"cold": sh("exec sleep 600")})
    for _ in range(ROUNDS):
        d.submit("cold")
        wait_until(lambda: d.pids("child"), 10)
        master, children = d.pid, d.pids("child")
        d.kill_tree()
        wait_until(lambda: not any(exists(pid) for pid in (master, *children)), 5)
        with Stranger(master):
            assert (d.dir / "jobtabd.pid").read_text() == f"{master}\n"
            for order in ("stop", "quit", "reload"):
                asked = subprocess.run(
                    [str(d.build / "jobtabd"), "-c", str(d.conf_file), "-s", order],
                    capture_output=True, text=True,
                )  # fmt: skip
                assert asked.returncode == 1, asked
            d.start()
            time.sleep(0.1)
            assert d.ready() and alive(d.pid)
            wait_until(lambda: d.pids("child"), 10, "the job runs again")
    assert d.stop() == 0
