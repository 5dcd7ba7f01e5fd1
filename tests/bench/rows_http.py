"""Over HTTP: reads of one job among many, durable submits; each against what does the same work."""
import contextlib
import http.client
import json
import os
import shutil
import subprocess

import peers
from harness import Failed, Goal, Row, Sample, Side, cpu_seconds

JOBS = 100_000
REPORTS = 10_000  # a second, in get-written
PARAMS = {"sources": ["alpha.csv", "beta.csv", "gamma.csv"], "max_age": "2d",
          "max_deviation_bps": 100}
BODY = json.dumps({"kind": "noop", "params": PARAMS}).encode()
OWN_HEADERS = {"date", "connection", "content-length"}  # what libh2o writes by itself


def counted(connections):
    return "1 connection" if connections == 1 else f"{connections} connections"


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)
    return path


def load(bench, process, port, *arguments):
    """Our own load generator against a server: one sample."""
    before = cpu_seconds(process.pid)
    run = bench.run([bench.program("tests/bench/load"), "-p", str(port), "-t", str(bench.seconds),
                     "-w", str(bench.warm_up), *arguments])
    said = run.json
    if said["errors"] or not said["served"]:
        raise Failed(f"{said['errors']} answers of {said['served'] + said['errors']} were not the "
                     "one expected")
    # The warm-up is in the server's processor time but not in `served`.
    served = said["served"] * (said["seconds"] + bench.warm_up) / said["seconds"]
    return Sample(said["rate"], "requests/s", client=said["cpu_share"],
                  cpu=peers.spent(process, before, served),
                  note=f"p50 {said['p50_us']:.0f} us, p99 {said['p99_us']:.0f} us, "
                       f"{said['bytes'] / said['served']:.0f} bytes an answer")


def redis_benchmark(bench, process, port, connections, *arguments):
    """It knows no duration, only a number of requests: a short run first, to learn how many."""
    def go(n):
        run = bench.run([bench.tool("redis-benchmark", "redis-tools"), "-p", str(port), "-c",
                         str(connections), "-n", str(n), "--csv", *arguments])
        lines = [line.replace('"', "").split(",") for line in run.out.splitlines() if "," in line]
        return run, dict(zip(lines[0], lines[1]))

    least = 20 * connections + 200
    _, said = go(least)
    n = max(int(float(said["rps"]) * bench.seconds), least)
    before = cpu_seconds(process.pid)
    run, said = go(n)
    return Sample(float(said["rps"]), "requests/s", client=run.cpu_share,
                  cpu=peers.spent(process, before, n),
                  note=f"p50 {float(said['p50_latency_ms']) * 1000:.0f} us, "
                       f"p99 {float(said['p99_latency_ms']) * 1000:.0f} us")


def canned(answer, body):
    """An answer as bare_h2o reads it, so that it sends the same."""
    headers = "".join(f"{name}: {value}\n" for name, value in answer.getheaders()
                      if name.lower() not in OWN_HEADERS)
    return headers.encode() + b"\n" + body


# ---------------------------------------------------------------- GET /status/{id}

def hundred_thousand(bench):
    """A table of that many pending jobs and a file of their ids and versions; one job's JSON, the
    answer that has it, and the answer that it is unchanged: a dictionary of paths."""
    def make(folder):
        made = {name: os.path.join(folder, name)
                for name in ("table", "ids", "body", "answer", "unchanged")}
        bench.run([bench.program("tests/bench/feed"), "fill", made["table"], str(JOBS),
                   made["ids"], json.dumps(PARAMS)])
        with open(made["ids"]) as ids:
            one = ids.read().split()[JOBS]  # of the middle: two words a line
        with peers.jobtabd(bench, folder, made["table"]) as (port, _):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            client.request("GET", f"/status/{one}")
            answer = client.getresponse()
            body, tag = answer.read(), answer.headers["ETag"]
            write(made["body"], body)
            write(made["answer"], canned(answer, body))
            client.request("GET", f"/status/{one}", headers={"If-None-Match": tag})
            answer = client.getresponse()
            write(made["unchanged"], canned(answer, answer.read()))
        return made
    return bench.once("100000 jobs", make)


