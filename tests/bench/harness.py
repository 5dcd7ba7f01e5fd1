"""What a row of the benchmark is, and what a row has to measure with.

Each rows_X.py in this folder exports ROWS, a list of Row. bench.py finds them, runs the chosen ones
in rounds and hands the samples to report.py. To add a row:

    from harness import Goal, Row, Sample, Side

    def ours(bench, folder):
        run = bench.run([bench.program("tests/bench/get"), "-t", str(bench.seconds), folder])
        return Sample(run.json["ns"], "ns", client=run.cpu_share)

    ROWS = [Row("lib-get", "jobtab_get of a random job among 100,000, one process",
                sides=[Side("libjobtab", ours, settings="default options"),
                       Side("mdb_get", theirs, settings="the same value, MDB_RDONLY")],
                goals=[Goal("libjobtab", over="mdb_get", at_most=1.5)],
                better="lower")]

A measure is called once a round with (bench, folder). It takes bench.seconds of measuring (0.6 in
the short form: the rows of all files together must end within five minutes, in three rounds) and
what it needs to start and stop. `folder` belongs to the row and stays through all rounds;
bench.fresh(folder, "name") gives an empty folder in it, and what many rows need is made by
bench.once(). Who cannot be measured raises CannotRun(reason): the table shows it. Who measures
something wrong (an error answer, a missing job) raises Failed: the table shows it and the
benchmark's exit is 1. A program of ours is C, prints one line of JSON as its last line, and is
named in local.mk's bench_programs. A server's settings stand in peers.py, and nowhere else.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

START_BOUND = 30  # seconds until a server must answer
RUN_BOUND = 120   # seconds until a program of ours must have ended, unless said otherwise
CACHE = "bench-cache"  # below the build folder: what npm fetched, kept from run to run


class CannotRun(Exception):
    """This side cannot be measured here; its text says why."""


class Failed(Exception):
    """A measure went wrong: its figure would be worth nothing."""


@dataclass
class Sample:
    value: float                    # what the row compares, in `unit`
    unit: str                       # "requests/s", "ns", "wake-ups/s"
    client: Optional[float] = None  # share of one core that a thread of the load generator used
    cpu: Optional[float] = None     # microseconds of the server's processor time an operation
    note: str = ""                  # shown below the figure, of the last round
    # bench.py writes these:
    took: float = 0                 # seconds of all of the measure
    others: float = 0               # share of all cores that was spent meanwhile, but not by us


@dataclass
class Side:
    name: str
    measure: Optional[Callable]     # (bench, folder) -> Sample; None with why_not
    settings: str = ""              # printed once, so that a reader can repeat it
    why_not: str = ""               # it does not fit this row: why
    packages: tuple = ()            # Debian packages it needs; installed when we may


@dataclass
class Goal:
    """The ratio side / over within a round, or `side` itself when over is None; its median is held
    to at_least or at_most."""
    side: str
    over: Optional[str] = None
    at_least: Optional[float] = None
    at_most: Optional[float] = None

    def bound(self):
        return self.at_most if self.at_least is None else self.at_least

    def reached(self, value):
        return value <= self.at_most if self.at_least is None else value >= self.at_least


@dataclass
class Row:
    key: str                        # "get-32": what --rows takes
    work: str                       # one line
    sides: list
    goals: list = field(default_factory=list)
    better: str = "higher"          # or "lower"
    forms: frozenset = frozenset({"short", "long"})


@dataclass
class Run:
    """A program that ended: see Bench.run."""
    out: str
    seconds: float
    cpu_seconds: float

    @property
    def json(self):
        return json.loads(self.out.strip().splitlines()[-1])

    @property
    def cpu_share(self):
        return self.cpu_seconds / self.seconds


# ---------------------------------------------------------------- processes and their cost

def _stat(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()


def descendants(pid):
    """pid and all that come from it, by /proc."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(entry)[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_seconds(pid):
    """Processor time of pid and all that came from it, user and kernel."""
    ticks = 0
    for one in descendants(pid):
        with contextlib.suppress(OSError):
            fields = _stat(one)
            # its own, and of the children it has waited for
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Processor time that the whole machine has spent, on all cores, since it started."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """What we and all that we started and waited for have spent of it."""
    return sum(os.times()[:4])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def tail(path):
    with contextlib.suppress(OSError), open(path, errors="replace") as text:
        return text.read()[-2000:]
    return ""


def wait_until(ready, process, name, log):
    """Until ready() is true; a process that ends before, or takes too long, has failed."""
    bound = time.monotonic() + START_BOUND
    while time.monotonic() < bound and process.poll() is None:
        if ready():
            return
        time.sleep(0.01)
    raise Failed(f"{name} did not start; its log:\n{tail(log)}")


def answers(port):
    """Somebody listens there."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@contextlib.contextmanager
