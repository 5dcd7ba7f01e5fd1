"""The master: command line, start, reload, respawn, stop, what it leaves behind.

Most of it is shown with roles that do nothing but what a test tells them (fake_roles.c), so that a
worker can die at its start or refuse to end."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM

import pytest

from conftest import BUILD, alive, free_port, processes, seconds, wait_until

FAKE = BUILD / "tests/system/fake"
NAMES = ("worker", "runner", "keeper")


@pytest.fixture
def fake(daemon):
    """A daemon with fake roles that can work already, or (start=False) is to be started."""

    def make(start=True, **settings):
        d = daemon(build=FAKE, start=False, **settings)
        if start:
            begin(d)
        return d

    return make


def begin(d, *arguments, wrapper=None):
    before = d.log().count(" ready\n")
    d.spawn(*arguments, wrapper=wrapper)
    wait_until(lambda: d.log().count(" ready\n") > before or not d.running(), 15, "ready")
    assert d.running(), d.log()
    return d


def tell(d, role, what):
    (d.tmp / f"{role}.{what}").touch()


def tell_no_more(d, role, what):
    (d.tmp / f"{role}.{what}").unlink()


def ask(address):
    """What a fake worker answers: its pid, the listeners and the descriptors that it has."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as connection:
        connection.settimeout(seconds(5))
        connection.connect(address)
        return tuple(int(word) for word in connection.makefile().read().split())


def local(port):
    return ("127.0.0.1", port)


def refused(address):
    try:
        ask(address)
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except ConnectionResetError:
        pass  # it was in the queue of a listener that has just been closed
    return False


def replace(d, old, new):
    text = d.conf_file.read_text()
    assert old in text
    d.conf_file.write_text(text.replace(old, new))


def logged(d, text, count=1):
    wait_until(lambda: d.log().count(text) >= count, 15, f"the log says {text!r}")


def run(d, *arguments):
    """jobtabd itself, to its end."""
    return subprocess.run(
        [str(d.build / "jobtabd"), "-c", str(d.conf_file), *arguments],
        capture_output=True,
        text=True,
        timeout=seconds(20),
        cwd=d.dir,
        env=d.environment(),
    )


# ---------------------------------------------------------------------- command line


def test_t_says_that_a_file_is_fine_and_opens_nothing(fake):
    d = fake(start=False)
    answer = run(d, "-t")
    assert (answer.returncode, answer.stdout) == (0, "")
    assert answer.stderr == f"jobtabd: {d.conf_file} is fine\n"
    assert not d.table.exists() and not (d.dir / "jobtabd.pid").exists()


@pytest.mark.parametrize("option", ["-t", "-T", "-D", "-sstop", None])
def test_a_faulty_file_is_told_with_its_line_and_exits_1(fake, option):
    d = fake(start=False)
    d.conf_file.write_text("runner_processes = 99\n\nkind \"k\" { command = {\"/nowhere\"} }\n")
    answer = run(d, *([option] if option else []))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.splitlines() == [
        f"jobtabd: {d.conf_file}:1: runner_processes: 99 is above 64",
        f'jobtabd: {d.conf_file}:3: command: there is no program "/nowhere"',
    ]


def test_what_T_prints_loads_and_prints_the_same(fake):
    d = fake(start=False, kinds={"k": {"command": ["/bin/sh", "-c", 'echo "${A}" \\ \'b\'']}})
    first = run(d, "-T")
    assert first.returncode == 0
    assert "retention = 1d" in first.stdout and "worker_connections = 1024" in first.stdout
    d.conf_file.write_text(first.stdout)
    assert run(d, "-T").stdout == first.stdout


def test_the_sample_is_a_sound_configuration(fake):
    d = fake(start=False)
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    answer = subprocess.run(
        [str(BUILD / "jobtabd"), "-c", "conf/jobtabd.conf", "-t"],
        cwd=top,
        env=d.environment(),
        capture_output=True,
        text=True,
    )
    assert (answer.returncode, answer.stderr) == (0, "jobtabd: conf/jobtabd.conf is fine\n")


