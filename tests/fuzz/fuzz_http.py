#!/usr/bin/env python3
"""Requests that no client would send, on a whole jobtabd: mutated, cut, glued together, in pieces.

    fuzz_http.py BUILDDIR SECONDS
    fuzz_http.py BUILDDIR cases N

The HTTP library has its asserts compiled in, so a request that it or we did not think of ends the
worker. Here none may: the same processes live at the end as at the beginning, they hold as many
descriptors as before, and a usual request is answered, on a connection of its own all the while.
What comes back is whole answers and nothing else, none of them the server's fault; and between what is
mutated go requests whose answers name them: they come in their order, each at most once.

In the controls a worker is killed meanwhile, and answers are changed as a faulty server might: that
must be noticed. JOBTAB_SEED replays a run.
"""
import contextlib
import http.client
import json
import os
import random
import re
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


# What stands in the place of a header, or of a whole one.
HEADERS = [
    b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 0x5", b"Content-Length: -5",
    b"Content-Length: 18446744073709551615", b"Content-Length : 5", b"Content-Length:\t5\t",
    b"Content-Length: 2000000", b"Content-Length: 99000000",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\x0bchunked", b"transfer-encoding: chunked\r\nTransfer-Encoding: x",
    b" folded: yes", b"no colon", b": no name", b"Na me: x", b"Name\0: x", b"X: \0", b"X: \x7f\xff",
    b"Host: a b", b"Host: [::1", b"Host: 127.0.0.1:99999999", b"Host:", b"Host: @localhost",
    b"Expect: 100-continue", b"Expect: 200-ok", b"Connection: close, keep-alive, \xff",
    b"If-None-Match: \"", b"If-None-Match: " + b"\"x\"," * 400, b"Range: bytes=9-1,-,1-",
    b"Content-Type: text/plain", b"Content-Encoding: gzip", b"Cookie: " + b"a=b; " * 800,
    b"X-Long: " + b"y" * 70000, b"\r\n".join(b"X-%d: y" % n for n in range(150)), b"\rX: y", b"\nX: y",
]
TARGETS = [
    b"/status/%2e%2e/x", b"//status//", b"/status/" + b"0" * 40, b"/jobs?limit=" + b"9" * 4000,
    b"/" + b"a" * 20000, b"/%", b"/%zz", b"/\xff\xfe", b"/jobs?state=&&&=&=", b"*", b"", b"http://", b"/run/",
    b"http://user@127.0.0.1/jobs", b"/jobs#x", b"/jobs?cursor=%00", b"\\status\\x", b"/status/%s" % (b"z" * 36),
]
BODIES = [
    b"[" * 5000, b'{"params":' * 600, b'{"kind":"' + b"k" * 40000 + b'"}', b"\xef\xbb\xbf{}", b"{}" * 9,
    b'{"priority":1e999}', b'{"priority":' + b"9" * 9000 + b"}", b'{"delay":"\\ud800"}', b"nul", b'"',
    b'{"params":{"a":"' + b"b" * 70000 + b'"}}', b'{"idempotency_key":"' + b"k" * 129 + b'"}', b" " * 1100000,
    b'{"\\u0000":1}', b'{"kind":"\\u0000"}', b'{"params":{},"params":{}}', b'{"max_attempts":-0.5}',
]


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


def odd(chance, host):
    """A request with one or more things wrong that no mutation of bytes would find."""
    method = chance.choice([b"GET", b"POST", b"POST", b"HEAD", b"DELETE", b"PUT", b"get", b"G\0T", b"M" * 500])
    target = chance.choice([b"/run", b"/run", b"/jobs", b"/healthz", chance.choice(TARGETS)])
    version = chance.choice([b"1.1", b"1.1", b"1.1", b"1.0", b"1.2", b"2.0", b"0.9", b"1.1 "])
    headers = [chance.choice(HEADERS) + b"\r\n" for _ in range(chance.choice([0, 1, 1, 2]))]
    if chance.random() < 0.9:
        headers.insert(chance.randrange(len(headers) + 1), host)
    body = b""
    if method == b"POST" or chance.random() < 0.1:
        body = chance.choice(BODIES)
        if chance.random() < 0.8:
            headers.append(b"Content-Length: %d\r\n" % max(0, len(body) + chance.choice([0, 0, 0, 0, -1, 5])))
        else:
            headers.append(b"Transfer-Encoding: chunked\r\n")
            size = chance.choice([b"%x", b"%X", b"0%x", b"%x;a=b", b"%x ", b"-%x", b"%xg"]) % len(body)
            body = size + b"\r\n" + body + b"\r\n0\r\n" + chance.choice([b"\r\n", b"T: x\r\n\r\n", b""])
    return b"%s %s HTTP/%s\r\n%s\r\n%s" % (method, target, version, b"".join(headers), body)


NAMED = b"-0000-7000-8000-000000000000"


def marker(number, host):
    """A sound request whose answer names it."""
    return b"GET /status/%08x%s HTTP/1.1\r\n%s\r\n" % (number, NAMED, host)


def judge(received, markers):
    """What is wrong with what came back on one connection, or None."""
    rest, named = received, []
    while rest:
        head, end, rest = rest.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n", head + b"\r\n")
        if not end or not found:
            return None if not end and b"HTTP/1.1 ".startswith(head[:9]) else f"no answer: {head[:80]!r}"
        status = int(found.group(1))
        if status >= 500 or status == 101:
            return f"the answer is {head[:200]!r}"
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if status in (100, 204, 304) or rest.startswith(b"HTTP/1."):  # or it was a HEAD
            continue
        if not length:
            return f"an answer without a length: {head[:200]!r}"
        body, rest = rest[: int(length.group(1))], rest[int(length.group(1)) :]
        for number in re.findall(rb'"job_id":"([0-9a-f]{8})-0000-7000-8000-0{12}"', body):
            named.append(int(number, 16))
    order = [number for number in markers if number in named]
    return None if named == order else f"the answers name {named}, asked were {markers}"


