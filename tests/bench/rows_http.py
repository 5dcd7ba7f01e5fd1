"""Over HTTP: reads of one job among many, durable submits; each against what does the same work."""
import http.client
import json
import os

import peers
from harness import Failed, Goal, Row, Sample, Side, cpu_seconds, free_port

JOBS = 100_000
PARAMS = {"sources": ["alpha.csv", "beta.csv", "gamma.csv"], "max_age": "2d",
          "max_deviation_bps": 100}
BODY = json.dumps({"kind": "noop", "params": PARAMS}).encode()
OWN_HEADERS = {"date", "connection", "content-length"}  # what libh2o writes by itself


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


def redis_benchmark(bench, process, port, folder, *arguments):
    """It knows no duration, only a number of requests: a short run first, to learn how many."""
    def go(n):
        run = bench.run([bench.tool("redis-benchmark", "redis-tools"), "-p", str(port), "-n",
                         str(n), "--csv", *arguments])
        lines = [line.replace('"', "").split(",") for line in run.out.splitlines() if "," in line]
        return run, dict(zip(lines[0], lines[1]))

    _, said = go(2000)
    n = max(int(float(said["rps"]) * bench.seconds), 2000)
    before = cpu_seconds(process.pid)
    run, said = go(n)
    return Sample(float(said["rps"]), "requests/s", client=run.cpu_share,
                  cpu=peers.spent(process, before, n),
                  note=f"p50 {float(said['p50_latency_ms']) * 1000:.0f} us, "
                       f"p99 {float(said['p99_latency_ms']) * 1000:.0f} us")


# ---------------------------------------------------------------- GET /status/{id}

def hundred_thousand(bench):
    """A table of that many pending jobs, a file of their ids and ETags, and the answer for one of
    them, as a dictionary of paths."""
    def make(folder):
        made = {name: os.path.join(folder, name) for name in ("table", "ids", "answer", "body")}
        bench.run([bench.program("tests/bench/feed"), "fill", made["table"], str(JOBS),
                   made["ids"], json.dumps(PARAMS)])
        with open(made["ids"]) as ids:
            one = ids.readline().split()[0]
        with peers.jobtabd(bench, folder, made["table"]) as (port, _):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            client.request("GET", f"/status/{one}")
            answer = client.getresponse()
            body = answer.read()
        headers = "".join(f"{name}: {value}\n" for name, value in answer.getheaders()
                          if name.lower() not in OWN_HEADERS)
        write(made["answer"], headers.encode() + b"\n" + body)
        write(made["body"], body)
        return made
    return bench.once("100000 jobs", make)


def get_jobtabd(connections):
    def measure(bench, folder):
        made = hundred_thousand(bench)
        with peers.jobtabd(bench, folder, made["table"]) as (port, process):
            return load(bench, process, port, "-c", str(connections), "-i", made["ids"],
                        "/status/%s")
    return measure


def get_bare(connections):
    def measure(bench, _):
        made = hundred_thousand(bench)
        with peers.bare_h2o(bench, 200, made["answer"]) as (port, process):
            return load(bench, process, port, "-c", str(connections), "-i", made["ids"],
                        "/status/%s")
    return measure


def get_row(connections, forms):
    return Row(f"get-{connections}", f"GET /status/{{id}}, random id among {JOBS:,}, "
               f"{connections} connections",
               sides=[Side("jobtabd", get_jobtabd(connections), peers.jobtabd_told()),
                      Side("bare libh2o", get_bare(connections),
                           f"{peers.WORKERS} processes, the same bytes, no look-up")],
               goals=[Goal("jobtabd", "bare libh2o", at_least=0.95)], forms=forms)


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
            return redis_benchmark(bench, process, port, fresh, "-t", "set", "-d",
                                   str(peers.VALUE_SIZE), "-c", str(connections))
    return measure


def post_row(connections, at_least):
    return Row(f"post-{connections}", f"durable POST /run, {connections} connections",
               sides=[Side("jobtabd", post_jobtabd(connections), peers.jobtabd_told()),
                      Side("redis SET", post_redis(connections),
                           f"{peers.told(peers.REDIS)}; redis-benchmark -t set -d "
                           f"{peers.VALUE_SIZE}: one key, its cheapest case",
                           packages=("redis-server", "redis-tools"))],
               goals=[Goal("jobtabd", "redis SET", at_least=at_least)])


ROWS = [get_row(32, frozenset({"short", "long"})),
        post_row(1, 0.9), post_row(16, 1.0), post_row(64, 1.0), post_row(256, 1.0)]