def running(name, argv, folder, ready, env=None):
    """A server from the moment that ready() says so to its end. Yields its process."""
    log = os.path.join(folder, f"{name}.log")
    with open(log, "wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=folder, env={**os.environ, **(env or {})})
    try:
        wait_until(ready, process, name, log)
        yield process
        if process.poll() is not None:
            raise Failed(f"{name} ended during the measure, code {process.returncode}; its log:\n"
                         + tail(log))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START_BOUND)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Bench:
    """What a measure is given."""

    def __init__(self, build, folder, form, seconds):
        self.build = os.path.abspath(build)
        self.source = os.path.dirname(os.path.abspath(__file__))
        self.folder = folder      # of this run; removed at its end
        self.form = form          # "short" or "long"
        self.seconds = seconds    # of one sample
        self.warm_up = 0.2        # before it, where there is something to warm up
        self._made = {}

    def program(self, name):
        """A program of the build: "jobtabd", "tests/bench/load"."""
        path = os.path.join(self.build, name)
        if not os.access(path, os.X_OK):
            raise Failed(f"{path} is missing: run this as `make bench`")
        return path

    def tool(self, name, package):
        """A program of the machine."""
        path = shutil.which(name)
        if path is None:
            for folder in ("/usr/sbin", "/sbin"):
                if os.access(os.path.join(folder, name), os.X_OK):
                    return os.path.join(folder, name)
            raise CannotRun(f"{name} is not installed: apt-get install {package}")
        return path

    def fresh(self, folder, name):
        """An empty folder of that name; what was written before is on disk and in nobody's way."""
        path = os.path.join(folder, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        os.sync()
        return path

    def once(self, key, make):
        """make(folder) in the first round of whoever needs it, its value from then on."""
        if key not in self._made:
            path = os.path.join(self.folder, "shared-" + re.sub(r"[^a-z0-9]+", "-", key))
            os.makedirs(path)
            self._made[key] = make(path)
        return self._made[key]

    def cache(self, name):
        """A folder that outlives this run."""
        path = os.path.join(self.build, CACHE, name)
        os.makedirs(path, exist_ok=True)
        return path

    def run(self, argv, bound=RUN_BOUND, env=None, cwd=None):
        """Run a program to its end. Anything but exit 0 has failed."""
        log = os.path.join(self.folder, "run.log")
        with open(log, "wb") as errors:
            begin, before = time.monotonic(), os.times()
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=errors, cwd=cwd or self.folder,
                                       env={**os.environ, **(env or {})})
            try:
                out, _ = process.communicate(timeout=bound)
            except subprocess.TimeoutExpired:
                raise Failed(f"{' '.join(argv)}: not done after {bound} s") from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
            after = os.times()
        seconds = time.monotonic() - begin
        if process.returncode != 0:
            raise Failed(f"{' '.join(argv)}: exit {process.returncode}\n{tail(log)}")
        spent = (after.children_user + after.children_system
                 - before.children_user - before.children_system)
        return Run(out.decode(), seconds, spent)
