"""A file system is cut off under load, as by a power failure: an ext4 of its own in a file, the ioctl that
shuts it down, the journal's replay at the next mount. Nothing that was acknowledged may be missing then.

The file system is mounted in a mount namespace of this process: whatever ends it, the kernel unmounts it and
lets the loop device go.
"""

import ctypes
import fcntl
import os
import random
import struct
import subprocess
import time
from signal import SIGBUS

import pytest
from conftest import BUILD, actor, count, seconds, wait_until, warm
from oracle import ACCEPTED, check, load
from storm import storm, storm_command

CLONE_NEWNS = 0x20000
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
SYNC_ALL, FLUSH_LOG, NOTHING = 0, 1, 2  # before it is cut; a power failure does nothing
HOW = (NOTHING, NOTHING, NOTHING, FLUSH_LOG, SYNC_ALL)

LIBRARY_CUTS = count(40, 800)
DAEMON_CUTS = count(10, 200)
CONTROLS = count(3, 30)
CUTS_A_DISK = 10  # then another is made
MEGABYTES = 48


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds(60), check=True)


@pytest.fixture(scope="module", autouse=True)
def namespace():
    """Mounts of our own from here on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        pytest.skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


class Disk:
    """An ext4 in a file in memory."""

    def __init__(self, folder):
        self.folder = folder
        self.file = f"/dev/shm/jobtab-disk-{os.getpid()}"
        self.mounted = False

    def make(self):
        self.unmount()
        with open(self.file, "wb") as file:
            file.truncate(MEGABYTES << 20)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,nodiscard", self.file)
        self.mount()

    def mount(self):
        self.folder.mkdir(exist_ok=True)
        run("mount", "-o", "loop", self.file, str(self.folder))
        self.mounted = True

    def unmount(self):
        """Fails when a process has a file of it open."""
        if self.mounted:
            run("umount", str(self.folder))
            self.mounted = False

    def cut(self, how):
        """The instants before and after, on the clients' clock."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            before = time.monotonic_ns()
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", how))
            return before, time.monotonic_ns()
        finally:
            os.close(fd)

    def mend(self):
        """As after a boot: what the journal has is replayed."""
        self.unmount()
        self.mount()

    def drop(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)
        if os.path.exists(self.file):
            os.unlink(self.file)


@pytest.fixture
def disk(private):
    made = Disk(private / "disk")
    try:
        made.make()
        made.cut(NOTHING)
        made.mend()
    except (OSError, subprocess.CalledProcessError) as error:
        made.drop()
        pytest.skip(f"no file system to cut: {error}")
    yield made
    made.drop()


def written(events):
    return sum(entry.stat().st_size for entry in os.scandir(events))


def cut_under(disk, dice, table, events, hows=HOW, least=0, **more):
    """Clients at work until the cut comes over them. What they said at their end."""
    events.mkdir()
    enough = least + dice.choice((300, 10000, 100000, 300000)) * (1 + dice.random())
    process = subprocess.Popen(
        storm_command(table, events, requests=10**6, at_most=60, seed=dice.randrange(1 << 30), **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(
            lambda: written(events) > enough or process.poll() is not None, 30, "they are at work"
        )
        assert process.poll() is None, process.communicate()[0]
        cut = disk.cut(dice.choice(hows))
        said, _ = process.communicate(timeout=seconds(30))
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, f"they did not notice: {said}"
    return cut, said


def answered_after(events, cut):
    """Changes that were asked for when all was over, and acknowledged."""
    return [
        e
        for e in load(events)
        if e.begun > cut[1] and e.outcome in ACCEPTED and e.verb not in ("get", "list", "final")
    ]


def verify(table):
    told = subprocess.run(
        [BUILD / "jobtab", "-d", str(table), "verify"],
        capture_output=True,
        text=True,
        timeout=seconds(30),
    )
    return [] if told.returncode == 0 else [f"verify: {told.returncode}: {told.stdout}{told.stderr}"]


def look_after(table, events, **how):
    """What is wrong with the table after the boot; the rest of its jobs is worked off."""
    faults = verify(table)
    if faults:
        return faults
    code, said = storm(table, events, requests=0, clients=4, at_most=20, **how)
    if code:
        return [f"it cannot be worked on: {said}"]
    return check(load(events), killed=True) + verify(table)


def cut_library(disk, dice, folder, number, **more):
    table, events = disk.folder / "table", folder / f"events{number}"
    cut, said = cut_under(disk, dice, table, events, clients=8, **more)
    late = answered_after(events, cut)
    assert not late, f"cut {number}: acknowledged after the cut: {late[:3]}"
    disk.mend()
    return events, said


def show(number, of, what):
    if os.isatty(2):
        os.write(2, f"\r# {number} of {of} {what} ".encode())


def test_processes_lose_nothing_that_was_answered_when_their_file_system_is_cut(disk, private, seed):
    dice = random.Random(seed)
    jobs = buses = 0
    begun = time.monotonic()
    for number in range(LIBRARY_CUTS):
        show(number, LIBRARY_CUTS, "cuts")
        if number % CUTS_A_DISK == 0:
            disk.make()
        events, said = cut_library(disk, dice, private, number)
        faults = look_after(disk.folder / "table", events)
        assert not faults, f"cut {number} of seed {seed}: {faults}\n{said}"
        buses += said.count(f"signal {SIGBUS.value}")
        jobs += sum(1 for e in load(events) if e.outcome in ACCEPTED and e.verb == "submit")
    print(
        f"# {LIBRARY_CUTS} cuts, {jobs} jobs acknowledged, {buses} processes ended by SIGBUS,"
        f" {time.monotonic() - begun:.1f} s"
    )


def test_a_store_that_does_not_sync_is_found_each_time(disk, private, seed, monkeypatch):
    dice = random.Random(seed)
    for number in range(CONTROLS):
        disk.make()
        monkeypatch.setenv("JOBTAB_MUTANT", "no-sync")
        events, _ = cut_library(
            disk, dice, private, number, program="storm-mutant", hows=(NOTHING,), least=30000
        )
        monkeypatch.delenv("JOBTAB_MUTANT")
        assert look_after(disk.folder / "table", events), f"try {number} of seed {seed}"
    print(f"# found {CONTROLS} times of {CONTROLS}")
