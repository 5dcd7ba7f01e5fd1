"""The wall clock stepped by an hour and a day, forward and back, under a working daemon; and another boot."""

import json
import os
import subprocess
import time

import pytest

from conftest import actor, count, do, effects, sh, wait_until, warm
from shimmed import CHURN, Shim

HOUR, DAY = 3600_000, 86400_000
STEPS = [HOUR, -HOUR, DAY, -DAY]
ROUNDS = count(1, 25)


def stepped(daemon, private, **more):
    shim, log = Shim(private / "shim"), private / "effects"
    kinds = {
        "warm": warm(log, children=1, timeout="2s"), "cold": actor(log, timeout="2s", concurrency=3),
        "again": sh("exit 1", max_attempts=2, backoff="1500ms"),
        "long": warm(log, children=1),
    }  # fmt: skip
    for name in ("warm", "long"):
        kinds[name]["command"] = shim.words() + kinds[name]["command"]
    d = daemon(start=False, kinds=kinds, table={"retention": "20m"}, **more)
    return shim.under(d), shim, log


@pytest.mark.parametrize("step", STEPS * ROUNDS)
def test_no_step_of_the_clock_makes_a_job_early_late_or_lost(daemon, private, step):
    d, shim, log = stepped(daemon, private, shutdown_timeout="1s")
    d.start()
    gate = private / "gate"
    held = d.submit("long", do("effect start", f"hold {gate}"))["job_id"]
    finished = d.submit("again", None, delay="0s")["job_id"]
    wait_until(lambda: d.job(finished)["status"] == "scheduled", 10, "it waits for its second attempt")
    ended = d.submit("cold", do("effect ended"))["job_id"]
    d.wait_job(ended, "completed")
    late = d.submit("cold", None, delay="2s")["job_id"]
    slow = [d.submit(kind, do("effect start", "hold /none"))["job_id"] for kind in ("warm", "cold")]
    wait_until(lambda: all(d.job(i)["status"] == "running" for i in [*slow, held]), 10)
    before = d.submit("cold", do("effect before"))

    shim.step(step)
    d.http.close()  # the server has idle connections time out by the wall clock
    begun = time.monotonic()
    after = d.submit("cold", do("effect after"))
    assert after["version"] > before["version"] and after["job_id"] > before["job_id"]
    # Time-outs are of the boot clock: neither at once nor never.
    for job_id in slow:
        job = d.wait_job(job_id, "failed", bound=6)
        assert job["reason"] == "timeout"
    assert time.monotonic() - begun > 0.8, "a time-out came early"
    # Delays and retries: not later than they were to be.
    assert d.wait_job(finished, "failed", bound=8)["attempt"] == 2
    assert d.wait_job(late, bound=8)["status"] == "completed"
    # What had finished is there; what runs was not taken from its owner, and hears of a cancel.
    assert d.job(ended)["status"] == "completed"
    job = d.job(held)
    assert (job["status"], job["attempt"], job["crashes"] if "crashes" in job else 0) == ("running", 1, 0)
    assert d.http.post(f"/status/{held}/cancel").status == 202
    assert d.wait_job(held, bound=8)["status"] == "cancelled"
    assert [text for job_id, _, text in effects(log) if job_id == held] == ["start"]
    assert d.stop() == 0
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("step", STEPS * ROUNDS)
def test_no_step_of_the_clock_touches_a_lease(daemon, private, step):
    d, shim, log = stepped(daemon, private, runner_processes=0)
    d.start()
    job_id = leased(d, 2000)
    claimed = time.monotonic()
    shim.step(step)
    while time.monotonic() < claimed + 1.2:
        assert d.job(job_id)["status"] == "running", "the lease was cut short"
        time.sleep(0.05)
    d.wait_job(job_id, "pending", bound=5)
    assert time.monotonic() - claimed > 1.8