@pytest.mark.parametrize(
    "arguments", [["-x"], ["-t", "-T"], ["-t", "-s", "stop"], ["argument"], ["-s", "dance"]]
)
def test_wrong_usage_exits_2(fake, arguments):
    answer = run(fake(start=False), *arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr


@pytest.mark.parametrize("order", ["upgrade", "reopen"])
def test_orders_of_later_versions_are_refused_in_so_many_words(fake, order):
    answer = run(fake(start=False), "-s", order)
    assert answer.returncode == 2
    assert answer.stderr == f"jobtabd: -s {order}: not supported by this version\n"


def test_V_prints_the_version(fake):
    answer = run(fake(start=False), "-V")
    assert answer.returncode == 0
    assert re.fullmatch(r"jobtabd \d+\.\d+\.\d+\n", answer.stdout)


def test_s_tells_when_nobody_runs(fake):
    answer = run(fake(start=False), "-s", "stop")
    assert answer.returncode == 1
    assert "jobtabd is not running" in answer.stderr


@pytest.mark.parametrize("order, signal", [("stop", "SIGTERM"), ("quit", "SIGQUIT")])
def test_s_stop_and_quit_end_the_master(fake, order, signal):
    d = fake()
    assert run(d, "-s", order).returncode == 0
    assert d.wait() == 0
    assert f"{signal}: stopping" in d.log()


def test_s_reload_reloads(fake):
    d = fake()
    assert run(d, "-s", "reload").returncode == 0
    logged(d, "the new configuration is in force")


# ---------------------------------------------------------------------- start and stop


def test_every_role_starts_and_says_who_it_is(fake):
    d = fake(worker_processes=2, runner_processes=3)
    roles = d.roles()
    assert [len(roles[name]) for name in NAMES] == [2, 3, 1]
    titles = sorted(
        open(f"/proc/{pid}/cmdline").read().rstrip("\0") for name in NAMES for pid in roles[name]
    )
    assert titles == ["jobtabd: keeper", "jobtabd: runner 0", "jobtabd: runner 1"] + [
        "jobtabd: runner 2",
        "jobtabd: worker 0",
        "jobtabd: worker 1",
    ]
    assert (d.dir / "jobtabd.pid").read_text() == f"{d.pid}\n"
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|notice|info) master\[%d\]: .+" % d.pid
    assert all(re.fullmatch(line, text) for text in d.log().splitlines())


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGQUIT])
def test_a_signal_to_stop_ends_all_of_it_in_order(fake, signal):
    d = fake()
    roles = [pid for pids in d.roles().values() for pid in pids]
    assert d.stop(signal) == 0
    assert not any(alive(pid) for pid in roles)
    assert not (d.dir / "jobtabd.pid").exists() and not (d.dir / "jobtabd.pid.run").exists()
    assert refused(local(d.port))
    assert " error " not in d.log() and " warn " not in d.log()


def test_a_role_that_does_not_end_is_told_harder_and_then_killed(fake):
    d = fake(
        start=False,
        shutdown_timeout="200ms",
        kinds={"k": {"command": ["/bin/true"], "kill_after": "0s"}},
    )
    tell(d, "keeper", "stay")
    begin(d)
    begun = time.monotonic()
    assert d.stop(SIGQUIT) == 0
    assert time.monotonic() - begun < seconds(8)
    log = d.log()
    assert log.index("sending SIGTERM") < log.index("sending SIGKILL")
    assert "keeper (process" in log and "was killed by signal 9 (SIGKILL)" in log


def test_term_after_quit_does_not_wait_for_shutdown_timeout(fake):
    d = fake(
        start=False,
        shutdown_timeout="1h",
        kinds={"k": {"command": ["/bin/true"], "kill_after": "0s"}},
    )
    tell(d, "keeper", "stay")
    begin(d)
    d.signal(SIGQUIT)
    logged(d, "SIGQUIT: stopping")
    assert d.stop(SIGTERM) == 0


