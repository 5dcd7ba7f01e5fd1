#!/usr/bin/env python3
"""Requests that no client would send, on a whole jobtabd: mutated, cut, glued together, in pieces.

    fuzz_http.py BUILDDIR SECONDS

The HTTP library has its asserts compiled in, so a request that it or we did not think of ends the
worker. Here none may: the same processes live at the end as at the beginning, they hold as many
descriptors as before, and a usual request is answered. In the control a worker is killed meanwhile,
and that must be noticed.
"""
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BOUND = 15  # seconds for a condition to come true
JOB = b'{"kind":"noop","params":{"a":[1,2,{"b":"c"}]},"priority":5,"delay":"90s"}'
CONF = """worker_processes = 2
runner_processes = 0
pid_file = "{folder}/pid"
listen "127.0.0.1:{port}" {{ }}
table "{folder}/table" {{ max_jobs = 1000000 }}
kind "noop" {{ command = {{"/bin/true"}} }}
default_kind = "noop"
"""
# %(id)s and %(host)s are filled in.
REQUESTS = [
    b"GET /status/%(id)s HTTP/1.1\r\n%(host)s\r\n",
    b"GET /status/%(id)s HTTP/1.1\r\n%(host)sIf-None-Match: \"1\", W/\"2\"\r\n\r\n",
    b"GET /status/%(id)s/log HTTP/1.1\r\n%(host)sRange: bytes=0-5\r\n\r\n",
    b"GET /status/%(id)s/result HTTP/1.1\r\n%(host)s\r\n",
    b"POST /run HTTP/1.1\r\n%(host)sContent-Type: application/json\r\nContent-Length: %(size)d\r\n"
    b"\r\n%(job)s",
    b"POST /run HTTP/1.1\r\n%(host)sTransfer-Encoding: chunked\r\n\r\n%(size)x\r\n%(job)s\r\n0\r\n"
    b"\r\n",
    b"POST /run HTTP/1.1\r\n%(host)sIdempotency-Key: \"k\"\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /run HTTP/1.1\r\n%(host)sExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /status/%(id)s/cancel HTTP/1.1\r\n%(host)sContent-Length: 0\r\n\r\n",
    b"POST /status/%(id)s/retry HTTP/1.1\r\n%(host)sOrigin: http://127.0.0.1\r\n\r\n",
    b"DELETE /status/%(id)s HTTP/1.1\r\n%(host)s\r\n",
    b"GET /jobs?state=pending,running&limit=10&kind=noop&cursor=%(id)s HTTP/1.1\r\n%(host)s\r\n",
    b"HEAD /jobs HTTP/1.0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n%(host)sConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n%(host)s\r\n",
    b"GET http://127.0.0.1/jobs HTTP/1.1\r\n%(host)s\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n%(host)s\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"GET / HTTP/1.1\r\n%(host)sUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
]
WORDS = [b"\r\n", b"\n", b" ", b":", b"%00", b"%2f", b"/../", b"\0", b"-1", b"?", b"&limit=0",
         b"A" * 5000, b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: x\r\n",
         b"Connection: close\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"99999999999999999999",
         b"Origin: http://elsewhere\r\n"]


class Failure(Exception):
    pass


def wait_for(what, condition):
    bound = time.monotonic() + BOUND
    while not condition():
        if time.monotonic() > bound:
            raise Failure(what)
        time.sleep(0.02)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as found:
        return sorted(int(child) for child in found.read().split())


def descriptors(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def ask(port, method, path, body=None):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND)
    with contextlib.closing(client):
        client.request(method, path, body)
        answer = client.getresponse()
        return answer.status, answer.read()


def mutate(chance, requests):
    data = bytearray(chance.choice(requests))
    for _ in range(chance.choice([0, 1, 1, 2, 4, 8])):
        at = chance.randrange(len(data) + 1)
        change = chance.randrange(6)
        if change == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif change == 1:
            data[at:at] = chance.choice(WORDS)
        elif change == 2:
            del data[at:at + chance.randrange(1, 20)]
        elif change == 3:
            data[at:at] = data[at:at + chance.randrange(1, 60)]
        elif change == 4:
            other = chance.choice(requests)
            data[at:] = other[chance.randrange(len(other)):]
        else:
            del data[at:]
    return bytes(data)


