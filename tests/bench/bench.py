#!/usr/bin/env python3
"""Jobtab against its peers: starts each one itself, measures in interleaved rounds, prints a table.

What is compared, and how, stands in MEASURES. One round measures every row once, both sides one
after the other (which goes first alternates), each on a server that was just started and on an
empty data directory; nothing else of ours runs meanwhile. Ratios are taken within a round, so that
what the machine does besides hits both sides; a figure of one run is not comparable with
another run's.

GET   a random job of 10,000 on jobtabd, against libh2o alone that sends the same bytes.
POST  durable submits on jobtabd, against redis-benchmark's SET on redis with appendfsync always.
      No runner takes the jobs (runner_processes = 0), so only the submit is measured. Each
      request makes a new job; redis-benchmark sets one and the same key, its cheapest case.

The load generators have one thread each. On a machine with few cores they compete with what they
measure: "client" is their share of one core, and from 90 % on the client may be the limit. "cpu" is
what the server itself spent, in microseconds of processor time a request, user and kernel.
"""
import argparse
import contextlib
import http.client
import json
import os
import platform
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WORKERS = 2
JOBS = 10000
PARAMS = {"sources": ["alpha.csv", "beta.csv", "gamma.csv"], "max_age": "2d",
          "max_deviation_bps": 100}
BODY = json.dumps({"kind": "noop", "params": PARAMS}).encode()
VALUE_SIZE = 300  # bytes of a SET: a job's record and parameters are about as many
CLIENT_LIMIT = 0.9
START_BOUND = 15  # seconds until a server must answer
FORMS = {"short": {"rounds": 5, "seconds": 1.5, "get": (32,), "post": (1, 64, 256)},
         "long": {"rounds": 9, "seconds": 5.0, "get": (1, 32, 256), "post": (1, 16, 64, 256)}}


def say(text=""):
    print(text, flush=True)


def die(text):
    sys.exit(f"bench: {text}")


# ---------------------------------------------------------------- processes and their cost

def descendants(pid):
    """pid and all that come from it, by /proc."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/stat") as stat:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_seconds(pid):
    ticks = 0
    for one in descendants(pid):
        with contextlib.suppress(OSError):
            with open(f"/proc/{one}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for_port(port, process, name, log):
    bound = time.monotonic() + START_BOUND
    while time.monotonic() < bound:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.01)
    with open(log) as text:
        die(f"{name} did not start; its log:\n{text.read()[-2000:]}")


@contextlib.contextmanager
def running(name, argv, port, folder, stop_signal=signal.SIGTERM):
    """A server from its first answer to its end. Yields its process."""
    log = os.path.join(folder, f"{name}.log")
    with open(log, "ab") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=folder)
    try:
        wait_for_port(port, process, name, log)
        yield process
        if process.poll() is not None:
            die(f"{name} ended during the measure, code {process.returncode}; see {log}")
    finally:
        if process.poll() is None:
            process.send_signal(stop_signal)
            try:
                process.wait(START_BOUND)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# ---------------------------------------------------------------- the sides

class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.bin = os.path.abspath(options.build)
        self.ids = os.path.join(folder, "ids")
        self.answer = os.path.join(folder, "answer")
        self.body = os.path.join(folder, "body")
        self.table = os.path.join(folder, "table-get")
        with open(self.body, "wb") as out:
            out.write(BODY)

    def program(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            die(f"{path} is missing: run this as `make bench`")
        return path

    @contextlib.contextmanager
    def jobtabd(self, table):
        port = free_port()
        conf = os.path.join(self.folder, "jobtabd.conf")
        with open(conf, "w") as out:
            out.write(f"""worker_processes = {WORKERS}
