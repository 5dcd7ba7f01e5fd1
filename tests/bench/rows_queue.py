"""Durable submits against queues: beanstalkd, BullMQ on Redis, a table in SQLite."""
import json
import os
import shutil

import peers
from harness import Goal, Row, Sample, Side, cpu_seconds
from rows_http import PARAMS, load, post_jobtabd, write

CONNECTIONS = 64


def put_beanstalkd(bench, folder):
    fresh = bench.fresh(folder, "beanstalkd")
    body = b"x" * peers.VALUE_SIZE
    put = write(os.path.join(fresh, "put"), b"put 0 0 60 %d\r\n%s\r\n" % (len(body), body))
    with peers.beanstalkd(bench, bench.fresh(fresh, "log")) as (port, process):
        sample = load(bench, process, port, "-c", str(CONNECTIONS), "-b", put, "-l", "INSERTED")
    sample.unit = "jobs/s"
    return sample


def submit_jobtabd(bench, folder):
    sample = post_jobtabd(CONNECTIONS)(bench, folder)
    sample.unit = "jobs/s"
    return sample


def bullmq(bench, mode, folder):
    """bullmq.js on a Redis of its own: what it printed, and Redis's processor time a job."""
    env = {"NODE_PATH": peers.bullmq_modules(bench), "JOBTAB_BENCH_PARAMS": json.dumps(PARAMS)}
    fresh = bench.fresh(folder, "bullmq-redis")
    with peers.redis(bench, fresh, peers.REDIS) as (port, process):
        before = cpu_seconds(process.pid)
        said = bench.run([bench.tool("node", "nodejs"), os.path.join(bench.source, "bullmq.js"),
                          mode, str(port), str(bench.seconds)], env=env).json
        return said, peers.spent(process, before, said["all_jobs"])


def add_bullmq(bench, folder):
    said, cpu = bullmq(bench, "add", folder)
    return Sample(said["rate"], "jobs/s", client=said["cpu_share"], cpu=cpu)


def jobs_bullmq(bench, folder):
    """For the row of jobs end to end: adds for bench.seconds, 64 in flight, while a worker in a
    process of its own does them at concurrency 64; from the first add until the last is done."""
    said, cpu = bullmq(bench, "jobs", folder)
    return Sample(said["rate"], "jobs/s", cpu=cpu,
                  note=f"{said['jobs']} jobs, added in {said['adding']:.2f} s of "
                       f"{said['seconds']:.2f} s; cpu is Redis's alone")


def insert_sqlite(bench, folder):
    fresh = bench.fresh(folder, "sqlite")
    said = bench.run([peers.DEBIAN_PYTHON, os.path.join(bench.source, "sqlite_submit.py"),
                      os.path.join(fresh, "jobs"), str(CONNECTIONS), str(bench.seconds),
                      str(bench.warm_up), json.dumps(PARAMS)]).json
    shutil.rmtree(fresh)
    return Sample(said["rate"], "jobs/s", cpu=said["cpu_us"], note=f"SQLite {said['sqlite']}")


ROWS = [
    Row("submit-64", f"durable submit, {CONNECTIONS} connections",
        sides=[
            Side("jobtabd", submit_jobtabd, f"POST /run; {peers.jobtabd_told()}"),
            Side("beanstalkd", put_beanstalkd,
                 f"{peers.beanstalkd_told()}; put of {peers.VALUE_SIZE} bytes",
                 packages=("beanstalkd",)),
            Side("BullMQ add", add_bullmq, peers.bullmq_told(),
                 packages=("redis-server",)),
            Side("SQLite", insert_sqlite,
                 "journal_mode=WAL synchronous=FULL; 64 threads with a connection each, one insert "
                 "a transaction, turns by a mutex: tests/bench/sqlite_submit.py"),
        ],
        goals=[Goal("jobtabd", "beanstalkd", at_least=8),
               Goal("jobtabd", "BullMQ add", at_least=3),
               Goal("jobtabd", "SQLite", at_least=8)]),
]