def test_a_second_master_on_the_same_pid_file_is_refused(fake):
    d = fake()
    answer = run(d)
    assert answer.returncode == 1
    assert f"jobtabd runs already: process {d.pid} holds {d.dir}/jobtabd.pid" in answer.stderr
    assert ask(local(d.port))[0] in d.pids("worker")
    assert (d.dir / "jobtabd.pid").read_text() == f"{d.pid}\n"


def test_an_address_in_use_is_told_and_ends_the_start(fake):
    d = fake(start=False)
    with socket.socket() as holder:
        holder.bind(local(d.port))
        holder.listen()
        answer = run(d)
    assert answer.returncode == 1
    assert f"cannot listen on 127.0.0.1:{d.port}: Address already in use" in answer.stderr
    assert not (d.dir / "jobtabd.pid").exists()


def test_an_error_log_that_cannot_be_opened_ends_the_start(fake):
    d = fake(start=False, error_log="/nowhere/error.log")
    answer = run(d)
    assert answer.returncode == 1
    assert "cannot open /nowhere/error.log: No such file or directory" in answer.stderr


def test_D_returns_once_the_roles_can_work(fake):
    d = fake(start=False)
    answer = run(d, "-D")
    assert (answer.returncode, answer.stdout) == (0, "")
    pid = int((d.dir / "jobtabd.pid").read_text())
    try:
        assert alive(pid) and os.getsid(pid) == pid
        assert ask(local(d.port))[1] == 1
        assert run(d, "-s", "quit").returncode == 0
        wait_until(lambda: not alive(pid), 10, "the daemon ends")
    finally:
        if alive(pid):
            os.kill(pid, SIGTERM)


def test_D_exits_1_when_the_start_fails(fake):
    d = fake(start=False)
    with socket.socket() as holder:
        holder.bind(local(d.port))
        holder.listen()
        answer = run(d, "-D")
    assert answer.returncode == 1
    assert "Address already in use" in answer.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")
def test_roles_of_a_root_master_run_as_the_user_who_owns_the_table(fake):
    nobody = pwd.getpwnam("nobody")
    d = fake(user="nobody")
    assert os.stat(d.table).st_uid == nobody.pw_uid
    assert os.stat(f"/proc/{d.pid}").st_uid == 0
    for pids in d.roles().values():
        for pid in pids:
            status = open(f"/proc/{pid}/status").read()
            assert re.search(r"^Uid:" + rf"\t{nobody.pw_uid}" * 4, status, re.M)
            assert re.search(r"^Gid:" + rf"\t{nobody.pw_gid}" * 4, status, re.M)
            assert re.search(rf"^Groups:\t{nobody.pw_gid} ?$", status, re.M)


def test_a_worker_holds_what_it_needs_and_a_reload_leaks_nothing(fake):
    d = fake()
    # standard streams, log, lifeline, eventfd, listener; counted beside the connection
    assert ask(local(d.port))[2] == 7
    for n in range(1, 4):
        old = d.pids("worker")
        d.signal(SIGHUP)
        logged(d, "the new configuration is in force", n)
        wait_until(lambda: not any(alive(pid) for pid in old), 10, "the old worker ends")
        assert ask(local(d.port))[2] == 7


# ----------------------------------------------------------------------------- respawn


@pytest.mark.parametrize("name", NAMES)
def test_a_role_that_has_worked_is_replaced_at_once(fake, name):
    d = fake()
    old = d.pids(name)[0]
    wait_until(lambda: time.monotonic() - born(old) > 1.1, 5, "it has lived for a second")
    begun = time.monotonic()
    os.kill(old, SIGKILL)
    wait_until(lambda: d.pids(name) and d.pids(name) != [old], 5, "a new one")
    assert time.monotonic() - begun < seconds(0.5)
    logged(d, f"(process {old}) was killed by signal 9 (SIGKILL); starting it again")


def born(pid):
    """When a process began, on the monotonic clock (of a machine that never slept)."""
    return processes()[pid].start / os.sysconf("SC_CLK_TCK")


