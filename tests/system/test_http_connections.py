"""Connections: kept alive, pipelined, over TLS and Unix sockets, capped, drained, logged."""

import os
import re
import socket
import ssl
import subprocess
import threading
import time
from signal import SIGHUP, SIGQUIT

import pytest

from conftest import read_answer, seconds, sh, wait_until
from writer_lock import WriterLock

HOST = b"Host: localhost\r\n"
HEALTHZ = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"


def connect(d, timeout=5):
    return socket.create_connection(("127.0.0.1", d.port), timeout=seconds(timeout))


def read_answers(sock, n):
    """n answers of one connection, as (status, head, body)."""
    file = sock.makefile("rb")
    return [read_answer(file) for _ in range(n)]


def test_requests_of_one_connection_are_answered_in_order(daemon):
    d = daemon(runner_processes=0)
    run = b"POST /run HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n%s"
    bodies = [b'{"priority": %d}' % n for n in range(8)]
    with connect(d) as sock:
        sock.sendall(b"".join(run % (len(body), body) + HEALTHZ for body in bodies))
        answers = read_answers(sock, 16)
        assert [status for status, _, _ in answers] == [202, 200] * 8
        found = [re.search(rb'"priority":(\d)', body).group(1) for _, _, body in answers[::2]]
        assert found == [b"%d" % n for n in range(8)]