def leased(d, milliseconds, program=CHURN, environment=None):
    """The id of a job that somebody elsewhere has for so long."""
    return subprocess.run(
        [str(program), "-d", str(d.table), "claim", str(milliseconds)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, env=environment,
    ).stdout.strip()  # fmt: skip


def test_what_finished_expires_in_its_time_after_a_step_forward(daemon, private):
    shim = Shim(private / "shim")
    d = daemon(start=False, kinds={"cold": sh("true")}, table={"retention": "4s"})
    shim.under(d).start()
    before = d.submit("cold")["job_id"]
    d.wait_job(before, "completed")
    ended = time.monotonic()
    shim.step(HOUR)
    d.http.close()
    after = d.submit("cold")["job_id"]
    d.wait_job(after, "completed")
    while time.monotonic() < ended + 3.5:
        assert d.http.get(f"/status/{before}").status == 200, "it expired by the step"
        time.sleep(0.05)
    wait_until(lambda: d.http.get(f"/status/{before}").status == 404, 5)
    wait_until(lambda: d.http.get(f"/status/{after}").status == 404, 8)


# ------------------------------------------------------------------------- another boot

UNSHARE = ["unshare", "-m", "--propagation", "private", "/bin/sh", "-c"]
BOOT_ID = "/proc/sys/kernel/random/boot_id"
able = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run([*UNSHARE, f"mount --bind {BOOT_ID} {BOOT_ID}"],
                                        capture_output=True).returncode != 0,
    reason="may not mount",
)  # fmt: skip


def of_another_boot(private, number):
    """Words before a command that make it live in another boot of the machine."""
    path = private / f"boot{number}"
    path.write_text(f"{number:08x}-0000-4000-8000-000000000000\n")
    return [*UNSHARE, f'mount --bind {path} {BOOT_ID} && exec "$@"', "sh"]


def boot_in(d):
    """The boot that the shared file was made in."""
    return (d.table / "shared").read_bytes()[8:24]


@able
def test_another_boot_finds_every_job_and_believes_no_owner_or_lease_of_the_last(daemon, private):
    log, gate = private / "effects", private / "gate"
    d = daemon(
        start=False,
        kinds={"cold": actor(log, concurrency=2), "warm": warm(log), "remote": sh("true")},
        table={"retention": "1h"},
    )
    for number in range(1, 1 + count(1, 100)):
        gate.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        d.start(wrapper=of_another_boot(private, 2 * number))
        kinds = ("cold", "warm", "cold")
        ids = [d.submit(kind, do("effect start", f"hold {gate}"))["job_id"] for kind in kinds]
        wait_until(lambda: len(effects(log)) == 3, 10, "all of them run")
        master = d.process.pid
        pids = {d.job(job_id)["job_id"]: d.job(job_id)["version"] for job_id in ids}
        d.kill_tree()
        assert not os.path.exists(f"/proc/{master}/stat")
        # The machine is up again, and the numbers of the dead are given to strangers.
        boot = boot_in(d)
        d.start(wrapper=of_another_boot(private, 2 * number + 1))
        wait_until(lambda: len(effects(log)) == 6, 10, "all of them run again")
        gate.touch()
        for job_id in ids:
            job = d.wait_job(job_id, "completed")
            assert job["attempt"] == 1, "a lost owner costs no attempt"
            assert job["version"] > pids[job_id]
            assert [t for i, _, t in effects(log) if i == job_id] == ["start", "start"]
        assert boot_in(d) != boot
        assert d.stop() == 0
        stat = json.loads(d.jobtab("-o", "json", "stat").stdout)
        assert stat["totals"]["owners_lost"] == 3 * number, "each goes back once"
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@able
def test_leases_and_owners_of_another_boot_are_not_believed(daemon, private):
    d = daemon(start=False, kinds={"remote": sh("true")})

    def churn(number, *words, program="churn", **environment):
        ran = subprocess.run(
            [*of_another_boot(private, number), str(CHURN.parent / program), "-d", str(d.table), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=dict(os.environ, **environment),
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split()

    for number in range(1, 1 + count(1, 100)):
        job_id = churn(2 * number, "claim", "3600000")[0]
        assert churn(2 * number, "sweep")[0] == "0", "it is the same boot"
        # The control: a library that believes them.
        believed = churn(
            2 * number + 1, "sweep", program="churn-mutant", JOBTAB_MUTANT="other-boot"
        )[0]
        assert believed == "0", "the control finds what it is to be blind for"
        assert churn(2 * number + 1, "sweep")[0] == "1"
        assert churn(2 * number + 1, "sweep")[0] == "0", "once"
        assert json.loads(d.jobtab("-o", "json", "status", job_id).stdout)["status"] == "pending"
        assert d.jobtab("cancel", job_id).returncode == 0
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
