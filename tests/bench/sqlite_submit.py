"""Durable inserts into one SQLite table by THREADS threads: one line of JSON.

    sqlite_submit.py FILE THREADS SECONDS WARM_UP PARAMS

Each thread has a connection of its own and one insert in flight, in a transaction of its own. They
take turns by a mutex: SQLite's own way to wait for a writer sleeps and tries again, which costs it
much of its speed. Python gives up its lock during a statement, so what is measured is SQLite.
"""
import json
import resource
import sqlite3
import sys
import threading
import time
import uuid

SETTINGS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
TABLE = """CREATE TABLE jobs (id BLOB PRIMARY KEY, kind TEXT NOT NULL, state INTEGER NOT NULL,
                              priority INTEGER NOT NULL, created_at INTEGER NOT NULL,
                              params TEXT NOT NULL) WITHOUT ROWID"""
INDEX = "CREATE INDEX pending ON jobs (kind, priority, id) WHERE state = 0"
INSERT = "INSERT INTO jobs VALUES (?, 'noop', 0, 0, ?, ?)"


def connect(path):
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for setting in SETTINGS:
        database.execute(setting).fetchall()
    return database


def job_id():
    """Grows with time, as Jobtab's do: the cheapest order for a B-tree."""
    return time.time_ns().to_bytes(8, "big") + uuid.uuid4().bytes[8:]


def main():
    path, threads, seconds, warm_up, params = sys.argv[1:]
    seconds, warm_up = float(seconds), float(warm_up)
    first = connect(path)
    first.execute(TABLE)
    first.execute(INDEX)
    turn = threading.Lock()
    begin = time.monotonic() + warm_up
    end = begin + seconds
    counts, faults = [], []

    def insert():
        database, count = connect(path), 0
        try:
            while time.monotonic() < end:
                row = (job_id(), time.time_ns() // 1000000, params)
                with turn:
                    database.execute(INSERT, row)
                count += begin <= time.monotonic() < end
        except sqlite3.Error as fault:
            faults.append(str(fault))
        counts.append(count)

    workers = [threading.Thread(target=insert) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    time.sleep(max(begin - time.monotonic(), 0))
    warm = resource.getrusage(resource.RUSAGE_SELF)
    for worker in workers:
        worker.join()
    if faults:
        sys.exit(faults[0])
    usage = resource.getrusage(resource.RUSAGE_SELF)
    inserts = sum(counts)
    cpu = usage.ru_utime + usage.ru_stime - warm.ru_utime - warm.ru_stime
    print(json.dumps({"rate": inserts / seconds, "inserts": inserts,
                      "cpu_us": cpu / max(inserts, 1) * 1e6,
                      "sqlite": sqlite3.sqlite_version}))


main()
