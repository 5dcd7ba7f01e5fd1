"""jobtab-validate: its results, its limits, and its life as a child of a table.

    JOBTAB_TEST_SEED=n     the first seed of the random files (default: another one each time)
    JOBTAB_TEST_FILES=n    how many sets of random files (default 60)
    JOBTAB_PRICES_SIZE=n   bytes of each large source (default 64 MB; 1000000000 is the long form)
"""

import ctypes
import errno
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import time
from signal import SIGQUIT, SIGTERM

import prices_random
import prices_reference
import pytest
from conftest import BUILD, SLOW, TOP, WRAPPER, seconds, wait_until

PROGRAM = str(BUILD / "jobtab-validate")
CASES = pathlib.Path(__file__).parent / "prices"
MEMORY_MAX = 64 * 1024  # kB


def run(*arguments, **keys):
    keys = dict({"timeout": seconds(60)}, **keys)
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, **keys)


def result_of(folder, params=None, *files, **keys):
    """The result, without the texts of the examples."""
    done = run("-r", folder, "-p", json.dumps(params or {}), *files, **keys)
    assert done.stderr == b"" and done.returncode in (0, 1), done
    result = json.loads(done.stdout)
    assert done.returncode == (0 if result["verdict"] == "passed" else 1)
    for example in result["examples"]:
        assert example.pop("text")
    return result


def error_of(code, *arguments, **keys):
    """What it says when it refuses."""
    done = run(*arguments, **keys)
    assert done.returncode == code and done.stdout == b"", done
    prefix = "jobtab-validate: "
    text = done.stderr.decode()
    assert text.startswith(prefix) and text.count("\n") == 1, text
    return text[len(prefix) : -1]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


GOOD = "symbol,time,price\nA,2024-01-02,1\n"


# ------------------------------------------------------------------------- results


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_files_written_by_hand_give_the_expected_result(case):
    folder = CASES / case
    params = folder / "params.json"
    expected = json.loads((folder / "expected.json").read_text())
    assert result_of(folder, json.loads(params.read_text()) if params.exists() else {}) == expected


@pytest.mark.parametrize("orders", [["symbol"], ["symbol", "time", "none"]], ids=len)
def test_random_files_give_what_the_reference_gives(private, orders):
    first = int(os.environ.get("JOBTAB_TEST_SEED", random.randrange(10**9)))
    for seed in range(first, first + int(os.environ.get("JOBTAB_TEST_FILES", 60))):
        files, params = prices_random.make(random.Random(seed), orders)
        folder = private / str(seed)
        folder.mkdir()
        for name, data in files:
            (folder / name).write_bytes(data)
        again = f"JOBTAB_TEST_SEED={seed} JOBTAB_TEST_FILES=1, files in {folder}"
        assert result_of(folder, params) == prices_reference.validate(files, **params), again


def test_the_sample_prices_show_most_rules():
    result = result_of(TOP / "conf/prices")
    assert (result["sources"], result["symbols"]) == (3, 5)
    assert set(result["by_rule"]) == {
        "symbol_missing", "price_unparsable", "price_not_positive", "duplicate", "time_backwards",
        "ohlc", "deviation", "jump",
    }  # fmt: skip


def test_the_newest_of_each_symbol_and_source_has_an_age(private):
    now = int(time.time())
    rows = [f"A,{now - 3600},1", f"A,{now - 600},1", f"B,{now - 7200},1", f"B,{now - 7200},1"]
    write(private / "a.csv", "\n".join(["symbol,time,price", *rows]))
    write(private / "b.csv", f"symbol,time,price\nB,{now - 60},1\nA,{now - 5400},1\n")
    assert result_of(private)["by_rule"] == {"duplicate": 1}
    assert result_of(private, {"max_age": "3h"})["by_rule"] == {"duplicate": 1}
    result = result_of(private, {"max_age": "1h"})
    assert result["examples"] == [
        {"file": "a.csv", "line": 4, "rule": "stale"},
        {"file": "a.csv", "line": 5, "rule": "duplicate"},
        {"file": "b.csv", "line": 3, "rule": "stale"},
    ]
    assert result_of(private, {"max_age": 3600}) == result


