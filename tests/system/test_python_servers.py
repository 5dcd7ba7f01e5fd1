"""The example under gunicorn with pre-forked workers: the dictionary fails, the table does not.

64 clients submit and read, workers are killed and the server is restarted meanwhile; everything that
clients and workers were told goes through the oracle of the crash tests.
"""

import collections
import contextlib
import difflib
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from signal import SIGKILL, SIGTERM

import pytest

from conftest import Client, count, descendants, free_port, processes, seconds, wait_until
from oracle import check, load
from python_events import line
from python_support import EXAMPLE, LIBRARY, MODULE, jobtab
from test_python_store import verify

for program in ("fastapi", "uvicorn"):
    pytest.importorskip(program, reason=f"no {program}: apt-get install python3-{program}")
GUNICORN = "/usr/bin/gunicorn"
if not os.path.exists(GUNICORN):
    pytest.skip("no gunicorn: apt-get install gunicorn", allow_module_level=True)

WORKERS = 4
GONE = (OSError, http.client.HTTPException)


class Server:
    """gunicorn with an application of contrib/python/example, in a directory of this test."""

    def __init__(self, directory, app, *, preload=False, **environment):
        self.dir, self.app, self.preload, self.port = directory, app, preload, free_port()
        self.events = directory / "events"
        self.events.mkdir(exist_ok=True)
        path = ":".join(map(str, (EXAMPLE, MODULE, os.path.dirname(__file__))))
        self.environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": path, "JOBTAB_LIBRARY": str(LIBRARY),
            "PYTHONDONTWRITEBYTECODE": "1", "STORM_EVENTS": str(self.events), **environment,
        }  # fmt: skip
        self.process = None

    def start(self):
        with open(self.dir / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, GUNICORN, "-w", str(WORKERS), "-k", "uvicorn.workers.UvicornWorker",
                 "-b", f"127.0.0.1:{self.port}", "--graceful-timeout", "2", "--worker-tmp-dir", self.dir,
                 *(["--preload"] if self.preload else []), self.app],
                cwd=self.dir, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_until(self.all_ready, 30, f"gunicorn answers: {self.log()[-2000:]}")
        return self

    def all_ready(self):
        assert self.process.poll() is None, self.log()[-4000:]
        if self.log().count("Application startup complete.") < WORKERS * self.starts():
            return False
        try:
            return self.client().get("/status/none").status == 404
        except GONE:
            return False

    def starts(self):
        return max(1, self.log().count("Starting gunicorn"))

    def client(self):
        return Client(self.port, timeout=20)

    def workers(self):
        return sorted(pid for pid, p in processes().items() if p.ppid == self.process.pid)

    def log(self):
        path = self.dir / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, sig=SIGTERM):
        if self.process and self.process.poll() is None:
            whole = descendants(self.process.pid) | {self.process.pid}
            self.process.send_signal(sig)
            self.process.wait(seconds(20))
            wait_until(lambda: not whole & set(processes()), 10, "its workers are gone")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        """The master first: it would fork others in their places. Then who came in the meantime."""
        if not self.process:
            return
        master = self.process.pid
        while left := [pid for pid, p in processes().items() if p.sid == master]:
            for pid in sorted(left, key=lambda pid: pid != master):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)
            time.sleep(0.005)
        self.process.wait()


def run(client, **body):
    answer = client.post("/run", body)
    assert answer.status == 202, answer
    return answer.json()["job_id"]


def asked_anew(server, job_id):
    """The status of a GET over a connection of its own: any worker may answer it."""
    client = server.client()
    try:
        return client.get(f"/status/{job_id}").status
    finally:
        client.close()


def done(server, job_id):
    """The job, once it is done."""
    client = server.client()
    try:
        row = client.get(f"/status/{job_id}").json()
    finally:
        client.close()
    return row["done"] and row


def test_the_two_applications_differ_in_a_few_lines():
    texts = [(EXAMPLE / name).read_text().splitlines() for name in ("app_dict.py", "app_jobtab.py")]
    changed = [l for l in difflib.unified_diff(*texts, n=0) if l[0] in "+-" and l[:3] not in ("+++", "---")]
    added = [l for l in changed if l[0] == "+"]
    assert 0 < len(added) <= 12 and len(changed) - len(added) <= 12, "\n".join(changed)


