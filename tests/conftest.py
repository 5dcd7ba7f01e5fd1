"""Whole-daemon tests: a private daemon each, over real sockets and signals.

Run: /usr/bin/python3 -m pytest tests/system            (make check does, too; tests/crash: make crash)

Fixtures
--------
private   pathlib.Path of a directory of this test's own. Removed when the test passed.
port      a free loopback TCP port.
seed      a number, printed; JOBTAB_SEED sets it.
build     pathlib.Path of the build directory (jobtabd, jobtab, jobtab-validate).
daemon    factory: d = daemon(kinds={...}, **settings) writes a configuration, starts
          jobtabd, waits for /readyz and returns a Daemon (below). It may be called more than
          once in a test. When the test ends every daemon is stopped, and the test fails
          when a process remains or a sanitizer or valgrind has reported something.

    d = daemon(kinds={"echo": sh("cat")}, worker_processes=2, table={"max_jobs": 10})
    d = daemon(conf=TEXT)        the text as it is; {port}, {dir} and {table} are filled in
    d = daemon(start=False)      d.start() or d.spawn() when the test wants

    settings   top-level keys: numbers, strings, lists. table={...} and listen={...} are
               the keys of those blocks; kinds={name: {key: value}}.
    defaults   1 worker, 1 runner, listener on a free port, table in <private>/table, error_log
               in <private>/error.log, a kind "echo" when none is given, the first kind the default

Daemon
------
    d.pid  d.dir  d.table  d.port  d.conf_file
    d.http                     a keep-alive client: d.http.get("/jobs"), .post(path, {json}),
                               .request(method, path, body=bytes, headers={...}, timeout=)
                               -> answer with .status .headers (lower case) .body .json()
    d.client()                 another client, another connection; use one in each thread
    d.submit(kind, params, **members)  POST /run, asserts 202, returns the job
    d.job(id)                  GET /status/id, asserts 200
    d.wait_job(id, "failed")   until it has that status (default: until it is done)
    d.roles()                  {"worker": [pid], "runner": [...], "keeper": [...]}
    d.pids("worker")           the same for one; d.pids("child"): what runners have spawned
    d.tree()                   every living process of this daemon, the master included
    d.signal(sig, pid=None)    to the master, or to one process
    d.stop(sig=SIGTERM)        signal, wait for the exit, return the exit code
    d.kill_tree()              SIGKILL to everything of it, at once
    d.start()                  again, on the same table and port
    d.log()                    the error log and whatever the daemon wrote to stderr
    d.jobtab("stat", ...)      the command line on this table; CompletedProcess of text
    d.mdb_stat()               {database: entries} as Debian's mdb_stat -a prints them

Helpers (from conftest import ...)
----------------------------------
    wait_until(condition, bound=10, what="")   returns the first true value; fails at the bound
    sh(text, **keys)           a kind that runs text with /bin/sh -c
    python(text, **keys)       a kind that runs text with /usr/bin/python3 -c
    actor(EFFECTS, **keys)     a kind that runs tests/system/actor: params=do("progress 20 Half",
                               "hold FILE", "effect done", "exit 75") tell it what to do; see actor.c
    actor("-t", ...) warm(...) the same with the table: one child a job, or warm children
    effects(path)              what actors have written to their EFFECTS
    script(path, text)         writes an executable file, returns its path as a string
    alive(pid)                 there is such a process and it is no zombie
    processes()                every process as {pid: Process(ppid, pgid, sid, state, name)}
    count(short, long)         which of the two, by the form of this run
    seconds(n)                 n times the slowness of this run

Environment
-----------
    JOBTAB_BUILDDIR      where the programs are; default: top of the source tree
    JOBTAB_TEST_SLOW     factor on every bound (5 for sanitizers, 20 for valgrind)
    JOBTAB_TEST_WRAPPER  words put before jobtabd and jobtab, as "valgrind -q --trace-children=yes
                         --log-file={reports}/valgrind.%p": a report there fails the test
    JOBTAB_CRASH         long: the counts of make crash-long
    JOBTAB_SEED          replays the test that printed it
    JOBTAB_TAP           1: a line of TAP a test
    JOBTAB_TEST_KEEP     keep every private directory
"""