def test_results_are_bounded_and_the_worst_symbols_come_first(private):
    lines = ["symbol,time,price"]
    for number in range(1500):
        lines += [f"S{number:04},2024-01-02,0"] * (2 if number >= 1400 else 1)
    write(private / "a.csv", "\n".join(lines))
    result = result_of(private)
    assert result["violations"] == 1600 + 100 and len(result["examples"]) == 100
    assert [example["line"] for example in result["examples"]] == list(range(2, 102))
    symbols = list(result["by_symbol"].items())
    assert len(symbols) == 1000
    assert symbols[:2] == [("S1400", 3), ("S1401", 3)]
    assert symbols[99:101] == [("S1499", 3), ("S0000", 1)]


def test_the_first_examples_are_the_first_by_file_and_line(private):
    write(private / "a.csv", "symbol,time,price\n" + "".join(f"A,{t},1\n" for t in range(200)) * 2)
    write(private / "b.csv", "symbol,time,price\nA,x,1\n")
    result = result_of(private)
    assert [e["line"] for e in result["examples"]] == [202, *range(202, 301)]
    rules = [e["rule"] for e in result["examples"]]
    assert rules == ["duplicate", "time_backwards"] + ["duplicate"] * 98


# ------------------------------------------------------------------------- sources


def test_without_sources_every_csv_beneath_the_root_is_read_in_order(private):
    names = ["a.csv", "a/deep/er/y.csv", "a/z.csv", "b.csv"]
    for name in [".hidden.csv", ".d/x.csv", "no.txt", *reversed(names)]:
        write(private / name, "symbol,time,price\nA,2024-01-02,-1\n")
    result = result_of(private)
    assert [e["file"] for e in result["examples"]] == names
    result = result_of(private, {"sources": ["b.csv", "a/z.csv"]})
    assert [e["file"] for e in result["examples"]] == ["b.csv", "a/z.csv"]
    assert result_of(private, {}, "b.csv", "a/z.csv") == result


def test_no_path_leads_out_of_the_root(private):
    outside = write(private / "outside.csv", GOOD)
    root = private / "root"
    write(root / "in/good.csv", GOOD)
    (root / "link.csv").symlink_to("../outside.csv")
    (root / "absolute.csv").symlink_to(outside)
    (root / "folder").symlink_to("..")
    (root / "inside.csv").symlink_to("in/good.csv")
    for path in (
        "../outside.csv",
        "in/../../outside.csv",
        str(outside),
        "link.csv",
        "absolute.csv",
        "folder/outside.csv",
        "/proc/self/root/etc/passwd",
    ):
        said = error_of(3, "-r", root, "-p", json.dumps({"sources": [path]}))
        assert said == f"{path}: leads out of the input root"
    assert error_of(3, "-r", root) == "absolute.csv: leads out of the input root"
    assert result_of(root, {"sources": ["inside.csv", "in/../in/good.csv"]})["verdict"] == "passed"


