"""A file system is cut off under load, as by a power failure: an ext4 of its own in a file, the ioctl that
shuts it down, the journal's replay at the next mount. Nothing that was acknowledged may be missing then.

The file system is mounted in a mount namespace of this process: whatever ends it, the kernel unmounts it and
lets the loop device go.
"""

import collections
import ctypes
import fcntl
import json
import os
import random
import struct
import subprocess
import time
from signal import SIGBUS

import pytest
from conftest import BUILD, count, descendants, seconds, wait_until
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
        """The instant when it is over, on the clients' clock."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", how))
            return time.monotonic_ns()
        finally:
            os.close(fd)

    def sectors(self):
        """That were ever written to the device."""
        device = os.stat(self.folder).st_dev
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat") as file:
            return int(file.read().split()[6])

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


READS = ("get", "list", "final")


def changes(events):
    """What was acknowledged so far."""
    return [e for e in load(events) if e.outcome in ACCEPTED and e.verb not in READS]


def users(table):
    """Processes of ours that have the table open."""
    found = set()
    for pid in descendants(os.getpid()):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") == f"{table}/shared":
                    found.add(pid)
        except OSError:
            pass
    return found


Cut = collections.namedtuple("Cut", "over said wrote")  # `wrote`: sectors, while they were at work


def cut_under(disk, dice, table, events, clients, hows=HOW, settled=False, **more):
    """Clients at work until the cut comes over them. `settled`: not before all have opened the table, which
    syncs it, and something was done since."""
    events.mkdir()
    enough = dice.choice((0, 5, 20, 60))
    command = storm_command(
        table, events, clients=clients, requests=10**6, at_most=60, seed=dice.randrange(1 << 30), **more
    )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        if settled:
            wait_until(lambda: len(users(table)) > clients, 30, "all have opened it")
            enough += len(changes(events)) + 20
        sectors = disk.sectors()
        wait_until(
            lambda: len(changes(events)) >= enough or process.poll() is not None,
            30,
            f"{enough} changes",
            every=0.003,
        )
        assert process.poll() is None, process.communicate()[0]
        wrote = disk.sectors() - sectors
        over = disk.cut(dice.choice(hows))
        said, _ = process.communicate(timeout=seconds(30))
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, f"they did not notice: {said}"
    return Cut(over, said, wrote)


def jobtab(table, *words):
    return subprocess.run(
        [BUILD / "jobtab", "-d", str(table), "-o", "json", *words],
        capture_output=True,
        text=True,
        timeout=seconds(30),
    )


def verify(table):
    told = jobtab(table, "verify")
    return [] if told.returncode == 0 else [f"verify: {told.returncode}: {told.stdout}{told.stderr}"]


def is_behind(table, events):
    """Versions are one sequence of the whole table: it has reached every one that anybody was told."""
    told = max((e.version for e in load(events)), default=0)
    answer = jobtab(table, "stat")
    has = json.loads(answer.stdout)["version"] if answer.returncode == 0 else 0
    return [f"version {told} was told, the table has {has}"] if has < told else []


def look_after(table, events, **how):
    """What is wrong with the table after the boot; the rest of its jobs is worked off."""
    faults = verify(table) or is_behind(table, events)
    if faults:
        return faults
    code, said = storm(table, events, requests=0, clients=4, at_most=20, **how)
    if code:
        return [f"it cannot be worked on: {said}"]
    return check(load(events), killed=True) + verify(table)


def cut_library(disk, dice, folder, number, **more):
    table, events = disk.folder / "table", folder / f"events{number}"
    cut = cut_under(disk, dice, table, events, 8, **more)
    late = [e for e in changes(events) if e.begun > cut.over]
    assert not late, f"cut {number}: acknowledged after the cut: {late[:3]}"
    disk.mend()
    return events, cut


def show(number, of, what):
    if os.isatty(2):
        os.write(2, f"\r# {number} of {of} {what} ".encode())


def test_processes_lose_nothing_that_was_answered_when_their_file_system_is_cut(disk, private, seed):
    dice = random.Random(seed)
    told = buses = 0
    begun = time.monotonic()
    for number in range(LIBRARY_CUTS):
        show(number, LIBRARY_CUTS, "cuts")
        if number % CUTS_A_DISK == 0:
            disk.make()
        events, cut = cut_library(disk, dice, private, number)
        faults = look_after(disk.folder / "table", events)
        assert not faults, f"cut {number} of seed {seed}: {faults}\n{cut.said}"
        buses += cut.said.count(f"signal {SIGBUS.value}")
        told += len(changes(events))
    print(
        f"# {LIBRARY_CUTS} cuts, {told} changes acknowledged, {buses} processes ended by SIGBUS,"
        f" {time.monotonic() - begun:.1f} s"
    )


def test_a_store_that_does_not_sync_is_found_each_time(disk, private, seed, monkeypatch):
    dice = random.Random(seed)
    found = tries = 0
    while found < CONTROLS:
        tries += 1
        assert tries < 10 * CONTROLS, "somebody syncs all file systems of this machine all the time"
        disk.make()
        monkeypatch.setenv("JOBTAB_MUTANT", "no-sync")
        events, cut = cut_library(
            disk, dice, private, tries, program="storm-mutant", hows=(NOTHING,), settled=True
        )
        monkeypatch.delenv("JOBTAB_MUTANT")
        if cut.wrote:  # by the sync of a stranger, who has saved what was at stake
            continue
        assert look_after(disk.folder / "table", events), f"try {tries} of seed {seed}"
        found += 1
    print(f"# found {found} times of {found}; in {tries - found} tries more the machine was synced by others")
