"""One walk through everything. The valgrind stage of check.sh runs it with every process of the
daemon and the command line under valgrind; otherwise it is a test like the others."""

import json
from signal import SIGHUP, SIGQUIT

from conftest import BUILD, actor, do, processes, sh, wait_until

PRICES = """symbol,time,price
AAA,2026-01-02T00:00:00Z,10.0
AAA,2026-01-03T00:00:00Z,10.1
BBB,2026-01-02T00:00:00Z,5.0
BBB,2026-01-03T00:00:00Z,-5.0
"""


def roles(d):
    return {pid for pid, process in processes().items() if process.ppid == d.pid}


def test_the_whole_story_from_start_to_stop(daemon, private):
    prices = private / "prices"
    prices.mkdir()
    (prices / "a.csv").write_text(PRICES)
    d = daemon(
        kinds={
            "validate": {
                "command": [str(BUILD / "jobtab-validate")],
                "table": True,
                "children": 1,
                "input_root": prices,
            },
            "shell": sh('cat >/dev/null; echo "progress 50 half" >&3; echo hello >&2; echo \'{"a":1}\''),
            "actor": actor(timeout="200s", kill_after="1s"),
            "fails": sh("exit 2", max_attempts=2, backoff="50ms"),
        },
        worker_processes=2,
    )
    wait_until(lambda: "]: ready\n" in d.log(), 15, "the master says that all roles work")

    # A price validation, from POST to result.
    job = d.wait_job(d.submit("validate", {})["job_id"], bound=20)
    assert job["status"] == "completed" and job["progress"] == 100, job
    assert job["result"]["verdict"] == "failed" and job["result"]["rows"] == 4
    same = d.http.get(f"/status/{job['job_id']}", headers={"If-None-Match": f'"{job["version"]}"'})
    assert same.status == 304 and same.body == b""
    result = d.http.get(f"/status/{job['job_id']}/result")
    assert result.status == 200 and result.json() == job["result"]
    missing = d.wait_job(d.submit("validate", {"sources": ["no.csv"]})["job_id"], bound=20)
    assert (missing["status"], missing["reason"]) == ("failed", "invalid")

    # Any program.
    job = d.wait_job(d.submit("shell")["job_id"])
    assert (job["status"], job["result"], job["message"]) == ("completed", {"a": 1}, "half")
    assert b"hello" in d.http.get(f"/status/{job['job_id']}/log").body
    failed = d.wait_job(d.submit("fails")["job_id"])
    assert (failed["status"], failed["reason"], failed["attempt"]) == ("failed", "exit", 2)

    # Cancel, retry, delete.
    held = d.submit("actor", do("sleep 600000"))["job_id"]
    d.wait_job(held, "running")
    assert d.http.delete(f"/status/{held}").status == 409
    assert d.http.post(f"/status/{held}/cancel").status == 202
    d.wait_job(held, "cancelled")
    assert d.http.post(f"/status/{failed['job_id']}/retry").status == 202
    d.wait_job(failed["job_id"], "failed")
    assert d.http.delete(f"/status/{failed['job_id']}").status == 204
    assert d.http.get(f"/status/{failed['job_id']}").status == 404

    # Idempotency, bad input, lists.
    headers = {"Idempotency-Key": "once"}
    one = d.http.post("/run", {"kind": "shell"}, headers=headers)
    two = d.http.post("/run", {"kind": "shell"}, headers=headers)
    assert (one.status, two.status) == (202, 200)
    assert one.json()["job_id"] == two.json()["job_id"]
    assert d.http.post("/run", {"kind": "actor"}, headers=headers).status == 422
    for status, body in ((400, "{"), (422, {"kind": "unknown"}), (422, {"priority": 101})):
        assert d.http.post("/run", body).status == status, body
    assert d.http.post("/run", "x", headers={"Content-Type": "text/plain"}).status == 415
    assert d.http.get("/status/nonsense").status in (400, 404)
    page = d.http.get("/jobs?limit=2").json()
    assert len(page["jobs"]) == 2 and page["next"]
    assert d.http.get("/healthz").status == 200

    # The command line on the same table.
    assert d.jobtab("stat").returncode == 0
    listed = d.jobtab("-o", "json", "list", "-n", "50")
    assert listed.returncode == 0 and held in listed.stdout
    new = d.jobtab("submit", "shell", "-w")
    assert new.returncode == 0, new.stderr
    shown = d.jobtab("-o", "json", "status", two.json()["job_id"])
    assert json.loads(shown.stdout)["job_id"] == two.json()["job_id"]
    assert d.jobtab("verify").returncode == 0
    assert d.jobtab("backup", private / "copy").returncode == 0
    assert d.jobtab("status", failed["job_id"]).returncode == 1

    # A reload, and the end. (Titles do not show under valgrind: look at pids.)
    old = roles(d)
    d.signal(SIGHUP)
    wait_until(
        lambda: len(roles(d) - old) >= 3 and len(roles(d) & old) <= 1, 15, "new workers and runners"
    )
    d.http.close()
    assert d.wait_job(d.submit("shell")["job_id"])["status"] == "completed"
    assert d.stop(SIGQUIT) == 0