def test_the_dictionary_fails_with_404_from_other_workers_and_forgets_all_at_a_restart(private):
    with Server(private, "app_dict:app") as server:
        job_id = run(server.client())
        assert wait_until(lambda: asked_anew(server, job_id) == 404, 30, "another worker answers")
        assert wait_until(lambda: asked_anew(server, job_id) == 200, 30, "its own worker answers")
        server.stop()
        server.start()
        answers = {asked_anew(server, job_id) for _ in range(60)}
        assert answers == {404}


def test_a_live_store_serves_the_dictionarys_application_with_its_first_line_changed(private):
    text = (EXAMPLE / "app_dict.py").read_text()
    first = "jobs: dict[str, dict] = {}"
    assert text.count(first) == 1
    store = 'jobs = __import__("jobtab").JobStore("var/table", live=True)'
    (private / "app_live.py").write_text(text.replace(first, store))
    with Server(private, "app_live:app") as server:
        job_id = run(server.client())
        assert {asked_anew(server, job_id) for _ in range(60)} == {200}
        job = wait_until(lambda: done(server, job_id), 20, "it is done")
        assert job["status"] == "completed" and job["progress"] == 100 and job["message"] == "Done."


def test_the_table_answers_from_every_worker_and_after_a_restart(private):
    with Server(private, "app_jobtab:app") as server:
        ids = [run(server.client(), source=source) for source in ("exchange.csv", "no.csv")]
        assert {asked_anew(server, job_id) for job_id in ids for _ in range(60)} == {200}
        good, bad = [wait_until(lambda: done(server, job_id), 20, "it is done") for job_id in ids]
        assert good["status"] == "completed" and good["result"]["rows"] == 450
        assert bad["status"] == "failed" and "no.csv" in bad["error"]
        server.stop()
        server.start()
        assert {asked_anew(server, job_id) for job_id in ids for _ in range(60)} == {200}
        assert done(server, ids[0]) == good


def test_a_store_that_was_opened_before_the_fork_serves_in_every_worker(private):
    with Server(private, "app_jobtab:app", preload=True) as server:
        ids = [run(server.client()) for _ in range(8)]
        for job_id in ids:
            wait_until(lambda: done(server, job_id), 20, "it is done")
        assert {asked_anew(server, ids[0]) for _ in range(60)} == {200}
        os.kill(server.workers()[0], SIGKILL)
        wait_until(lambda: len(server.workers()) == WORKERS, 20, "gunicorn has forked another")
        assert {asked_anew(server, ids[0]) for _ in range(60)} == {200}


# ------------------------------------------------------------------------- the storm