def test_a_role_that_dies_at_its_start_is_throttled_reported_and_comes_back(fake):
    d = fake(start=False)
    tell(d, "worker", "die")
    begun = time.monotonic()
    d.spawn()
    logged(d, "exited with code 3 at its start, 4 in a row; starting it again in 2000 ms")
    assert time.monotonic() - begun > 1.7  # 250 + 500 + 1000 ms
    assert d.pids("runner") and d.pids("keeper")
    with open(f"/proc/{d.pid}/stat") as file:
        ticks = sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13])
    assert ticks / os.sysconf("SC_CLK_TCK") < seconds(0.5)
    tell_no_more(d, "worker", "die")
    logged(d, " ready\n")
    assert ask(local(d.port))[0] == d.pids("worker")[0]


def test_a_role_that_wants_the_table_is_started_again_within_a_second_however_often(fake):
    d = fake(start=False)
    tell(d, "keeper", "want")
    d.spawn()
    logged(d, "left for want of the table at its start, 5 in a row; starting it again in 1000 ms")
    tell_no_more(d, "keeper", "want")
    begun = time.monotonic()
    logged(d, " ready\n")
    assert time.monotonic() - begun < seconds(2)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a_fork_that_fails_is_tried_again(fake):
    d = fake(start=False)
    trace = ["strace", "-D", "-o", str(d.dir / "trace"), "-e", "trace=clone,clone3"]
    begin(d, wrapper=[*trace, "-e", "inject=clone,clone3:error=EAGAIN:when=1..2"])
    assert "cannot fork worker 0: Resource temporarily unavailable; trying again" in d.log()
    assert all(d.roles()[name] for name in NAMES)


# ------------------------------------------------------------------------------ reload


def test_reload_brings_new_roles_and_loses_no_connection(fake):
    d = fake()
    old = {pid for pids in d.roles().values() for pid in pids}
    replace(d, "runner_processes = 1", "runner_processes = 2")
    d.signal(SIGHUP)
    seen = set()
    while d.log().count("exited with code 0") < 3:
        seen.add(ask(local(d.port))[0])  # every connection is answered
    seen.add(ask(local(d.port))[0])
    roles = d.roles()
    assert [len(roles[name]) for name in NAMES] == [1, 2, 1]
    assert not old & {pid for pids in roles.values() for pid in pids}
    assert roles["worker"][0] in seen
    assert " error " not in d.log()


def test_reload_opens_new_addresses_and_closes_those_that_are_gone(fake):
    d = fake()
    other = free_port()
    replace(d, f'listen "127.0.0.1:{d.port}"', f'listen "127.0.0.1:{other}"')
    d.signal(SIGHUP)
    logged(d, f"no longer listening on 127.0.0.1:{d.port}")
    assert ask(local(other))[1] == 1
    wait_until(lambda: refused(local(d.port)), 5, "the old address is closed")


def test_an_address_stays_when_port_0_is_reloaded(fake):
    d = fake(start=False)
    replace(d, f"127.0.0.1:{d.port}", "127.0.0.1:0")
    begin(d)
    port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", d.log()).group(1))
    assert port != 0
    old = ask(local(port))[0]
    d.signal(SIGHUP)
    wait_until(lambda: ask(local(port))[0] != old, 10, "the new worker answers there")


def unchanged_after(d, reason, count=1):
    roles = d.roles()
    d.signal(SIGHUP)
    logged(d, reason, count)
    logged(d, "nothing was changed", count)
    wait_until(lambda: d.roles() == roles, 10, "the old roles, and no others")
    assert ask(local(d.port))[0] in roles["worker"]


def test_a_faulty_file_changes_nothing_and_a_sound_one_then_does(fake):
    d = fake()
    text = d.conf_file.read_text()
    d.conf_file.write_text(text + "wrong = 1\n")
    line = text.count("\n") + 1
    unchanged_after(d, f"{d.conf_file}:{line}: no such option 'wrong'")
    d.conf_file.write_text(text + 'user = "never closed\n')
    unchanged_after(d, "premature end of file", 1)
    d.conf_file.unlink()
    unchanged_after(d, f"{d.conf_file}: No such file or directory")
    d.conf_file.write_text(text)
    d.signal(SIGHUP)
    logged(d, "the new configuration is in force")


