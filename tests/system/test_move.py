"""Moving in and out: export and import, between tables, a Redis and SQLite files."""

import datetime
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from conftest import BUILD, count, free_port, seconds, sh, wait_until

BATCH = 500  # jobs that import puts into one transaction
V4 = "7b0f2a52-9c0e-4c1e-8c53-0c1a9d1f6a11"


def jobtab(table, *arguments, code=0, stdin="", environment=None, timeout=60):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JOBTAB_")}
    done = subprocess.run(
        [BUILD / "jobtab", "-d", str(table), *map(str, arguments)],
        capture_output=True,
        input=stdin if isinstance(stdin, bytes) else stdin.encode(),
        timeout=seconds(timeout),
        env={**clean, **(environment or {})},
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, done
    return done


def export(table, *arguments, code=0):
    lines = jobtab(table, "export", *arguments, code=code).stdout.splitlines()
    return {job["job_id"]: job for job in map(json.loads, lines)}


def import_(table, *arguments, code=0, stdin="", **more):
    """The report, and the complaints on standard error."""
    if isinstance(stdin, list):
        stdin = "".join(json.dumps(line) + "\n" for line in stdin)
    done = jobtab(table, "import", "-o", "json", *arguments, code=code, stdin=stdin, **more)
    return json.loads(done.stdout), done.stderr.splitlines()


def counts(report):
    return report["imported"], report["already_there"], report["skipped"]


def sound(table):
    assert "no faults" in jobtab(table, "verify").stdout


def stat(table):
    return json.loads(jobtab(table, "stat", "-o", "json").stdout)


def only(table):
    """The one job of a table."""
    (job,) = export(table).values()
    return job


def without(job, *names):
    return {name: value for name, value in job.items() if name not in names}


def needs(private, option, package):
    """A build that lacks a library names the package that has it, and the test is skipped."""
    said = jobtab(private / "probe", "import", option, "nothing", code=3).stderr
    shutil.rmtree(private / "probe")
    if "built without" in said:
        assert package in said
        pytest.skip(f"this jobtab was built without it: apt-get install {package}")


@pytest.fixture
def sqlite(private):
    needs(private, "--sqlite", "libsqlite3-dev")


# ------------------------------------------------------------------------ a Redis


class Redis:
    """A server of its own in a private directory, and as much of a client as it takes."""

    def __init__(self, directory, *options):
        self.dir = directory
        self.socket = directory / "redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "",
             "--appendonly", "no", "--dir", str(directory), *map(str, options)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.connection = None
        wait_until(self.connect, what="redis-server listens")

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.socket))
        except OSError:
            connection.close()
            return False
        self.connection = connection.makefile("rwb")
        connection.close()
        return True

    def send(self, *words):
        raw = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in raw)
        self.connection.write(b"*%d\r\n%s" % (len(raw), parts))

    def do(self, *commands):
        """Each must be well; their answers are one line each."""
        for command in commands:
            self.send(*command)
        self.connection.flush()
        for command in commands:
            answer = self.connection.readline()
            assert answer[:1] in b"+:", (command, answer)

    def stop(self):
        if self.connection:
            self.connection.close()
        self.process.terminate()
        self.process.wait(seconds(10))


