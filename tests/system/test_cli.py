"""The command line on a table of its own: no daemon runs."""

import ctypes
import json
import os
import re
import subprocess

import pytest

from conftest import BUILD, TOP, seconds

UNKNOWN = "01935b7e-0000-7000-8000-000000000000"
READERS = ["status", "watch", "list", "result", "log", "cancel", "retry", "rm", "stat", "verify",
           "export", "backup"]  # fmt: skip


class Cli:
    def __init__(self, table):
        self.table = table

    def __call__(self, *arguments, code=0, stdin=None, table=True, **environment):
        where = ["-d", str(self.table)] if table else []
        clean = {k: v for k, v in os.environ.items() if not k.startswith("JOBTAB_")}
        done = subprocess.run(
            [BUILD / "jobtab", *where, *map(str, arguments)],
            capture_output=True,
            text=True,
            input=stdin if stdin is not None else "",
            timeout=seconds(30),
            cwd=self.table.parent,
            env={**clean, **environment},
        )
        assert done.returncode == code, done
        return done

    def submit(self, *arguments):
        return self("submit", *arguments).stdout.strip()

    def json(self, *arguments):
        return json.loads(self(*arguments, "-o", "json").stdout)

    def lines(self, *arguments):
        return [json.loads(line) for line in self(*arguments, "-o", "json").stdout.splitlines()]


@pytest.fixture
def cli(private):
    return Cli(private / "table")


# ------------------------------------------------------------------------ submit


def test_submit_prints_the_id_of_a_job_that_is_there(cli):
    job_id = cli.submit("echo")
    job = cli.json("status", job_id)
    assert job["job_id"] == job_id
    assert (job["kind"], job["status"], job["progress"]) == ("echo", "pending", 0)


