"""What jobs go through: failures, retries, cancels, time-outs, children that misbehave."""

import os

import pytest

from conftest import BUILD, actor, alive, do, effects, processes, script, sh, wait_until, warm


def attempts(log, job_id):
    return [(int(attempt), text) for i, attempt, text in effects(log) if i == job_id]


def test_a_job_that_fails_is_tried_again_with_back_off_then_failed(daemon, private):
    log = private / "effects"
    d = daemon(kinds={"flaky": actor(log, max_attempts=3, backoff="300ms")})
    job = d.submit("flaky", do("effect try", "exit 1"))
    waiting = d.wait_job(job["job_id"], "scheduled")
    assert waiting["attempt"] == 1 and waiting["run_at"] > waiting["updated_at"]
    assert d.mdb_stat()["scheduled"] == 1
    job = d.wait_job(job["job_id"])
    assert (job["status"], job["reason"], job["attempt"]) == ("failed", "exit", 3)
    assert [n for n, _ in attempts(log, job["job_id"])] == [1, 2, 3]


def test_exit_75_is_tried_again_and_can_succeed(daemon, private):
    marker = private / "second"
    text = f"if [ -e {marker} ]; then echo '{{\"ok\":1}}'; else touch {marker}; exit 75; fi"
    d = daemon(kinds={"later": sh(text, max_attempts=2, backoff="50ms")})
    job = d.wait_job(d.submit("later")["job_id"])
    assert (job["status"], job["attempt"], job["result"]) == ("completed", 2, {"ok": 1})


@pytest.mark.parametrize("how", ["warm", "table", "plain"])
def test_a_poison_job_that_kills_its_owner_ends_after_max_crashes(daemon, private, how):
    """A warm child dies of it, a spawned one is killed by a signal: never for ever."""
    log = private / "effects"
    kinds = {
        "warm": warm(log, max_crashes=3, max_attempts=1),
        "table": actor("-t", log, max_crashes=3, max_attempts=2, backoff="50ms"),
        "plain": actor(log, max_crashes=3, max_attempts=2, backoff="50ms"),
    }
    d = daemon(kinds={"poison": kinds[how], "well": warm()})
    bad = d.submit("poison", do("effect try", "signal 9"))["job_id"]
    job = d.wait_job(bad, bound=20)
    assert job["status"] == "failed"
    if how == "warm":
        assert job["reason"] == "owner_lost"
        assert len(attempts(log, bad)) == 3
    else:
        assert job["reason"] == "signal"
        assert len(attempts(log, bad)) == 2
    assert d.wait_job(d.submit("well")["job_id"])["status"] == "completed"
    # The kind itself still works: a warm child is there again.
    assert d.wait_job(d.submit("poison", do("effect fine"))["job_id"])["status"] == "completed"


def late(private, first, second, spoken):
    """A program whose first attempt leaves a process of another session behind, which waits for
    the second attempt to run, does `first` and goes; the second waits for that."""
    away, seen = private / "away", private / "seen"
    rest = script(
        private / "rest",
        f"""#!/bin/sh
trap '' PIPE
touch {away}
while [ ! -e {seen} ]; do sleep 0.02; done
{first}
touch {spoken}
""",
    )
    return script(
        private / "child",
        f"""#!/bin/sh
if [ "$JOBTAB_ATTEMPT" = 1 ]; then
    setsid {rest} >/dev/null 2>&1 &
    while [ ! -e {away} ]; do sleep 0.02; done
    exit 75
fi
{second}
touch {seen}
while [ ! -e {spoken} ]; do sleep 0.02; done
sleep 0.2
echo second
""",
    )


def test_a_late_report_of_an_earlier_attempt_is_refused(daemon, private):
    """A process of attempt 1 that got away keeps descriptor 3 and speaks up during attempt 2."""
    spoken = private / "spoken"
    program = late(private, "echo progress 99 late >&3", 'echo "progress 10 second" >&3', spoken)
    d = daemon(kinds={"late": {"command": [program], "max_attempts": 2, "backoff": "50ms"}})
    job_id = d.submit("late")["job_id"]
    seen = set()

    def done():
        job = d.job(job_id)
        if job["attempt"] == 2 and job["status"] == "running":
            seen.add((job["progress"], job["message"]))
        return job if job["done"] else None

    job = wait_until(done, 10)
    assert spoken.exists()
    assert (job["status"], job["attempt"], job["message"]) == ("completed", 2, "second")
    assert (10, "second") in seen
    assert not any(progress == 99 for progress, _ in seen), seen


def test_a_late_report_through_the_table_is_refused_as_stale(daemon, private):
    """The same with the token in hand: it asks the table itself."""
    words = private / "words"
    program = late(
        private,
        f"echo '{{\"do\": \"progress 99 late\"}}' | {BUILD}/tests/system/actor -t 2>{words}",
        "jobtab report 10 second",
        private / "spoken",
    )
    d = daemon(
        kinds={"late": {"command": [program], "table": True, "max_attempts": 2, "backoff": "50ms"}}
    )
    job = d.wait_job(d.submit("late")["job_id"])
    assert (job["status"], job["attempt"], job["message"]) == ("completed", 2, "second")
    assert "token" in words.read_text()