def without_openat2():
    """To be run in the child: a filter under which openat2 is a call that does not exist."""
    load, compare = (0x20, 0, 0, 0), (0x15, 0, 1, 437)
    refuse, allow = (0x06, 0, 0, 0x50000 | errno.ENOSYS), (0x06, 0, 0, 0x7FFF0000)
    instructions = [load, compare, refuse, allow]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *i) for i in instructions))
    program = struct.pack("@HP", len(instructions), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        os._exit(99)


def test_without_openat2_no_link_is_followed(private):
    write(private / "outside.csv", GOOD)
    root = private / "root"
    write(root / "in/er/good.csv", GOOD)
    write(root / "good.csv", GOOD)
    good = run("-r", root, preexec_fn=without_openat2)
    assert good.returncode == 0 and json.loads(good.stdout)["sources"] == 2, good
    good = run("-r", root, "in//er/good.csv", "./good.csv", preexec_fn=without_openat2)
    assert good.returncode == 0 and json.loads(good.stdout)["sources"] == 2, good
    (root / "link").symlink_to("../outside.csv")
    (root / "folder").symlink_to("in")
    for path, why in (
        ("link", "Too many levels of symbolic links"),
        ("folder/er/good.csv", "Not a directory"),
        ("in/../good.csv", "leads out of the input root"),
        ("../outside.csv", "leads out of the input root"),
        ("/etc/passwd", "leads out of the input root"),
        ("x" * 300, "File name too long"),
        ("in/er", "not a regular file"),
    ):
        said = error_of(3, "-r", root, path, preexec_fn=without_openat2)
        assert said == f"{path}: {why}"[:255]


def test_a_source_that_cannot_be_read_is_named(private):
    write(private / "good.csv", GOOD)
    (private / "folder.csv").mkdir()
    os.mkfifo(private / "pipe")
    write(private / "empty.csv", "")
    write(private / "headless.csv", "A,2024-01-02,1\n")
    write(private / "open.csv", 'symbol,time,price\nA,2024-01-02,1\nA,"2024-01-03,1\n')
    for name, why in (
        ("none.csv", "No such file or directory"),
        ("folder.csv", "not a regular file"),
        ("pipe", "not a regular file"),
        ("good.csv/x", "Not a directory"),
        ("empty.csv", "line 1: empty: a header is missing"),
        ("headless.csv", "line 1: the header has no time column (timestamp, time or date)"),
        ("open.csv", "line 3: a quoted field has no end"),
    ):
        assert error_of(3, "-r", private, "good.csv", name) == f"{name}: {why}"
    assert error_of(3, "-r", private / "folder.csv") == "there is no *.csv beneath the input root"
    assert error_of(3, "-r", private / "no").startswith("the input root ")


def test_a_name_that_is_no_utf8_is_refused(private):
    (private / os.fsdecode(b"\xff.csv")).write_text(GOOD)
    assert error_of(3, "-r", private) == "?.csv: the file name is not UTF-8"


def test_wrong_params_are_a_usage_error_that_names_the_field(private):
    said = error_of(2, "-r", private, "-p", '{"max_jump": 3}')
    assert said == "params: max_jump: there is no such field"
    assert error_of(2, "-p", '{"sources": ["a"]}', "b") == "params: sources: named twice"
    assert run("--colour").returncode == 2
    assert run("-h").returncode == 0


# -------------------------------------------------------------------------- memory


def large_file(path, order, size, strays=True):
    """About `size` bytes of 500 symbols; returns the number of rows. Strays: line 2 comes again at
    the end, and one price in the middle is no number."""
    symbols = [f"SYM{number:03}" for number in range(500)]
    minutes = max(size // (500 * 22), 100)
    if order == "symbol":
        block = "".join(f"@,{1700000000 + 60 * m},10{m % 7}.{m % 9}\n" for m in range(minutes))
        parts = (block.replace("@", symbol) for symbol in symbols)
    else:
        block = "".join(f"{symbol},@,10{n % 7}.{n % 9}\n" for n, symbol in enumerate(symbols))
        parts = [block.replace("@", str(1700000000 + 60 * m)) for m in range(minutes)]
        if order == "none":
            random.Random(1).shuffle(parts)
    with open(path, "w") as file:
        file.write("symbol,time,price\n" + "FIRST,1700000000,1\n" * strays)
        for number, part in enumerate(parts):
            file.write(part)
            if number == 250:
                file.write("MIDDLE,1700000000,x\n" * strays)
        file.write("FIRST,1700000000,1\n" * strays)
    return minutes * 500 + 3 * strays


@pytest.mark.skipif(SLOW > 1 or bool(WRAPPER), reason="memory means nothing under instruments")
@pytest.mark.parametrize("order", ["symbol", "time", "none"])
def test_a_source_larger_than_memory_stays_below_64_mb(private, order):
    size = int(os.environ.get("JOBTAB_PRICES_SIZE", 64_000_000))
    rows = large_file(private / "large.csv", order, size)
    with open(private / "out", "wb") as out:
        process = subprocess.Popen(
            [PROGRAM, "-r", private], stdout=out, env=dict(os.environ, TMPDIR=str(private))
        )
    peak = 0
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        peak = max(peak, int(found[1]) if found else 0)
        time.sleep(0.005)
    assert process.wait(seconds(60)) == 1
    assert 0 < peak < MEMORY_MAX, peak
    assert sorted(path.name for path in private.iterdir()) == ["large.csv", "out"]
    result = json.loads((private / "out").read_text())
    assert (result["rows"], result["symbols"]) == (rows, 502)
    assert result["by_symbol"]["FIRST"] == 1 and result["by_symbol"]["MIDDLE"] == 1
    assert result["by_rule"]["duplicate"] == 1 and result["by_rule"]["price_unparsable"] == 1
    (private / "large.csv").unlink()


def test_more_symbols_than_memory_has_room_for_are_an_error(private):
    with open(private / "a.csv", "w") as file:
        file.write("time,symbol,price\n")
        file.writelines(f"1,{number:x},1\n" for number in range(200_001))
    assert error_of(3, "-r", private) == "a.csv: line 200002: more than 200000 symbols"


def test_sources_ordered_by_symbol_need_no_temporary_file(private):
    for name in "abc":
        large_file(private / f"{name}.csv", "symbol", 8_000_000, strays=False)
    result = result_of(private, {}, env=dict(os.environ, TMPDIR=str(private / "missing")))
    assert result["rows"] > 3 * 300_000 and set(result["by_rule"]) == {"jump"}


def test_a_full_disk_is_the_system_s_fault(private):
    large_file(private / "a.csv", "time", 10_000_000)
    missing = private / "missing"
    said = error_of(4, "-r", private, env=dict(os.environ, TMPDIR=str(missing)))
    assert said == f"temporary file in {missing}: No such file or directory"


# ---------------------------------------------------------------------- as a child


class Table:
    """A table without a daemon, and children that the test starts itself."""

    def __init__(self, folder, root):
        self.folder, self.root, self.children = folder, root, []

    def jobtab(self, *arguments):
        return subprocess.run(
            [str(BUILD / "jobtab"), "-d", str(self.folder), *arguments],
            capture_output=True,
            text=True,
            timeout=seconds(30),
        )

    def submit(self, params):
        done = self.jobtab("submit", "validate", "-p", json.dumps(params))
        assert done.returncode == 0, done
        return done.stdout.strip()

    def job(self, job_id):
        return json.loads(self.jobtab("-o", "json", "status", job_id).stdout)

    def wait_job(self, job_id, *states, bound=20):
        states = states or ("completed", "failed", "cancelled")
        return wait_until(
            lambda: (lambda job: job if job["status"] in states else None)(self.job(job_id)),
            bound,
            f"job is {states}",
        )

    def start(self, **environment):
        environment = dict(
            os.environ,
            JOBTAB_TABLE=str(self.folder),
            JOBTAB_KIND="validate",
            JOBTAB_INPUT_ROOT=str(self.root),
            **environment,
        )
        child = subprocess.Popen([PROGRAM], env=environment, stderr=subprocess.PIPE)
        self.children.append(child)
        return child


@pytest.fixture
def table(private):
    root = private / "root"
    write(root / "good.csv", GOOD)
    made = Table(private / "table", root)
    yield made
    for child in made.children:
        if child.poll() is None:
            child.kill()
            child.wait()
        child.stderr.close()


def long_work(table):
    """Params of a job that takes many seconds: one file under many names."""
    large_file(table.root / "0.csv", "time", 4_000_000)
    for number in range(1, 400):
        os.link(table.root / "0.csv", table.root / f"{number}.csv")
    return {"sources": [f"{number}.csv" for number in range(400)]}


def test_a_warm_child_works_off_one_job_after_another(table):
    jobs = [table.submit({"sources": ["good.csv"]}) for _ in range(2)]
    child = table.start()
    table.wait_job(jobs[0])
    jobs.append(table.submit({"sources": ["good.csv"]}))
    for job_id in jobs:
        job = table.wait_job(job_id)
        assert (job["status"], job["progress"]) == ("completed", 100)
        assert job["message"] == "passed: 0 violations in 1 rows"
        assert json.loads(table.jobtab("result", job_id).stdout) == {
            "verdict": "passed", "rows": 1, "symbols": 1, "sources": 1, "violations": 0,
            "by_rule": {}, "by_symbol": {}, "examples": [],
        }  # fmt: skip
    child.send_signal(SIGTERM)
    assert child.wait(seconds(10)) == 0 and child.stderr.read() == b""


@pytest.mark.parametrize(
    "params, error",
    [
        ({"sources": ["none.csv"]}, "none.csv: No such file or directory"),
        ({"sources": ["../root/good.csv"]}, "../root/good.csv: leads out of the input root"),
        ({"min_sources": 0}, "params: min_sources: must be a whole number from 1 to 4096"),
    ],
)
def test_what_can_never_work_fails_as_invalid_and_is_not_tried_again(table, params, error):
    job_id = table.submit(params)
    child = table.start()
    job = table.wait_job(job_id)
    assert (job["status"], job["reason"], job["error"]) == ("failed", "invalid", error)
    assert job["attempt"] == 1 and child.poll() is None


def test_a_kind_without_input_root_reads_nothing(table):
    job_id = table.submit({})
    table.root = ""
    child = table.start()
    job = table.wait_job(job_id)
    assert (job["status"], job["reason"]) == ("failed", "invalid"), job
    assert child.poll() is None


def test_a_result_that_the_table_does_not_take_fails_as_invalid(daemon, private):
    write(private / "prices/a.csv", "symbol,time,price\n" + "A,2024-01-02,1\n" * 200)
    d = daemon(
        kinds={
            "validate": {
                "command": [PROGRAM],
                "table": True,
                "children": 1,
                "input_root": str(private / "prices"),
            }
        },
        table={"result_max": "4k"},
    )
    job = d.wait_job(d.submit("validate", {})["job_id"], bound=20)
    assert (job["status"], job["reason"]) == ("failed", "invalid"), job
    assert job["error"] == "the result is too big"


def test_progress_is_told_while_it_reads(table):
    job_id = table.submit(long_work(table))
    child = table.start()
    seen = []

    def moved():
        job = table.job(job_id)
        if job["status"] == "running" and job["message"]:
            seen.append((job["progress"], job["message"]))
        return len(set(seen)) >= 4

    wait_until(moved, 30, "four reports")
    assert [progress for progress, _ in seen] == sorted(progress for progress, _ in seen)
    assert all(message.startswith("Collecting prices...") for _, message in seen)
    child.send_signal(SIGTERM)
    assert child.wait(seconds(10)) == 0


def test_sigterm_hands_the_job_back_and_ends(table):
    job_id = table.submit(long_work(table))
    child = table.start()
    table.wait_job(job_id, "running")
    child.send_signal(SIGTERM)
    assert child.wait(seconds(10)) == 0
    job = table.job(job_id)
    assert (job["status"], job["attempt"]) == ("pending", 0), job


def test_sigquit_lets_the_job_end_first(table):
    large_file(table.root / "large.csv", "time", 40_000_000)
    job_id = table.submit({"sources": ["large.csv"]})
    later = table.submit({"sources": ["good.csv"]})
    child = table.start()
    table.wait_job(job_id, "running")
    child.send_signal(SIGQUIT)
    assert child.wait(seconds(60)) == 0
    assert table.job(job_id)["status"] == "completed"
    assert table.job(later)["status"] == "pending"


@pytest.mark.parametrize("sig", [SIGTERM, SIGQUIT])
def test_an_idle_child_ends_when_told(table, sig):
    table.submit({"sources": ["good.csv"]})
    child = table.start()
    wait_until(lambda: '"completed"' in table.jobtab("-o", "json", "list").stdout)
    child.send_signal(sig)
    assert child.wait(seconds(5)) == 0


def test_a_cancelled_job_stops_soon_and_the_child_goes_on(table):
    job_id = table.submit(long_work(table))
    child = table.start()
    table.wait_job(job_id, "running")
    assert table.jobtab("cancel", job_id).returncode == 0
    assert table.wait_job(job_id, bound=5)["status"] == "cancelled"
    assert table.wait_job(table.submit({"sources": ["good.csv"]}))["status"] == "completed"
    assert child.poll() is None


def test_a_child_that_cannot_open_its_table_says_so(table):
    child = table.start()
    assert child.wait(seconds(10)) == 3
    assert b"jobtab-validate: " in child.stderr.read()


@pytest.mark.parametrize("children", [0, 2], ids=["one_child_a_job", "warm"])
def test_a_daemon_s_children_validate(daemon, private, children):
    write(private / "prices/a.csv", GOOD + "A,2024-01-02,1\n")
    d = daemon(
        kinds={
            "validate": {
                "command": [PROGRAM],
                "table": True,
                "children": children,
                "input_root": str(private / "prices"),
            }
        }
    )
    job = d.wait_job(d.submit("validate", {})["job_id"], bound=20)
    assert job["status"] == "completed" and job["result"]["by_rule"] == {"duplicate": 1}, job
    job = d.wait_job(d.submit("validate", {"max_age": "never"})["job_id"], bound=20)
    assert (job["status"], job["reason"], job["attempt"]) == ("failed", "invalid", 1), job