def test_an_address_that_cannot_be_opened_changes_nothing(fake):
    d = fake()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with open(d.conf_file, "a") as file:
            file.write(f'listen "127.0.0.1:{taken}" {{ }}\n')
        unchanged_after(d, f"cannot listen on 127.0.0.1:{taken}: Address already in use")


def test_new_roles_that_die_at_their_start_change_nothing(fake):
    d = fake()
    other = free_port()
    with open(d.conf_file, "a") as file:
        file.write(f'listen "127.0.0.1:{other}" {{ }}\n')
    tell(d, "keeper", "die")
    unchanged_after(d, "the new processes could not start to work")
    wait_until(lambda: refused(local(other)), 5, "nobody listens there")


def test_a_stop_in_the_middle_of_a_reload_ends_both_crews(fake):
    d = fake()
    tell(d, "runner", "hang")
    d.signal(SIGHUP)
    wait_until(lambda: len(d.pids("runner")) == 2, 10, "a second runner")
    assert d.stop(SIGTERM) == 0


def test_what_only_a_restart_can_change_stays_and_is_told(fake):
    d = fake()
    replace(d, "jobtabd.pid", "other.pid")
    d.signal(SIGHUP)
    logged(d, f'pid_file stays "{d.dir}/jobtabd.pid" until a restart')
    logged(d, "the new configuration is in force")
    assert not (d.dir / "other.pid").exists()
    assert (d.dir / "jobtabd.pid").exists()


def test_a_new_error_log_is_written_from_the_reload_on(fake):
    d = fake()
    replace(d, "error.log", "second.log")
    d.signal(SIGHUP)
    second = d.dir / "second.log"
    wait_until(
        lambda: second.exists() and "the new configuration is in force" in second.read_text(),
        10,
        "the second log",
    )


# ------------------------------------------------------------------------ Unix sockets


def with_unix_socket(fake):
    d = fake(start=False)
    path = d.dir / "http.sock"
    replace(d, f"127.0.0.1:{d.port}", f"unix:{path}")
    return d, path


def test_a_unix_socket_is_served_and_removed_at_the_end(fake):
    d, path = with_unix_socket(fake)
    begin(d)
    assert ask(str(path))[0] in d.pids("worker")
    assert d.stop() == 0
    assert not path.exists()


def test_a_unix_socket_that_was_left_behind_is_replaced(fake):
    d, path = with_unix_socket(fake)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    begin(d)
    assert ask(str(path))[0] in d.pids("worker")


@pytest.mark.parametrize("what", ["socket", "file"])
def test_what_is_not_ours_at_a_unix_socket_s_path_stays(fake, what):
    d, path = with_unix_socket(fake)
    with socket.socket(socket.AF_UNIX) as holder:
        if what == "socket":
            holder.bind(str(path))
            holder.listen()
        else:
            path.write_text("precious")
        answer = run(d)
        assert answer.returncode == 1
        assert f"cannot listen on unix:{path}: Address already in use" in answer.stderr
        assert path.exists()


# ------------------------------------------------------------------------ after a crash


def orphans(d):
    """The children that fake runners have started, by the environment that they carry."""
    found = {}
    for pid in processes():
        try:
            environment = open(f"/proc/{pid}/environ").read()
        except (OSError, UnicodeDecodeError):
            continue
        match = re.fullmatch(r"JOBTAB_OWNER=([0-9a-f]{32})\0", environment)
        if match:
            found[pid] = match.group(1)
    run_id = (d.dir / "jobtabd.pid.run").read_text()
    return {pid for pid, owner in found.items() if owner == run_id}


def test_roles_end_with_their_master_and_the_next_one_takes_over(fake):
    d = fake()
    roles = [pid for pids in d.roles().values() for pid in pids]
    os.kill(d.pid, SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in roles), 5, "the roles end")
    d.process.wait()
    assert (d.dir / "jobtabd.pid").exists()
    begin(d)
    assert ask(local(d.port))[0] in d.pids("worker")
    assert "the last master did not end in order" in d.log()