runner_processes = 0
user = "{pwd.getpwuid(os.getuid()).pw_name}"
pid_file = "{self.folder}/jobtabd.pid"
error_log = "stderr"
access_log = "off"
default_kind = "noop"
listen "127.0.0.1:{port}" {{ }}
table "{table}" {{ map_size = 8g  max_jobs = 10000000 }}
kind "noop" {{ command = {{"/bin/true"}} }}
""")
        argv = [self.program("jobtabd"), "-c", conf]
        with running("jobtabd", argv, port, self.folder) as process:
            wait_until_ready(port)
            yield port, process

    def load(self, server, port, *arguments):
        """Our own load client: one sample."""
        argv = [self.program("tests/bench/load"), "-p", str(port), "-t",
                str(self.options.seconds), "-w", "0.5", *arguments]
        before = cpu_seconds(server.pid)
        run = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
        cpu = cpu_seconds(server.pid) - before
        if run.returncode != 0:
            die("the load client failed: " + " ".join(argv))
        sample = json.loads(run.stdout)
        # The warm-up is in the server's processor time but not in `served`.
        share = sample["seconds"] / (sample["seconds"] + 0.5)
        sample["server_us"] = cpu * share / max(sample["served"], 1) * 1e6
        sample["answer_bytes"] = sample["bytes"] / max(sample["served"], 1)
        return sample

    def prepare_get(self):
        """10,000 jobs, and the answer that the bare handler has to repeat."""
        with self.jobtabd(self.table) as (port, _):
            ids, lock = [], threading.Lock()

            def submit(n):
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                for _ in range(n):
                    client.request("POST", "/run", BODY, {"Content-Type": "application/json"})
                    answer = client.getresponse()
                    job = json.loads(answer.read())
                    if answer.status != 202:
                        die(f"POST /run: {answer.status} {job}")
                    with lock:
                        ids.append(job["job_id"])

            threads = [threading.Thread(target=submit, args=(JOBS // 50,)) for _ in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if len(ids) != JOBS:
                die(f"only {len(ids)} of {JOBS} jobs could be submitted")
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            client.request("GET", f"/status/{ids[JOBS // 2]}")
            answer = client.getresponse()
            body = answer.read()
        own = {"date", "connection", "content-length"}  # libh2o writes these itself
        with open(self.answer, "wb") as out:
            for name, value in answer.getheaders():
                if name.lower() not in own:
                    out.write(f"{name}: {value}\n".encode())
            out.write(b"\n" + body)
        with open(self.ids, "w") as out:
            out.write("\n".join(ids) + "\n")
        return len(body)

    def get_jobtabd(self, connections):
        with self.jobtabd(self.table) as (port, server):
            return self.load(server, port, "-c", str(connections), "-i", self.ids, "/status/%s")

    def get_bare(self, connections):
        argv = [self.program("tests/bench/bare_h2o"), str(WORKERS), self.answer]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            port = int(server.stdout.readline())
            sample = self.load(server, port, "-c", str(connections), "-i", self.ids, "/status/%s")
            server.stdin.close()
            return sample

    def post_jobtabd(self, connections):
        table = os.path.join(self.folder, "table-post")
        shutil.rmtree(table, ignore_errors=True)
        os.sync()
        with self.jobtabd(table) as (port, server):
            return self.load(server, port, "-c", str(connections), "-b", self.body, "-e", "202",
                             "/run")

    def post_redis(self, connections):
        folder = os.path.join(self.folder, "redis")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        os.sync()
        port = free_port()
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder,
                "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                "--auto-aof-rewrite-percentage", "0"]
        with running("redis", argv, port, self.folder) as server:
            rate = self.redis_benchmark(server, port, connections, 100 * connections + 400)["rate"]
            return self.redis_benchmark(server, port, connections,
                                        int(rate * self.options.seconds))

    def redis_benchmark(self, server, port, connections, n):
        """It has no duration, only a number of requests: see post_redis."""
        argv = ["redis-benchmark", "-p", str(port), "-t", "set", "-d", str(VALUE_SIZE), "-c",
                str(connections), "-n", str(max(n, connections)), "--csv"]
        before = cpu_seconds(server.pid)
        start = time.monotonic()
        client = subprocess.Popen(argv, stdout=subprocess.PIPE)
        out = client.stdout.read().decode()
        _, status, usage = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
        client.stdout.close()
        seconds = time.monotonic() - start
        cpu = cpu_seconds(server.pid) - before
        lines = [line.replace('"', "").split(",") for line in out.splitlines()]
        if client.returncode != 0 or len(lines) < 2:
            die("redis-benchmark failed: " + " ".join(argv))
        row = dict(zip(lines[0], lines[1]))
        return {"rate": float(row["rps"]), "served": n, "errors": 0, "seconds": seconds,
                "p50_us": float(row["p50_latency_ms"]) * 1000,
                "p99_us": float(row["p99_latency_ms"]) * 1000,
                "max_us": float(row["max_latency_ms"]) * 1000,
                "cpu_share": (usage.ru_utime + usage.ru_stime) / seconds,
                "server_us": cpu / n * 1e6}


def wait_until_ready(port):
    """Listeners are open before the workers are: ask until one says it is ready."""
    bound = time.monotonic() + START_BOUND
    while time.monotonic() < bound:
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            client.request("GET", "/readyz")
            if client.getresponse().status == 200:
                return
        time.sleep(0.02)
    die("jobtabd is not ready: GET /readyz")


MEASURES = {  # what: (title, goal of the ratio, ours, the peer's name, the peer)
    "get": ("GET /status/{id}", 0.7, Bench.get_jobtabd, "bare libh2o", Bench.get_bare),
    "post": ("POST /run, durable", 0.3, Bench.post_jobtabd, "redis SET, fsync always",
             Bench.post_redis),
}


# ---------------------------------------------------------------- figures

def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarize(what, connections, ours, theirs):
    title, goal, _, peer, _ = MEASURES[what]
    row = {"what": title, "peer": peer, "connections": connections, "goal": goal,
           "ratio": spread([a["rate"] / b["rate"] for a, b in zip(ours, theirs)])}
    for side, samples in (("jobtabd", ours), ("theirs", theirs)):
        row[side] = {key: spread([sample[key] for sample in samples])
                     for key in ("rate", "p50_us", "p99_us", "cpu_share", "server_us")}
        row[side]["errors"] = sum(sample["errors"] for sample in samples)
        row[side]["samples"] = samples
    return row


def table_lines(rows):
    yield f"{'':<24}{'conns':>5}  {'requests/s':>10} {'min..max':>15}  {'p50 us':>8} {'p99 us':>8}" \
          f"  {'cpu us':>6} {'client':>6}"
    for row in rows:
        for side, name in (("jobtabd", row["what"]), ("theirs", row["peer"])):
            one = row[side]
            rate = one["rate"]
            spans = f"{rate['min']:.0f}..{rate['max']:.0f}"
            yield f"{name:<24}{row['connections']:>5}  {rate['median']:>10.0f} {spans:>15}  " \
                  f"{one['p50_us']['median']:>8.0f} {one['p99_us']['median']:>8.0f}  " \
                  f"{one['server_us']['median']:>6.1f} {one['cpu_share']['median']:>6.0%}" \
                  + (f"  {one['errors']} ERRORS" if one["errors"] else "") \
                  + ("  client at its limit" if one["cpu_share"]["median"] > CLIENT_LIMIT else "")
        ratio = row["ratio"]
        verdict = "reached" if ratio["median"] >= row["goal"] else "MISSED"
        yield f"  ratio {ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f}), " \
              f"goal {row['goal']}: {verdict}"


def file_system(folder):
    best, kind = "", "unknown"
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, point, name = line.split()[:3]
            if (folder + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, name
    return kind


def settings(options, folder):
    def version(argv):
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False).stdout.strip()
    return {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "form": options.form,
            "rounds": options.rounds, "seconds": options.seconds, "workers": WORKERS,
            "jobs": JOBS, "post_bytes": len(BODY), "set_bytes": VALUE_SIZE,
            "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "file_system": file_system(folder),
            "load_average": [round(load, 1) for load in os.getloadavg()],
            "redis": version(["redis-server", "--version"]),
            "jobtabd": version([os.path.join(options.build, "jobtabd"), "-V"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--build", default=".", help="top build directory")
    parser.add_argument("--only", choices=MEASURES, help="one of the two measures")
    parser.add_argument("--rounds", type=int, help="instead of the form's")
    parser.add_argument("--seconds", type=float, help="of one sample, instead of the form's")
    parser.add_argument("--out", default="bench-result", help="writes OUT.txt and OUT.json")
    parser.add_argument("--folder", default=".", help="where the data directories are made")
    options = parser.parse_args()
    form = FORMS[options.form]
    options.rounds = options.rounds or form["rounds"]
    options.seconds = options.seconds or form["seconds"]
    what = [options.only] if options.only else list(MEASURES)
    if "post" in what and not shutil.which("redis-benchmark"):
        die("redis-server and redis-benchmark are missing: apt-get install redis-server "
            "redis-tools")

    folder = tempfile.mkdtemp(prefix="bench-", dir=os.path.realpath(options.folder))
    try:
        bench = Bench(options, folder)
        facts = settings(options, folder)
        if facts["file_system"] in ("tmpfs", "ramfs"):
            die(f"{folder} is in memory, a durable write there means nothing: use --folder")
        if "get" in what:
            facts["answer_bytes"] = bench.prepare_get()
        cells = [(one, n) for one in what for n in form[one]]
        samples = {cell: ([], []) for cell in cells}
        for turn in range(options.rounds):
            for one, n in cells:
                _, _, ours, peer, theirs = MEASURES[one]
                sides = [(0, ours), (1, theirs)]
                for side, measure in sides if turn % 2 == 0 else reversed(sides):
                    samples[one, n][side].append(measure(bench, n))
                a, b = (side[-1]["rate"] for side in samples[one, n])
                say(f"round {turn + 1}: {one} {n}: jobtabd {a:.0f}, {peer} {b:.0f}, "
                    f"ratio {a / b:.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    for ours, theirs in (samples[cell] for cell in cells if cell[0] == "get"):
        a, b = (statistics.median(one["answer_bytes"] for one in side) for side in (ours, theirs))
        if abs(a - b) > 8: # a version has more digits or fewer
            die(f"the two sides do not send the same: {a:.0f} and {b:.0f} bytes an answer")
    rows = [summarize(one, n, *samples[one, n]) for one, n in cells]
    facts["load_average_after"] = [round(load, 1) for load in os.getloadavg()]
    text = [" ".join(f"{key}={value}" for key, value in facts.items()), "", *table_lines(rows)]
    if facts["load_average"][0] > facts["cores"] / 2:
        text.append("The machine was busy before this began: the ratios are worth little, the rates "
                    "nothing.")
    say()
    say("\n".join(text))
    with open(options.out + ".txt", "w") as out:
        out.write("\n".join(text) + "\n")
    with open(options.out + ".json", "w") as out:
        json.dump({"settings": facts, "rows": rows}, out, indent=1)
    errors = sum(row[side]["errors"] for row in rows for side in ("jobtabd", "theirs"))
    if errors:
        die(f"{errors} requests had another answer than the one expected")


if __name__ == "__main__":
    main()
