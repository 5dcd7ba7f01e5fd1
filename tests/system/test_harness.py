"""The harness itself: what it must not overlook."""

import fcntl
import subprocess
from signal import SIGKILL

import pytest

from conftest import Daemon, alive, free_port, wait_until


@pytest.fixture
def idle(private):
    return Daemon(private, free_port(), "")


@pytest.mark.parametrize(
    "name, text",
    [
        ("error.log", "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x6\n"),
        ("stderr", "../src/lib/keys.c:12:3: runtime error: signed integer overflow\n"),
        ("reports/sanitizer.7", "==7==ERROR: LeakSanitizer: detected memory leaks\n"),
        ("reports/valgrind.7", "==7== Invalid read of size 8\n"),
    ],
)
def test_a_report_is_found(idle, name, text):
    assert idle.found_reports() == []
    (idle.dir / name).write_text(text)
    assert len(idle.found_reports()) == 1


def test_a_leak_check_cut_short_by_a_kill_is_no_report(idle):
    (idle.dir / "reports/sanitizer.7").write_text("==8==Unable to get registers from thread 7.\n")
    assert idle.found_reports() == []


def test_system_calls_that_valgrind_lacks_are_no_report(idle):
    text = "--7-- WARNING: unhandled amd64-linux syscall: 434\n--7-- You may be able to\n"
    (idle.dir / "reports/valgrind.7").write_text(text)
    assert idle.found_reports() == []


@pytest.mark.parametrize("mark", ["cwd", "environment"])
def test_a_process_that_got_away_is_found(idle, mark):
    """Another session, another parent: its place or its environment tells whose it is."""
    ran = subprocess.run(
        ["/bin/sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"],
        cwd=idle.dir if mark == "cwd" else "/",
        env={"TMPDIR": str(idle.tmp)} if mark == "environment" else {},
        capture_output=True,
        text=True,
        timeout=10,
    )
    away = int(ran.stdout)
    try:
        assert idle.tree() == {away}
    finally:
        idle.kill_tree()
    wait_until(lambda: not alive(away), 5)


def test_a_worker_that_has_no_table_yet_is_not_taken_for_ready(daemon):
    """Its fellow would answer that all is well, and it itself the next request that it is not."""
    d = daemon(worker_processes=2, runner_processes=0)
    assert d.all_ready()
    with open(d.table / "open.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever opens it now waits
        first, second = d.pids("worker")
        d.signal(SIGKILL, first)
        wait_until(lambda: len(set(d.pids("worker")) - {first, second}) == 1, what="another is there")
        assert not d.all_ready()
    wait_until(d.all_ready, what="it has the table")
