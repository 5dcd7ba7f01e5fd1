"""The command line beside a daemon: on its table, over TCP and over a Unix socket."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import BUILD, free_port, seconds, sh, wait_until

UNKNOWN = "01935b7e-0000-7000-8000-000000000000"
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("JOBTAB_")},
    "LANG": "C.UTF-8",
    "TERM": "xterm",
}
ENVIRONMENT.pop("NO_COLOR", None)

# A job that says where it is and goes on once its params name a file that exists.
STEPS = (
    'gate=$(sed "s/.*\\"gate\\": *\\"\\([^\\"]*\\)\\".*/\\1/");'
    ' echo begun >&2; echo "progress 20 Collecting prices..." >&3;'
    ' until test -e "$gate"; do sleep 0.02; done;'
    " echo ended >&2; echo '{\"n\": 1}'"
)
KINDS = {
    "echo": sh("cat"),
    "steps": sh(STEPS),
    "fail": sh("echo reason >&2; exit 3", max_attempts=1),
    # A runner takes no message with ASCII controls; those of C1 and of text direction it does.
    "rude": sh(
        "printf 'progress 50 \\302\\2332Jred \\342\\200\\256der\\n' >&3;"
        " printf '\\033]0;owned\\007\\033[31mx'"
    ),
}


class Cli:
    def __init__(self, where):
        self.where = where

    def __call__(self, *arguments, code=0, bound=30, **environment):
        done = subprocess.run(
            self.words(*arguments),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds(bound),
            env={**ENVIRONMENT, **environment},
        )
        assert done.returncode == code, done
        return done

    def words(self, *arguments):
        return [str(BUILD / "jobtab"), *self.where, *map(str, arguments)]

    def start(self, *arguments):
        return subprocess.Popen(
            self.words(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT,
        )

    def json(self, *arguments, code=0):
        return json.loads(self(*arguments, "-o", "json", code=code).stdout)

    def lines(self, *arguments):
        return [json.loads(line) for line in self(*arguments, "-o", "json").stdout.splitlines()]


class Terminal:
    """jobtab with a terminal of its own."""

    def __init__(self, words, columns=80, **environment):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execve(words[0], words, {**ENVIRONMENT, **environment})

    def read(self, ends=lambda text: False, bound=15):
        """All that is written until the text is as wanted or the program has ended."""
        end = time.monotonic() + seconds(bound)
        while not ends(self.text):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"nothing more within {bound} s: {self.text!r}"
            try:
                some = os.read(self.fd, 65536)
            except OSError:  # EIO: the other side is closed
                some = b""
            if not some:
                break
            self.text += some.decode("utf-8", "replace")
        return self.text

    def interrupt(self):
        os.write(self.fd, b"\x03")

    def end(self):
        """The rest of it, then its wait status."""
        self.read()
        os.close(self.fd)
        return os.waitpid(self.pid, 0)[1]


@pytest.fixture
def gate(private):
    return private / "gate"


@pytest.fixture
def steps(gate):
    return ["steps", "-p", json.dumps({"gate": str(gate)})]


@pytest.fixture
def running(daemon):
    return daemon(kinds=KINDS)


@pytest.fixture(params=["table", "http", "unix"])
def cli(request, daemon, private):
    """The same command line three ways, of one daemon."""
    socket = private / "s"
    made = daemon(start=False, kinds=KINDS)
    made.conf_file.write_text(made.conf_file.read_text() + f'listen "unix:{socket}" {{ }}\n')
    made.start()
    cli = Cli(
        {
            "table": ["-d", str(made.table)],
            "http": ["-u", f"http://127.0.0.1:{made.port}/"],
            "unix": ["-u", f"unix:{socket}"],
        }[request.param]
    )
    cli.over = request.param
    cli.daemon = made
    return cli


# --------------------------------------------------------------- both backends alike


def test_submit_wait_in_a_pipe_prints_id_and_status_and_no_bar(cli):
    done = cli("submit", "echo", "-p", '{"a": 1}', "-w")
    job_id, status = done.stdout.splitlines()
    assert status == "completed"
    assert done.stderr == ""
    assert cli("result", job_id).stdout == '{"a": 1}'
    job = cli.json("status", job_id)
    assert (job["status"], job["progress"], job["result"]) == ("completed", 100, {"a": 1})


def test_submit_wait_of_a_failing_job_exits_1_and_says_why(cli):
    done = cli("submit", "fail", "-w", code=1)
    job_id, status = done.stdout.splitlines()
    assert status == "failed"
    assert done.stderr.startswith("jobtab: failed: ")
    assert cli.json("status", job_id, code=1)["reason"] == "exit"
    cli("watch", job_id, code=1)
    cli("result", job_id, code=1)
    assert cli("log", job_id).stdout == "reason\n"


def test_submit_wait_as_json_prints_the_job_as_it_ended(cli):
    job = cli.json("submit", "echo", "-p", '{"b": 2}', "-w")
    assert (job["status"], job["result"]) == ("completed", {"b": 2})


def test_watch_in_a_pipe_prints_a_line_for_each_change(cli, steps, gate):
    job_id = cli("submit", *steps).stdout.strip()
    watching = cli.start("watch", job_id)
    lines = iter(watching.stdout.readline, "")
    assert any(line == "running 20% Collecting prices...\n" for line in lines)
    gate.touch()
    assert list(lines)[-1].startswith("completed 100%")
    assert watching.wait(seconds(10)) == 0
    watching.stdout.close()
    watching.stderr.close()


def test_watch_as_json_prints_growing_versions_of_one_job(cli, steps, gate):
    job_id = cli("submit", *steps).stdout.strip()
    gate.touch()
    jobs = cli.lines("watch", job_id)
    versions = [job["version"] for job in jobs]
    assert versions == sorted(set(versions))
    assert {job["job_id"] for job in jobs} == {job_id}
    assert jobs[-1]["done"]


def test_log_follow_prints_what_comes_until_the_job_is_done(cli, steps, gate):
    job_id = cli("submit", *steps).stdout.strip()
    following = cli.start("log", "-f", job_id)
    assert following.stdout.readline() == "begun\n"
    gate.touch()
    rest, error = following.communicate(timeout=seconds(20))
    assert (rest, error, following.returncode) == ("ended\n", "", 0)


def test_cancel_of_a_running_job_is_followed_to_its_end(cli, steps):
    job_id = cli("submit", *steps).stdout.strip()
    wait_until(lambda: cli.json("status", job_id)["progress"] == 20)
    word = cli("cancel", job_id).stdout.split()[1]
    assert word in ("cancelling", "cancelled")
    assert cli("watch", job_id, code=1).stdout.splitlines()[-1].startswith("cancelled")
    assert cli.json("retry", job_id)["status"] in ("pending", "running")
    wait_until(lambda: cli.json("status", job_id)["status"] == "running")  # one that waits can be deleted
    cli("rm", job_id, code=1)
    cli("cancel", job_id)


def test_job_that_is_not_there_exits_1(cli):
    for command in ("status", "watch", "result", "log", "cancel", "retry", "rm"):
        done = cli(command, UNKNOWN, code=1)
        assert done.stdout == "" and re.fullmatch(r"jobtab: .+\n", done.stderr)


def test_rm_removes_a_finished_job(cli):
    job_id = cli("submit", "echo", "-w").stdout.split()[0]
    assert cli("rm", job_id).stdout == ""
    cli("status", job_id, code=1)


def test_list_pages_filters_and_bounds(cli):
    ids = [cli("submit", "echo", "--delay", "1h").stdout.strip() for _ in range(5)]
    cli("submit", "fail", "-w", code=1)
    assert [job["kind"] for job in cli.lines("list", "-s", "failed,completed")] == ["fail"]
    listed = [job["job_id"] for job in cli.lines("list", "-k", "echo", "-n", "3")]
    assert listed == ids[:1:-1]
    assert len(cli.lines("list", "-n", "0")) == 6
    assert "params" not in cli.lines("list")[0]


def test_same_key_gives_the_same_job(cli):
    first = cli("submit", "echo", "--key", "k").stdout
    assert cli("submit", "echo", "--key", "k").stdout == first
    cli("submit", "fail", "--key", "k", code=1)


def test_submit_hands_on_priority_delay_key_and_attempts(cli):
    job = cli.json(
        "submit", "echo", "--priority", "-7", "--delay", "10m", "--key", "k", "--max-attempts", "5"
    )
    assert (job["priority"], job["status"], job["max_attempts"]) == (-7, "scheduled", 5)
    assert cli.json("submit", "echo", "--max-attempts", "5")["job_id"] != job["job_id"]


# ----------------------------------------------------------------------- side by side


def test_json_is_the_same_on_the_table_and_over_http(running):
    table = Cli(["-d", str(running.table)])
    http = Cli(["-u", f"http://127.0.0.1:{running.port}"])
    params = '{"deep": [1, 2.50, null, {"é": "\\u0000x"}], "text": "ü\\n"}'
    ids = [table("submit", "echo", "-p", params, "-w").stdout.split()[0]]
    ids.append(http("submit", "fail", "-w", code=1).stdout.split()[0])
    ids.append(http("submit", "rude", "-w", "--priority", "3").stdout.split()[0])
    ids.append(table("submit", "echo", "--delay", "1h").stdout.strip())
    for job_id in ids:
        code = 1 if job_id == ids[1] else 0
        assert table.json("status", job_id, code=code) == http.json("status", job_id, code=code)
        assert table.json("status", job_id, code=code) == running.job(job_id)
    assert table.lines("list") == http.lines("list")
    assert len(table.lines("list")) == 4


def test_people_see_the_same_over_http_but_for_ages(running):
    table = Cli(["-d", str(running.table)])
    http = Cli(["-u", f"http://127.0.0.1:{running.port}"])
    job_id = table("submit", "rude", "-w").stdout.split()[0]

    def ageless(text):
        text = re.sub(r"\(.*? ago\)|\(in .*?\)|\b[\d.]+(ms|s|m\d\ds)\b", "AGE", text)
        return re.sub(" +", " ", text)

    assert ageless(table("status", job_id).stdout) == ageless(http("status", job_id).stdout)
    assert ageless(table("list").stdout) == ageless(http("list").stdout)


def test_default_kind_is_the_daemons(running):
    http = Cli(["-u", f"http://127.0.0.1:{running.port}"])
    assert http.json("submit")["kind"] == "echo"


def test_refusals_over_http_are_the_daemons_words(running):
    http = Cli(["-u", f"http://127.0.0.1:{running.port}"])
    error = http("submit", "nothing", code=1).stderr
    assert "nothing" in error and "steps" in error  # names the kinds there are


def test_what_answers_but_is_no_daemon_exits_3(private, port):
    server = subprocess.Popen(
        ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)],
        cwd=private,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        http = Cli(["-u", f"http://127.0.0.1:{port}"])
        answer = lambda: subprocess.run(http.words("list"), capture_output=True, text=True)
        wait_until(lambda: "no daemon" in answer().stderr or "not a daemon" in answer().stderr)
        assert answer().returncode == 3
    finally:
        server.terminate()
        server.wait()


def test_https_trusts_the_certificates_it_is_told_to(daemon, private):
    cert, key = private / "cert.pem", private / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    made = daemon(start=False, kinds=KINDS)
    tls = f'listen "127.0.0.1:{port}" {{ tls_certificate = "{cert}" tls_key = "{key}" }}\n'
    made.conf_file.write_text(made.conf_file.read_text() + tls)
    made.start()
    https = Cli(["-u", f"https://127.0.0.1:{port}"])
    assert "certificate" in https("submit", code=3).stderr
    assert https("submit", "-w", CURL_CA_BUNDLE=str(cert)).stdout.endswith("completed\n")


def test_proxy_of_the_environment_is_not_asked_for_this_machine(running):
    http = Cli(["-u", f"http://127.0.0.1:{running.port}"])
    assert http("list", http_proxy="http://127.0.0.1:1", no_proxy="example.org").stdout


def test_following_over_http_outlives_a_restart_of_the_daemon(running, gate, steps):
    http = Cli(["-u", f"http://127.0.0.1:{running.port}"])
    job_id = http("submit", *steps).stdout.strip()
    watching = http.start("watch", job_id)
    assert watching.stdout.readline()
    assert running.stop() == 0
    running.start()
    gate.touch()
    out, error = watching.communicate(timeout=seconds(30))
    assert (watching.returncode, error) == (0, "")
    assert out.splitlines()[-1].startswith("completed")


def test_shell_child_reports_with_jobtab_report(daemon):
    tool = BUILD / "jobtab"
    made = daemon(kinds={"shell": sh(f"{tool} report 40 'half way' && cat; test ! -e /nonexistent")})
    cli = Cli(["-d", str(made.table)])
    jobs = cli.lines("watch", cli("submit", "shell").stdout.strip())
    assert jobs[-1]["status"] == "completed"
    assert jobs[-1]["message"] == "half way"


def test_verify_is_clean_beside_a_working_daemon(running):
    cli = Cli(["-d", str(running.table)])
    for _ in range(10):
        cli("submit", "echo")
    assert "no faults" in cli("verify").stdout
    stat = cli.json("stat")
    assert stat["jobs"] == 10 and stat["readers"]["used"] >= 1


# ------------------------------------------------------------------------- a terminal


def test_bar_is_drawn_on_a_terminal(running, gate, steps):
    terminal = Terminal(Cli(["-d", str(running.table)]).words("submit", *steps, "-w"))
    text = terminal.read(lambda text: "Collecting prices..." in text)
    assert re.search(r"█+░+", text) and "20%" in text and "\033[32m" in text
    gate.touch()
    assert os.waitstatus_to_exitcode(terminal.end()) == 0
    assert "completed" in terminal.text.splitlines()[-1]


def test_bar_fits_a_narrow_terminal_and_obeys_no_color(running, gate, steps):
    words = Cli(["-d", str(running.table)]).words("submit", *steps, "-w")
    terminal = Terminal(words, columns=40, NO_COLOR="1", LANG="C")
    text = terminal.read(lambda text: re.search(r"20%.*\.\.\.\033\[K", text))
    assert "\033[3" not in text and "█" not in text
    drawn = re.findall(r"\r\033\[\?7l(.*?)\033\[K", text)
    assert max(map(len, drawn)) <= 40
    gate.touch()
    assert os.waitstatus_to_exitcode(terminal.end()) == 0


def test_interrupt_while_following_leaves_the_job_running_and_says_so(running, gate, steps):
    terminal = Terminal(Cli(["-d", str(running.table)]).words("submit", *steps, "-w"))
    terminal.read(lambda text: "Collecting prices..." in text)
    terminal.interrupt()
    assert os.waitstatus_to_exitcode(terminal.end()) == -signal.SIGINT
    job_id = re.search(r"job (\S+) goes on", terminal.text).group(1)
    assert running.job(job_id)["status"] == "running"
    gate.touch()
    assert running.wait_job(job_id)["status"] == "completed"


def test_terminal_is_shown_and_does_not_obey_what_a_job_says(running):
    cli = Cli(["-d", str(running.table)])
    job_id = cli("submit", "rude", "-w").stdout.split()[0]
    for command in ("status", "list", "watch", "result"):
        arguments = [] if command == "list" else [job_id]
        terminal = Terminal(cli.words(command, *arguments), columns=200)
        terminal.end()
        assert not re.search("\033\\]|\033\\[31m|\u009b|\u202e", terminal.text), command
        shown = ["\\x1b]0;owned", "\\x1b[31mx"] if command in ("status", "result") else []
        shown += ["\\x9b2Jred", "\\u202eder"] if command != "result" else []
        for text in shown:
            assert text in terminal.text, command
    assert cli("result", job_id).stdout == "\033]0;owned\a\033[31mx"  # a program has the bytes


def test_verify_shows_how_far_it_is_on_a_terminal(running):
    cli = Cli(["-d", str(running.table)])
    cli("submit", "echo", "-w")
    terminal = Terminal(cli.words("verify"))
    assert os.waitstatus_to_exitcode(terminal.end()) == 0
    assert "█" in terminal.text and "100%" in terminal.text
    assert terminal.text.splitlines()[-1].endswith("no faults")


def test_list_fits_the_terminal(running):
    cli = Cli(["-d", str(running.table)])
    cli("submit", "rude", "-w")
    terminal = Terminal(cli.words("list"), columns=90)
    terminal.end()
    for line in terminal.text.splitlines():
        assert len(re.sub(r"\033\[\d*m", "", line)) <= 90
