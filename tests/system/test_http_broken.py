"""A worker whose table has broken."""

import shutil
import subprocess

import pytest

from conftest import seconds, wait_until


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_commit_that_fails_is_told_to_nobody_as_done_and_a_new_worker_goes_on(daemon):
    d = daemon(start=False, runner_processes=0)
    environment = d.environment()
    environment["ASAN_OPTIONS"] += ":detect_leaks=0"  # which does not work under strace
    d.environment = lambda: environment
    d.start()
    d.submit()
    worker = d.pids("worker")[0]
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(worker), "-o", d.dir / "strace", "-e", "trace=fdatasync",
         "-e", "inject=fdatasync:error=EIO:when=1"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "attached" not in (line := strace.stderr.readline()):
        if not line:
            pytest.skip("strace may not attach to a process here")
    answer = d.client().post("/run", {})
    assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    assert answer.headers["connection"] == "close"
    wait_until(lambda: d.pids("worker") not in ([], [worker]), what="another worker")
    strace.wait(seconds(10))
    strace.stderr.close()
    wait_until(d.ready, what="it is ready")
    assert d.client().post("/run", {}).status == 202
    assert len(d.client().get("/jobs").json()["jobs"]) in (2, 3)  # the failed one: unknown