@pytest.fixture
def redis(private):
    needs(private, "--redis", "libhiredis-dev")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is missing: apt-get install redis-server")
    servers = []

    def start(*options):
        servers.append(Redis(private, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


# ------------------------------------------------------------------- there and back


@pytest.fixture
def lived_in(daemon, private):
    """A table with a job in every state, results of all sorts, logs, keys, priorities."""
    d = daemon(
        kinds={
            "json": sh("echo '{\"a\": [1, \"\\u00e9\"]}'; echo line one >&2; echo two >&2"),
            "text": sh("printf 'zwei\\nZeilen \\303\\251'"),
            "bytes": sh("printf '\\377\\000x'; printf 'log \\377' >&2"),
            "large": sh("head -c 30000 /dev/zero | tr '\\0' x; seq 5000 >&2"),
            "fail": sh("echo broken >&2; exit 3"),
            "again": sh("exit 75", max_attempts=5, backoff="1h"),
            "hold": sh("echo at work >&2; exec sleep 1000", concurrency=4, timeout="1h"),
            "deaf": sh("trap '' TERM; sleep 1000", kill_after="1h"),
        }
    )
    for kind in ("json", "text", "bytes", "large", "fail"):
        job = d.submit(kind, {"n": 1, "text": "ü \"quoted\""}, idempotency_key=f"key {kind}")
        d.wait_job(job["job_id"])
    again, hold, deaf = (d.submit(kind) for kind in ("again", "hold", "deaf"))
    d.wait_job(again["job_id"], "scheduled")
    d.wait_job(hold["job_id"], "running")
    d.wait_job(deaf["job_id"], "running")
    d.http.post(f"/status/{deaf['job_id']}/cancel")
    d.wait_job(deaf["job_id"], "cancelling")
    d.submit("hold", {"big": "x" * 3000}, delay="2h", priority=-7)
    gone = d.submit("hold", delay="1h")
    d.http.post(f"/status/{gone['job_id']}/cancel")
    d.kill_tree()
    jobtab(d.table, "submit", "nobody", "-p", "[1, 2]", "--priority", "9", "--key", "ü")
    return d.table


def as_restored(job):
    """What a job is in another table: all the same, but for its version and its owner."""
    job = without(job, "version")
    if job["status"] == "running":
        job.update(status="pending", progress=0, message=None, started_at=None, reason=None)
        job["attempt"] -= 1
    elif job["status"] == "cancelling":
        job.update(status="cancelled", reason="cancelled", done=True)
        for name in ("finished_at", "expires_at"):
            del job[name]
    return job


def assert_same_jobs(before, after):
    assert list(after) == list(before)  # the same order, too
    for job_id, job in before.items():
        want = as_restored(job)
        got = {name: value for name, value in after[job_id].items() if name in want}
        assert got == want
        assert after[job_id]["version"] > 0


def test_a_table_moved_through_lines_and_sqlite_has_the_same_jobs(lived_in, private, sqlite):
    before = export(lived_in, "--logs")
    assert {job["status"] for job in before.values()} == {
        "scheduled", "pending", "running", "cancelling", "completed", "failed", "cancelled",
    }  # fmt: skip
    assert {job.get("result_format") for job in before.values()} == {"json", "text", "bytes", None}
    assert sum("log" in job or "log_base64" in job for job in before.values()) >= 5
    lines = jobtab(lived_in, "export", "--logs").stdout
    report, errors = import_(private / "lines", stdin=lines)
    assert counts(report) == (len(before), 0, 0) and not errors
    assert report["pending_again"] == 2
    assert_same_jobs(before, export(private / "lines", "--logs"))
    sound(private / "lines")

    jobtab(lived_in, "export", "--logs", "--sqlite", private / "jobs.db")
    report, errors = import_(private / "rows", "--sqlite", private / "jobs.db")
    assert counts(report) == (len(before), 0, 0) and not errors
    assert_same_jobs(before, export(private / "rows", "--logs"))
    sound(private / "rows")

    # what is settled once stays as it is
    settled = jobtab(private / "lines", "export", "--logs").stdout
    import_(private / "third", stdin=settled)
    assert [without(json.loads(line), "version") for line in settled.splitlines()] == [
        without(job, "version") for job in export(private / "third", "--logs").values()
    ]


def test_a_moved_table_is_worked_on_and_its_keys_hold(lived_in, daemon):
    lines = jobtab(lived_in, "export").stdout
    (old,) = [j for j in map(json.loads, lines.splitlines()) if j["kind"] == "json"]
    d = daemon(
        start=False, kinds={"hold": sh("cat"), "json": sh("cat")}, table={"retention": "48h"}
    )
    import_(d.table, stdin=lines)
    d.start()
    again = d.http.post("/run", {"kind": "json", "params": {}, "idempotency_key": "key json"})
    assert (again.status, again.json()["job_id"]) == (200, old["job_id"])
    held = [j for j in d.http.get("/jobs?kind=hold&limit=100").json()["jobs"]
            if j["status"] not in ("scheduled", "cancelled")]  # fmt: skip
    assert [d.wait_job(job["job_id"])["status"] for job in held] == ["completed"]
    new = d.submit("json")
    assert new["job_id"] > max(json.loads(line)["job_id"] for line in lines.splitlines())
    assert d.stop() == 0


def test_control_a_job_that_differs_in_anything_is_noticed(lived_in):
    before = export(lived_in, "--logs")
    settled = {job_id: as_restored(job) | {"version": 1} for job_id, job in before.items()}
    assert_same_jobs(before, settled)
    changes = 0
    for job_id, job in settled.items():
        for name in without(job, "version", "done"):
            for wrong in ({**job, name: "other"}, without(job, name)):
                with pytest.raises(AssertionError):
                    assert_same_jobs(before, {**settled, job_id: wrong})
                changes += 1
    with pytest.raises(AssertionError):
        assert_same_jobs(before, dict(list(settled.items())[1:]))
    with pytest.raises(AssertionError):
        assert_same_jobs(before, dict(reversed(settled.items())))
    assert changes > 400


# ------------------------------------------------------------------------------ lines


def test_lines_written_by_hand_need_little(private):
    table = private / "table"
    report, errors = import_(
        table,
        "-k", "default",
        stdin=[
            {"kind": "a", "key": "one"},
            {"id": V4, "state": "done", "result": {"x": 1}},
            {"id": "42", "status": "In-Progress", "percent": "55", "msg": "half", "colour": "red"},
            {"id": 43, "status": "error", "error": "é" * 200, "finished": "2026-11-23 06:11:02"},
            {"id": "44", "params": {}, "colour": "blue", "created": 1763876400.5},
            {"id": "45", "params": {"a": 1}, "tags": ["x", None], "none": None},
            {},
        ],
    )  # fmt: skip
    assert counts(report) == (7, 0, 0) and not errors
    assert (report["pending_again"], report["cut"], report["nameless"]) == (1, 1, 1)
    jobs = {job.get("idempotency_key"): job for job in export(table).values()}
    assert (jobs["one"]["kind"], jobs["one"]["status"]) == ("a", "pending")
    assert (jobs[V4]["status"], jobs[V4]["progress"]) == ("completed", 100)
    assert jobs[V4]["result"] == {"x": 1}
    assert (jobs["42"]["status"], jobs["42"]["progress"]) == ("pending", 0)
    assert jobs["42"]["params"] == {"colour": "red"}
    assert jobs["43"]["error"] == "é" * 127
    assert jobs["43"]["finished_at"] == "2026-11-23T06:11:02.000Z"
    assert jobs["44"]["params"] == {"colour": "blue"}
    assert jobs["44"]["created_at"] == "2025-11-23T05:40:00.500Z"
    assert jobs["45"]["params"] == {"a": 1, "tags": ["x", None]}
    sound(table)


def test_a_bad_line_is_named_with_its_reason_and_the_others_go_in(private):
    table = private / "table"
    lines = [
        '{"id": "good 1", "kind": "k"}',
        "",
        '{"id": "x", "kind": "k"',
        "[1]",
        '{"id": "x", "kind": "k", "status": "odd"}',
        '{"id": "x"}',
        '{"id": "x", "kind": "no such name!"}',
        '{"id": "x", "kind": "k", "progress": 101}',
        '{"id": "x", "kind": "k", "created_at": "yesterday"}',
        '{"id": "x", "kind": "k", "status": "pending", "result": 1}',
        '{"id": "x", "kind": "k", "params": [1], "more": 2}',
        '{"id": "x", "key": "y", "kind": "k"}',
        '{"id": "%s", "kind": "k"}' % ("x" * 129),
        '{"id": "a\\u0000b", "kind": "k"}',
        '{"id": "x", "kind": "k", "log_base64": "*"}',
        '{"id": "x", "kind": "k", "params": {"a": "%s"}}' % ("x" * 70000),
        '{"id": "f0000000-0000-7000-8000-000000000000", "kind": "k"}',
        '{"id": "good 2", "kind": "k"}',
    ]
    reasons = {3: "not JSON", 4: "no object", 5: "status", 6: "kind", 7: "kind", 8: "progress",
               9: "created_at", 10: "result", 11: "params", 12: "id", 13: "id", 14: "id",
               15: "log_base64", 16: "params", 17: "job id"}  # fmt: skip
    report, errors = import_(table, stdin="\n".join(lines), code=1)
    assert counts(report) == (2, 0, len(reasons)) and report["complete"]
    named = {int(e.split(":")[1].split()[1]): e.split(": ", 2)[2] for e in errors}
    assert named.keys() == reasons.keys()
    for number, word in reasons.items():
        assert word in named[number], named[number]
    keys = [job["idempotency_key"] for job in export(table).values()]
    assert sorted(keys) == ["good 1", "good 2"]
    sound(table)


def test_import_twice_imports_nothing_twice(private):
    lines = [{"id": f"job {i}", "kind": "k", "status": "done"} for i in range(1200)]
    for expected in ((1200, 0, 0), (0, 1200, 0)):
        report, _ = import_(private / "table", stdin=lines)
        assert counts(report) == expected
    report, _ = import_(private / "table", stdin=lines + [{"id": "more", "kind": "k"}])
    assert counts(report) == (1, 1200, 0)


def test_a_dry_run_reports_the_same_and_writes_nothing(private):
    table = private / "table"
    import_(table, stdin=[{"id": "there", "kind": "k"}])
    lines = [{"id": i, "kind": "k", "status": ("active", "done", "odd")[i % 3]} for i in range(900)]
    lines += [{"id": "there", "kind": "k"}, {"id": 1, "kind": "k"}, {"kind": "k"}]
    before = stat(table)["version"], (table / "data.mdb").read_bytes()
    dry = import_(table, "--dry-run", code=1, stdin=lines)
    assert (stat(table)["version"], (table / "data.mdb").read_bytes()) == before
    real = import_(table, code=1, stdin=lines)
    assert (stat(table)["version"], (table / "data.mdb").read_bytes()) != before  # it would show
    assert counts(dry[0]) == (601, 2, 300)
    assert (without(dry[0], "dry_run"), dry[1]) == (without(real[0], "dry_run"), real[1])
    jobtab(private / "none", "import", "--dry-run", code=3)
    assert not (private / "none").exists()


def test_a_full_table_ends_the_import_and_says_so(private, daemon):
    d = daemon(table={"max_jobs": 700})
    d.stop()
    lines = [{"id": i, "kind": "k", "status": "done"} for i in range(1300)]
    for arguments in (["--dry-run"], []):
        report, errors = import_(d.table, *arguments, code=1, stdin=lines)
        assert counts(report) == (700, 0, 0) and not report["complete"]
        assert len(errors) == 1 and "line 701" in errors[0] and "max_jobs" in errors[0]
    sound(d.table)


def test_map_gives_fields_and_values_other_names(private):
    report, _ = import_(
        private / "table",
        "-k", "import",
        "--map", "id=ref,status=phase,message=stage",
        "--map", "status:parked=pending,kind:A=report",
        stdin=[{"ref": 7, "phase": "PARKED", "stage": "s", "id": 1, "type": "a", "status": "?"}],
    )  # fmt: skip
    assert counts(report) == (1, 0, 0)
    job = only(private / "table")
    assert (job["idempotency_key"], job["kind"], job["message"]) == ("7", "report", "s")
    assert (job["status"], job["params"]) == ("pending", {"id": 1, "status": "?"})
    for bad in ("colour=red", "id", "id=", "status:=x", "status:a="):
        assert "--map" in jobtab(private / "t", "import", "--map", bad, code=2).stderr
    assert not (private / "t").exists()


# ------------------------------------------------------------------------------ Redis


def pattern_job(i, status):
    """As applications keep it under job:ID."""
    return json.dumps(
        {"status": status, "progress": i % 100, "message": f"step {i}", "result": None,
         "created_at": "2026-11-23T06:11:02.123456+00:00", "error": None, "file": f"{i}.csv"}
    )  # fmt: skip


def test_a_redis_moves_in_with_its_time_to_live(redis, private):
    server, table = redis(), private / "table"
    server.do(
        ("SET", "job:1", pattern_job(1, "processing")),
        ("SET", "job:2", pattern_job(2, "completed"), "PX", 3_600_000),
        ("SET", f"job:{V4}", json.dumps({"status": "failed", "error": "boom"})),
        ("HSET", "job:h", "state", "queued", "n", "7", "kind", "report", "params", '{"a": 1}'),
        ("SET", "other:1", "{}"),
    )
    for expected in ((4, 0, 0), (0, 4, 0)):
        report, errors = import_(table, "-k", "validate", "--redis", f"unix:{server.socket}")
        assert counts(report) == expected and not errors
    jobs = {job["idempotency_key"]: job for job in export(table).values()}
    assert (jobs["1"]["status"], jobs["1"]["message"]) == ("pending", None)
    assert jobs["1"]["params"] == {"file": "1.csv"}
    assert jobs["1"]["created_at"] == "2026-11-23T06:11:02.123Z"
    assert (jobs["2"]["status"], jobs["2"]["message"]) == ("completed", "step 2")
    assert (jobs[V4]["status"], jobs[V4]["error"]) == ("failed", "boom")
    assert (jobs["h"]["kind"], jobs["h"]["params"]) == ("report", {"a": 1, "n": "7"})
    seen = json.loads(jobtab(table, "status", jobs["2"]["job_id"], "-o", "json").stdout)
    expires = datetime.datetime.strptime(seen["expires_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert 3000 < expires.timestamp() - time.time() <= 3600
    sound(table)


def test_bad_values_of_a_redis_are_named_by_their_key(redis, private):
    server = redis()
    server.do(
        ("SET", "job:good", pattern_job(1, "done")),
        ("SET", "job:text", "processing"),
        ("SET", "job:state", '{"status": "odd"}'),
        ("RPUSH", "job:list", "x"),
        ("HSET", "job:bytes", "status", "done", "blob", b"\xff\xfe"),
        ("SET", b"job:\x00x", "{}"),
    )
    report, errors = import_(private / "t", "-k", "k", "--redis", f"unix:{server.socket}", code=1)
    assert counts(report) == (1, 0, 5)
    for key, reason in (("text", "not JSON"), ("state", "odd"), ("list", "list"),
                        ("bytes", "blob"), ("", "NUL")):  # fmt: skip
        assert any(f"job:{key}: " in e and reason in e for e in errors), (key, errors)
    sound(private / "t")


def test_a_redis_is_reached_by_tcp_with_password_and_database(redis, private):
    port = free_port()
    server = redis("--port", port, "--bind", "127.0.0.1")
    server.do(("SELECT", 3), ("SET", "task-9", pattern_job(9, "queued")),
              ("CONFIG", "SET", "requirepass", "s3:cret"))  # fmt: skip
    where = ("-k", "k", "--pattern", "task-*", "--redis")
    for url, environment in (
        (f"redis://:s3%3Acret@127.0.0.1:{port}/3", {}),
        (f"redis://127.0.0.1:{port}/3", {"REDISCLI_AUTH": "s3:cret"}),
        (f"redis://default:s3%3Acret@127.0.0.1:{port}/3", {}),
    ):
        shutil.rmtree(private / "t", ignore_errors=True)
        report, _ = import_(private / "t", *where, url, environment=environment)
        assert counts(report) == (1, 0, 0)
        assert only(private / "t")["idempotency_key"] == "9"
    for url, word in ((f"redis://127.0.0.1:{port}/3", "NOAUTH"), ("http://x", "no URL"),
                      (f"redis://127.0.0.1:{free_port()}", "refused"),
                      (f"unix:{private}/none", "No such file")):  # fmt: skip
        done = jobtab(private / "t", "import", *where, url, code=3)
        assert word in done.stderr


# ----------------------------------------------------------------------------- SQLite


def test_any_sqlite_table_moves_in_by_a_map(sqlite, private):
    db = sqlite3.connect(private / "old.db")
    db.execute("CREATE TABLE 'odd \"name' (job_id INTEGER, state TEXT, cents REAL, note TEXT, "
               "data BLOB, answer TEXT, made INTEGER)")  # fmt: skip
    rows = [
        (1, "queued", 1.5, "07", None, None, 1763876400),
        (2, "success", 2, "true", None, '{"ok": true}', 1763876400123),
        (3, "success", None, None, None, "plain text", None),
        (4, "error", None, None, b"\xff", None, None),
        (5, "weird", None, None, None, None, None),
    ]
    db.executemany("INSERT INTO 'odd \"name' VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    db.commit()
    db.close()
    arguments = ("--sqlite", private / "old.db", "--sqlite-table", 'odd "name', "-k", "sums",
                 "--map", "id=job_id,result=answer,created_at=made")  # fmt: skip
    report, errors = import_(private / "t", *arguments, code=1)
    assert counts(report) == (3, 0, 2)
    assert "row 4 (job_id 4): data" in errors[0] and "row 5 (job_id 5): status" in errors[1]
    jobs = {job["idempotency_key"]: job for job in export(private / "t").values()}
    assert jobs["1"]["params"] == {"cents": 1.5, "note": "07"}
    assert jobs["1"]["created_at"] == "2025-11-23T05:40:00.000Z"
    assert jobs["2"]["params"] == {"cents": 2.0, "note": "true"}
    assert (jobs["2"]["result"], jobs["2"]["result_format"]) == ({"ok": True}, "json")
    assert (jobs["3"]["result"], jobs["3"]["result_format"]) == ("plain text", "text")
    assert counts(import_(private / "t", *arguments, code=1)[0]) == (0, 3, 2)
    for wrong in (["--sqlite", private / "none.db"],
                  ["--sqlite", private / "old.db", "--sqlite-table", "none"]):  # fmt: skip
        assert jobtab(private / "t", "import", *wrong, code=3).stderr
    sound(private / "t")


def test_an_exported_sqlite_file_answers_questions(sqlite, private):
    lines = [
        {"id": i, "kind": "k", "status": "done", "created_at": 1763876400000,
         "started_at": 1763876400000 + 1000 * i, "finished_at": 1763876400250 + 2000 * i,
         "result": {"n": i}}
        for i in range(1, 101)
    ]  # fmt: skip
    lines.append({"id": "late", "kind": "k", "run_at": 4102444800, "status": "delayed"})
    import_(private / "t", stdin=lines)
    (private / "out.db").write_text("old")
    jobtab(private / "t", "export", "--sqlite", private / "out.db")
    db = sqlite3.connect(private / "out.db")

    def ask(query):
        return db.execute(query).fetchall()

    assert ask("PRAGMA integrity_check") == [("ok",)]
    assert ask("SELECT * FROM waiting") == [("k", 100, 50.5, 95.0, 100.0)]
    assert ask("SELECT * FROM runs") == [("k", "completed", 100, 50.75, 95.25, 100.25)]
    assert ask("SELECT count(*) FROM jobs WHERE date(created_at) = '2025-11-23'") == [(100,)]
    assert ask("SELECT sum(result ->> 'n') FROM jobs") == [(5050,)]
    assert ask("SELECT status, run_at FROM jobs WHERE idempotency_key = 'late'") == [
        ("scheduled", "2100-01-01T00:00:00.000Z")
    ]
    types = "typeof(id), typeof(progress), typeof(created_at), typeof(params), typeof(log)"
    assert ask(f"SELECT DISTINCT {types} FROM jobs") == [
        ("text", "integer", "text", "text", "null")
    ]
    plan = ask("EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE status = 'failed' AND kind = 'k'")
    assert "jobs_by_status" in str(plan)
    db.close()
    assert sorted(p.name for p in private.iterdir()) == ["out.db", "t"]


def test_an_export_that_fails_or_is_ended_leaves_the_old_file(sqlite, private):
    table, out = private / "t", private / "out"
    import_(table, stdin=[{"id": i, "kind": "k", "params": {"x": "y" * 2000}}
                          for i in range(count(4000, 20000))])  # fmt: skip
    out.mkdir()
    ended = 0
    for delay in range(count(6, 100)):  # from the instant at which its own file appears
        (out / "jobs.db").write_text("old")
        process = subprocess.Popen(
            [BUILD / "jobtab", "-d", table, "export", "--sqlite", out / "jobs.db"]
        )
        wait_until(lambda: len(list(out.iterdir())) > 1 or process.poll() is not None, every=0)
        time.sleep(delay % 10 / 1000)
        process.send_signal(signal.SIGTERM)
        code = process.wait(seconds(30))
        assert [p.name for p in out.iterdir()] == ["jobs.db"]
        if code == -signal.SIGTERM:
            assert (out / "jobs.db").read_text() == "old"
            ended += 1
    assert ended > 0
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "sh", BUILD / "jobtab", "-d", table,
         "export", "--sqlite", out / "other.db"], capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode in (1, 3) and done.stderr, done
    assert [p.name for p in out.iterdir()] == ["jobs.db"]
    done = jobtab(table, "export", "--sqlite", private / "none" / "jobs.db", code=1)
    assert "No such file" in done.stderr


# ------------------------------------------------------------------- damage and crashes


# In its record: the params' size, under number 20; a letter of its key, behind a field's number.
DAMAGE = {
    "params": (b"\x14" + (5002).to_bytes(2, "little"), b"\x14\xff\xff"),
    "record": (b"\x02\x07\x00\x00\x00unique\x00", b"\x02\xff\x00\x00\x00unique\x00"),
}


@pytest.mark.parametrize("where", DAMAGE)
def test_export_names_a_job_that_it_cannot_read_and_goes_on(private, sqlite, where):
    table = private / "t"
    lines = [{"id": i, "kind": "k", "params": "x" * 600} for i in range(20)]
    lines[7] = {"key": "unique", "kind": "k", "params": "x" * 5000}
    import_(table, stdin=lines)
    bad = [j["job_id"] for j in export(table).values() if j["idempotency_key"] == "unique"][0]
    data = (table / "data.mdb").read_bytes()
    assert DAMAGE[where][0] in data
    (table / "data.mdb").write_bytes(data.replace(*DAMAGE[where]))
    done = jobtab(table, "export", code=1)
    assert bad in done.stderr and bad not in done.stdout
    assert len(done.stdout.splitlines()) == 19
    done = jobtab(table, "export", "--sqlite", private / "out.db", code=1)
    assert bad in done.stderr
    db = sqlite3.connect(private / "out.db")
    assert db.execute("SELECT count(*), max(id = ?) FROM jobs", (bad,)).fetchall() == [(19, 0)]
    db.close()


def test_a_killed_import_leaves_whole_batches_and_a_second_one_completes_it(private, seed):
    rng = random.Random(seed)
    total = 6 * BATCH + BATCH // 2
    lines = "".join(json.dumps({"id": i, "kind": "k"}) + "\n" for i in range(total))
    table = private / "held"
    # held up before its end: six batches are in, half a batch is not
    process = subprocess.Popen([BUILD / "jobtab", "-d", table, "import"], stdin=subprocess.PIPE)
    process.stdin.write(lines.encode())
    process.stdin.flush()
    wait_until(lambda: (table / "data.mdb").exists())
    wait_until(lambda: stat(table)["jobs"] == 6 * BATCH)
    process.kill()
    process.wait()
    process.stdin.close()
    assert stat(table)["jobs"] == 6 * BATCH
    sound(table)
    assert counts(import_(table, stdin=lines)[0]) == (BATCH // 2, 6 * BATCH, 0)
    # wherever it happens to be
    for round_ in range(count(4, 60)):
        table = private / f"t{round_}"
        (private / "lines").write_text(lines)
        process = subprocess.Popen(
            [BUILD / "jobtab", "-d", table, "import", private / "lines"], stdout=subprocess.DEVNULL
        )
        time.sleep(rng.random() * 0.08)  # no condition: any instant will do
        process.kill()
        process.wait()
        report, errors = import_(table, private / "lines")
        assert report["imported"] + report["already_there"] == total and not errors
        assert report["already_there"] % BATCH in (0, total % BATCH)
        assert stat(table)["jobs"] == total
        sound(table)


def test_a_large_import_keeps_its_pace(private):
    n = int(100_000 / seconds(1))
    with open(private / "lines", "w") as file:
        for i in range(n):
            job = {"id": f"job-{i}", "kind": "validate", "status": ("done", "failed", "queued")[i % 3],
                   "created_at": 1763876400000 + i, "message": "Collecting prices...",
                   "params": {"n": i}}  # fmt: skip
            file.write(json.dumps(job) + "\n")
    begun = time.monotonic()
    report, _ = import_(private / "t", private / "lines")
    took = time.monotonic() - begun
    print(f"{n} jobs in {took:.2f} s: {n / took:.0f} a second")
    assert counts(report) == (n, 0, 0)
    assert n / took > 2000 / seconds(1)
    sound(private / "t")


# ---------------------------------------------------------------------------- the options


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "x", "--redis", "unix:/x"],
        ["import", "--sqlite", "x", "--redis", "unix:/x"],
        ["import", "--pattern", "x"],
        ["import", "--sqlite-table", "x"],
        ["import", "-k", "x" * 33],
        ["import", "a", "b"],
        ["export", "--dry-run"],
        ["export", "--redis", "unix:/x"],
        ["list", "--sqlite", "x"],
    ],
)
def test_options_that_contradict_are_usage_errors(private, arguments):
    import_(private / "t", stdin=[{"kind": "k"}])
    assert jobtab(private / "t", *arguments, code=2).stderr
    assert stat(private / "t")["jobs"] == 1


def test_import_and_export_are_of_a_table_not_of_a_url():
    for command in ("import", "export"):
        done = subprocess.run(
            [BUILD / "jobtab", "-u", "http://127.0.0.1:1", command], capture_output=True, text=True
        )
        assert done.returncode == 2 and "not over a URL" in done.stderr
