"""The daemon and a Python application on one table, each working what the other submitted."""

import subprocess
import sys
import threading
from signal import SIGKILL

from conftest import actor, do, effects, sh, wait_until, warm
from python_support import LIBRARY, MODULE, jobtab


def store(d, **more):
    return jobtab.JobStore(d.table, must_exist=True, **more)


def test_a_job_of_pythons_is_worked_by_the_daemons_children(daemon, private):
    d = daemon(kinds={"echo": sh("cat"), "warm": warm(private / "effects")})
    with store(d) as jobs:
        jobs.submit("echo", {"x": [1, "ä"]}, job_id="mine")
        assert jobs.wait("mine", 20)["result"] == {"x": [1, "ä"]}
        row = d.job(jobs["mine"]["uuid"])
        assert row["status"] == "completed" and row["params"] == {"x": [1, "ä"]}
        jobs["other"] = {"kind": "warm", **do("progress 20 Half", "effect done")}
        seen = [(r["status"], r["progress"]) for r in jobs.watch("other", 20)]
        assert seen[-1] == ("completed", 100) and jobs["other"]["attempt"] == 1
        assert effects(private / "effects") == [(jobs["other"]["uuid"], "1", "done")]


def test_what_http_tells_of_a_job_is_what_python_has(daemon):
    d = daemon(kinds={"echo": sh("cat")})
    made = d.submit("echo", {"a": 1})
    d.wait_job(made["job_id"])
    with store(d) as jobs:
        row = jobs[made["job_id"]]
        http = d.job(made["job_id"])
        assert {name: row[name] for name in http} == http
        assert set(row) - set(http) == {"uuid", "a"}


def test_a_job_of_the_daemons_is_worked_by_python(daemon):
    d = daemon(kinds={"elsewhere": sh("exit 1")}, runner_processes=0)
    made = d.submit("elsewhere", {"n": 6})
    with store(d) as jobs:
        with jobs.claim("elsewhere", timeout=20) as job:
            assert job.job_id == made["job_id"]
            job.report(40, "in Python")
            row = d.job(job.job_id)
            assert (row["status"], row["progress"], row["message"]) == ("running", 40, "in Python")
            job.log("a line\n")
            job.result = job.params["n"] * 7
        assert d.job(made["job_id"])["result"] == 42
        assert d.http.get(f"/status/{made['job_id']}/log").body == b"a line\n"


def test_a_cancel_over_http_reaches_pythons_worker(daemon):
    d = daemon(runner_processes=0)
    made = d.submit("echo", {})
    with store(d) as jobs:
        with jobs.claim("echo", timeout=20) as job:
            assert d.http.post(f"/status/{job.job_id}/cancel").status == 202
            job.report(5)
            assert job.cancelled
        assert d.job(made["job_id"])["status"] == "cancelled"


def test_the_keeper_sees_a_dead_python_process_and_the_daemon_takes_over(daemon):
    d = daemon(kinds={"echo": sh("cat")}, runner_processes=1)
    program = (
        "import jobtab, sys\n"
        f"jobs = jobtab.JobStore({str(d.table)!r}, sweep=None)\n"
        "jobs['a'] = {'kind': 'echo', 'status': 'running', 'n': 1}\n"
        "print('has it', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(MODULE), "JOBTAB_LIBRARY": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    with child, store(d, sweep=None) as jobs:
        assert child.stdout.readline() == "has it\n"
        assert jobs["a"]["status"] == "running"
        child.send_signal(SIGKILL)
        child.wait()
        row = jobs.wait("a", 20)
        assert (row["status"], row["result"]) == ("completed", {"n": 1})


def test_both_work_at_the_same_jobs_each_once(daemon, private):
    d = daemon(kinds={"work": actor(private / "effects", concurrency=2)}, table={"max_jobs": 10000})
    total = 60
    with store(d) as jobs:
        ids = [jobs.submit("work", do("effect daemon")) for _ in range(total // 2)]
        ids += [d.submit("work", do("effect daemon"))["job_id"] for _ in range(total // 2)]
        mine = []

        def work():
            while True:
                try:
                    with jobs.claim("work", timeout=0.3) as job:
                        mine.append(job.job_id)
                        job.result = "python"
                except jobtab.Empty:
                    return

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = [jobs.wait(job_id, 20) for job_id in ids]
        assert {row["status"] for row in rows} == {"completed"} and {row["attempt"] for row in rows} == {1}
        theirs = [job for job, _, _ in effects(private / "effects")]
        assert sorted(mine + theirs) == sorted(ids)
        assert sorted(r["job_id"] for r in rows if r["result"] == "python") == sorted(mine)


def test_a_restart_of_the_daemon_is_no_concern_of_the_application(daemon):
    d = daemon(kinds={"echo": sh("cat")})
    with store(d) as jobs:
        jobs["a"] = {"status": "running"}
        d.stop()
        jobs.update("a", progress=50)
        jobs.submit("echo", [1], job_id="later")
        d.start()
        assert d.job(jobs["a"]["uuid"])["progress"] == 50
        assert wait_until(lambda: jobs["later"]["result"] == [1], 20)
        assert jobs.update("a", status="completed")["done"]
