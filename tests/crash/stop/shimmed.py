"""Processes with shim.c loaded, which a test stops inside transactions and whose wall clock it steps."""

import mmap
import os
import pathlib
import re
import struct
import subprocess
import time

from conftest import BUILD, alive, seconds

LIBRARY = BUILD / "tests/crash/stop/shim.so"
CHURN = BUILD / "tests/crash/stop/churn"
READ, WRITE = 1, 2


class Shim:
    """What is told to all that run with its environment."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(16))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 16)
        self.environment = {"LD_PRELOAD": str(LIBRARY), "JOBTAB_SHIM": str(self.path)}

    def under(self, d):
        """The daemon, and what it is asked by command line, have the shim."""
        own = d.environment

        def environment():
            # AddressSanitizer wants to come first and finds that it does not.
            more = {"ASAN_OPTIONS": own()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
            return own() | more | self.environment

        d.environment = environment
        return d

    def words(self):
        """What goes before a command to load it there: a job child has no variables of the daemon's."""
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in self.environment.items())]

    def step(self, milliseconds):
        """The wall clock is ahead by so much from now on."""
        self.memory[8:16] = struct.pack("<q", milliseconds)

    def now(self):
        """What the shimmed take for the time."""
        return time.time() + struct.unpack("<q", self.memory[8:16])[0] / 1000

    def stop(self, pid, point, bound=5):
        """The process stops itself at the point when it next comes there. False when it does not."""
        self.memory[4:8] = struct.pack("<i", point)
        self.memory[0:4] = struct.pack("<i", pid)
        end = time.monotonic() + seconds(bound)
        while self.memory[0:4] != bytes(4):  # the process says that it does
            if time.monotonic() > end or not alive(pid):
                self.memory[0:4] = bytes(4)
                return False
            time.sleep(0.002)
        return True


def is_stopped(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


class Churn:
    """A process that writes to the table, or reads it, as fast as it can (churn.c)."""

    def __init__(self, table, what, environment=None):
        self.process = subprocess.Popen(
            [str(CHURN), "-d", str(table), what],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, **(environment or {})),
        )  # fmt: skip
        assert self.process.stdout.readline() == "at work\n"

    @property
    def pid(self):
        return self.process.pid

    def figures(self):
        """How often it has done it since it was last asked, and the longest time between two."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        times, longest = self.process.stdout.readline().split()
        return int(times), int(longest) / 1000

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def snapshots(table):
    """{pid: commit} of the readers' slots that show one, the oldest of each."""
    text = subprocess.run(["mdb_stat", "-r", str(table)], capture_output=True, text=True).stdout
    found = {}
    for pid, commit in re.findall(r"^\s*(\d+)\s+[0-9a-f]+\s+(\d+)$", text, re.M):
        found[int(pid)] = min(int(commit), found.get(int(pid), int(commit)))
    return found


def gone(pid, bound):
    """How long the process lives on, None when it is there after the bound."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds(bound):
        if not alive(pid):
            return time.monotonic() - begun
        time.sleep(0.005)
    return None