def test_the_children_of_a_runner_that_was_killed_are_killed(fake):
    d = fake(start=False)
    tell(d, "runner", "orphan")
    begin(d)
    wait_until(lambda: len(orphans(d)) == 1, 5, "a child of the runner")
    tell_no_more(d, "runner", "orphan")
    (child,) = orphans(d)
    os.kill(d.pids("runner")[0], SIGKILL)
    wait_until(lambda: not alive(child), 5, "it is gone")
    wait_until(lambda: d.pids("runner"), 5, "another runner")


def test_the_children_of_a_living_runner_are_left_alone(fake):
    d = fake(start=False, runner_processes=2)
    tell(d, "runner", "orphan")
    begin(d)
    wait_until(lambda: len(orphans(d)) == 2, 5, "two children")
    first = d.pids("runner")[0]
    table = processes()
    (dead,) = [pid for pid in orphans(d) if table[pid].ppid == first]
    (other,) = orphans(d) - {dead}
    tell_no_more(d, "runner", "orphan")
    os.kill(first, SIGKILL)
    wait_until(lambda: not alive(dead), 5, "the dead runner's child is gone")
    wait_until(lambda: len(d.pids("runner")) == 2, 5, "another runner")
    assert alive(other)


def test_children_of_the_shell_that_became_the_master_are_left_alone(fake):
    d = fake(start=False)
    tell(d, "runner", "orphan")
    begin(d, wrapper=["/bin/sh", "-c", 'sleep 601 & exec "$@"', "sh"])
    wait_until(lambda: len(orphans(d)) == 1, 5, "a child of the runner")
    tell_no_more(d, "runner", "orphan")
    (child,) = orphans(d)
    roles = {pid for pids in d.roles().values() for pid in pids}
    (bystander,) = [p for p, process in processes().items() if process.ppid == d.pid and p not in roles]
    os.kill(d.pids("runner")[0], SIGKILL)
    wait_until(lambda: not alive(child), 5, "the runner's child is gone")
    assert d.stop() == 0
    assert alive(bystander)
    os.kill(bystander, SIGKILL)


def test_what_runners_leave_at_the_stop_is_killed(fake):
    d = fake(start=False)
    tell(d, "runner", "orphan")
    begin(d)
    wait_until(lambda: len(orphans(d)) == 1, 5, "a child of the runner")
    (child,) = orphans(d)
    assert d.stop() == 0
    assert not alive(child)


def test_the_next_master_kills_what_a_killed_one_left_and_nothing_else(fake):
    d = fake(start=False)
    tell(d, "runner", "orphan")
    begin(d)
    wait_until(lambda: len(orphans(d)) == 1, 5, "a child of the runner")
    tell_no_more(d, "runner", "orphan")
    (child,) = orphans(d)
    bystander = subprocess.Popen(["sleep", "600"], env={"JOBTAB_OWNER": "0" * 32})
    try:
        for pid in [d.pid, *d.pids("runner")]:
            os.kill(pid, SIGKILL)
        d.process.wait()
        wait_until(lambda: processes()[child].ppid != d.pid, 5, "it has lost all its parents")
        assert alive(child)
        begin(d)
        wait_until(lambda: not alive(child), 5, "it is gone")
        logged(d, f"killed process {child} (sleep), left behind by an earlier master")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_the_next_master_kills_what_goes_from_one_program_to_the_next(fake):
    """In the middle of an exec a process has no environment to show: it is looked at again."""
    d = fake()
    again = 'exec /bin/sh -c "$0" "$0"'
    for _ in range(8):
        owner = {"JOBTAB_OWNER": (d.dir / "jobtabd.pid.run").read_text()}
        left = subprocess.Popen(["sh", "-c", again, again], env=owner, cwd="/", start_new_session=True)
        try:
            d.kill_tree()
            begin(d)
            assert left.wait(seconds(5)) == -SIGKILL
        finally:
            left.kill()
            left.wait()