def get_from(start, connections, *arguments):
    """Random jobs are asked for at the server that start(bench, folder, made) runs."""
    def measure(bench, folder):
        made = hundred_thousand(bench)
        with start(bench, folder, made) as (port, process):
            return load(bench, process, port, "-c", str(connections), "-i", made["ids"],
                        *arguments, "/status/%s")
    return measure


def from_jobtabd(bench, folder, made):
    return peers.jobtabd(bench, folder, made["table"])


def from_bare(bench, _, made):
    return peers.bare_h2o(bench, 200, made["answer"])


def unchanged_from_bare(bench, _, made):
    return peers.bare_h2o(bench, 304, made["unchanged"])


def from_nginx(bench, folder, made):
    return peers.nginx(bench, folder, made["ids"], made["body"])


def from_fastapi(loop):
    return lambda bench, folder, made: peers.fastapi(bench, folder, loop, made["ids"],
                                                     made["body"])


def get_redis(connections):
    def measure(bench, folder):
        made = hundred_thousand(bench)
        with open(made["body"], "rb") as body:
            value = body.read()
        fresh = bench.fresh(folder, "redis")
        with peers.redis(bench, fresh, peers.REDIS_MEMORY) as (port, process):
            peers.fill_redis(bench, port, JOBS, value)
            sample = redis_benchmark(bench, process, port, connections, "-t", "get", "-r",
                                     str(JOBS))
            if peers.redis_misses(bench, port):
                raise Failed(f"{peers.redis_misses(bench, port)} keys were not there")
            return sample
    return measure


def get_row(connections, goals=(), forms=frozenset({"long"})):
    return Row(
        f"get-{connections}",
        f"GET /status/{{id}}, random id among {JOBS:,}, {counted(connections)}",
        sides=[
            Side("jobtabd", get_from(from_jobtabd, connections), peers.jobtabd_told()),
            Side("bare libh2o", get_from(from_bare, connections),
                 f"{peers.WORKERS} processes, the same bytes, no look-up"),
            Side("nginx lua", get_from(from_nginx, connections), peers.NGINX,
                 packages=("nginx-light", "libnginx-mod-http-lua")),
            Side("redis GET", get_redis(connections),
                 f"{peers.told(peers.REDIS_MEMORY)}; {JOBS:,} values of the same JSON; "
                 f"redis-benchmark -t get -r {JOBS}", packages=("redis-server", "redis-tools")),
            Side("FastAPI", get_from(from_fastapi("plain"), connections),
                 peers.fastapi_told("plain"), packages=("python3-fastapi", "uvicorn")),
            Side("FastAPI, uvloop", get_from(from_fastapi("fast"), connections),
                 peers.fastapi_told("fast"),
                 packages=("python3-fastapi", "uvicorn", "python3-uvloop", "python3-httptools")),
        ],
        goals=list(goals), forms=forms)


# ---------------------------------------------------------------- GET while others write

def busy_table(bench):
    """A table of its own: what is written to it is no part of the other rows."""
    def make(folder):
        table = os.path.join(folder, "table")
        shutil.copytree(hundred_thousand(bench)["table"], table)
        return table
    return bench.once("100000 jobs, written to", make)