import collections
import http.client
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("JOBTAB_BUILDDIR", TOP)).resolve()
SLOW = float(os.environ.get("JOBTAB_TEST_SLOW", "1"))
WRAPPER = shlex.split(os.environ.get("JOBTAB_TEST_WRAPPER", ""))
REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error: |ERROR SUMMARY: [1-9]"
    r"|Sanitizer:DEADLYSIGNAL|Sanitizer:? CHECK failed"
)
DONE = ("completed", "failed", "cancelled")

os.umask(0o022)


def count(short, long):
    """How many: in the form that contrib/check.sh runs, and in the long one."""
    return long if os.environ.get("JOBTAB_CRASH") == "long" else short


def seconds(n):
    return n * SLOW


def wait_until(condition, bound=10, what="", every=0.01):
    """The first true value of condition(), looked at again until the bound."""
    end = time.monotonic() + seconds(bound)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds(bound):g} s: {what or condition}", pytrace=True)
        time.sleep(every)


# ------------------------------------------------------------------------- processes

Process = collections.namedtuple("Process", "ppid pgid sid state name start")


def processes():
    """Every process of the machine that is no zombie."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                text = file.read()
        except OSError:
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        rest = text[text.rindex(")") + 2 :].split()
        if rest[0] not in "ZX":
            found[int(entry)] = Process(
                int(rest[1]), int(rest[2]), int(rest[3]), rest[0], name, int(rest[19])
            )
    return found


def alive(pid):
    return pid in processes()


def _bytes_of(pid, what):
    try:
        with open(f"/proc/{pid}/{what}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _link(pid, what):
    try:
        return os.readlink(f"/proc/{pid}/{what}")
    except OSError:
        return ""


def _environment_of(pid):
    """While it goes from one program to the next (exec), a process has none to show."""
    for _ in range(1000):
        environment = _bytes_of(pid, "environ")
        facts = _bytes_of(pid, "stat").rpartition(b")")[2].split() or [b"0"] * 50
        code, begin, end = facts[23], facts[47], facts[48]  # where they are; that of the code is set last
        has_none = code != b"0" and begin == end
        if environment or has_none or not _link(pid, "exe"):  # without a program: the kernel's, or gone
            break
        time.sleep(0.001)
    return environment


def descendants(pid, table=None):
    table = table if table is not None else processes()
    found, todo = set(), [pid]
    while todo:
        parent = todo.pop()
        for child, process in table.items():
            if process.ppid == parent and child not in found:
                found.add(child)
                todo.append(child)
    return found


# --------------------------------------------------------------------------- children


def sh(text, **keys):
    return dict({"command": ["/bin/sh", "-c", text]}, **keys)


def python(text, **keys):
    return dict({"command": ["/usr/bin/python3", "-c", text]}, **keys)


def actor(*arguments, **keys):
    command = [str(BUILD / "tests/system/actor"), *map(str, arguments)]
    return dict({"command": command, "table": "-t" in arguments}, **keys)


def warm(*arguments, **keys):
    return actor("-w", *arguments, **dict({"table": True, "children": 1}, **keys))


def do(*steps):
    return {"do": "; ".join(steps)}


def effects(path):
    """[(job id, attempt, text)] in the order in which actors had them."""
    if not path.exists():
        return []
    return [tuple(line.split(" ", 2)) for line in path.read_text().splitlines()]


def script(path, text):
    path = pathlib.Path(path)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


# ------------------------------------------------------------------------------- HTTP


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


class Client:
    """One connection, kept alive. A connection that the server closed while it was idle is
    opened again once for requests that change nothing; others fail as they would for a user."""

    def __init__(self, port, timeout=10, host="127.0.0.1"):
        self.port, self.host, self.timeout = port, host, seconds(timeout)
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def request(self, method, path, body=None, headers=None, timeout=None):
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None and not any(h.lower() == "content-type" for h in headers):
            headers["Content-Type"] = "application/json"
        wait = seconds(timeout) if timeout else self.timeout
        fresh = self.connection is None
        while True:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=wait)
            try:
                if self.connection.sock:
                    self.connection.sock.settimeout(wait)
                self.connection.request(method, path, body=body, headers=headers)
                response = self.connection.getresponse()
                data = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                stale = isinstance(error, (ConnectionError, http.client.RemoteDisconnected))
                if stale and not fresh and method in ("GET", "HEAD"):
                    fresh = True
                    continue
                raise
            answer = Answer(
                response.status, {k.lower(): v for k, v in response.getheaders()}, data
            )
            if response.will_close:
                self.close()
            return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body=body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# ------------------------------------------------------------------------- the daemon


def conf_value(value):
    """A value in libconfuse's syntax. Strings lose none of their characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(conf_value(item) for item in value) + "}"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    for plain, written in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n")):
        text = text.replace(plain, written)
    return f'"{text}"'