def test_watch_ends_at_once_when_its_job_is_deleted(cli):
    job_id = cli.submit("echo")
    with subprocess.Popen(
        [BUILD / "jobtab", "-d", cli.table, "watch", job_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        try:
            assert watching.stdout.readline().startswith("pending")
            cli("rm", job_id)
            assert watching.wait(seconds(10)) == 1
            assert f"there is no job {job_id}" in watching.stderr.read()
        finally:
            watching.kill()


def test_submit_takes_params_inline_from_a_file_and_from_standard_input(cli, private):
    params = {"sources": ["a.csv"], "text": "ü", "real": 1.5}
    text = json.dumps(params)
    (private / "request.json").write_text(text)
    for arguments, stdin in (
        (["-p", text], None),
        (["-p", f"@{private}/request.json"], None),
        (["--params", "-"], text),
    ):
        job_id = cli("submit", "echo", *arguments, stdin=stdin).stdout.strip()
        assert cli.json("status", job_id)["params"] == params


@pytest.mark.parametrize("text", ["{", "", '{}, "kind": "x"', "@/does/not/exist", "{'a': 1}"])
def test_submit_refuses_params_that_are_no_json(cli, text):
    assert "params: " in cli("submit", "echo", "-p", text, code=2).stderr
    assert not cli.lines("list")


def test_submit_hands_on_priority_delay_key_and_attempts(cli):
    job = cli.json(
        "submit", "echo", "--priority", "-7", "--delay", "10m", "--key", "k", "--max-attempts", "5"
    )
    assert (job["priority"], job["status"], job["max_attempts"]) == (-7, "scheduled", 5)
    assert job["run_at"] > job["created_at"]


def test_same_key_is_the_same_job_and_another_request_under_it_is_refused(cli):
    first = cli.submit("echo", "--key", "k", "-p", "{}")
    assert cli.submit("echo", "--key", "k", "-p", "{}") == first
    cli("submit", "echo", "--key", "k", "-p", '{"a":1}', code=1)
    assert len(cli.lines("list")) == 1


def test_submit_on_a_table_needs_a_kind(cli):
    assert "KIND" in cli("submit", code=2).stderr


# -------------------------------------------------------------------------- look


def test_list_is_newest_first_filtered_and_bounded(cli):
    ids = [cli.submit(kind) for kind in ("a", "b", "a", "b")]
    cli("cancel", ids[0])
    assert [job["job_id"] for job in cli.lines("list")] == ids[::-1]
    assert [job["job_id"] for job in cli.lines("list", "-k", "a")] == [ids[2], ids[0]]
    assert [job["job_id"] for job in cli.lines("list", "-s", "cancelled")] == [ids[0]]
    assert len(cli.lines("list", "-s", "cancelled,pending")) == 4
    assert [job["job_id"] for job in cli.lines("list", "-n", "2")] == ids[:1:-1]


def test_list_shows_twenty_unless_told(cli):
    for _ in range(21):
        cli.submit("echo")
    assert len(cli.lines("list")) == 20
    assert len(cli.lines("list", "-n", "0")) == 21


def test_list_for_people_has_a_line_for_each_job_under_its_titles(cli):
    job_id = cli.submit("echo")
    title, row = cli("list").stdout.splitlines()
    assert title.split()[:3] == ["JOB", "KIND", "STATUS"]
    assert row.split()[:4] == [job_id, "echo", "pending", "0%"]


def test_status_of_several_jobs_goes_on_after_one_that_is_not_there(cli):
    job_id = cli.submit("echo")
    done = cli("status", UNKNOWN, job_id, code=1)
    assert job_id in done.stdout
    assert done.stderr.startswith("jobtab: ")


def test_result_of_a_job_that_has_none_is_refused_and_says_why(cli):
    assert "pending" in cli("result", cli.submit("echo"), code=1).stderr


def test_log_of_a_job_that_wrote_none_is_empty(cli):
    assert cli("log", cli.submit("echo")).stdout == ""


# ------------------------------------------------------------------------ change


def test_cancel_retry_and_rm_do_what_they_say(cli):
    job_id = cli.submit("echo")
    assert cli("cancel", job_id).stdout == f"{job_id} cancelled\n"
    cli("status", job_id, code=1)
    assert cli.json("retry", job_id)["status"] == "pending"
    cli("retry", job_id, code=1)
    cli("rm", job_id)
    cli("status", job_id, code=1)


def test_changes_take_many_ids_and_end_with_the_worst_code(cli):
    ids = [cli.submit("echo") for _ in range(3)]
    done = cli("cancel", ids[0], UNKNOWN, ids[1], code=1)
    assert done.stdout == f"{ids[0]} cancelled\n{ids[1]} cancelled\n"
    cli("rm", "nonsense", UNKNOWN, ids[2], code=2)
    assert len(cli.lines("list")) == 2


# ------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["list", "--frobnicate"],
        ["list", "-zn", "5"],
        ["submit", "echo", "--wait=5"],
        ["submit", "echo", "-s", "failed", "-w"],
        ["list", "-n"],
        ["list", "-n", "x"],
        ["list", "-n", "-1"],
        ["list", "-s", "sleeping"],
        ["list", "-s", "pending,"],
        ["list", "extra"],
        ["status"],
        ["status", "nonsense"],
        ["status", "-w", UNKNOWN],
        ["watch", UNKNOWN, UNKNOWN],
        ["submit", "echo", "--priority", "101"],
        ["submit", "echo", "--delay", "soon"],
        ["submit", "echo", "--key", ""],
        ["submit", "echo", "--key", "x" * 129],
        ["submit", "echo", "--max-attempts", "0"],
        ["-o", "yaml", "list"],
        ["-u", "ftp://localhost", "list"],
        ["-u", "http://localhost", "stat"],
        ["backup"],
        ["help", "frobnicate"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_said_on_one_line_and_exits_2(cli, arguments):
    cli.submit("echo")
    done = cli(*arguments, code=2, table="-u" not in arguments)
    assert done.stdout == ""
    assert re.fullmatch(r"jobtab: .+\n", done.stderr)


def test_options_may_stand_before_and_behind_the_command(cli):
    cli.submit("echo")
    before = cli("-o", "json", "-n", "1", "list").stdout
    assert json.loads(before)["kind"] == "echo"
    assert cli("list", "-n", "1", "-o", "json").stdout == before


def test_table_and_url_together_are_refused(cli):
    cli("-u", "http://127.0.0.1:1", "list", code=2)


@pytest.mark.parametrize("command", READERS)
def test_looking_at_a_table_that_is_not_there_makes_none(cli, command):
    arguments = {"backup": [cli.table.parent / "copy"]}
    if command in ("status", "watch", "result", "log", "cancel", "retry", "rm"):
        arguments[command] = [UNKNOWN]
    done = cli(command, *arguments.get(command, []), code=3)
    assert str(cli.table) in done.stderr and "-d" in done.stderr
    assert not cli.table.exists()


def test_daemon_that_is_not_there_exits_3_and_names_the_url(cli, port):
    url = f"http://127.0.0.1:{port}"
    assert url in cli("-u", url, "list", code=3, table=False).stderr
    missing = cli("-u", "unix:/does/not/exist", "list", code=3, table=False).stderr
    assert "/does/not/exist" in missing


def test_environment_names_the_table_and_options_go_before_it(cli, private):
    job_id = cli.submit("echo")
    named = {"JOBTAB_TABLE": str(cli.table)}
    assert job_id in cli("list", table=False, **named).stdout
    named["JOBTAB_URL"] = "http://127.0.0.1:1"
    cli("list", table=False, code=3, **named)
    assert job_id in cli("list", "-d", cli.table, table=False, **named).stdout
    assert "1 of" in cli("stat", table=False, **named).stdout  # HTTP does not serve it


def test_default_table_is_var_table_beneath_the_working_directory(private):
    (private / "var").mkdir()
    cli = Cli(private / "unused")
    job_id = cli("submit", "echo", table=False).stdout.strip()
    assert job_id in Cli(private / "var" / "table")("list").stdout


def test_output_that_cannot_be_written_is_an_error(cli):
    cli.submit("echo")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BUILD / "jobtab", "-d", cli.table, "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=seconds(30),
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_help_manual_and_completion_know_every_command_and_option(cli):
    text = cli("help", table=False).stdout
    commands = re.findall(r"^  ([a-z]+) ", text, re.M)
    assert {"submit", "export", "report"} <= set(commands)
    manual = (TOP / "src/jobtab/jobtab.1").read_text().replace("\\-", "-")
    completion = (TOP / "contrib/completion/jobtab").read_text()
    for command in commands:
        text += cli("help", command, table=False).stdout
        assert re.search(rf"^\.(It |Op |)?(Xo\n\.)?Cm {command}\b", manual, re.M), command
        assert re.search(rf"\b{command}\b", completion), command
    for option in set(re.findall(r"--([a-z-]+)", text)):
        assert f"Fl -{option}" in manual, option
        assert f"--{option}" in completion, option


# -------------------------------------------------------------------------- keep


def test_stat_counts_jobs_by_kind_and_state(cli):
    for kind in ("a", "a", "b"):
        job_id = cli.submit(kind)
    cli("cancel", job_id)
    stat = cli.json("stat")
    assert stat["jobs"] == 3
    assert (stat["states"]["pending"], stat["states"]["cancelled"]) == (2, 1)
    assert stat["kinds"]["a"]["pending"] == 2 and stat["kinds"]["b"]["cancelled"] == 1
    assert stat["totals"]["submitted"] == 3
    assert 0 < stat["map"]["used"] < stat["map"]["size"]
    assert stat["oldest_pending_at"]
    text = cli("stat").stdout
    assert re.search(r"^a +0 +2 +0 +0 +0 +0 +0$", text, re.M)
    assert re.search(r"^jobs +3 of 100,000", text, re.M)


def test_stat_holds_more_kinds_than_fit_at_first(cli):
    for number in range(20):
        cli.submit(f"kind{number}")
    assert len(cli.json("stat")["kinds"]) == 20


def test_backup_is_a_table_that_lmdb_and_jobtab_read(cli, private):
    job_id = cli.submit("echo", "-p", '{"a": 1}')
    copy = private / "copy"
    cli("backup", copy)
    assert Cli(copy).json("status", job_id)["params"] == {"a": 1}
    assert "no faults" in Cli(copy)("verify").stdout
    lmdb = subprocess.run(["mdb_stat", "-a", copy], capture_output=True, text=True, check=True)
    assert re.search(r"Status of jobs\n(?:.*\n)*?\s+Entries: 1\n", lmdb.stdout)
    done = cli("backup", copy, code=1)  # it holds a table now
    assert done.stderr and Cli(copy).json("status", job_id)


def test_export_is_every_job_with_its_params_oldest_first(cli):
    ids = [cli.submit("echo", "-p", json.dumps({"n": n})) for n in range(250)]  # over one page
    exported = [json.loads(line) for line in cli("export").stdout.splitlines()]
    assert [job["job_id"] for job in exported] == ids
    assert [job["params"]["n"] for job in exported] == list(range(250))
    assert exported[7].items() >= cli.json("status", ids[7]).items()


def test_verify_of_a_sound_table_finds_nothing(cli):
    job_id = cli.submit("echo")
    cli.submit("echo", "--delay", "1h")
    cli("cancel", job_id)
    assert re.fullmatch(r"[\d,]+ records, no faults\n", cli("verify").stdout)
    assert cli.json("verify")["faults"] == []


class Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


def damage(table, database, change):
    """Delete the first entry of a database, or change its value, behind the library's back."""
    lmdb = ctypes.CDLL("liblmdb.so.0")
    env, txn, cursor = (ctypes.c_void_p() for _ in range(3))
    dbi, key, data = ctypes.c_uint(), Value(), Value()

    def must(code):
        assert code == 0, code

    must(lmdb.mdb_env_create(ctypes.byref(env)))
    must(lmdb.mdb_env_set_maxdbs(env, 32))
    must(lmdb.mdb_env_open(env, os.fsencode(table), 0, 0o600))
    must(lmdb.mdb_txn_begin(env, None, 0, ctypes.byref(txn)))
    must(lmdb.mdb_dbi_open(txn, database, 0, ctypes.byref(dbi)))
    must(lmdb.mdb_cursor_open(txn, dbi, ctypes.byref(cursor)))
    must(lmdb.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(data), 0))
    if change is None:
        must(lmdb.mdb_cursor_del(cursor, 0))
    else:
        held = ctypes.create_string_buffer(ctypes.string_at(key.data, key.size), key.size)
        image = change(ctypes.string_at(data.data, data.size))
        value = ctypes.create_string_buffer(image, len(image))
        key = Value(key.size, ctypes.addressof(held))
        data = Value(len(image), ctypes.addressof(value))
        must(lmdb.mdb_put(txn, dbi, ctypes.byref(key), ctypes.byref(data), 0))
    lmdb.mdb_cursor_close(cursor)
    must(lmdb.mdb_txn_commit(txn))
    lmdb.mdb_env_close(env)


@pytest.mark.parametrize(
    "database, change",
    [
        (b"pending", None),
        (b"scheduled", None),
        (b"done", None),
        (b"jobs", None),
        (b"keys", None),
        (b"payload", None),
        (b"jobs", lambda image: image[:-1]),
        (b"jobs", lambda image: b"\xff" * len(image)),
        (b"payload", lambda image: image + b" "),
    ],
)
def test_verify_names_each_fault_and_exits_1(cli, database, change):
    cli("cancel", cli.submit("echo"))
    cli.submit("echo", "--delay", "1h", "--key", "k")
    cli.submit("echo", "-p", json.dumps({"text": "payload" * 100}))  # too large for the record
    cli("verify")
    damage(cli.table, database, change)
    *faults, last = cli("verify", code=1).stdout.splitlines()
    assert faults
    assert re.fullmatch(rf"[\d,]+ records, {len(faults)} faults?", last)
    report = json.loads(cli("verify", "-o", "json", code=1).stdout)
    assert report["faults"] == faults


# ------------------------------------------------------------------------ report


def report(*arguments, fd=None, code=0):
    ours, theirs = os.pipe()
    named = {} if fd is None else {"JOBTAB_REPORT_FD": fd.format(theirs)}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JOBTAB_")}
    done = subprocess.run(
        [BUILD / "jobtab", "report", *arguments],
        pass_fds=[theirs],
        env={**clean, **named},
        stderr=subprocess.PIPE,
        text=True,
        timeout=seconds(30),
    )
    os.close(theirs)
    with open(ours, "rb") as pipe:
        written = pipe.read()
    assert done.returncode == code, done
    return written, done.stderr


def test_report_writes_one_line_to_the_descriptor():
    assert report("20", "Collecting prices...", fd="{}")[0] == b"progress 20 Collecting prices...\n"
    assert report("100", fd="{}")[0] == b"progress 100\n"
    assert report("0", "two\nlines", fd="{}")[0] == b"progress 0 two lines\n"
    assert report("0", "\033[2J", fd="{}")[0] == b"progress 0 \\x1b[2J\n"


def test_report_cuts_a_message_between_characters():
    written = report("1", "é" * 300, fd="{}")[0]
    assert written.endswith(b"\n")
    message = written[len("progress 1 ") :].decode().rstrip("\n")
    assert set(message) == {"é"} and 200 < len(message.encode()) <= 280


def test_report_outside_of_a_job_says_so():
    written, error = report("20", code=1)
    assert written == b"" and "JOBTAB_REPORT_FD" in error
    assert "no descriptor" in report("20", fd="three", code=1)[1]
    assert "Bad file descriptor" in report("20", fd="999", code=3)[1]


@pytest.mark.parametrize("percent", ["101", "-1", "2.5", "", "ten"])
def test_report_of_no_percentage_is_wrong_usage(percent):
    assert report("--", percent, fd="{}", code=2)[0] == b""