def test_cancel_of_a_pending_job_is_at_once_and_it_never_runs(daemon, private):
    log, gate = private / "effects", private / "gate"
    d = daemon(kinds={"warm": warm(log)})
    first = d.submit("warm", do(f"hold {gate}"))["job_id"]
    d.wait_job(first, "running")
    second = d.submit("warm", do("effect ran"))["job_id"]
    answer = d.http.post(f"/status/{second}/cancel")
    assert answer.status == 202 and answer.json()["status"] == "cancelled"
    assert d.http.post(f"/status/{second}/cancel").status == 409
    gate.touch()
    d.wait_job(first, "completed")
    third = d.submit("warm", do("effect third"))["job_id"]
    d.wait_job(third, "completed")
    job = d.job(second)
    assert (job["status"], job["reason"], job["attempt"]) == ("cancelled", "cancelled", 0)
    assert [i for i, _, _ in effects(log)] == [third]


@pytest.mark.parametrize("how", ["warm", "table", "plain"])
def test_cancel_of_a_running_job_ends_its_child(daemon, private, how):
    kinds = {"warm": warm(), "table": actor("-t"), "plain": actor()}
    d = daemon(kinds={"long": kinds[how]})
    job_id = d.submit("long", do("sleep 60000"))["job_id"]
    d.wait_job(job_id, "running")
    answer = d.http.post(f"/status/{job_id}/cancel")
    assert answer.status == 202 and answer.json()["status"] == "cancelling"
    job = d.wait_job(job_id, bound=5)
    assert (job["status"], job["reason"]) == ("cancelled", "cancelled")
    # The kind goes on.
    assert d.wait_job(d.submit("long")["job_id"])["status"] == "completed"


def test_a_child_that_ignores_sigterm_is_killed_after_kill_after(daemon, private):
    log = private / "effects"
    d = daemon(kinds={"deaf": actor(log, kill_after="500ms")})
    job_id = d.submit("deaf", do("ignore", "effect deaf", "sleep 60000"))["job_id"]
    wait_until(lambda: effects(log), what="the child is deaf")
    [child] = d.pids("child")
    assert d.http.post(f"/status/{job_id}/cancel").status == 202
    job = d.wait_job(job_id, bound=5)
    assert (job["status"], job["reason"]) == ("cancelled", "cancelled")
    assert not alive(child)


@pytest.mark.parametrize("how", ["warm", "table", "plain"])
def test_a_job_over_its_time_is_ended_and_says_so(daemon, how):
    keys = {"timeout": "300ms", "kill_after": "300ms", "max_attempts": 1}
    kinds = {"warm": warm(**keys), "table": actor("-t", **keys), "plain": actor(**keys)}
    d = daemon(kinds={"long": kinds[how]})
    for deaf in ("sleep 0", "ignore"):
        job = d.wait_job(d.submit("long", do(deaf, "sleep 60000"))["job_id"], bound=8)
        assert (job["status"], job["reason"]) == ("failed", "timeout"), deaf
    assert d.wait_job(d.submit("long")["job_id"])["status"] == "completed"


def test_grandchildren_end_with_their_job(daemon, private):
    """What a child leaves in its process group goes when the job is over, however it ends."""
    d = daemon(kinds={"nest": sh("sleep 1000 & sleep 1001 & echo done"), "long": actor()})
    d.wait_job(d.submit("nest")["job_id"], "completed")
    wait_until(
        lambda: not any(p.name == "sleep" and p.sid in d.sids for p in processes().values()),
        3,
        "grandchildren are gone",
    )
    job_id = d.submit("long", do("spawn 1000000", "spawn 1000000", "sleep 60000"))["job_id"]
    wait_until(lambda: len(d.pids("child")) == 3)
    family = d.pids("child")
    d.http.post(f"/status/{job_id}/cancel")
    d.wait_job(job_id, "cancelled")
    wait_until(lambda: not any(alive(pid) for pid in family), 3, "the family is gone")


def test_a_program_that_cannot_be_started_fails_with_reason_spawn(daemon, private):
    program = script(private / "goes", "#!/bin/sh\necho hi\n")
    d = daemon(kinds={"gone": {"command": [program], "max_attempts": 1}})
    assert d.wait_job(d.submit("gone")["job_id"])["status"] == "completed"
    os.unlink(program)
    job = d.wait_job(d.submit("gone")["job_id"])
    assert (job["status"], job["reason"]) == ("failed", "spawn")
    assert job["error"] and "goes" in job["error"]
    script(program, "#!/nonexistent/interpreter\n")
    job = d.wait_job(d.submit("gone")["job_id"])
    assert (job["status"], job["reason"]) == ("failed", "spawn")


