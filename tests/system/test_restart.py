"""Jobs outlive the daemon: TERM, QUIT, and SIGKILL of everything at once."""

import time
from signal import SIGKILL, SIGQUIT, SIGTERM

import pytest

from conftest import DONE, actor, alive, do, effects, job_processes, sh, wait_until, warm
from oracle import check, load
from storm import Storm

ENDINGS = {"term": SIGTERM, "quit": SIGQUIT, "kill": SIGKILL}


def kinds(log):
    return {
        "warm": warm(log, children=1),
        "held": warm(log, children=2),
        "plain": actor(log, concurrency=8),
        "table": actor("-t", log, concurrency=8),
        "deaf": actor(log, kill_after="60s", concurrency=8),
        "fails": sh("echo broken >&2; exit 3", max_attempts=1),
        "back": sh("exit 1", max_attempts=5, backoff="1h"),
    }


def everything(d, gate):
    """A job in every state; those that run wait for the gate, then have the effect "end"."""
    held = ("effect start", f"hold {gate}", "effect end")
    ids = {
        "completed": d.submit("plain", do("progress 30 on its way", "out done")),
        "completed warm": d.submit("warm", do("story 3")),
        "failed": d.submit("fails"),
        "back-off": d.submit("back"),
        "delayed": d.submit("warm", delay="1h", priority=7),
        "warm": d.submit("held", do(*held)),
        "plain": d.submit("plain", do(*held)),
        "table": d.submit("table", do("progress 40 deep in it", *held)),
    }
    ids = {name: job["job_id"] for name, job in ids.items()}
    for name in ("completed", "completed warm", "failed"):
        d.wait_job(ids[name], name.split()[0])
    d.wait_job(ids["back-off"], "scheduled")
    # Both warm children of "held" are busy, so what is submitted now stays pending.
    ids["second warm"] = d.submit("held", do(*held))["job_id"]
    ids["pending"] = d.submit("held", do("effect end"))["job_id"]
    ids["cancelled"] = d.submit("held", do("effect end"))["job_id"]
    assert d.http.post(f"/status/{ids['cancelled']}/cancel").status == 202
    ids["cancelling"] = d.submit("deaf", do("ignore", "effect start", "sleep 600000"))["job_id"]
    return ids


def started(log, ids, names):
    seen = {job_id for job_id, _, text in effects(log) if text == "start"}
    return all(ids[name] in seen for name in names)


RUNNING = ("warm", "plain", "table", "second warm")
SETTLED = ("completed", "completed warm", "failed", "back-off", "delayed", "cancelled")


@pytest.mark.parametrize("ending", ["term", "kill"])
def test_every_state_survives(daemon, private, ending):
    log, gate = private / "effects", private / "gate"
    d = daemon(kinds=kinds(log), worker_processes=2)
    ids = everything(d, gate)
    wait_until(lambda: started(log, ids, (*RUNNING, "cancelling")), 10, "all have started")
    d.wait_job(ids["table"], "running")
    assert d.http.post(f"/status/{ids['cancelling']}/cancel").status == 202
    before = {name: d.job(job_id) for name, job_id in ids.items()}
    assert {name: before[name]["status"] for name in before} == {
        "completed": "completed", "completed warm": "completed", "failed": "failed",
        "back-off": "scheduled", "delayed": "scheduled", "cancelled": "cancelled",
        "warm": "running", "plain": "running", "table": "running", "second warm": "running",
        "pending": "pending", "cancelling": "cancelling",
    }  # fmt: skip
    family = d.tree()
    if ending == "kill":
        d.kill_tree()
    else:
        d.stop(SIGTERM, bound=20)
    wait_until(lambda: not any(alive(pid) for pid in family), 5, "nothing of it is left")
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    d.start()
    after = {name: d.job(job_id) for name, job_id in ids.items()}
    for name in SETTLED:
        assert after[name] == before[name]
    # Nobody waits longer than a moment for the keeper to see that the owners are gone.
    assert d.wait_job(ids["cancelling"], bound=5)["status"] == "cancelled"
    for name in RUNNING:
        job = after[name]
        if job["status"] in ("pending", "scheduled"):
            assert job["attempt"] in (0, 1)
        assert not job["done"], job
    gate.touch()
    for name in (*RUNNING, "pending"):
        job = d.wait_job(ids[name], bound=10)
        assert (job["status"], job["attempt"]) == ("completed", 1), "an attempt was charged"
        ends = [text for job_id, _, text in effects(log) if job_id == ids[name] and text == "end"]
        assert ends == ["end"], f"{name} had its effect {len(ends)} times"
    starts = [job_id for job_id, _, text in effects(log) if text == "start"]
    for name in RUNNING:
        assert starts.count(ids[name]) == 2
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_what_runs_ends_once_when_it_may_end_before_quit(daemon, private):
    log, gate = private / "effects", private / "gate"
    d = daemon(kinds=kinds(log), shutdown_timeout="30s")
    ids = everything(d, gate)
    wait_until(lambda: started(log, ids, (*RUNNING, "cancelling")), 10, "all have started")
    assert d.http.post(f"/status/{ids['cancelling']}/cancel").status == 202
    before = {name: d.job(job_id) for name, job_id in ids.items()}
    d.http.close()
    d.signal(SIGQUIT)
    wait_until(lambda: not d.ready(), 5, "it takes no new connection")
    assert d.running(), "it waits for what runs"
    gate.touch()
    # The deaf child of the cancelled job has no end of its own: the daemon has to see to it.
    [deaf] = [pid for pid in d.tree() if pid in job_processes(d, ids["cancelling"])]
    d.signal(SIGKILL, deaf)
    assert d.wait(20) == 0
    assert not d.tree()
    d.start()
    for name in SETTLED:
        assert d.job(ids[name]) == before[name]
    assert d.job(ids["cancelling"])["status"] == "cancelled"
    for name in RUNNING:
        job = d.wait_job(ids[name], bound=5)
        assert (job["status"], job["attempt"]) == ("completed", 1)
        mine = [text for job_id, _, text in effects(log) if job_id == ids[name]]
        assert mine == ["start", "end"], f"{name} did not end before the stop: {mine}"
    assert d.wait_job(ids["pending"])["status"] == "completed"