class Clients:
    """Each submits jobs and reads its own and others', over connections that change."""

    def __init__(self, server, seed, number, jobs):
        self.server, self.jobs = server, jobs
        self.lock = threading.Lock()
        self.known, self.uuids, self.lines, self.faults = [], {}, [], []
        self.done = 0
        self.threads = [
            threading.Thread(target=self.guarded, args=(random.Random(seed * 1000 + n), n)) for n in range(number)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def join(self, bound):
        end = time.monotonic() + seconds(bound)
        for thread in self.threads:
            thread.join(max(0, end - time.monotonic()))
        assert not any(thread.is_alive() for thread in self.threads), f"{self.done} done in time"
        assert not self.faults, self.faults

    def guarded(self, random, n):
        try:
            self.live(random, n)
        except BaseException as error:  # noqa: BLE001
            self.faults.append(repr(error))

    def live(self, random, n):
        client = self.server.client()
        for k in range(self.jobs):
            nonce = f"n{n}.{k}"
            job_id = None
            while job_id is None:
                job_id = self.submit(client, nonce)
                if job_id is None:  # whether it is in is not known: another one
                    nonce += "+"
            while True:
                row = self.get(client, job_id, nonce)
                if row and row["done"]:
                    break
                if random.random() < 0.3:
                    client.close()  # another worker, maybe
                with self.lock:
                    other = random.choice(self.known)
                self.get(client, *other)
                time.sleep(random.random() * 0.05)
            with self.lock:
                self.done += 1
        client.close()

    def submit(self, client, nonce):
        begun = time.monotonic_ns()
        try:
            answer = client.post("/run", {"label": nonce})
        except GONE:
            self.lines.append(lambda: line("submit", begun, "unanswered"))
            time.sleep(0.05)
            return None
        ended, job_id = time.monotonic_ns(), answer.json()["job_id"] if answer.status == 202 else None
        outcome = "ok" if job_id else f"status{answer.status}"
        self.lines.append(
            lambda: line("submit", begun, outcome, job=self.uuid(job_id), ended=ended, extra=f"{nonce}:")
        )
        if job_id:
            with self.lock:
                self.known.append((job_id, nonce))
        return job_id

    def get(self, client, job_id, nonce):
        begun = time.monotonic_ns()
        try:
            answer = client.get(f"/status/{job_id}")
        except GONE:
            time.sleep(0.05)  # a read that nobody answered tells nothing
            return None
        ended = time.monotonic_ns()
        if answer.status != 200:
            outcome = "notfound" if answer.status == 404 else f"status{answer.status}"
            self.lines.append(lambda: line("get", begun, outcome, job=self.uuid(job_id), ended=ended))
            return None
        row = answer.json()
        self.uuids[job_id] = row["uuid"]
        self.lines.append(event_of("get", begun, ended, row))
        return row

    def save(self):
        lines = [text if isinstance(text, str) else text() for text in self.lines]
        (self.server.events / "clients").write_text("\n".join(lines) + "\n")

    def uuid(self, job_id):
        """The table's id, by which the workers speak of it."""
        return self.uuids.get(job_id, job_id or "-")


def event_of(verb, begun, ended, row):
    of = (row["result"] or {}).get("of", "")
    return line(verb, begun, "ok", row, letter="q", ended=ended, extra=f"{row['label']}:{of}")


def storm(private, seed, *, clients=64, jobs, kills, restart, pace=0.01):
    """Faults that the oracle finds in what clients and workers were told, and what happened."""
    server = Server(private, "python_storm_app:app", STORM_PACE=str(pace))
    rng = random.Random(seed)
    total = clients * jobs
    with server:
        crowd = Clients(server, seed, clients, jobs).start()
        steps = sorted([("kill", (n + 1) / (kills + 2)) for n in range(kills)] + [("restart", 0.5)] * restart,
                       key=lambda step: step[1])  # fmt: skip
        for what, when in steps:
            wait_until(
                lambda: crowd.done >= when * total or crowd.faults, 120, f"{when:.2f} of {total} jobs are done"
            )
            if what == "kill":
                os.kill(rng.choice(server.workers()), SIGKILL)
            else:
                server.stop()
                server.start()
        crowd.join(120)
        with jobtab.JobStore(private / "var" / "table", sweep=None) as store:
            wait_until(lambda: all(row["done"] for row in store.values()), 30, "what was left behind is run")
    table = private / "var" / "table"
    with jobtab.JobStore(table, sweep=None, must_exist=True) as store:
        begun = time.monotonic_ns()
        rows = store.list()
        ended = time.monotonic_ns()
        verify(store)
    for row in rows:
        crowd.uuids[row["job_id"]] = row["uuid"]
    crowd.lines += [event_of("final", begun, ended, row) for row in rows]
    crowd.save()
    events = load(server.events)
    return check(events, killed=True), events, rows


def test_the_table_loses_nothing_while_workers_are_killed_and_the_server_restarts(private, seed):
    jobs = count(3, 40)
    faults, events, rows = storm(private, seed, jobs=jobs, kills=count(3, 20), restart=1)
    assert faults == []
    acknowledged = [e for e in events if e.verb == "submit" and e.outcome == "ok" and e.version == 0]
    assert len(acknowledged) == 64 * jobs
    assert len(rows) >= 64 * jobs
    assert {row["status"] for row in rows} == {"completed"}
    claims = collections.Counter(e.job for e in events if e.verb == "claim" and e.outcome == "ok")
    assert max(claims.values()) > 1, "no worker was killed at its work"
    print(f"{len(rows)} jobs, {len(events)} events, {sum(n > 1 for n in claims.values())} run again")


def test_control_the_oracle_sees_a_worker_that_remembers_what_it_has_read(private, seed):
    server = Server(private, "python_storm_app:app", STORM_FAULT="cache", STORM_PACE="0.05")
    with server:
        crowd = Clients(server, seed, 0, 0)
        job_id = crowd.submit(server.client(), "n0.0")
        assert not crowd.get(server.client(), job_id, "n0.0")["done"]
        with jobtab.JobStore(private / "var" / "table", sweep=None) as store:
            store.wait(job_id, 20)
        wait_until(lambda: not crowd.get(server.client(), job_id, "n0.0")["done"], 30, "that worker answers")
    crowd.save()
    faults = check(load(server.events), killed=True)
    assert any(fault.startswith("fresh:") for fault in faults), faults
