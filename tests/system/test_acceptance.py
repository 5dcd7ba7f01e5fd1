"""What the project began with: many clients, many processes, one truth."""

import concurrent.futures
import os
import threading
import time

import pytest

from conftest import DONE, actor, do, effects, seconds, wait_until, warm
from oracle import check, load
from storm import storm

REQUESTS = int(os.environ.get("JOBTAB_ACCEPTANCE_REQUESTS", "4000"))


def tell(events):
    """A line on what happened, so that a storm in which nothing happens is seen as one."""
    seen = {}
    for event in events:
        seen[event.verb, event.outcome] = seen.get((event.verb, event.outcome), 0) + 1
    return seen


def test_concurrent_readers_and_writers_see_no_torn_and_no_older_state(daemon, private):
    """64 clients over HTTP and the library, two workers, four warm children."""
    events = private / "events"
    events.mkdir()
    d = daemon(
        kinds={"warm": warm("/dev/null", events, children=4)},
        worker_processes=2,
        table={"map_size": "1g"},
    )
    begun = time.monotonic()
    code, text = storm(d.table, events, port=d.port, requests=REQUESTS)
    took = time.monotonic() - begun
    assert code == 0 and " 0 killed" in text, text
    d.stop()
    happened = load(events)
    seen = tell(happened)
    faults = check(happened)
    print(f"{text.strip()}; {len(happened)} events in {took:.1f} s: {seen}")
    assert faults == [], "\n".join(faults)
    for what in ("submit", "claim", "report", "finish", "get", "list", "cancel", "delete", "final"):
        assert seen.get((what, "ok")), f"no {what} ever happened: {seen}"
    assert seen.get(("get", "same")), seen
    assert "exit code 70" not in d.log(), "a child could not open the table"
    assert seen.get(("report", "stale"), 0) + seen.get(("finish", "stale"), 0), seen
    verified = d.jobtab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_library_alone_keeps_the_same_promises(private):
    events = private / "events"
    events.mkdir()
    code, text = storm(private / "table", events, clients=8, requests=3000)
    assert code == 0, text
    faults = check(load(events))
    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "mutant, rule, requests", [("stale-reads", "fresh", 1000), ("no-fencing", "fencing", 4000)]
)
def test_the_oracle_catches_a_build_with(mutant, rule, requests, seed, private, monkeypatch):
    events = private / "events"
    events.mkdir()
    monkeypatch.setenv("JOBTAB_MUTANT", mutant)
    storm(private / "table", events, program="storm-mutant", clients=8, requests=requests, seed=seed)
    faults = check(load(events), limit=1000)
    assert any(fault.startswith(f"{rule}:") for fault in faults), faults[:10]


def test_a_poller_sees_one_consistent_course(daemon):
    """Each of two workers' answers, looked at as fast as they come, while the job runs."""
    d = daemon(kinds={"warm": warm()}, worker_processes=2)
    job = d.submit("warm", do("story 40"))
    seen = []
    stop = threading.Event()

    def poll():
        client = d.client()
        mine = []
        while True:
            last = stop.is_set()
            mine.append(client.get(f"/status/{job['job_id']}"))
            if last:
                return mine

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        pollers = [pool.submit(poll) for _ in range(6)]
        d.wait_job(job["job_id"], "completed")
        stop.set()
        for poller in pollers:
            seen.append(poller.result(seconds(20)))
    for answers in seen:
        assert {answer.status for answer in answers} == {200}
        jobs = [answer.json() for answer in answers]
        versions = [j["version"] for j in jobs]
        assert versions == sorted(versions)
        for answer, j in zip(answers, jobs):
            assert answer.headers["etag"] == f'"{j["version"]}"'
            assert j["done"] == (j["status"] in DONE)
            if j["progress"]:
                assert j["message"] == f"p={j['progress']},job={j['job_id']},n={j['attempt']}"
        progress = [j["progress"] for j in jobs]
        assert progress == sorted(progress)
        assert jobs[-1]["status"] == "completed" and jobs[-1]["progress"] == 100
        assert jobs[-1]["result"]["of"] == job["job_id"]
    middle = {j.json()["version"] for answers in seen for j in answers}
    assert len(middle) > 3, "nobody saw it between its beginning and its end"


def test_finished_jobs_beyond_max_jobs_go_oldest_first(daemon):
    d = daemon(kinds={"warm": warm()}, table={"max_jobs": 20})
    ids = []
    for n in range(50):
        job = d.submit("warm", do(f"out {n}"))
        ids.append(job["job_id"])
        d.wait_job(job["job_id"], "completed")
    there = [d.http.get(f"/status/{i}").status for i in ids]
    assert set(there) == {200, 404}
    first = there.index(200)
    assert there == [404] * first + [200] * (50 - first), "not the oldest first"
    assert 1 <= 50 - first <= 20
    assert d.mdb_stat()["jobs"] == 50 - first


def test_a_full_table_refuses_and_still_ends_what_it_has(daemon, private):
    gate = private / "gate"
    d = daemon(kinds={"warm": warm()}, table={"max_jobs": 10})
    ids = [d.submit("warm", do(f"hold {gate}"))["job_id"] for _ in range(10)]
    refused = d.http.post("/run", {"kind": "warm"})
    assert refused.status == 503, refused
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert refused.json()["status"] == 503
    d.wait_job(ids[0], "running")
    assert d.http.post(f"/status/{ids[-1]}/cancel").status == 202
    assert d.job(ids[-1])["status"] == "cancelled"
    gate.touch()
    for job_id in ids[:-1]:
        d.wait_job(job_id, "completed")
    late = d.submit("warm")
    assert d.wait_job(late["job_id"])["status"] == "completed"


def test_finished_jobs_beyond_their_retention_go_and_others_stay(daemon, private):
    gate = private / "gate"
    d = daemon(kinds={"warm": warm(), "slow": actor()}, table={"retention": "1s"})
    slow = d.submit("slow", do(f"hold {gate}"))["job_id"]
    done = d.submit("warm")["job_id"]
    job = d.wait_job(done, "completed")
    assert job["expires_at"] > job["finished_at"]
    wait_until(lambda: d.http.get(f"/status/{done}").status == 404, 5, "it expires")
    assert d.job(slow)["status"] == "running"
    gate.touch()
    wait_until(lambda: d.http.get(f"/status/{slow}").status == 404, 5, "it ends and expires")
    assert d.mdb_stat()["jobs"] == 0


def test_a_burst_of_connections_is_answered_and_every_job_runs_once(daemon, private):
    log = private / "effects"
    d = daemon(kinds={"warm": warm(log, children=4)}, worker_processes=2)

    def user(number):
        client = d.client(timeout=20)
        statuses, ids = [], []
        for n in range(5):
            answer = client.post("/run", {"params": do(f"effect {number}.{n}")})
            statuses.append(answer.status)
            ids.append(answer.json()["job_id"])
            statuses.append(client.get(f"/status/{ids[-1]}").status)
        client.close()
        return statuses, ids

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        results = list(pool.map(user, range(64)))
    assert {status for statuses, _ in results for status in statuses} == {200, 202}
    ids = [job_id for _, jobs in results for job_id in jobs]
    assert len(set(ids)) == 64 * 5
    wait_until(lambda: d.mdb_stat()["done"] == len(ids), 20, "all are done", every=0.1)
    happened = effects(log)
    assert sorted(job_id for job_id, _, _ in happened) == sorted(ids)
    assert sorted(text for _, _, text in happened) == sorted(
        f"{number}.{n}" for number in range(64) for n in range(5)
    )