def send(chance, port, data):
    """One connection; what comes back, and how it ends, is its own affair."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), BOUND)) as sock:
        with contextlib.suppress(OSError):
            sock.settimeout(0.01)
            while data:
                n = chance.choice([len(data), len(data), 7, 100])
                sock.sendall(data[:n])
                data = data[n:]
            if chance.random() < 0.2:
                sock.shutdown(socket.SHUT_WR)
            if chance.random() < 0.8:
                sock.recv(65536)
            if chance.random() < 0.1:  # leave with a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def storm(chance, master, port, seconds, last):
    """Until the time is over or a process is another than it was. How many were sent."""
    _, job = ask(port, "POST", "/run", JOB)
    values = {b"id": json.loads(job)["job_id"].encode(), b"host": b"Host: 127.0.0.1:%d\r\n" % port,
              b"job": JOB, b"size": len(JOB)}
    requests = [b"%s" % request % values if b"%(" in request else request for request in REQUESTS]
    pids = children(master)
    before = descriptors(pids)
    end, sent = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = b"".join(mutate(chance, requests) for _ in range(chance.choice([1, 1, 1, 2, 5])))
        last.append(data)
        del last[:-50]
        send(chance, port, data)
        sent += 1
        if sent % 20 == 0 and children(master) != pids:
            raise Failure(f"a process ended: {pids} became {children(master)}")
    if ask(port, "GET", "/jobs?limit=1")[0] != 200:
        raise Failure("GET /jobs is not answered any more")
    wait_for("the workers hold more descriptors than before",
             lambda: descriptors(pids) <= before)
    if children(master) != pids:
        raise Failure(f"a process ended: {pids} became {children(master)}")
    return sent


@contextlib.contextmanager
def daemon(build, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = os.path.join(folder, "conf")
    with open(conf, "w") as out:
        out.write(CONF.format(folder=folder, port=port))
    with open(os.path.join(folder, "log"), "wb") as log:
        master = subprocess.Popen([os.path.join(build, "jobtabd"), "-c", conf],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(port, "GET", "/readyz")[0] == 200
        return False
    try:
        wait_for("jobtabd is not ready", ready)
        # Ready means one worker is; the pids are those of all.
        wait_for("there are not two workers and a keeper", lambda: len(children(master.pid)) == 3)
        yield master.pid, port
    finally:
        master.terminate()
        try:
            master.wait(BOUND)
        except subprocess.TimeoutExpired:
            master.kill()
            master.wait()


def run(build, seconds, kill):
    """One storm on a daemon of its own. What went wrong, or None; and how much was sent."""
    seed = int.from_bytes(os.urandom(4), "big")
    last, sent = [], 0
    with tempfile.TemporaryDirectory(prefix="fuzz-http-") as folder:
        try:
            with daemon(build, folder) as (master, port):
                if kill:
                    threading.Timer(seconds / 4, os.kill,
                                    (children(master)[0], signal.SIGKILL)).start()
                sent = storm(random.Random(seed), master, port, seconds, last)
        except Failure as failure:
            if kill:
                return str(failure), sent
            kept = os.path.join(build, "fuzz", "http-last")
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            with open(kept, "wb") as out:
                out.write(b"\n=====\n".join(last))
            with open(os.path.join(folder, "log")) as log:
                return f"{failure}; seed {seed}; the last requests: {kept}; the log's end:\n" \
                    f"{log.read()[-3000:]}", sent
    return None, sent


def main():
    build, seconds = os.path.abspath(sys.argv[1]), float(sys.argv[2])
    noticed, _ = run(build, 2, True)
    if noticed:
        print("PASS: fuzz http-control: noticed, as it must be")
    else:
        print("FAIL: fuzz http-control: a worker was killed and nobody noticed")
    failure, sent = run(build, seconds, False)
    print(f"FAIL: fuzz http: {failure}" if failure else f"PASS: fuzz http: {sent} connections")
    return 0 if noticed and not failure else 1


if __name__ == "__main__":
    sys.exit(main())