def conf_text(settings, listens, table_dir, table, kinds):
    lines = [f"{key} = {conf_value(value)}" for key, value in settings.items()]
    for address, keys in listens:
        inner = "".join(f"    {k} = {conf_value(v)}\n" for k, v in keys.items())
        lines.append(f'listen "{address}" {{\n{inner}}}')
    inner = "".join(f"    {k} = {conf_value(v)}\n" for k, v in table.items())
    lines.append(f'table "{table_dir}" {{\n{inner}}}')
    for name, keys in kinds.items():
        inner = "".join(f"    {k} = {conf_value(v)}\n" for k, v in keys.items())
        lines.append(f'kind "{name}" {{\n{inner}}}')
    return "\n".join(lines) + "\n"


class Daemon:
    def __init__(self, directory, port, conf, build=BUILD):
        self.dir, self.port, self.build = directory, port, build
        self.table = directory / "table"
        self.conf_file = directory / "jobtabd.conf"
        self.error_log = directory / "error.log"
        self.stderr_file = directory / "stderr"
        self.reports = directory / "reports"
        self.tmp = directory / "tmp"
        for folder in (self.reports, self.tmp):
            folder.mkdir(exist_ok=True)
        self.conf_file.write_text(conf)
        self.process = None
        self.sids = set()  # every session that a daemon of ours began
        self.http = self.client()

    # -- life

    @property
    def pid(self):
        return self.process.pid

    def environment(self):
        keep = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TZ") if k in os.environ}
        # The build's own programs come first, so that command = {"jobtab-validate"} is ours.
        keep["PATH"] = f"{self.build}:{keep.get('PATH', '/usr/bin:/bin')}"
        keep["TMPDIR"] = str(self.tmp)  # handed on to children: marks all of them as ours
        log = self.reports / "sanitizer"
        keep["ASAN_OPTIONS"] = f"log_path={log}:exitcode=99:detect_leaks=1:abort_on_error=0"
        keep["UBSAN_OPTIONS"] = f"log_path={log}:print_stacktrace=1:halt_on_error=1:exitcode=99"
        return keep

    def wrapper(self):
        return [word.replace("{reports}", str(self.reports)) for word in WRAPPER]

    def spawn(self, *arguments, wrapper=None):
        """Start jobtabd and wait for nothing."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        # The number of a session of which nobody is left may be a stranger's from now on.
        self.sids &= {process.sid for process in processes().values()}
        if not (self.build / "jobtabd").exists():
            pytest.fail(f"{self.build} has no jobtabd: JOBTAB_BUILDDIR?", pytrace=False)
        words = self.wrapper() if wrapper is None else wrapper
        environment = self.environment()
        if any(word.endswith("strace") for word in words):  # LeakSanitizer cannot work under it
            environment["ASAN_OPTIONS"] += ":detect_leaks=0"
        with open(self.stderr_file, "ab") as stderr:
            self.process = subprocess.Popen(
                [*words, str(self.build / "jobtabd"), "-c", str(self.conf_file), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                cwd=self.dir,
                env=environment,
                start_new_session=True,
            )
        self.sids.add(self.process.pid)
        return self

    def ready(self):
        try:
            return Client(self.port, timeout=2).get("/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def all_ready(self):
        """Whoever takes a request: the answer to one alone is only the word of one worker."""
        workers = re.search(r"^worker_processes = (\d+)", self.conf_file.read_text(), re.MULTILINE)
        if not self.ready():
            return False
        if not workers or workers.group(1) == "1":
            return True
        data = os.fsencode(self.table / "data.mdb")
        having = [pid for pid in self.pids("worker") if data in _bytes_of(pid, "maps")]
        return len(having) >= int(workers.group(1))

    def await_ready(self, bound=15):
        """Until it is ready or gone."""
        wait_until(
            lambda: self.process.poll() is not None or self.all_ready(),
            bound,
            "the daemon is ready",
            every=0.02,
        )

    def start(self, *arguments, bound=15, wrapper=None):
        """Start it and wait until it is ready."""
        self.spawn(*arguments, wrapper=wrapper)
        self.await_ready(bound)
        if not self.running():
            pytest.fail(f"jobtabd left with {self.process.returncode}:\n{self.log()[-4000:]}")
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number, pid=None):
        os.kill(pid or self.pid, number)

    def stop(self, sig=SIGTERM, bound=15):
        """Signal the master, wait for its end, return its exit code."""
        self.http.close()
        if self.running():
            self.signal(sig)
        return self.wait(bound)

    def wait(self, bound=15):
        try:
            return self.process.wait(seconds(bound))
        except subprocess.TimeoutExpired:
            left = {pid: processes()[pid] for pid in self.tree() if pid in processes()}
            pytest.fail(f"jobtabd did not end within {seconds(bound):g} s; left: {left}")

    def kill_tree(self):
        """SIGKILL to every process of it. They are stopped first, so that none sees another's
        end: to them it is at once."""
        self.http.close()
        stopped = set()
        while True:
            fresh = self.tree() - stopped
            if not fresh:
                break
            self._send(fresh, SIGSTOP)
            stopped |= fresh
        while pids := self.tree():
            self._send(pids, SIGKILL)
            time.sleep(0.005)
        if self.process:
            self.process.wait()

    def _send(self, pids, number):
        # The master first: what it would do about the others is not meant to happen.
        for pid in sorted(pids, key=lambda pid: pid not in self.sids):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    # -- what there is of it

    def tree(self):
        """Every living process that is of this daemon by session, place or environment."""
        mark = os.fsencode(str(self.dir))
        found = set()
        for pid, process in processes().items():
            if pid == os.getpid():
                continue
            if process.sid in self.sids:
                found.add(pid)
                continue
            cwd = _link(pid, "cwd")
            if cwd == str(self.dir) or cwd.startswith(f"{self.dir}/"):
                found.add(pid)
            elif mark + b"/" in _environment_of(pid):
                found.add(pid)
        return found

    def roles(self):
        """The master's children by the role that their title tells."""
        found = {"worker": [], "runner": [], "keeper": []}
        for pid, process in sorted(processes().items()):
            if process.ppid != self.pid:
                continue
            title = _bytes_of(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
            for text in (process.name, title):
                match = re.search(r"\b(worker|runner|keeper)\b", text)
                if match:
                    found[match.group(1)].append(pid)
                    break
        return found

    def pids(self, what):
        if what == "master":
            return [self.pid]
        roles = self.roles()
        if what != "child":
            return roles[what]
        table = processes()
        return sorted(set().union(*(descendants(pid, table) for pid in roles["runner"])))

    def log(self):
        return "".join(
            path.read_text(errors="replace")
            for path in (self.error_log, self.stderr_file)
            if path.exists()
        )

    def found_reports(self):
        """What sanitizers and valgrind (told to be quiet otherwise, -q) had to say."""
        found = []
        for path in [self.error_log, self.stderr_file, *sorted(self.reports.iterdir())]:
            text = path.read_text(errors="replace") if path.exists() else ""
            if path.name.startswith("valgrind"):  # "--" lines tell of system calls it lacks
                text = "".join(l for l in text.splitlines(True) if l.startswith("=="))
            if REPORT.search(text) or path.name.startswith("valgrind") and text:
                found.append(f"{path.name}:\n{text[-6000:]}")
        return found

    # -- talking to it

    def client(self, timeout=10):
        return Client(self.port, timeout)

    def submit(self, kind=None, params=None, **members):
        body = dict(members)
        if kind is not None:
            body["kind"] = kind
        if params is not None:
            body["params"] = params
        answer = self.http.post("/run", body)
        assert answer.status == 202, answer
        return answer.json()

    def job(self, job_id):
        answer = self.http.get(f"/status/{job_id}")
        assert answer.status == 200, answer
        return answer.json()

    def wait_job(self, job_id, *states, bound=10):
        """The job, once it is in one of the states (by default once it is done)."""
        last = None

        def there():
            nonlocal last
            last = self.job(job_id)
            return last if last["status"] in (states or DONE) else None

        end = time.monotonic() + seconds(bound)
        while time.monotonic() < end:
            if there():
                return last
            time.sleep(0.01)
        pytest.fail(f"not {states or DONE} within {seconds(bound):g} s: {last}")

    def jobtab(self, *arguments, bound=30, stdin=None):
        return subprocess.run(
            [*self.wrapper(), str(self.build / "jobtab"), "-d", str(self.table), *map(str, arguments)],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=seconds(bound),
            cwd=self.dir,
            env=self.environment(),
        )

    def mdb_stat(self):
        text = subprocess.run(
            ["mdb_stat", "-a", str(self.table)],
            capture_output=True,
            text=True,
            timeout=seconds(10),
            check=True,
        ).stdout
        return {
            name: int(entries)
            for name, entries in re.findall(r"Status of (.+?)\n(?:.*\n)*?\s+Entries: (\d+)", text)
        }


# --------------------------------------------------------------------------- fixtures


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("JOBTAB_TAP") and (report.when == "call" or not report.passed):
        verdict = "not ok" if report.failed else "ok"
        name = item.name.removeprefix("test_").replace("_", " ")
        item.config.get_terminal_writer().line(
            f"\n{verdict} - {name}{' # SKIP' if report.skipped else ''}"
        )
    if report.failed:
        item.failed = True
        for number, daemon in enumerate(getattr(item, "daemons", [])):
            report.sections.append((f"log of daemon {number} in {daemon.dir}", daemon.log()[-6000:]))


@pytest.fixture
def private(request):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="jobtab-test-"))
    yield directory
    if not getattr(request.node, "failed", False) and not os.environ.get("JOBTAB_TEST_KEEP"):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def seed():
    """This test's seed; JOBTAB_SEED replays one. A failure shows it."""
    number = int(os.environ.get("JOBTAB_SEED") or random.SystemRandom().randrange(1, 2**31))
    print(f"seed {number}")
    return number


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def build():
    return BUILD


