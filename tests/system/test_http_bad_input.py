"""What the HTTP interface refuses, row by row of its table."""

import json
import re
import socket

from conftest import read_answer, seconds, sh

JSON = {"Content-Type": "application/json"}
NOBODY = "01935b7e-0000-7000-8000-000000000000"


def raw(port, data, timeout=5):
    """The bytes of one answer's head and body, and whether the connection was closed after it."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds(timeout)) as sock:
        sock.sendall(data)
        return read_answer(sock.makefile("rb"))


def is_problem(status, headers, body):
    problem = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert problem["status"] == status and problem["title"] and problem["type"]
    return problem


# body of POST /run, status, field that is named
RUN = [
    (b"{", 400, None),
    (b"nonsense", 400, None),
    (b'{"kind": "echo"} {}', 400, None),
    (b'{"kind": "\xff"}', 400, None),
    (b"[" * 100000, 400, None),
    (b"[]", 422, None),
    (b'"echo"', 422, None),
    (b'{"kind": 1}', 422, "kind"),
    (b'{"kind": "nope"}', 422, "kind"),
    (b'{"kind": ""}', 422, "kind"),
    (b'{"kind": "' + b"x" * 33 + b'"}', 422, "kind"),
    (b'{"kind": "echo", "kind": "echo"}', 422, "kind"),
    (b'{"params": []}', 422, "params"),
    (b'{"params": "{}"}', 422, "params"),
    (b'{"priority": "high"}', 422, "priority"),
    (b'{"priority": 1.5}', 422, "priority"),
    (b'{"priority": 101}', 422, "priority"),
    (b'{"priority": -101}', 422, "priority"),
    (b'{"priority": 1e400}', 422, "priority"),
    (b'{"delay": "soon"}', 422, "delay"),
    (b'{"delay": -1}', 422, "delay"),
    (b'{"delay": true}', 422, "delay"),
    (b'{"idempotency_key": ""}', 422, "idempotency_key"),
    (b'{"idempotency_key": "' + b"k" * 129 + b'"}', 422, "idempotency_key"),
    (b'{"idempotency_key": "a\\u0000b"}', 422, "idempotency_key"),
    (b'{"Kind": "echo"}', 422, "Kind"),
    (b'{"colour": "red"}', 422, "colour"),
    ('{"\u00e9\\"": 1}'.encode(), 422, '\u00e9"'),
]


def test_a_bad_body_is_told_what_is_wrong_with_it_and_makes_no_job(daemon):
    d = daemon(runner_processes=0)
    wrong = []
    for body, status, field in RUN:
        answer = d.http.request("POST", "/run", body=body, headers=JSON)
        problem = is_problem(answer.status, answer.headers, answer.body)
        if (answer.status, problem.get("field")) != (status, field):
            wrong.append((body[:80], answer))
        if status == 400:
            assert re.search(r"line \d+, column \d+", problem["detail"]), problem
    assert not wrong
    assert d.http.get("/jobs").json()["jobs"] == []


def test_an_unknown_kind_is_told_the_kinds_there_are(daemon):
    d = daemon(kinds={"one": sh(":"), "two": sh(":")})
    detail = d.http.post("/run", {"kind": "three"}).json()["detail"]
    assert "three" in detail and "one" in detail and "two" in detail


def test_no_kind_without_a_default_is_refused(daemon):
    d = daemon(kinds={"one": sh(":")}, default_kind="")
    answer = d.http.post("/run", {})
    assert (answer.status, answer.json()["field"]) == (422, "kind")
    assert "one" in answer.json()["detail"]


def test_a_body_over_its_limit_is_413_whatever_its_size(daemon):
    d = daemon(runner_processes=0, body_max="64k", table={"params_max": "1k"})
    for size in (65536, 1 << 20, 8 << 20):
        answer = d.http.post("/run", {"params": {"a": "x" * size}})
        is_problem(413, answer.headers, answer.body)
    answer = d.http.post("/run", {"params": {"a": "x" * 2000}})
    assert answer.status == 413 and "params" in answer.json()["detail"]
    # One beyond all measure is refused by its announcement alone.
    request = b"POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    status, head, body = raw(d.port, request)
    assert status == 413 and b"application/problem+json" in head
    assert json.loads(body)["status"] == 413
    assert d.http.get("/jobs").json()["jobs"] == []
    assert d.http.post("/run", {"params": {"a": "x" * 1000}}).status == 202


def test_another_content_type_is_415(daemon):
    d = daemon(runner_processes=0)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = d.http.request("POST", "/run", body=b"{}", headers={"Content-Type": kind})
        assert answer.status == 415, kind
        is_problem(415, answer.headers, answer.body)
    for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        answer = d.http.request("POST", "/run", body=b"{}", headers={"Content-Type": kind})
        assert answer.status == 202, kind


def test_a_full_table_is_503_with_retry_after_and_nothing_half_done(daemon):
    d = daemon(runner_processes=0, table={"max_jobs": 3})
    for _ in range(3):
        d.submit()
    answer = d.http.post("/run", {})
    is_problem(503, answer.headers, answer.body)
    assert int(answer.headers["retry-after"]) >= 1
    jobs = d.http.get("/jobs").json()["jobs"]
    assert len(jobs) == 3
    assert d.http.post(f"/status/{jobs[0]['job_id']}/cancel").status == 202
    assert d.http.post("/run", {}).status == 202  # the cancelled one makes room


def test_unknown_jobs_and_paths_are_404(daemon):
    d = daemon()
    for method, path in (
        ("GET", f"/status/{NOBODY}"),
        ("HEAD", f"/status/{NOBODY}"),
        ("GET", f"/status/{NOBODY}/result"),
        ("GET", f"/status/{NOBODY}/log"),
        ("POST", f"/status/{NOBODY}/cancel"),
        ("POST", f"/status/{NOBODY}/retry"),
        ("DELETE", f"/status/{NOBODY}"),
        ("GET", "/status/" + "x" * 36),
        ("GET", "/status/123"),
        ("GET", "/status/"),
        ("GET", "/status"),
        ("GET", "/jobs/"),
        ("GET", f"/status/{NOBODY}/nonsense"),
        ("GET", "/%6aob"),
    ):
        answer = d.http.request(method, path)
        assert answer.status == 404, (method, path)
        if method != "HEAD":
            is_problem(404, answer.headers, answer.body)
    assert d.http.get(f"/status/{NOBODY}").json()["job_id"] == NOBODY


def test_another_method_is_405_and_told_the_ones_there_are(daemon):
    d = daemon()
    for method, path, allow in (
        ("GET", "/run", "POST"),
        ("PUT", "/run", "POST"),
        ("POST", "/jobs", "GET, HEAD"),
        ("POST", f"/status/{NOBODY}", "GET, HEAD, DELETE"),
        ("GET", f"/status/{NOBODY}/cancel", "POST"),
        ("get", "/jobs", "GET, HEAD"),
        ("OPTIONS", "/run", "POST"),
    ):
        answer = d.http.request(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allow), (method, path)
        is_problem(405, answer.headers, answer.body)


def test_bad_query_values_are_400_and_name_the_parameter(daemon):
    d = daemon()
    for query, field in (
        ("state=nope", "state"),
        ("state=pending,", "state"),
        ("kind=", "kind"),
        ("kind=" + "x" * 33, "kind"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1x", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=%00", "cursor"),
        ("colour=red", "colour"),
        ("limit=5&limit=x", "limit"),
    ):
        answer = d.http.get(f"/jobs?{query}")
        assert (answer.status, answer.json().get("field")) == (400, field), (query, answer)


def test_a_change_takes_no_body_but_an_empty_object(daemon):
    d = daemon(runner_processes=0)
    job = d.submit()["job_id"]
    answer = d.http.post(f"/status/{job}/cancel", {"force": True})
    assert (answer.status, answer.json()["field"]) == (422, "force")
    assert d.http.request("POST", f"/status/{job}/cancel", body=b"{", headers=JSON).status == 400
    assert d.job(job)["status"] == "pending"
    assert d.http.post(f"/status/{job}/cancel", {}).status == 202


def test_another_host_is_403(daemon):
    d = daemon(hosts=["jobs.example"])
    for host, status in (
        (f"localhost:{d.port}", 200),
        (f"127.0.0.1:{d.port}", 200),
        (f"[::1]:{d.port}", 200),
        ("jobs.example", 200),
        ("JOBS.example:8443", 200),
        ("evil.example", 403),
        (f"evil.example:{d.port}", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ):
        answer = raw(d.port, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert answer[0] == status, (host, answer)


def test_a_change_from_another_site_is_403(daemon):
    d = daemon(runner_processes=0)
    job = d.submit()["job_id"]
    own = f"http://127.0.0.1:{d.port}"
    neighbour = f"http://127.0.0.1:{d.port + 1}"
    for origin in ("http://evil.example", "null", neighbour, "https://127.0.0.1"):
        headers = {"Origin": origin}
        assert d.http.post("/run", {}, headers=headers).status == 403, origin
        assert d.http.post(f"/status/{job}/cancel", headers=headers).status == 403
        assert d.http.delete(f"/status/{job}", headers=headers).status == 403
        assert d.http.get(f"/status/{job}", headers=headers).status == 200
    assert len(d.http.get("/jobs").json()["jobs"]) == 1
    assert d.http.post("/run", {}, headers={"Origin": own}).status == 202


def test_requests_with_two_readings_are_400_and_the_connection_ends(daemon):
    d = daemon(runner_processes=0)
    host = b"Host: localhost\r\n"
    for request in (
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + host + host + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + host + b"Host: other\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + host + b"Accept: a,\r\n b\r\n\r\n",
        b"POST /run HTTP/1.1\r\n" + host + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"POST /run HTTP/1.1\r\n" + host + b"Content-Length: x\r\n\r\n",
        b"POST /run HTTP/1.1\r\n" + host
        + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /run HTTP/1.0\r\n" + host
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /run HTTP/1.1\r\n" + host + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET http://localhost/healthz HTTP/1.1\r\n" + host + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n",
        b"GET status HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /status/%00 HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /status/a%2fcancel HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /status/% HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /run HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    ):
        status, head, body = raw(d.port, request)
        assert status == 400, (request, head)
        assert re.search(rb"(?i)\r\nconnection: close", head), (request, head)
        assert b"application/problem+json" in head and json.loads(body)["status"] == 400
    assert d.http.get("/jobs").json()["jobs"] == []
