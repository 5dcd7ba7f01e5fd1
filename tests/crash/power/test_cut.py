"""A file system is cut off under load, as by a power failure: an ext4 of its own in a file, the ioctl
that shuts it down, the journal's replay at the next mount. Nothing that was acknowledged may be
missing then.

The file system is mounted in a mount namespace of this process: whatever ends it, the kernel unmounts
it and lets the loop device go.
"""

import collections
import ctypes
import fcntl
import http.client
import json
import os
import random
import shutil
import struct
import subprocess
import time
from signal import SIGBUS

import pytest
from conftest import BUILD, count, descendants, seconds, wait_until, warm
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
CUTS_A_DAEMON = 5
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
    """An ext4 in memory, in a file without a name: it goes with us."""

    def __init__(self, folder):
        self.folder = folder
        self.fd = os.memfd_create("jobtab-disk")
        self.file = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.mounted = False

    def make(self):
        self.unmount()
        os.truncate(self.fd, 0)
        os.truncate(self.fd, MEGABYTES << 20)
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
            begun = time.monotonic_ns()
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", how))
            return begun, time.monotonic_ns()
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
        os.close(self.fd)


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


READS = ("get", "list", "final", "bell")


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


# `wrote`: sectors, while they were at work; `gone`: when all of them had ended
Cut = collections.namedtuple("Cut", "begun over gone said wrote")


def cut_under(disk, dice, table, events, clients=8, hows=HOW, settled=False, patience=30, **more):
    """Clients at work until the cut comes over them. `settled`: not before all have opened the table,
    which syncs it, and something was done since. `patience`: for their end; clients of a daemon
    may wait for longer, since nobody answers them."""
    enough = len(changes(events)) + dice.choice((0, 5, 20, 60))
    more = dict(more, clients=clients, requests=10**6, at_most=60, seed=dice.randrange(1 << 30))
    command = storm_command(table, events, **more)
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
        begun, over = disk.cut(dice.choice(hows))
        try:
            said, _ = process.communicate(timeout=seconds(patience))
        except subprocess.TimeoutExpired:
            assert "port" in more, "processes that write did not notice"
            said = ""
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0, f"they did not notice: {said}"
    return Cut(begun, over, time.monotonic_ns(), said, wrote)


def jobtab(table, *words):
    return subprocess.run(
        [BUILD / "jobtab", "-d", str(table), "-o", "json", *words],
        capture_output=True,
        text=True,
        timeout=seconds(30),
    )


def verify(table):
    told = jobtab(table, "verify")
    return [f"verify: {told.stdout}{told.stderr}"] if told.returncode else []


def newest(events):
    """The highest version that anybody was told of."""
    return max((e.version for e in load(events)), default=0)


def is_behind(table, events):
    """Versions are one sequence of the whole table: it has reached every one that was told, until it is asked:
    a daemon is at work again."""
    told = newest(events)
    answer = jobtab(table, "stat")
    has = json.loads(answer.stdout)["version"] if answer.returncode == 0 else 0
    return [f"version {told} was told, the table has {has}"] if has < told else []


def look_after(table, events, outages=(), **how):
    """What is wrong with the table after the boot; the rest of its jobs is worked off. In an outage
    an error is as good as no answer."""
    if newest(events) or (table / "data.mdb").exists():  # else it was cut while it was made
        faults = verify(table) or is_behind(table, events)
        if faults:
            return faults
    code, said = storm(table, events, requests=0, clients=4, at_most=20, **how)
    if code:
        return [f"it cannot be worked on: {said}"]
    seen = [
        e._replace(outcome="unanswered")
        if e.outcome == "error" and any(begun < e.ended < over for begun, over in outages)
        else e
        for e in load(events)
    ]
    return check(seen, killed=True) + verify(table)


def late(events, cut):
    """Changes that were asked for when all was over, and acknowledged."""
    return [e for e in changes(events) if e.begun > cut.over]


def cut_library(disk, dice, folder, number, **more):
    events = folder / f"events{number}"
    events.mkdir()
    cut = cut_under(disk, dice, disk.folder / "table", events, **more)
    assert not late(events, cut), f"cut {number}: acknowledged after the cut"
    disk.mend()
    return events, cut


def show(number, of, what):
    if os.isatty(2):
        os.write(2, f"\r# {number} of {of} {what} ".encode())


def test_processes_lose_nothing_that_was_answered_when_their_file_system_is_cut(
    disk, private, seed
):
    dice = random.Random(seed)
    told = buses = 0
    begun = time.monotonic()
    for number in range(LIBRARY_CUTS):
        show(number, LIBRARY_CUTS, "cuts")
        if number % CUTS_A_DISK == 0:
            disk.make()
        events, cut = cut_library(disk, dice, private, number)
        # A single operation may be refused (no block can be taken) before its commit fails.
        faults = look_after(disk.folder / "table", events, [(cut.begun, cut.gone)])
        assert not faults, f"cut {number} of seed {seed}: {faults}\n{cut.said}"
        buses += cut.said.count(f"signal {SIGBUS.value}")
        told += len(changes(events))
    print(
        f"# {LIBRARY_CUTS} cuts, {told} changes acknowledged, {buses} processes ended by SIGBUS,"
        f" {time.monotonic() - begun:.1f} s"
    )


def is_refused(d):
    """No submit is answered as if it were done: it is refused, or nobody is there to take it."""
    try:
        return d.client(timeout=0.3).post("/run", {"kind": "warm"}).status == 503
    except (OSError, http.client.HTTPException):
        return True


@pytest.fixture
def cut_daemon(daemon, private, disk):
    """A daemon whose table is a disk's, and where its children log."""
    events = private / "children"
    d = daemon(
        kinds={"warm": warm("/dev/null", events, children=2)},
        worker_processes=2,
        table={"map_size": "32m"},
        start=False,
    )
    disk.unmount()
    disk.folder = d.table
    return d, events


def begin_anew(d, disk, events):
    if d.running():
        d.stop()
    disk.make()
    shutil.rmtree(events, ignore_errors=True)
    events.mkdir()
    d.start()


def test_a_daemon_loses_nothing_that_was_answered_when_its_file_system_is_cut(
    cut_daemon, disk, seed
):
    dice = random.Random(seed)
    d, events = cut_daemon
    outages = []
    begun = time.monotonic()
    for number in range(DAEMON_CUTS):
        show(number, DAEMON_CUTS, "cuts under a daemon")
        if number % CUTS_A_DAEMON == 0:
            begin_anew(d, disk, events)
        cut = cut_under(disk, dice, d.table, events, port=d.port, patience=0.4)
        assert is_refused(d), f"cut {number}: a submit was taken"
        assert not late(events, cut), f"cut {number}: acknowledged after the cut"
        code = d.stop()
        assert code == 0, f"cut {number}: the daemon ended with {code}\n{d.log()[-2000:]}"
        outages.append((cut.begun, time.monotonic_ns()))
        disk.mend()
        d.start()
        faults = look_after(d.table, events, outages, port=d.port)
        assert not faults, f"cut {number} of seed {seed}: {faults}\n{cut.said}"
    log = d.log()
    print(
        f"# {DAEMON_CUTS} cuts, {log.count(f'signal {SIGBUS.value}')} processes of the daemon ended"
        f" by SIGBUS, {time.monotonic() - begun:.1f} s"
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
    print(f"# found {found} times of {found}; {tries - found} tries more: others synced the machine")