@pytest.fixture
def daemon(request, private):
    daemons = request.node.daemons = []

    def make(conf=None, kinds=None, table=None, listen=None, start=True, build=BUILD, **settings):
        number = len(daemons)
        directory = private / f"d{number}" if number else private
        directory.mkdir(exist_ok=True)
        for _ in range(5):
            port = free_port()
            if conf is not None:
                text = conf
                for key, value in (("port", port), ("dir", directory), ("table", directory / "table")):
                    text = text.replace("{" + key + "}", str(value))
            else:
                jobs = kinds if kinds is not None else {"echo": sh("cat")}
                keys = {
                    "worker_processes": 1,
                    "runner_processes": 1,
                    "error_log": directory / "error.log",
                    "pid_file": directory / "jobtabd.pid",
                    "default_kind": next(iter(jobs), "echo"),
                    "shutdown_timeout": "10s",
                }
                keys.update(settings)
                text = conf_text(
                    keys,
                    [(f"127.0.0.1:{port}", listen or {})],
                    directory / "table",
                    dict({"map_size": "64m"}, **(table or {})),
                    jobs,
                )
            made = Daemon(directory, port, text, pathlib.Path(build))
            daemons.append(made)
            if not start:
                return made
            made.spawn()
            made.await_ready()
            if made.running():
                return made
            # Between our look for a free port and the daemon's bind another may have taken it.
            if "in use" not in made.log():
                break
            daemons.pop()
        pytest.fail(f"jobtabd left with {made.process.returncode}:\n{made.log()[-4000:]}")

    yield make

    faults = []
    for made in daemons:
        made.http.close()
        if made.process is None:
            continue
        if made.running():
            made.signal(SIGCONT)
            made.signal(SIGTERM)
            try:
                made.process.wait(seconds(15))
            except subprocess.TimeoutExpired:
                faults.append("jobtabd did not end 15 s after SIGTERM")
        # What a killed master leaves behind has a moment to see that it is alone.
        end = time.monotonic() + seconds(5)
        while made.tree() and time.monotonic() < end:
            time.sleep(0.02)
        left = made.tree()
        if left:
            table = processes()
            faults.append(
                "processes remain: "
                + ", ".join(
                    f"{pid} {table[pid].name} "
                    f"{_bytes_of(pid, 'cmdline').replace(bytes(1), b' ')[:200]!r}"
                    for pid in left
                    if pid in table
                )
            )
            made.kill_tree()
        faults += made.found_reports()
    if faults:
        request.node.failed = True
        pytest.fail("\n".join(faults), pytrace=False)


def job_processes(d, job_id):
    """Processes of the daemon that have the job's id in their environment."""
    mark = f"JOBTAB_JOB_ID={job_id}".encode()
    return [pid for pid in d.tree() if mark in _environment_of(pid).split(b"\0")]


def read_answer(file):
    """One answer of a connection, read as it came: (status, head, body)."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = file.readline()
        assert line, f"closed after {head!r}"
        head += line
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    body = file.read(int(length.group(1))) if length else b""
    return int(head.split()[1]), head, body