def test_one_child_s_flood_stays_its_own(daemon, private):
    """Megabytes on every descriptor: cut at the limits, and nobody else notices."""
    d = daemon(kinds={"loud": actor(), "well": warm()}, table={"map_size": "128m"})
    loud = d.submit(
        "loud", do("flood 2 3000000", "flood 3 500000", "progress 55 through", "out short")
    )["job_id"]
    d.wait_job(loud, "running", "completed")
    for _ in range(5):
        well = d.wait_job(d.submit("well", do("story 3"))["job_id"], bound=5)
        assert well["status"] == "completed"
        assert well["message"] == f"p=100,job={well['job_id']},n=1"
    job = d.wait_job(loud, bound=20)
    assert job["status"] == "completed" and job["message"] == "through"
    log = d.http.get(f"/status/{loud}/log")
    assert log.status == 200 and 0 < len(log.body) <= 256 * 1024
    # More on stdout than a result may have is a failure that says so, or a cut that says so.
    big = d.wait_job(d.submit("loud", do("flood 1 3000000"))["job_id"], bound=20)
    assert big["done"]
    result = d.http.get(f"/status/{big['job_id']}/result")
    assert result.status == 404 or len(result.body) <= 1024 * 1024
    assert d.http.get("/readyz").status == 200


def test_a_child_that_closes_its_descriptors_still_ends(daemon, private):
    log = private / "effects"
    d = daemon(kinds={"mute": actor(log)})
    job = d.wait_job(
        d.submit("mute", do("close 0", "close 1", "close 2", "close 3", "sleep 200", "effect end"))["job_id"]
    )
    assert job["status"] == "completed"
    assert [text for _, _, text in effects(log)] == ["end"]


def test_an_operator_s_retry_starts_a_failed_job_over(daemon, private):
    marker = private / "now"
    d = daemon(kinds={"k": sh(f"test -e {marker}", max_attempts=1)})
    job_id = d.submit("k")["job_id"]
    assert d.wait_job(job_id)["status"] == "failed"
    assert d.http.post("/status/" + d.submit("k")["job_id"] + "/retry").status in (202, 409)
    marker.touch()
    answer = d.http.post(f"/status/{job_id}/retry")
    assert answer.status == 202
    job = d.wait_job(job_id)
    assert (job["status"], job["attempt"]) == ("completed", 1)
    assert d.http.post(f"/status/{job_id}/retry").status == 409


def test_mdb_stat_shows_the_jobs_by_state_while_the_daemon_runs(daemon, private):
    gate = private / "gate"
    d = daemon(kinds={"warm": warm(), "once": sh("exit 1", max_attempts=1)})
    running = d.submit("warm", do(f"hold {gate}"))["job_id"]
    d.wait_job(running, "running")
    waiting = [d.submit("warm")["job_id"] for _ in range(3)]
    delayed = [d.submit("warm", delay="1h")["job_id"] for _ in range(2)]
    d.wait_job(d.submit("once")["job_id"], "failed")
    counts = d.mdb_stat()
    names = ("jobs", "running", "pending", "scheduled", "done")
    assert {n: counts[n] for n in names} == {
        "jobs": 7, "running": 1, "pending": 3, "scheduled": 2, "done": 1,
    }  # fmt: skip
    gate.touch()
    for job_id in [running, *waiting]:
        d.wait_job(job_id, "completed")
    counts = d.mdb_stat()
    assert {n: counts[n] for n in names} == {
        "jobs": 7, "running": 0, "pending": 0, "scheduled": 2, "done": 5,
    }  # fmt: skip
    assert all(d.job(i)["status"] == "scheduled" for i in delayed)


def test_priorities_and_order_of_submission_hold(daemon, private):
    log, gate = private / "effects", private / "gate"
    d = daemon(kinds={"warm": warm(log)})
    d.wait_job(d.submit("warm", do(f"hold {gate}"))["job_id"], "running")
    low = d.submit("warm", do("effect low"), priority=-5)
    first = d.submit("warm", do("effect first"))
    second = d.submit("warm", do("effect second"))
    high = d.submit("warm", do("effect high"), priority=50)
    gate.touch()
    for job in (low, first, second, high):
        d.wait_job(job["job_id"], "completed")
    assert [text for _, _, text in effects(log)] == ["high", "first", "second", "low"]


def test_a_delayed_job_starts_when_it_is_due(daemon, private):
    log = private / "effects"
    d = daemon(kinds={"warm": warm(log)})
    job = d.submit("warm", do("effect ran"), delay=0.5)
    assert job["status"] == "scheduled" and job["run_at"] > job["created_at"]
    job = d.wait_job(job["job_id"], "completed", bound=5)
    assert job["started_at"] >= job["run_at"]