def send(chance, port, data):
    """One connection: what came back, b"" if nobody waited for it."""
    received = b""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), BOUND)) as sock:
        with contextlib.suppress(OSError):
            sock.settimeout(0.5)
            while data:
                n = chance.choice([len(data), len(data), 7, 100]) if len(data) < 2000 else len(data)
                sock.sendall(data[:n])
                data = data[n:]
            if chance.random() < 0.1:  # leave with a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return b""
            if chance.random() < 0.1:
                return b""
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                received += piece
    return received


def one_case(chance, port, requests, host, last):
    """One connection with some requests: mutated, odd, and those that are named in their answers. How many
    of these were answered."""
    parts, markers = [], []
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        what = chance.random()
        if what < 0.35:
            markers.append(chance.randrange(1, 2**32))
            parts.append(marker(markers[-1], host))
        parts.append(mutate(chance, requests) if what < 0.6 else odd(chance, host))
    data = b"".join(parts)
    last.append(data)
    del last[:-50]
    received = send(chance, port, data)
    wrong = judge(received, markers)
    if wrong:
        raise Failure(wrong)
    return received.count(NAMED)


def storm(chance, master, port, seconds, cases, last):
    """Until the time is over, all were sent or a process is another than it was. How many were sent."""
    _, job = ask(port, "POST", "/run", JOB)
    values = {b"id": json.loads(job)["job_id"].encode(), b"host": b"Host: 127.0.0.1:%d\r\n" % port,
              b"job": JOB, b"size": len(JOB)}
    requests = [b"%s" % request % values if b"%(" in request else request for request in REQUESTS]
    pids = children(master)
    before = descriptors(pids)
    end, sent, named = time.monotonic() + seconds, 0, 0
    good = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    while time.monotonic() < end and sent < cases:
        named += one_case(chance, port, requests, values[b"host"], last)
        sent += 1
        if sent % 10 == 0:
            try:
                good.request("GET", "/jobs?limit=1")
                answer = good.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise Failure(f"a good request was not answered: {error!r}") from error
            if answer.status != 200:
                raise Failure(f"a good request was answered {answer.status}")
        if sent % 20 == 0 and children(master) != pids:
            raise Failure(f"a process ended: {pids} became {children(master)}")
    good.close()
    if sent > 200 and named < sent / 50:
        raise Failure(f"{named} of {sent} connections had an answer that names its request")
    if ask(port, "GET", "/jobs?limit=1")[0] != 200:
        raise Failure("GET /jobs is not answered any more")
    wait_for("the workers hold more descriptors than before",
             lambda: descriptors(pids) <= before)
    if children(master) != pids:
        raise Failure(f"a process ended: {pids} became {children(master)}")
    return sent


def has_table(pid):
    """A worker has its descriptors once it has opened the table, which it does beside its loop."""
    with contextlib.suppress(OSError):
        return any(os.readlink(f"/proc/{pid}/fd/{fd}").endswith("/data.mdb")
                   for fd in os.listdir(f"/proc/{pid}/fd"))
    return False


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
        wait_for("there are not two workers and a keeper with the table",
                 lambda: [has_table(pid) for pid in children(master.pid)] == [True] * 3)
        yield master.pid, port
    finally:
        master.terminate()
        try:
            master.wait(BOUND)
        except subprocess.TimeoutExpired:
            master.kill()
            master.wait()


def run(build, seconds, cases, kill, seed):
    """One storm on a daemon of its own. What went wrong, or None; and how much was sent."""
    last, sent = [], 0
    with tempfile.TemporaryDirectory(prefix="fuzz-http-") as folder:
        try:
            with daemon(build, folder) as (master, port):
                if kill:
                    threading.Timer(seconds / 4, os.kill,
                                    (children(master)[0], signal.SIGKILL)).start()
                sent = storm(random.Random(seed), master, port, seconds, cases, last)
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


def faulty_answers_are_noticed():
    """Answers of a server that mixes them up, tears them, or blames itself."""
    def answer(number, status=b"404 Not Found"):
        body = b'{"job_id":"%08x-0000-7000-8000-000000000000"}' % number
        return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)

    sound = answer(1) + answer(2)
    faulty = [answer(2) + answer(1), answer(1) + answer(1), answer(3), sound + b"more", sound[20:],
              answer(1, b"500 Internal Server Error"), answer(1, b"503 Service Unavailable"),
              sound.replace(b"length: 49", b"length: 48")]  # fmt: skip
    return judge(sound, [1, 2]) is None and all(judge(text, [1, 2]) for text in faulty)


def main():
    build = os.path.abspath(sys.argv[1])
    seconds, cases = float(sys.argv[2]) if sys.argv[2] != "cases" else 10**6, 10**9
    if sys.argv[2] == "cases":
        cases = int(sys.argv[3])
    noticed, _ = run(build, 2, 10**9, True, 1)
    if not faulty_answers_are_noticed():
        noticed = None
    if noticed:
        print("PASS: fuzz http-control: noticed, as it must be")
    else:
        print("FAIL: fuzz http-control: a worker was killed, or an answer was faulty, and nobody noticed")
    seed = int(os.environ.get("JOBTAB_SEED") or int.from_bytes(os.urandom(4), "big"))
    failure, sent = run(build, seconds, cases, False, seed)
    print(f"FAIL: fuzz http: {failure}" if failure else f"PASS: fuzz http: {sent} connections, seed {seed}")
    return 0 if noticed and not failure else 1


if __name__ == "__main__":
    sys.exit(main())
