"""The event loop waits for no lock and no disk."""

import socket
import threading
import time

from conftest import SLOW, seconds, wait_until
from writer_lock import WriterLock

HOLD = 5


def status_times(d, path, duration, known=None):
    """Seconds that each of a row of GETs took, one after the other with a pause between."""
    match = f"If-None-Match: {known}\r\n" if known else ""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{match}\r\n".encode()
    expected = b"HTTP/1.1 304 " if known else b"HTTP/1.1 200 "
    times, end = [], time.monotonic() + duration
    with socket.create_connection(("127.0.0.1", d.port), timeout=seconds(10)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < end:
            began = time.monotonic()
            sock.sendall(request)
            answer = sock.recv(65536)
            times.append(time.monotonic() - began)
            assert answer.startswith(expected), answer
            time.sleep(0.001)
    return times


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


def test_reads_are_fast_while_another_process_holds_the_writer_lock(daemon):
    d = daemon(runner_processes=0)
    job = d.submit(params={"a": 1})
    path, tag = f"/status/{job['job_id']}", f'"{job["version"]}"'
    bound = 0.010 * SLOW
    answers, began = [], time.monotonic()

    def write():
        http = d.client(timeout=60)
        answers.append((http.post("/run", {}).status, time.monotonic() - began))
        http.close()

    writers = [threading.Thread(target=write) for _ in range(8)]
    with WriterLock(d.table):
        began = time.monotonic()
        for writer in writers:
            writer.start()
        times = []
        while time.monotonic() - began < HOLD:
            times += status_times(d, path, HOLD / 4)
            times += status_times(d, path, HOLD / 4, known=tag)
            assert d.http.get("/jobs").status == 200
            assert d.http.get("/readyz").status == 200
        assert answers == [], "a change was answered that nobody can have made"
        held = time.monotonic() - began
    for writer in writers:
        writer.join(seconds(10))
    print(f"{len(times)} reads in {held:.1f} s: p99 {p99(times) * 1000:.2f} ms, "
          f"most {max(times) * 1000:.2f} ms")  # fmt: skip
    assert len(times) > 100
    assert p99(times) < bound
    assert [status for status, _ in answers] == [202] * 8
    assert min(at for _, at in answers) >= held - 0.1
    assert len(d.http.get("/jobs").json()["jobs"]) == 9


def test_more_changes_than_may_wait_are_503_and_reads_go_on(daemon):
    d = daemon(runner_processes=0, body_max="2m", table={"params_max": "2m"})
    body = b'{"params": {"a": "' + b"x" * (1 << 20) + b'"}}'
    head = b"POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    socks = []
    with WriterLock(d.table):
        for _ in range(70):  # 64 MiB may wait
            sock = socket.create_connection(("127.0.0.1", d.port), timeout=seconds(20))
            sock.sendall(head + body)
            socks.append(sock)

        def refused():
            found = []
            for sock in socks:
                sock.setblocking(False)
                try:
                    found.append(sock.recv(4096, socket.MSG_PEEK))
                except BlockingIOError:
                    pass
            return found if len(found) >= 6 else None

        for answer in wait_until(refused, 20, "those over the bound are refused"):
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: " in answer.lower()
        assert d.http.get("/jobs").json()["jobs"] == []
    statuses = []
    for sock in socks:
        sock.settimeout(seconds(20))
        statuses.append(sock.recv(12))
        sock.close()
    taken = statuses.count(b"HTTP/1.1 202")
    assert taken >= 32 and taken + statuses.count(b"HTTP/1.1 503") == 70
    assert d.mdb_stat()["pending"] == taken