def test_a_body_may_come_in_pieces_or_chunks_or_after_100_continue(daemon):
    d = daemon(runner_processes=0)
    with connect(d) as sock:
        for piece in (b"POST /run HT", b"TP/1.1\r\n" + HOST, b"Content-Length: 15\r\n\r", b"\n{",
                      b'"priority": 7}'):  # fmt: skip
            sock.sendall(piece)
            time.sleep(0.01)
        assert read_answers(sock, 1)[0][0] == 202
        sock.sendall(b"POST /run HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                     b'1\r\n{\r\n0e\r\n"priority": 7}\r\n0\r\n\r\n')  # fmt: skip
        status, _, body = read_answers(sock, 1)[0]
        assert status == 202 and b'"priority":7' in body
        sock.sendall(b"POST /run HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"
                     b"Content-Length: 2\r\n\r\n")  # fmt: skip
        assert read_answers(sock, 1)[0][0] == 100
        sock.sendall(b"{}")
        assert read_answers(sock, 1)[0][0] == 202


def test_http_1_0_and_connection_close_end_the_connection(daemon):
    d = daemon()
    for request in (b"GET /healthz HTTP/1.0\r\n\r\n", HEALTHZ[:-2] + b"Connection: close\r\n\r\n"):
        with connect(d) as sock:
            sock.sendall(request)
            assert read_answers(sock, 1)[0][0] == 200
            assert sock.recv(1) == b""


def test_a_client_that_leaves_before_its_answer_harms_nobody(daemon):
    d = daemon(runner_processes=0)
    for _ in range(50):
        with connect(d) as sock:
            sock.sendall(b"POST /run HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}")
    wait_until(lambda: d.mdb_stat()["pending"] == 50, what="the 50 jobs are there all the same")
    assert d.http.get("/healthz").status == 200
    assert "left" not in d.log() and "signal" not in d.log()


def test_a_unix_socket_serves_any_host(daemon, private):
    path = private / "jobtab.sock"
    d = daemon(conf=conf(f'listen "127.0.0.1:{{port}}" {{ }}\nlisten "unix:{path}" {{ }}'))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(seconds(5))
        sock.connect(str(path))
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: whatever.example\r\n\r\n")
        assert read_answers(sock, 1)[0][0] == 200


def conf(listens, more=""):
    return f"""
worker_processes = 1
runner_processes = 0
pid_file = "{{dir}}/jobtabd.pid"
error_log = "{{dir}}/error.log"
default_kind = "echo"
{more}
{listens}
table "{{table}}" {{ map_size = 64m }}
kind "echo" {{ command = {{"/bin/cat"}} }}
"""


@pytest.fixture
def certificate(private):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", private / "key.pem", "-out", private / "cert.pem", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return private / "cert.pem", private / "key.pem"


def tls_daemon(daemon, certificate, http2):
    cert, key = certificate
    return daemon(
        conf=conf(
            'listen "127.0.0.1:{port}" { }\n'
            f'listen "unix:{{dir}}/tls.sock" {{ tls_certificate = "{cert}" tls_key = "{key}" '
            f"http2 = {http2} }}"
        )
    )


def tls_connect(d, certificate, protocols):
    context = ssl.create_default_context(cafile=certificate[0])
    context.set_alpn_protocols(protocols)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(seconds(5))
    sock.connect(str(d.dir / "tls.sock"))
    return context.wrap_socket(sock, server_hostname="localhost")


def test_tls_speaks_http_1_1_and_http_2_only_where_a_listener_asks(daemon, certificate):
    d = tls_daemon(daemon, certificate, "false")
    with tls_connect(d, certificate, ["h2", "http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert sock.version() in ("TLSv1.2", "TLSv1.3")
        sock.sendall(HEALTHZ + b"POST /run HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}")
        assert [status for status, _, _ in read_answers(sock, 2)] == [200, 202]


def test_http_2_is_served_where_a_listener_asks(daemon, certificate):
    d = tls_daemon(daemon, certificate, "true")
    with tls_connect(d, certificate, ["h2", "http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "h2"
    with tls_connect(d, certificate, ["http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    curl = ["curl", "-sS", "--http2", "--max-time", "10", "--unix-socket", d.dir / "tls.sock",
            "--cacert", certificate[0], "-o", "/dev/null",
            "-w", "%{http_version} %{http_code}"]  # fmt: skip
    for request, expected in (
        (["https://localhost/healthz"], "2 200"),
        (["https://localhost/run", "-H", "content-type: application/json", "-d", "{}"], "2 202"),
        (["https://localhost/run", "-H", "content-type: application/json", "-d", "["], "2 400"),
        (["https://localhost/nothing"], "2 404"),
    ):
        done = subprocess.run([*curl, *request], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (expected, ""), (request, d.log())


def test_an_http_2_request_that_leaves_before_its_commit_harms_nobody(daemon, certificate):
    d = tls_daemon(daemon, certificate, "true")
    worker = d.pids("worker")
    with WriterLock(d.table):
        for _ in range(3):
            done = subprocess.run(
                ["curl", "-sS", "--http2", "--max-time", "0.3", "--unix-socket",
                 d.dir / "tls.sock", "--cacert", certificate[0], "https://localhost/run",
                 "-H", "content-type: application/json", "-d", "{}"],
                capture_output=True,
            )  # fmt: skip
            assert done.returncode == 28, "it should have waited for the lock in vain"
    wait_until(lambda: d.mdb_stat()["pending"] == 3, what="the jobs are there all the same")
    assert d.client().get("/readyz").status == 200
    assert d.pids("worker") == worker


def test_http_2_without_tls_is_not_understood(daemon):
    d = daemon()
    with connect(d) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert read_answers(sock, 1)[0][0] == 400
    with connect(d) as sock:
        sock.sendall(HEALTHZ[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                     b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")  # fmt: skip
        assert read_answers(sock, 1)[0][0] == 200


def test_connections_over_the_cap_wait_until_one_closes(daemon):
    d = daemon(worker_connections=8)
    d.http.close()
    held = [connect(d) for _ in range(8)]
    for sock in held:
        sock.sendall(HEALTHZ)
        assert read_answers(sock, 1)[0][0] == 200
    with connect(d) as late:
        late.sendall(HEALTHZ)
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(1)
        held.pop().close()
        late.settimeout(seconds(5))
        assert read_answers(late, 1)[0][0] == 200
    for sock in held:
        sock.close()


def test_without_descriptors_the_worker_pauses_and_goes_on(daemon):
    d = daemon()
    worker = d.pids("worker")[0]
    used = len(os.listdir(f"/proc/{worker}/fd"))
    subprocess.run(["prlimit", f"--nofile={used + 4}:{used + 4}", "--pid", str(worker)], check=True)
    held = [connect(d) for _ in range(10)]
    wait_until(lambda: "pausing" in d.log(), what="the worker says that it pauses")

    def cpu():
        with open(f"/proc/{worker}/stat") as file:
            return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))

    before = cpu()
    time.sleep(0.5)
    assert cpu() - before < 20, "it spins"  # hundredths of a second
    for sock in held:
        sock.close()
    assert wait_until(lambda: d.client().get("/healthz").status == 200)
    assert d.pids("worker") == [worker]


def test_a_drain_ends_idle_connections_and_answers_the_others(daemon):
    d = daemon(runner_processes=0, shutdown_timeout="10s")
    d.http.close()
    idle, half, fresh = connect(d), connect(d), connect(d)
    idle.sendall(HEALTHZ)
    assert read_answers(idle, 1)[0][0] == 200
    half.sendall(b"GET /readyz HTTP/1.1\r\nHo")
    fresh_port = fresh.getsockname()[1]
    wait_until(lambda: accepted(d, fresh_port), what="the worker has accepted it")
    began = time.monotonic()
    d.signal(SIGQUIT, d.pids("worker")[0])
    assert idle.recv(1) == b""
    fresh.sendall(b"POST /run HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}")
    half.sendall(b"st: localhost\r\n\r\n")
    for sock, expected in ((fresh, 202), (half, 503)):
        status, head, _ = read_answers(sock, 1)[0]
        assert status == expected
        assert re.search(rb"(?i)\r\nconnection: close", head)
        assert sock.recv(1) == b""
    assert re.search(rb"(?i)\r\nretry-after: \d", head)
    assert time.monotonic() - began < seconds(5)
    # The master has another one in its place, and what the old one took is there.
    wait_until(d.ready, what="a new worker")
    assert len(d.client().get("/jobs").json()["jobs"]) == 1


def test_a_reload_under_load_loses_no_request(daemon):
    d = daemon(runner_processes=0, worker_processes=2)
    stop, faults, made = threading.Event(), [], []

    def client(number):
        while not stop.is_set():
            http = d.client()
            try:
                answer = http.post("/run", {"priority": number})
                made.append(answer.json()["job_id"])
                answers = [answer.status, http.get(f"/status/{made[-1]}").status]
                if answers != [202, 200]:
                    faults.append(answers)
            except Exception as error:
                faults.append(repr(error))
            finally:
                http.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = set(d.pids("worker"))
        reached = len(made) + 20
        wait_until(lambda: len(made) > reached, what="requests go through")
        d.signal(SIGHUP)
        wait_until(lambda: len(d.pids("worker")) == 2 and not before & set(d.pids("worker")), 20)
    stop.set()
    for thread in threads:
        thread.join()
    # The second request of a connection may meet a worker that is leaving and has closed it: a
    # client asks again then, as ours does for a GET. Nothing else may be seen.
    assert faults == []
    assert d.mdb_stat()["pending"] == len(set(made)) == len(made)


def accepted(d, port):
    """The server's end of that connection is a descriptor of the worker's."""
    inodes = set()
    with open("/proc/net/tcp") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if words[1].endswith(f":{d.port:04X}") and words[2].endswith(f":{port:04X}"):
                inodes.add(words[9])
    worker = d.pids("worker")[0]
    links = set()
    for fd in os.listdir(f"/proc/{worker}/fd"):
        try:
            links.add(os.readlink(f"/proc/{worker}/fd/{fd}"))
        except OSError:
            pass
    return any(f"socket:[{inode}]" in links for inode in inodes)


def test_the_access_log_has_a_line_for_each_request(daemon, private):
    log = private / "access.log"
    d = daemon(access_log=log, kinds={"echo": sh("cat")}, runner_processes=0)
    d.http.post("/run", {})
    d.http.get('/no"where%0a?x=1')
    d.stop()
    lines = log.read_text().splitlines()
    shape = r'127\.0\.0\.1 - - \[[^]]+\] "[A-Z]+ \S+ HTTP/1\.1" \d{3} \d+ \d+$'
    assert lines and all(re.match(shape, line) for line in lines), lines
    assert any('"POST /run HTTP/1.1" 202 ' in line for line in lines)
    assert any('"GET /no?where%0a?x=1 HTTP/1.1" 404 ' in line for line in lines)