@contextlib.contextmanager
def reports_written(bench, table):
    """REPORTS a second are written to the table meanwhile. Yields a dictionary that has, in the
    end, what the writer said of it."""
    said = {}
    argv = [bench.program("tests/bench/feed"), "report", table, str(REPORTS)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        try:
            writer.stdout.readline()  # it has its jobs
            yield said
            said.update(json.loads(writer.communicate(timeout=30)[0] or "{}"))
        finally:
            writer.kill()
    if writer.returncode != 0:
        raise Failed("feed report failed: see above")


def from_busy(bench, folder, _):
    return peers.jobtabd(bench, folder, busy_table(bench))


def get_while_written(bench, folder):
    with reports_written(bench, busy_table(bench)) as said:
        sample = get_from(from_busy, 32)(bench, folder)
    sample.note += f"; {said['rate']:.0f} reports/s in {said['commits'] / said['seconds']:.0f} " \
                   "commits/s"
    if said["rate"] < 0.95 * REPORTS:
        sample.note += ": fewer than wanted"
    return sample


# ---------------------------------------------------------------- POST /run

def post_jobtabd(connections):
    def measure(bench, folder):
        fresh = bench.fresh(folder, "jobtabd")
        body = write(os.path.join(fresh, "body"), BODY)
        with peers.jobtabd(bench, fresh, os.path.join(fresh, "table")) as (port, process):
            return load(bench, process, port, "-c", str(connections), "-b", body, "-e", "202",
                        "/run")
    return measure


def post_redis(connections):
    def measure(bench, folder):
        fresh = bench.fresh(folder, "redis")
        with peers.redis(bench, fresh, peers.REDIS) as (port, process):
            return redis_benchmark(bench, process, port, connections, "-t", "set", "-d",
                                   str(peers.VALUE_SIZE))
    return measure


def accepted(bench):
    """What jobtabd answers to a POST /run, and the body that is sent."""
    def make(folder):
        made = {name: os.path.join(folder, name) for name in ("answer", "body")}
        write(made["body"], BODY)
        with peers.jobtabd(bench, folder, os.path.join(folder, "table")) as (port, _):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            client.request("POST", "/run", BODY, {"Content-Type": "application/json"})
            answer = client.getresponse()
            write(made["answer"], canned(answer, answer.read()))
        return made
    return bench.once("an accepted job", make)


def post_bare(connections):
    def measure(bench, _):
        made = accepted(bench)
        with peers.bare_h2o(bench, 202, made["answer"]) as (port, process):
            return load(bench, process, port, "-c", str(connections), "-b", made["body"], "-e",
                        "202", "/run")
    return measure


def post_row(connections, at_least):
    return Row(
        f"post-{connections}",
        f"durable POST /run, {counted(connections)}",
        sides=[
            Side("jobtabd", post_jobtabd(connections), peers.jobtabd_told()),
            Side("redis SET", post_redis(connections),
                 f"{peers.told(peers.REDIS)}; redis-benchmark -t set -d {peers.VALUE_SIZE}: one "
                 "key, its cheapest case", packages=("redis-server", "redis-tools")),
            Side("bare libh2o", post_bare(connections),
                 f"{peers.WORKERS} processes read the same body and send the same answer, nothing "
                 "is stored: what HTTP costs here"),
        ],
        goals=[Goal("jobtabd", "redis SET", at_least=at_least)])


ROWS = [
    get_row(32, [Goal("jobtabd", "bare libh2o", at_least=0.95),
                 Goal("jobtabd", "nginx lua", at_least=1.5),
                 Goal("jobtabd", "redis GET", at_least=1.2),
                 Goal("jobtabd", "FastAPI", at_least=20)], frozenset({"short", "long"})),
    get_row(1),
    get_row(256),
    Row("get-unchanged", "GET /status/{id} with If-None-Match, 32 connections, all unchanged",
        sides=[Side("jobtabd", get_from(from_jobtabd, 32, "-m", "-e", "304"), peers.jobtabd_told()),
               Side("bare libh2o 304", get_from(unchanged_from_bare, 32, "-m", "-e", "304"),
                    f"{peers.WORKERS} processes, the same bytes, no look-up")],
        goals=[Goal("jobtabd", "bare libh2o 304", at_least=0.95)]),
    Row("get-written", f"the reads of get-32 while {REPORTS:,} reports a second are written",
        sides=[Side("while written", get_while_written,
                    "one more process with libjobtab reports on 256 running jobs, paced, 64 "
                    "reports a commit"),
               Side("without", get_from(from_busy, 32), peers.jobtabd_told())],
        goals=[Goal("while written", "without", at_least=0.8)]),
    *(post_row(connections, at_least)
      for connections, at_least in ((1, 0.9), (16, 1.0), (64, 1.0), (256, 1.0))),
]
