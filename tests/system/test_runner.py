"""The contract of a job child, from the child's side and from the job's."""

import json
import os
import re
import time
from signal import SIGCONT, SIGSTOP

import pytest

from conftest import alive, processes, python, script, seconds, sh, wait_until
from test_http_latency import WriterLock

IDENTITY = {"JOBTAB_KIND", "JOBTAB_OWNER", "JOBTAB_JOB_ID", "JOBTAB_ATTEMPT", "JOBTAB_REPORT_FD"}
PASSED = {"PATH", "HOME", "LANG", "TZ", "TMPDIR"}


def run(d, kind, params=None, **members):
    return d.wait_job(d.submit(kind, params, **members)["job_id"])


def result_of(d, job):
    return d.http.get(f"/status/{job['job_id']}/result").body


def log_of(d, job):
    answer = d.http.get(f"/status/{job['job_id']}/log")
    return answer.body if answer.status == 200 else b""


def rss(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024


# ------------------------------------------------------------------ what a child is given


def test_params_come_in_and_progress_result_and_log_go_out(daemon, private):
    gate = private / "gate"
    text = f"""
        echo "progress 20 Collecting prices..." >&3
        echo "first line" >&2
        while [ ! -e {gate} ]; do sleep 0.02; done
        echo "progress 90" >&3
        cat
        echo "last line" >&2
    """
    d = daemon(kinds={"report": sh(text)})
    job_id = d.submit("report", {"list": [1, "zwei"]})["job_id"]
    job = wait_until(lambda: (lambda j: j if j["progress"] == 20 else None)(d.job(job_id)), 5)
    assert (job["status"], job["message"], job["attempt"]) == ("running", "Collecting prices...", 1)
    wait_until(lambda: log_of(d, job) == b"first line\n", 5, "the log is there while it runs")
    gate.touch()
    job = d.wait_job(job_id, "completed")
    assert (job["progress"], job["message"]) == (100, "Collecting prices...")
    assert job["result"] == {"list": [1, "zwei"]} and job["error"] is None
    assert log_of(d, job) == b"first line\nlast line\n"


def test_without_params_a_child_reads_an_empty_object(daemon):
    d = daemon(kinds={"echo": sh("cat")})
    assert run(d, "echo")["result"] == {}


def test_environment_is_the_promised_one(daemon, private):
    d = daemon(
        kinds={
            "plain": {"command": ["/usr/bin/env"]},
            "table": {"command": ["/usr/bin/env"], "table": True, "input_root": str(private)},
        }
    )
    keep = PASSED & set(d.environment())
    for kind, more in (("plain", set()), ("table", {"JOBTAB_TABLE", "JOBTAB_TOKEN", "JOBTAB_INPUT_ROOT"})):
        job = run(d, kind)
        env = dict(line.split("=", 1) for line in result_of(d, job).decode().splitlines())
        assert set(env) == IDENTITY | keep | more
        assert env["JOBTAB_KIND"] == kind and env["JOBTAB_JOB_ID"] == job["job_id"]
        assert (env["JOBTAB_ATTEMPT"], env["JOBTAB_REPORT_FD"]) == ("1", "3")
        if more:
            assert env["JOBTAB_TABLE"] == os.path.realpath(d.table)
            assert env["JOBTAB_INPUT_ROOT"] == str(private)


def test_a_child_has_descriptors_0_to_3_and_untouched_signals(daemon):
    text = """
import json, os, signal
print(json.dumps({
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
    "kinds": ["pipe" in os.readlink(f"/proc/self/fd/{fd}") for fd in range(4)],
    "leader": os.getpgrp() == os.getpid(),
    "status": [l.split()[1] for l in open("/proc/self/status") if l[:6] in ("SigBlk", "SigIgn")],
}))
"""
    # -S -I: the interpreter's own start opens and ignores less, and SIGPIPE is its own doing.
    d = daemon(kinds={"look": {"command": ["/usr/bin/python3", "-S", "-I", "-c", text]}})
    found = run(d, "look")["result"]
    assert found["fds"] == [0, 1, 2, 3]
    assert found["kinds"] == [True] * 4 and found["leader"]
    assert int(found["status"][0], 16) == 0
    # python itself ignores SIGPIPE and SIGXFSZ; 32 and 33 are the C library's own, which no program
    # can reset through it, and make leaves one of them ignored.
    assert int(found["status"][1], 16) & ~(1 << 12 | 1 << 24 | 1 << 31 | 1 << 32) == 0


def test_large_params_arrive_whole_and_may_be_left_unread(daemon):
    d = daemon(
        kinds={"count": sh("wc -c"), "deaf": sh("exec <&-; sleep 0.2; echo 1"), "not": sh("echo 2")},
        table={"params_max": "512k"},
    )
    params = {"text": "x" * 300_000}
    job = run(d, "count", params)
    assert 300_000 < job["result"] < 300_100
    assert run(d, "deaf", params)["result"] == 1
    assert run(d, "not", params)["result"] == 2


# --------------------------------------------------------------------- what a child gives


@pytest.mark.parametrize(
    "output, stored, shown",
    [
        ('{"a": [1, null]}\\n', b'{"a": [1, null]}', {"a": [1, None]}),
        ("42\\n", b"42", 42),
        ("two words\\n", b"two words\n", "two words\n"),
        ("gr\\303\\274n", "grün".encode(), "grün"),
        ('{"a": ', b'{"a": ', '{"a": '),
        ("\\377\\000\\001", b"\xff\x00\x01", None),
        ("", None, None),
    ],
)
def test_a_result_is_json_text_bytes_or_nothing(daemon, output, stored, shown):
    d = daemon(kinds={"say": sh(f"printf '{output}'")})
    job = run(d, "say")
    assert job["status"] == "completed"
    answer = d.http.get(f"/status/{job['job_id']}/result")
    if stored is None:
        assert answer.status == 404
    else:
        assert (answer.status, answer.body) == (200, stored)
    if shown is not None:
        assert job["result"] == shown


@pytest.mark.parametrize(
    "text, reason, error",
    [
        ("echo one >&2; echo 'the last words' >&2; echo >&2; exit 3", "exit", "exit code 3: the last words"),
        ("exit 75", "exit", "exit code 75 (try again)"),
        ("printf 'bad\\377\\033[1m' >&2; exit 1", "exit", "exit code 1: bad??[1m"),
        ("kill -SEGV $$", "signal", "signal 11 (SEGV)"),
        ("kill -KILL $$", "signal", "signal 9 (KILL)"),
    ],
)
def test_a_failure_says_why(daemon, text, reason, error):
    d = daemon(kinds={"fail": sh(text, max_attempts=1)})
    job = run(d, "fail")
    assert (job["status"], job["reason"], job["error"]) == ("failed", reason, error)
    assert job["result"] is None


@pytest.fixture
def small_cgroup():
    """A control group with 32 MB, of either version; where none can be made there is no test."""
    for top, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        path = f"{top}/jobtab-test-{os.getpid()}"
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open(f"{path}/{limit}", "w") as file:
                file.write("32M")
        except OSError:
            os.rmdir(path)
            continue
        yield path
        # A process that was in it may take a moment to be gone from it.
        wait_until(lambda: not open(f"{path}/cgroup.procs").read(), 5)
        os.rmdir(path)
        return
    pytest.skip("no control group with a memory limit can be made here")


def test_a_child_that_the_kernel_kills_for_memory_says_so(daemon, small_cgroup):
    eat = "/usr/bin/python3 -c 'x = bytearray(200 << 20)'"
    d = daemon(kinds={"eat": sh(f"echo $$ > {small_cgroup}/cgroup.procs && exec {eat}", max_attempts=1)})
    job = run(d, "eat")
    assert (job["status"], job["reason"]) == ("failed", "oom")


def test_a_result_over_the_limit_fails_and_ends_the_child(daemon):
    d = daemon(
        kinds={"big": sh("yes >&1; sleep 1000"), "fits": sh("head -c 65536 /dev/zero | tr '\\0' x")},
        table={"result_max": "64k"},
    )
    job = run(d, "big")
    assert (job["status"], job["reason"]) == ("failed", "invalid")
    assert job["error"] == "result over 65536 bytes"
    assert job["attempt"] == 1 and job["result"] is None
    wait_until(lambda: d.pids("child") == [], 3, "its child is gone")
    assert len(result_of(d, run(d, "fits"))) == 65536


def test_what_is_no_report_line_changes_nothing_and_is_noted(daemon):
    text = """
        echo "progress 30 sound" >&3
        for i in 1 2 3 4 5 6 7 8; do echo "progress 1000 no $i" >&3; done
        head -c 100000 /dev/zero >&3
        printf "\\nprogress 40" >&3
        exit 1
    """
    d = daemon(kinds={"talk": sh(text, max_attempts=1)})
    job = run(d, "talk")
    assert job["message"] == "sound"
    log = log_of(d, job).decode()
    assert "descriptor 3: not understood: progress 1000 no 1\n" in log
    assert "no 8" not in log and "descriptor 3: 9 lines not understood" in log


# ------------------------------------------------------------------------------ bounds


def test_progress_is_coalesced_and_the_newest_wins(daemon):
    text = """
import os, time
end = time.monotonic() + 1.5
n = 0
while time.monotonic() < end:
    n += 1
    os.write(3, b"progress %d step %d\\n" % (n % 100, n))
os.write(3, b"progress 99 the last of many\\n")
print(n)
"""
    d = daemon(kinds={"fast": python(text)})
    job = run(d, "fast")
    assert job["message"] == "the last of many"
    assert job["result"] > 1000
    # Submit, claim, finish and at most 4 a second in between; +1 for the first, which does not wait.
    assert job["version"] <= 3 + 1 + 4 * seconds(2)


def test_floods_keep_the_newest_log_in_bounded_memory(daemon):
    text = """
import os, time
line = b"x" * 99 + b"\\n"
for n in range(300):
    os.write(2, line * 1000)
    os.write(3, b"progress 1 " + b"y" * 200 + b"\\n" + b"z" * 50000)
os.write(2, b"the end\\n")
"""
    d = daemon(
        kinds={"loud": python(text, concurrency=2), "calm": sh("echo fine")},
        table={"log_max": "64k"},
    )
    run(d, "calm")
    [runner] = d.pids("runner")
    before = rss(runner)
    loud = [d.submit("loud")["job_id"] for _ in range(2)]
    d.wait_job(loud[0], "running", "completed")
    assert d.wait_job(d.submit("calm")["job_id"], bound=5)["result"] == "fine\n"
    for job_id in loud:
        job = d.wait_job(job_id, bound=30)
        assert job["status"] == "completed"
        log = log_of(d, job)
        assert len(log) <= 65536 and b"the end\n" in log[-300:]
        assert b"bytes came too fast and were dropped" in log
    assert rss(runner) - before < 16 << 20


def test_no_more_than_concurrency_run_at_once_and_kinds_do_not_starve_each_other(daemon, private):
    text = f"""
        touch {private}/in.$$; ls {private}/in.* | wc -l >> {private}/count
        sleep 0.3; rm {private}/in.$$
    """
    d = daemon(kinds={"many": sh(text, concurrency=3), "other": sh("echo 1")})
    many = [d.submit("many")["job_id"] for _ in range(9)]
    d.wait_job(many[0], "running")
    other = run(d, "other")
    assert other["status"] == "completed"
    assert d.job(many[-1])["status"] != "completed", "the other kind did not wait for this one"
    for job_id in many:
        assert d.wait_job(job_id)["status"] == "completed"
    counts = [int(line) for line in (private / "count").read_text().split()]
    assert max(counts) == 3


def test_a_kind_that_is_not_configured_stays_pending(daemon):
    d = daemon(kinds={"echo": sh("cat")})
    made = d.jobtab("submit", "elsewhere")
    assert made.returncode == 0, made.stderr
    run(d, "echo")
    run(d, "echo")
    assert d.job(made.stdout.strip())["status"] == "pending"


# --------------------------------------------------------------------------- idle, stop


def switches(pid):
    """How often the threads of a process have gone to sleep."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))
    return total


def test_an_idle_daemon_writes_nothing_and_hardly_wakes(daemon):
    d = daemon(kinds={"echo": sh("cat"), "warm": sh("sleep 1000", table=True, children=1)})
    run(d, "echo")
    data = d.table / "data.mdb"
    pids = d.pids("runner") + d.pids("keeper")
    wait_until(lambda: d.pids("child"), 5)
    wait_until(lambda: time.time() - data.stat().st_mtime > 1.2, 5, "the last write is over")
    before, written, begun = [switches(pid) for pid in pids], data.stat().st_mtime_ns, time.monotonic()
    time.sleep(3)  # the time measured, not a wait
    passed = time.monotonic() - begun
    for pid, count in zip(pids, before):
        assert (switches(pid) - count) / passed <= 2.0
    assert data.stat().st_mtime_ns == written


def test_stop_hands_back_at_no_cost_even_what_does_not_listen(daemon, private):
    deaf = "trap '' TERM; echo 1 > {}; while :; do sleep 1; done"
    d = daemon(
        kinds={
            "deaf": sh(deaf.format(private / "a"), kill_after="1h", max_attempts=1, max_crashes=1),
            "meek": sh(f"echo 1 > {private}/b; exec sleep 1000", max_attempts=1, max_crashes=1),
        }
    )
    jobs = [d.submit(kind)["job_id"] for kind in ("deaf", "meek")]
    wait_until(lambda: (private / "a").exists() and (private / "b").exists(), 5)
    family = d.pids("child")
    assert d.stop(bound=8) == 0
    wait_until(lambda: not any(alive(pid) for pid in family), 2, "no child remains")
    for job_id in jobs:
        shown = json.loads(d.jobtab("-o", "json", "status", job_id).stdout)
        assert (shown["status"], shown["attempt"], shown["reason"]) == ("pending", 0, None)
    assert "owner_lost" not in d.log()


def test_a_killed_runner_leaves_no_orphan(daemon, private):
    marker = private / "pids"
    text = f"sleep 1000 & echo $! >> {marker}; echo $$ >> {marker}; sleep 1001"
    d = daemon(kinds={"nest": sh(text, max_crashes=1)})
    job_id = d.submit("nest")["job_id"]
    wait_until(lambda: marker.exists() and len(marker.read_text().split()) == 2, 5)
    family = [int(pid) for pid in marker.read_text().split()]
    [runner] = d.pids("runner")
    d.signal(9, runner)
    job = d.wait_job(job_id, bound=5)
    assert (job["status"], job["reason"]) == ("failed", "owner_lost")
    wait_until(lambda: not any(alive(pid) for pid in family), 5, "nobody of its job remains")
    told = f"job {job_id}: owner_lost: taken from pid {runner}: now failed (1 of 1 crashes)"
    wait_until(lambda: told in d.log(), 5, "the keeper told of it")


# ---------------------------------------------------------------- others hold the table up


def test_pipes_and_deadlines_do_not_wait_for_another_writer(daemon, private):
    go, through, late_pid = private / "go", private / "through", private / "late"
    loud = f"while [ ! -e {go} ]; do sleep 0.02; done; head -c 1000000 /dev/zero >&2; echo > {through}"
    d = daemon(
        kinds={
            "loud": sh(loud + "; exec sleep 1000"),
            "late": sh(f"echo $$ > {late_pid}; exec sleep 1000", timeout="1s", max_attempts=1),
        }
    )
    noisy, late = d.submit("loud")["job_id"], d.submit("late")["job_id"]
    d.wait_job(noisy, "running")
    pid = int(wait_until(lambda: late_pid.exists() and late_pid.read_text(), 5))
    with WriterLock(d.table):
        go.touch()
        wait_until(through.exists, 4, "a megabyte is read although nothing can be written")
        wait_until(lambda: not alive(pid), 4, "the late child is ended")
        assert d.job(late)["status"] == "running", "nothing could be written"
    job = d.wait_job(late)
    assert (job["status"], job["reason"]) == ("failed", "timeout")
    d.http.post(f"/status/{noisy}/cancel")
    d.wait_job(noisy, "cancelled")


def test_stop_is_bounded_although_nothing_can_be_written(daemon, private):
    d = daemon(kinds={"meek": sh(f"echo > {private}/on; exec sleep 1000")})
    job_id = d.submit("meek")["job_id"]
    wait_until((private / "on").exists, 5)
    [child] = d.pids("child")
    with WriterLock(d.table):
        d.stop(bound=12)
        assert not alive(child)
    d.start()
    job = d.job(job_id)
    assert job["status"] in ("pending", "running"), "its owner is gone, so it is not lost"


# ----------------------------------------------------------------------- warm children


def test_a_warm_child_s_environment_and_descriptors(daemon, private):
    d = daemon(kinds={"warm": sh("exec sleep 1000", table=True, children=2, input_root=str(private))})
    pids = wait_until(lambda: p if len(p := d.pids("child")) == 2 else None, 5)
    for pid in pids:
        wait_until(lambda: processes()[pid].name == "sleep", 5)
        with open(f"/proc/{pid}/environ", "rb") as file:
            env = dict(v.split(b"=", 1) for v in file.read().split(b"\0") if v)
        names = {name.decode() for name in env} - {"PWD"}
        wanted = {"JOBTAB_KIND", "JOBTAB_OWNER", "JOBTAB_TABLE", "JOBTAB_INPUT_ROOT"}
        assert names == wanted | (PASSED & set(d.environment()))
        assert sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) == [0, 1, 2]
        assert processes()[pid].pgid == pid


def test_a_warm_child_that_dies_at_once_is_started_with_growing_pauses(daemon, private):
    starts = private / "starts"
    d = daemon(kinds={"hasty": sh(f"echo x >> {starts}; echo 'no luck' >&2; exit 1", table=True, children=1),
                      "echo": sh("cat")})
    wait_until(lambda: starts.exists() and len(starts.read_text().split()) >= 3, 10)
    time.sleep(2)  # the time measured, not a wait
    assert len(starts.read_text().split()) <= 8  # unthrottled it would be hundreds
    assert "no luck" in d.log() and "exit code 1" in d.log()
    assert run(d, "echo")["status"] == "completed"


def test_a_warm_child_s_chatter_is_cut_in_the_log(daemon):
    program = "import os, time\nos.write(2, b'spam\\n' * 20000)\ntime.sleep(1.1)\nos.write(2, b'end\\n')\ntime.sleep(1000)"
    d = daemon(kinds={"chatty": python(program, table=True, children=1)})
    wait_until(lambda: "more lines on standard error, not shown" in d.log(), 10)
    wait_until(lambda: re.search(r"chatty, pid \d+: end\n", d.log()), 5)
    assert d.log().count("spam") < 200


def test_a_missing_warm_program_does_not_stop_the_runner(daemon, private):
    program = script(private / "goes", "#!/bin/sh\nexec sleep 1000\n")
    d = daemon(kinds={"gone": {"command": [program], "table": True, "children": 1}, "echo": sh("cat")})
    [child] = wait_until(lambda: d.pids("child"), 5)
    os.unlink(program)
    d.signal(9, child)
    wait_until(lambda: "cannot start a child of kind gone" in d.log(), 5)
    job_id = d.submit("gone")["job_id"]
    assert run(d, "echo")["status"] == "completed"
    assert d.job(job_id)["status"] == "pending"


def test_a_result_over_the_limit_is_refused_when_its_end_is_read_after_the_childs(daemon, private):
    go = private / "go"
    text = f"until [ -e {go} ]; do sleep 0.01; done; head -c 1500 /dev/zero | tr '\\0' x"
    d = daemon(kinds={"big": sh(text)}, table={"result_max": 1024})
    runner = d.pids("runner")[0]
    job_id = d.submit("big")["job_id"]
    d.wait_job(job_id, "running")
    wait_until(lambda: d.pids("child"), what="it is started")
    d.signal(SIGSTOP, runner)  # it meets the output and the end of the child at once
    go.touch()
    wait_until(lambda: not d.pids("child"), what="its end")
    d.signal(SIGCONT, runner)
    job = d.wait_job(job_id)
    assert (job["status"], job["reason"]) == ("failed", "invalid"), job


def test_a_job_ends_in_a_full_table_though_its_log_has_no_room(daemon, private):
    go = private / "go"
    text = f"until test -e {go}; do sleep 0.05; done; head -c 200000 /dev/zero | tr '\\0' x >&2; echo 7"
    d = daemon(kinds={"loud": sh(text)}, table={"map_size": "1m"})
    job_id = d.submit("loud")["job_id"]
    d.wait_job(job_id, "running")
    full = {"kind": "loud", "delay": "1h", "params": {"pad": "x" * 3000}}
    wait_until(lambda: d.http.post("/run", full).status == 503, 30, "the table is full")
    go.touch()
    job = d.wait_job(job_id, "completed", bound=20)
    assert job["result"] == 7
    assert "bytes of its log are not kept" in d.log()
    assert d.jobtab("verify").returncode == 0
