"""JobStore, every method: as a dictionary, as a queue, among threads and forks, and what it refuses."""

import gc
import logging
import os
import pathlib
import subprocess
import sys
import threading
import time
from signal import SIGINT, SIGKILL

import pytest

from conftest import BUILD, seconds, wait_until
from python_support import LIBRARY, MODULE, in_child, jobs, jobtab  # noqa: F401

FIELDS = {
    "job_id", "uuid", "kind", "status", "reason", "done", "progress", "message", "version", "attempt",
    "max_attempts", "priority", "created_at", "run_at", "started_at", "updated_at", "finished_at",
    "expires_at", "params", "result", "error",
}  # fmt: skip


def verify(store):
    ran = subprocess.run([BUILD / "jobtab", "-d", store.path, "verify"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


# ------------------------------------------------------------------- as a dictionary


def test_a_job_has_the_fields_of_the_http_interface(jobs):
    jobs["a"] = {"status": "pending"}
    assert set(jobs["a"]) == FIELDS
    assert jobs["a"]["job_id"] == "a" and jobs["a"]["status"] == "pending" and jobs["a"]["kind"] == "job"


def test_a_job_goes_through_its_life_by_updates(jobs):
    job_id = jobs.create("a", {"status": "pending", "progress": 0, "message": "Waiting..."})
    assert job_id == "a" and jobs["a"]["message"] == "Waiting..."
    assert jobs.update("a", status="running")["status"] == "running"
    row = jobs.update("a", progress=20, message="Collecting prices...")
    assert (row["progress"], row["message"], row["attempt"]) == (20, "Collecting prices...", 1)
    assert jobs.update("a", progress=30)["message"] == "Collecting prices..."
    row = jobs.update("a", status="completed", result={"rows": [1, 2, None]}, message="Done.")
    assert row == jobs["a"]
    assert (row["status"], row["progress"], row["result"]) == ("completed", 100, {"rows": [1, 2, None]})
    assert row["done"] and row["finished_at"] >= row["started_at"] >= row["created_at"]
    verify(jobs)


def test_a_failed_job_has_its_error(jobs):
    jobs.create("a", {"status": "running"})
    row = jobs.update("a", status="failed", progress=40, error="no such file")
    assert (row["status"], row["error"], row["progress"]) == ("failed", "no such file", 40)


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_pending_job_can_be_ended_at_once(jobs, end):
    jobs["a"] = {"status": "pending"}
    assert jobs.update("a", status=end)["status"] == end


@pytest.mark.parametrize("status", jobtab._STATES[1:3] + jobtab._STATES[4:])
def test_a_job_can_be_created_in_any_state_that_a_process_can_bring_it_to(jobs, status):
    jobs["a"] = {"status": status, "result": [1]} if status == "completed" else {"status": status}
    assert jobs["a"]["status"] == status
    assert jobs["a"]["result"] == ([1] if status == "completed" else None)


def test_other_keys_are_kept_and_come_back(jobs):
    jobs["a"] = {"status": "pending", "source": "a.csv", "created": 12.5, "tags": ["x", {"y": None}]}
    row = jobs["a"]
    assert (row["source"], row["created"], row["tags"]) == ("a.csv", 12.5, ["x", {"y": None}])
    assert row["params"] == {"source": "a.csv", "created": 12.5, "tags": ["x", {"y": None}]}
    jobs.update("a", status="running", source="a.csv")  # as it is
    with pytest.raises(jobtab.FieldError, match="source: it is fixed"):
        jobs.update("a", source="b.csv")
    with pytest.raises(jobtab.FieldError, match="colour: it is no field.*status, progress, message"):
        jobs.update("a", colour="red")
    assert jobs["a"]["source"] == "a.csv"


def test_params_and_other_keys_go_together_unless_params_are_no_dictionary(jobs):
    jobs["a"] = {"params": {"x": 1}, "y": 2}
    assert jobs["a"]["params"] == {"x": 1, "y": 2}
    jobs["b"] = {"params": [1, 2]}
    assert jobs["b"]["params"] == [1, 2]
    with pytest.raises(jobtab.Invalid, match="params"):
        jobs["c"] = {"params": [1, 2], "y": 2}
    assert "c" not in jobs


def test_a_field_wins_over_a_param_of_its_name(jobs):
    job_id = jobs.submit("job", {"status": "mine", "version": -1})
    assert jobs[job_id]["status"] == "pending" and jobs[job_id]["version"] > 0


def test_the_tables_own_fields_are_ignored_where_they_are_given(jobs):
    jobs["a"] = {"created_at": "yesterday", "version": 77, "done": True}
    assert jobs["a"]["created_at"] > "2026" and jobs["a"]["version"] < 77
    jobs.update("a", updated_at="now", status="running")
    jobs["b"] = jobs["a"]
    assert jobs["b"]["uuid"] != jobs["a"]["uuid"] and jobs["b"]["status"] == "running"


def test_values_are_copies(jobs):
    jobs["a"] = {"tags": ["x"]}
    row = jobs["a"]
    row["status"] = "running"
    row["tags"].append("y")
    assert jobs["a"]["status"] == "pending" and jobs["a"]["tags"] == ["x"]
    for row in [*jobs.values(), *jobs.list(), jobs.get("a")]:
        row["tags"].append("z")
    assert jobs["a"]["tags"] == ["x"]


def test_values_of_a_live_store_change_the_job(jobs):
    with jobtab.JobStore(jobs.path, live=True) as live:
        live["a"] = {"status": "pending", "n": 1}
        live["a"]["status"] = "running"
        assert jobs["a"]["status"] == "running"
        row = live["a"]
        row.update(progress=20, message="Collecting prices...")
        assert (row["progress"], row["version"]) == (20, jobs["a"]["version"]) and row == jobs["a"]
        row |= {"progress": 30}
        assert jobs["a"]["progress"] == 30 and live.get("a")["progress"] == 30
        for row in live.values():
            row["progress"] = 40
        assert jobs["a"]["progress"] == 40 and row.setdefault("n", 5) == 1
        with pytest.raises(jobtab.Invalid):
            row["progress"] = 400
        with pytest.raises(jobtab.FieldError):
            row["colour"] = "red"
        with pytest.raises(jobtab.FieldError):
            del row["n"]
        assert row == jobs["a"] and type(dict(row)) is dict
        live["a"].update({"status": "completed"}, result=[1])
        assert jobs["a"]["result"] == [1]


def test_assigning_what_was_read_with_changes_changes_these(jobs):
    jobs["a"] = {"status": "running", "source": "a.csv"}
    jobs["a"] = {**jobs["a"], "progress": 60, "message": "half"}
    assert (jobs["a"]["progress"], jobs["a"]["message"]) == (60, "half")
    jobs["a"] = {**jobs["a"], "status": "completed", "result": 5}
    assert jobs["a"]["result"] == 5


def test_assigning_to_a_job_that_is_done_starts_it_anew(jobs):
    jobs["a"] = {"status": "completed", "result": 1, "n": 1}
    before = jobs["a"]
    jobs["a"] = {"status": "pending", "n": 2}
    assert jobs["a"]["uuid"] != before["uuid"] and jobs["a"]["result"] is None and jobs["a"]["n"] == 2
    assert len(jobs) == 1
    verify(jobs)


def test_the_mapping_protocol(jobs, monkeypatch):
    monkeypatch.setattr(jobtab, "_PAGE", 16)
    names = [f"job {n}" for n in range(50)]  # some pages
    for name in names:
        jobs[name] = {"n": name}
    anonymous = jobs.create(None, {"n": "anonymous"})
    assert len(jobs) == 51 and list(jobs) == names + [anonymous] and list(jobs.keys()) == list(jobs)
    assert [key for key, _ in jobs.items()] == list(jobs)
    assert [row["n"] for row in jobs.values()] == names + ["anonymous"]
    assert "job 3" in jobs and "job 50" not in jobs and 3 not in jobs and "" not in jobs and "x" * 999 not in jobs
    assert jobs.get("no") is None and jobs.get("no", 5) == 5 and jobs.exists(anonymous)
    with pytest.raises(KeyError) as caught:
        jobs["no"]
    assert str(caught.value) == "there is no job 'no'"
    assert jobs.pop("job 3")["n"] == "job 3" and "job 3" not in jobs
    assert jobs.pop("job 3", None) is None
    with pytest.raises(KeyError):
        jobs.pop("job 3")
    with pytest.raises(KeyError):
        del jobs["job 3"]
    assert jobs.setdefault("job 4", {"n": "other"})["n"] == "job 4"
    assert jobs.setdefault("new", {"n": 1})["n"] == 1
    jobs.update({"x": {"n": 1}, "y": {"n": 2}})
    assert jobs["y"]["n"] == 2
    jobs.clear()
    assert len(jobs) == 0 and not jobs and list(jobs) == []
    verify(jobs)


def test_a_job_is_found_by_its_own_id_and_by_the_tables(jobs):
    jobs["a"] = {}
    given = jobs.create(None)
    assert jobs[jobs["a"]["uuid"]] == jobs["a"] and jobs[given]["uuid"] == given
    jobs.update(jobs["a"]["uuid"], status="running")
    assert jobs["a"]["status"] == "running"


def test_creating_the_same_again_gives_the_same_and_another_conflicts(jobs):
    assert jobs.create("a", {"n": 1}) == "a"
    first = jobs["a"]
    assert jobs.create("a", {"n": 1}) == "a" and jobs["a"] == first
    with pytest.raises(jobtab.Conflict):
        jobs.create("a", {"n": 2})
    jobs.update("a", status="running")
    with pytest.raises(jobtab.Conflict):
        jobs.create("a", {"n": 1, "status": "running"})


def test_list_filters_and_limits(jobs):
    for n in range(5):
        jobs[f"a{n}"] = {"kind": "even" if n % 2 == 0 else "odd"}
    jobs.update("a2", status="running")
    assert [row["job_id"] for row in jobs.list()] == ["a4", "a3", "a2", "a1", "a0"]
    assert [row["job_id"] for row in jobs.list(kind="even", oldest_first=True)] == ["a0", "a2", "a4"]
    assert [row["job_id"] for row in jobs.list(status="running")] == ["a2"]
    assert [row["job_id"] for row in jobs.list(limit=2)] == ["a4", "a3"] and jobs.list(limit=0) == []
    with pytest.raises(jobtab.Invalid, match="no such|none of"):
        jobs.list(status="no such")


# ------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "fields, error, words",
    [
        ({"progress": 101}, jobtab.Invalid, "progress: 101"),
        ({"progress": -1}, jobtab.Invalid, "progress"),
        ({"progress": 0.5}, jobtab.Invalid, "whole number"),
        ({"progress": "20"}, jobtab.Invalid, "whole number"),
        ({"progress": True}, jobtab.Invalid, "whole number"),
        ({"message": "x" * 256}, jobtab.TooBig, "message"),
        ({"message": 5}, jobtab.Invalid, "message"),
        ({"message": "a\0b"}, jobtab.Invalid, "NUL"),
        ({"message": "\ud800"}, jobtab.Invalid, "message"),
        ({"status": "done"}, jobtab.Invalid, "'done' is none of scheduled, pending"),
        ({"status": "completed", "result": object()}, jobtab.Invalid, "result"),
        ({"status": "completed", "result": float("nan")}, jobtab.Invalid, "result"),
        ({"status": "completed", "result": "x" * (2 << 20)}, jobtab.TooBig, "result"),
        ({"status": "completed", "error": "x"}, jobtab.Refused, "error"),
        ({"status": "pending", "message": "x"}, jobtab.Refused, "message"),
        ({"result": 5}, jobtab.Refused, "result"),
    ],
)
def test_a_bad_change_names_the_field_and_changes_nothing(jobs, fields, error, words):
    jobs["a"] = {"status": "running"}
    before = jobs["a"]
    with pytest.raises(error, match=words):
        jobs.update("a", **fields)
    assert jobs["a"] == before


@pytest.mark.parametrize(
    "state, error",
    [
        ({"status": "pending", "progress": 5}, jobtab.FieldError),
        ({"status": "pending", "result": 5}, jobtab.FieldError),
        ({"status": "queued"}, jobtab.Invalid),
        ({"status": "running", "progress": 101}, jobtab.Invalid),
        ({"status": "completed", "result": object()}, jobtab.Invalid),
        ({"kind": "a b"}, jobtab.Invalid),
        ({"x": {1, 2}}, jobtab.Invalid),
        ({"x": "y" * 70000}, jobtab.TooBig),
        ({"priority": 700}, jobtab.Invalid),
    ],
)
def test_a_bad_job_is_not_created(jobs, state, error):
    with pytest.raises(error):
        jobs["a"] = state
    assert len(jobs) == 0


@pytest.mark.parametrize("job_id", ["", "x" * 129, "a\0b", 5, b"a", "\ud800"])
def test_an_id_that_cannot_be_kept_is_refused(jobs, job_id):
    with pytest.raises(jobtab.Invalid, match="job_id"):
        jobs.create(job_id, {})
    assert job_id not in jobs and jobs.get(job_id) is None


def test_any_other_text_is_an_id(jobs):
    for job_id in ("x" * 128, "ä/ö ü", "\n", "🐍" * 32):
        jobs[job_id] = {}
        assert jobs[job_id]["job_id"] == job_id
    assert len(list(jobs)) == 4


def test_moves_that_the_table_does_not_allow_are_refused_in_its_words(jobs):
    jobs["a"] = {"status": "completed"}
    for status in ("running", "failed", "pending", "cancelled"):
        with pytest.raises(jobtab.Refused, match="completed"):
            jobs.update("a", status=status)
    jobs["b"] = {"status": "cancelled"}
    with pytest.raises(jobtab.Refused, match="a cancelled job cannot become running"):
        jobs.update("b", status="running")  # nobody brings a cancelled job back without asking for it
    jobs["c"] = {}
    with pytest.raises(jobtab.Refused, match="progress: a pending job has no owner"):
        jobs.update("c", progress=5)
    jobs["d"] = {"status": "running"}
    with pytest.raises(jobtab.Refused, match="cannot be deleted"):
        del jobs["d"]


def test_a_full_table_says_so(private):
    with jobtab.JobStore(private / "table", max_jobs=2, map_size=1 << 24) as jobs:
        jobs["a"], jobs["b"] = {}, {}
        with pytest.raises(jobtab.Full, match="max_jobs = 2"):
            jobs["c"] = {}


def test_a_table_that_must_exist(private):
    with pytest.raises(jobtab.NoTable):
        jobtab.JobStore(private / "no", must_exist=True)
    assert not (private / "no").exists()
    with jobtab.JobStore(private / "no"):  # the failure has left nothing behind
        pass


def test_a_library_that_is_missing_or_another_is_named(private):
    other = next(pathlib.Path("/lib").glob("*/libm.so.6"), None) or next(pathlib.Path("/usr/lib").glob("*/libm.so.6"))
    for name, words in ((private / "no.so", "JOBTAB_LIBRARY"), (other, "is no libjobtab")):
        program = "import jobtab\ntry: jobtab.JobStore('t')\nexcept jobtab.LibraryError as e: print(e)"
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=private,
            env={"PYTHONPATH": str(MODULE), "JOBTAB_LIBRARY": str(name), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert words in ran.stdout and not ran.stderr, ran


def test_a_closed_store_says_so_and_can_be_opened_again(private):
    store = jobtab.JobStore(private / "table")
    store["a"] = {}
    store.close()
    store.close()
    with pytest.raises(jobtab.Error, match="closed"):
        store["a"]
    with jobtab.JobStore(private / "table") as again:
        assert "a" in again


def test_two_stores_of_a_process_share_the_table(jobs):
    with jobtab.JobStore(jobs.path, kind="other") as other:
        other["a"] = {"status": "running"}
        assert jobs.update("a", progress=5)["kind"] == "other"
        with pytest.raises(jobtab.Error, match="open in this process"):
            jobtab.JobStore(jobs.path, max_jobs=7)
    assert jobs["a"]["progress"] == 5


# ------------------------------------------------------------------------ as a queue


def test_a_claimed_job_is_finished_with_its_result(jobs):
    job_id = jobs.submit("report", {"n": 3}, priority=5)
    with jobs.claim("report", timeout=0) as job:
        assert (job.job_id, job.params, job.kind, job.attempt) == (job_id, {"n": 3}, "report", 1)
        job.report(50, "half")
        assert (jobs[job_id]["progress"], jobs[job_id]["message"]) == (50, "half")
        job.report(message="more")
        assert jobs[job_id]["progress"] == 50
        job.log("one\n")
        job.log("two\n")
        job.result = {"pages": 2}
    assert jobs[job_id]["result"] == {"pages": 2} and jobs[job_id]["status"] == "completed"
    assert jobs.log(job_id) == "one\ntwo\n"
    verify(jobs)


@pytest.mark.parametrize("result", [None, b"\0\xff bytes", "text", [1], 0, False, "x" * 100000])
def test_a_result_comes_back_as_it_went_in(jobs, result):
    job_id = jobs.submit()
    with jobs.claim(timeout=0) as job:
        job.result = result
        del job
        gc.collect()
    assert jobs[job_id]["result"] == result


def test_an_exception_fails_the_job_and_is_in_its_log(jobs):
    job_id = jobs.submit()
    with pytest.raises(ZeroDivisionError):
        with jobs.claim(timeout=0):
            1 / 0
    row = jobs[job_id]
    assert (row["status"], row["error"]) == ("failed", "division by zero")
    assert "ZeroDivisionError" in jobs.log(job_id) and "test_python_store" in jobs.log(job_id)


def test_an_exception_is_tried_again_while_attempts_are_left(jobs):
    job_id = jobs.submit(max_attempts=2, backoff=0.02)
    for status in ("scheduled", "failed"):
        with pytest.raises(ValueError):
            with jobs.claim(timeout=5):  # the store's own sweep makes it pending when it is due
                raise ValueError("bad")
        assert jobs[job_id]["status"] == status
    assert jobs[job_id]["attempt"] == 2


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_process_that_is_told_to_end_hands_its_job_back(jobs, stop):
    job_id = jobs.submit()
    with pytest.raises(stop):
        with jobs.claim(timeout=0) as job:
            job.report(70, "far")
            raise stop
    assert (jobs[job_id]["status"], jobs[job_id]["attempt"]) == ("pending", 0)


def test_a_cancelled_job_tells_its_worker(jobs):
    job_id = jobs.submit()
    with jobs.claim(timeout=0) as job:
        assert jobs.cancel(job_id)["status"] == "cancelling"
        assert not job.cancelled
        job.report(5)
        assert job.cancelled
    assert jobs[job_id]["status"] == "cancelled"
    job_id = jobs.submit()
    with jobs.claim(timeout=0) as job:
        job.check()
        jobs.update(job_id, status="cancelling")
        job.check()
        raise AssertionError("not reached")
    assert jobs[job_id]["status"] == "cancelled"
    job_id = jobs.submit()
    with jobs.claim(timeout=0) as job:
        jobs.cancel(job_id)
        job.report(5)
        job.result = "all the same"  # the worker won
    assert jobs[job_id]["status"] == "completed"


def test_a_job_can_be_cancelled_retried_and_handed_back(jobs):
    jobs["a"] = {}
    assert jobs.cancel("a")["status"] == "cancelled"
    assert jobs.retry("a")["status"] == "pending"
    assert jobs.update("a", status="running")["attempt"] == 1
    assert jobs.update("a", status="pending")["attempt"] == 0
    jobs.update("a", status="running")
    assert jobs.update("a", status="cancelled", message="enough")["message"] == "enough"
    assert jobs.update("a", status="pending")["status"] == "pending"
    jobs["b"] = {"status": "running", "max_attempts": 2}
    assert jobs.update("b", status="scheduled", error="once more")["status"] == "scheduled"
    with pytest.raises(jobtab.Refused, match="when its time has come"):
        jobs.update("b", status="pending")


def test_what_cannot_be_kept_fails_the_job(jobs):
    for result in (object(), "x" * (2 << 20)):
        job_id = jobs.submit()
        with pytest.raises(jobtab.Invalid, match="result"):
            with jobs.claim(timeout=0) as job:
                job.result = result
        assert jobs[job_id]["status"] == "failed" and "result" in jobs[job_id]["error"]


def test_a_job_that_its_block_ended_is_left_alone(jobs):
    job_id = jobs.submit()
    with jobs.claim(timeout=0) as job:
        jobs.update(job_id, status="failed", error="by hand")
        job.result = 5
    assert jobs[job_id]["error"] == "by hand"


def test_a_claim_of_nothing_is_empty_in_time(jobs):
    begun = time.monotonic()
    with pytest.raises(jobtab.Empty, match="no job of kind nothing came"):
        with jobs.claim("nothing", timeout=0.2):
            raise AssertionError("not reached")
    assert 0.19 < time.monotonic() - begun < seconds(5)


def test_a_task_works_on_one_job_a_call(jobs, caplog):
    @jobs.task("square")
    def square(job):
        """Its square."""
        return job.params**2

    ids = [jobs.submit("square", n) for n in (3, "x")]
    assert square.__doc__ == "Its square." and square()["result"] == 9
    with caplog.at_level(logging.CRITICAL):
        assert square()["status"] == "failed"
    assert "unsupported operand" in jobs[ids[1]]["error"]
    with pytest.raises(jobtab.Empty):
        square(timeout=0)


def test_priorities_delays_and_policies_arrive(jobs):
    late = jobs.submit(delay=60)
    low, high = jobs.submit(priority=-5), jobs.submit(priority=5, max_attempts=4)
    assert jobs[late]["status"] == "scheduled" and jobs[late]["run_at"] > jobs[late]["created_at"]
    for job_id in (high, low):
        with jobs.claim(timeout=0) as job:
            assert job.job_id == job_id
    assert jobs[high]["max_attempts"] == 4


# --------------------------------------------------------------------------- waiting


def test_wait_returns_at_the_end_and_times_out(jobs):
    jobs["a"] = {"status": "running"}
    with pytest.raises(jobtab.Timeout) as caught:
        jobs.wait("a", timeout=0.1)
    assert isinstance(caught.value, TimeoutError)
    timer = threading.Timer(0.05, jobs.update, ["a"], {"status": "completed", "result": 7})
    timer.start()
    assert jobs.wait("a", timeout=10)["result"] == 7
    timer.join()
    assert jobs.wait("a", timeout=0)["result"] == 7
    with pytest.raises(jobtab.NotFound):
        jobs.wait("no", timeout=0)


def test_watch_shows_each_change_and_the_end(jobs):
    jobs["a"] = {}
    seen = []
    for row in jobs.watch("a", timeout=10):
        seen.append((row["status"], row["progress"]))
        jobs["other"] = {}  # of no concern
        if row["status"] == "pending":
            jobs.update("a", status="running")
        elif not row["done"]:
            jobs.update("a", **({"progress": 50} if row["progress"] == 0 else {"status": "completed"}))
    assert seen == [("pending", 0), ("running", 0), ("running", 50), ("completed", 100)]


def test_watch_and_wait_end_with_a_job_that_is_deleted(jobs):
    jobs["a"] = {}
    watch = jobs.watch("a", timeout=10)
    assert next(watch)["status"] == "pending"
    del jobs["a"]
    assert list(watch) == []
    jobs["a"] = {}
    timer = threading.Timer(0.05, jobs.delete, ["a"])
    timer.start()
    with pytest.raises(jobtab.NotFound, match="deleted"):
        jobs.wait("a", timeout=10)
    timer.join()


def test_ctrl_c_ends_a_wait(private):
    program = (
        "import jobtab, sys\n"
        "jobs = jobtab.JobStore('table')\n"
        "jobs['a'] = {}\n"
        "print('waits', flush=True)\n"
        "jobs.wait('a')\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(MODULE), PYTHONDONTWRITEBYTECODE="1")
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=private, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "waits\n"
        child.send_signal(SIGINT)
        assert "KeyboardInterrupt" in child.communicate(timeout=seconds(10))[1]


# ----------------------------------------------------------------- threads and forks


def test_threads_share_a_store(jobs):
    faults = []

    def work(n):
        try:
            for k in range(20):
                job_id = f"{n}-{k}"
                jobs[job_id] = {"status": "running", "n": n}
                jobs.update(job_id, progress=50)
                jobs.update(job_id, status="completed", result=n)
                assert jobs[job_id]["result"] == n
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and len(jobs) == 320 and len(jobs.list(status="completed")) == 320
    verify(jobs)


def test_close_waits_for_the_calls_of_other_threads(private):
    store = jobtab.JobStore(private / "table")
    store["a"] = {}
    ended = []

    def wait():
        try:
            store.wait("a")
        except jobtab.Error as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: store._table.calls, what="the thread waits")
    store.close()
    thread.join()
    assert ended and "closed" in ended[0]


def test_a_forked_child_opens_by_itself_and_leaves_the_parent_sound(jobs):
    jobs["a"] = {"status": "running"}

    def child():
        assert jobs["a"]["status"] == "running"
        jobs["b"] = {"status": "completed", "result": os.getpid()}
        assert len(jobs.list()) == 2

    for _ in range(3):
        assert in_child(child) == 0
        assert jobs.update("a", progress=5)["progress"] == 5
        assert jobs.pop("b")["result"] != os.getpid()


def test_a_child_does_not_speak_for_its_parents_jobs(jobs):
    jobs["a"] = {"status": "running"}

    def child():
        for fields in ({"progress": 5}, {"status": "completed"}, {"status": "running"}, {"status": "pending"}):
            with pytest.raises(jobtab.Stale):
                jobs.update("a", **fields)

    assert in_child(child) == 0
    assert jobs.update("a", progress=7)["progress"] == 7


def test_children_of_children_and_many_at_once(jobs):
    def grandchild():
        jobs[str(os.getpid())] = {}

    def child():
        grandchild()
        assert in_child(grandchild) == 0

    pids = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            os._exit(in_child(child))
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 8
    assert len(jobs) == 16
    verify(jobs)


def test_a_fork_while_threads_are_in_the_library(jobs):
    stop = threading.Event()

    def work(name):
        while not stop.is_set():
            jobs[name] = {"status": "completed"}
            jobs[name]

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    codes = [in_child(lambda: jobs.setdefault("c", {})) for _ in range(20)]
    stop.set()
    for thread in threads:
        thread.join()
    assert codes == [0] * 20
    verify(jobs)


def test_a_fork_that_python_does_not_see(jobs):
    """As of a C extension: no hook runs, and the process id tells."""
    jobs["a"] = {"status": "running"}
    hook, jobtab._tables = jobtab._tables, {}  # what the hook goes through

    def child():
        assert jobs["a"]["status"] == "running"
        with pytest.raises(jobtab.Stale):
            jobs.update("a", progress=5)

    try:
        assert in_child(child) == 0
    finally:
        jobtab._tables = hook
    assert jobs.update("a", progress=6)["progress"] == 6


# --------------------------------------------------------------------- lost processes


def test_a_job_whose_process_died_goes_back_and_fails_at_last(jobs):
    jobs["a"] = {}
    for crashes in (1, 2, 3):
        def child():
            jobs.update("a", status="running")
            os.kill(os.getpid(), SIGKILL)

        assert in_child(child) == -SIGKILL
        row = wait_until(lambda: jobs["a"]["status"] != "running" and jobs["a"], what="the sweep")
        assert (row["status"], row["reason"]) == ("failed" if crashes == 3 else "pending", "owner_lost")


def test_resume_runs_what_was_left_behind(jobs, caplog):
    done = []

    def work(job_id):
        row = jobs.update(job_id, status="running", progress=30)
        done.append(job_id)
        if row["how"] == "raises":
            raise ValueError("no")
        if row["how"] == "ends":
            jobs.update(job_id, status="completed", result="ended")
        return "returned"

    def child():
        for how in ("raises", "ends", "returns"):
            jobs[how] = {"status": "running", "how": how}
        jobs["begun by nobody"] = {"how": "returns"}
        os.kill(os.getpid(), SIGKILL)

    jobs["somebody's"] = {"status": "running", "how": "ends"}
    with caplog.at_level(logging.CRITICAL):
        assert in_child(child) == -SIGKILL
        jobs.resume(work, patience=0.2)
        assert jobs.wait("raises", 10)["error"] == "no"
        assert jobs.wait("ends", 10)["result"] == "ended"
        assert jobs.wait("returns", 10)["result"] == "returned"
        assert jobs.wait("begun by nobody", 10)["result"] == "returned"
    assert sorted(done) == sorted(["raises", "ends", "returns", "begun by nobody"])
    assert jobs["somebody's"]["progress"] == 0


def test_resume_leaves_a_new_job_to_who_made_it(jobs):
    taken, looks, look = [], [], jobs._left_over
    jobs._left_over = lambda *arguments: looks.append(1) or look(*arguments)
    jobs["new"] = {}
    jobs.resume(taken.append, patience=30)
    wait_until(lambda: len(looks) > 2, what="it has looked more than once")
    assert taken == [] and jobs.update("new", status="running")["status"] == "running"


def test_a_job_that_resume_works_on_is_not_begun_by_another_thread_of_the_process(jobs):
    begun, go_on = threading.Event(), threading.Event()

    def work(job_id):
        jobs.update(job_id, status="running", progress=30)
        begun.set()
        go_on.wait(seconds(20))
        jobs.update(job_id, status="running", progress=60)

    jobs["a"] = {}
    jobs.resume(work, patience=0)
    assert begun.wait(seconds(20))
    try:
        for fields in ({}, {"progress": 1}):
            with pytest.raises(jobtab.Refused, match="a claim or resume of this process"):
                jobs.update("a", status="running", **fields)
        assert jobs["a"]["progress"] == 30
    finally:
        go_on.set()
    assert jobs.wait("a", 20)["status"] == "completed"
    jobs["b"] = {}
    with jobs.claim(timeout=0) as job:
        jobs.update("b", status="running", progress=5)
        raises = []
        thread = threading.Thread(target=lambda: raises.append(pytest.raises(
            jobtab.Refused, jobs.update, "b", status="running")))  # fmt: skip
        thread.start()
        thread.join()
        assert raises and job.job_id == "b"
    assert not jobs._table.runs


def test_resume_runs_a_coroutine_function(jobs):
    async def work(job_id):
        await jobs.aio.update(job_id, status="running", progress=50)
        return "async"

    jobs["a"] = {}
    jobs.resume(work, patience=0)
    assert jobs.wait("a", 10)["result"] == "async"


def test_finished_jobs_expire(private):
    with jobtab.JobStore(private / "table", retention=0.2, sweep=0.05) as jobs:
        jobs["a"] = {"status": "completed"}
        jobs["b"] = {}
        wait_until(lambda: "a" not in jobs, what="it has expired")
        assert "b" in jobs


def test_without_a_sweep_nothing_is_swept(private):
    with jobtab.JobStore(private / "table", sweep=None) as jobs:
        assert in_child(lambda: jobs.create("a", {"status": "running"})) == 0
        assert jobs["a"]["status"] == "running" and not jobs._table.threads


def test_after_a_commit_with_unknown_outcome_the_table_is_opened_anew(jobs):
    jobs["a"] = {}
    jobs._table.broken = True  # as after JOBTAB_BROKEN
    before = jobs._table.handle.value
    assert "a" in jobs and not jobs._table.broken
    jobs["b"] = {}
    assert len(jobs) == 2 and before