def test_quit_is_bounded_by_shutdown_timeout(daemon, private):
    log = private / "effects"
    d = daemon(kinds={"plain": actor(log), "warm": warm(log)}, shutdown_timeout="1s")
    ids = [d.submit(kind, do("effect start", "sleep 600000"))["job_id"] for kind in ("plain", "warm")]
    wait_until(lambda: len(effects(log)) == 2, 10, "both have started")
    d.stop(SIGQUIT, bound=8)
    assert not d.tree()
    d.start()
    for job_id in ids:
        job = d.job(job_id)
        assert not job["done"] and job["attempt"] <= 1, job
        assert d.http.post(f"/status/{job_id}/cancel").status == 202
        assert d.wait_job(job_id, bound=5)["status"] == "cancelled"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_restart_under_load_loses_no_acknowledged_job(daemon, private, ending):
    """Jobs that were answered 202 a moment before the end are there and end."""
    log = private / "effects"
    d = daemon(kinds={"warm": warm(log, children=2)}, worker_processes=2)
    acknowledged = []
    for round_ in range(3):
        for n in range(20):
            acknowledged.append(d.submit("warm", do(f"effect {round_}.{n}"))["job_id"])
        if ending == "kill":
            d.kill_tree()
        else:
            d.stop(ENDINGS[ending])
        assert not d.tree()
        d.start()
    for job_id in acknowledged:
        assert d.wait_job(job_id, bound=15)["status"] == "completed"
    had = {job_id for job_id, _, _ in effects(log)}
    assert had == set(acknowledged)


@pytest.mark.parametrize("ending", ["term", "quit"])  # "kill": tests/crash/kill
def test_a_storm_through_restarts_keeps_every_promise(daemon, private, ending):
    """Clients go on while the daemon ends and comes back: their view of the table has no break."""
    events = private / "events"
    events.mkdir()
    d = daemon(
        kinds={"warm": warm("/dev/null", events, children=3, max_crashes=100)},
        worker_processes=2,
        shutdown_timeout="3s",
        table={"map_size": "256m"},
    )
    with Storm(d.table, events, port=d.port, clients=32) as clients:
        for _ in range(3):
            time.sleep(0.5)  # of the clients' work
            assert clients.running(), "the clients ended before they were told to"
            assert d.stop(ENDINGS[ending]) == 0
            assert not d.tree()
            d.start()
        code, text = clients.end()
    assert code == 0, text
    faults = check(load(events), killed=True)
    assert faults == [], "\n".join(faults)
    assert d.stop() == 0
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_same_master_does_not_start_twice_on_one_table(daemon):
    """A second daemon on the same pid file or port says so and leaves the first alone."""
    d = daemon()
    again = d.process
    d.process = None
    try:
        d.spawn()
        code = d.wait(10)
    finally:
        d.process = again
    assert code != 0
    assert d.ready()
    assert d.wait_job(d.submit("echo")["job_id"])["status"] in DONE
