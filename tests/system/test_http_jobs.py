"""The HTTP interface, request by request: what a client that does everything right sees."""

import json
import socket
import threading

from conftest import read_answer, seconds, sh, wait_until
from writer_lock import WriterLock

NOBODY = "01935b7e-0000-7000-8000-000000000000"


def test_run_answers_202_with_the_job_and_where_to_look(daemon):
    d = daemon()
    answer = d.http.post("/run", {"params": {"a": 1}})
    job = answer.json()
    assert answer.status == 202
    assert answer.headers["location"] == f"/status/{job['job_id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == f'"{job["version"]}"'
    assert (job["kind"], job["status"], job["params"]) == ("echo", "pending", {"a": 1})
    assert (job["result"], job["error"], job["done"]) == (None, None, False)
    assert d.http.get(answer.headers["location"]).status == 200


def test_every_member_of_run_is_optional(daemon):
    d = daemon(runner_processes=0)
    for body in (None, b"", {}, {"kind": None, "params": None, "priority": None, "delay": None}):
        answer = d.http.post("/run", body)
        assert answer.status == 202, (body, answer)
        job = answer.json()
        assert (job["kind"], job["priority"], job["params"]) == ("echo", 0, {})
        assert d.job(job["job_id"])["params"] == {}


def test_params_reach_the_job_byte_for_byte(daemon):
    params = b'{"n": 1.10, "big": 36893488147419103232, "text": "\\u00e9\\"}", "a": [ {} ]}'
    d = daemon(kinds={"raw": sh("cat")})
    job = d.http.post("/run", b'{"kind": "raw", "params": ' + params + b', "priority": 3}').json()
    d.wait_job(job["job_id"], "completed")
    assert d.http.get(f"/status/{job['job_id']}/result").body == params
    assert job["priority"] == 3


def test_a_delayed_job_is_scheduled_and_durations_have_units_or_are_seconds(daemon):
    d = daemon()
    for delay in ("90s", 90, 90.0, "1.5m"):
        job = d.submit(delay=delay)
        assert job["status"] == "scheduled" and job["run_at"] is not None, (delay, job)


def test_the_same_key_gives_the_same_job_and_another_request_is_refused(daemon):
    d = daemon(runner_processes=0)
    first = d.http.post("/run", {"params": {"a": 1}, "idempotency_key": "k"})
    again = d.http.post("/run", {"params": {"a": 1}, "idempotency_key": "k"})
    header = d.http.post("/run", {"params": {"a": 1}}, headers={"Idempotency-Key": '"k"'})
    other = d.http.post("/run", {"params": {"a": 2}}, headers={"Idempotency-Key": "k"})
    assert (first.status, again.status, header.status, other.status) == (202, 200, 200, 422)
    assert first.json()["job_id"] == again.json()["job_id"] == header.json()["job_id"]
    assert again.headers["location"] == first.headers["location"]
    assert other.json()["type"].endswith(":key-reused")
    assert len(d.http.get("/jobs").json()["jobs"]) == 1
    both = d.http.post("/run", {"idempotency_key": "k"}, headers={"Idempotency-Key": "other"})
    assert (both.status, both.json()["field"]) == (422, "idempotency_key")


def test_status_has_an_etag_and_answers_304_while_nothing_changes(daemon):
    d = daemon(runner_processes=0)
    job = d.submit()
    path = f"/status/{job['job_id']}"
    tag = d.http.get(path).headers["etag"]
    assert tag == f'"{job["version"]}"'
    for known in (tag, f"W/{tag}", f'"0", {tag}', "*"):
        answer = d.http.get(path, headers={"If-None-Match": known})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert d.http.get(path, headers={"If-None-Match": '"0"'}).status == 200
    assert d.http.post(f"{path}/cancel").status == 202
    answer = d.http.get(path, headers={"If-None-Match": tag})
    assert (answer.status, answer.json()["status"]) == (200, "cancelled")
    assert d.http.get("/status/" + NOBODY, headers={"If-None-Match": tag}).status == 404


def test_head_is_get_without_its_body(daemon):
    d = daemon(runner_processes=0)
    job = d.submit()
    for path in (f"/status/{job['job_id']}", "/jobs", "/healthz", "/readyz"):
        get, head = d.http.get(path), d.http.request("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
        assert head.headers.get("etag") == get.headers.get("etag")


def test_result_and_log_come_as_the_child_wrote_them(daemon):
    d = daemon(
        kinds={
            "json": sh("echo '{\"x\": 1}'; echo line >&2"),
            "text": sh("printf 'gr\\303\\274n'"),
            "bytes": sh("printf '\\377\\000\\001'"),
            "nothing": sh(":"),
        }
    )
    ids = {kind: d.submit(kind)["job_id"] for kind in ("json", "text", "bytes", "nothing")}
    for job_id in ids.values():
        d.wait_job(job_id, "completed")

    def part(kind, what):
        answer = d.http.get(f"/status/{ids[kind]}/{what}")
        return answer.status, answer.headers["content-type"], answer.body

    assert part("json", "result")[:2] == (200, "application/json")
    assert part("text", "result") == (200, "text/plain; charset=utf-8", "grün".encode())
    assert part("bytes", "result") == (200, "application/octet-stream", b"\xff\x00\x01")
    assert part("json", "log") == (200, "text/plain; charset=utf-8", b"line\n")
    assert part("nothing", "result")[0] == 404
    answer = d.http.get(f"/status/{ids['nothing']}/log")
    assert answer.status == 404 and "retry-after" not in answer.headers
    headers = d.http.get(f"/status/{ids['text']}/result").headers
    assert headers["x-content-type-options"] == "nosniff"


def test_a_log_that_grows_is_not_a_304(daemon):
    d = daemon(kinds={"talk": sh("echo one >&2; sleep 0.3; echo two >&2; sleep 60")})
    path = f"/status/{d.submit()['job_id']}/log"

    def log():
        answer = d.http.get(path)
        return answer if answer.status == 200 else None

    tag = wait_until(log, what="a log").headers["etag"]

    def grown():
        answer = d.http.get(path, headers={"If-None-Match": tag})
        assert answer.status in (200, 304)
        return answer.body if answer.body == b"one\ntwo\n" else None

    wait_until(grown, what="the second line")
    tag = log().headers["etag"]
    assert d.http.get(path, headers={"If-None-Match": tag}).status == 304


def test_a_result_that_is_still_to_come_is_a_404_that_says_when_to_ask_again(daemon):
    d = daemon(runner_processes=0)
    job = d.submit()
    for what in ("result", "log"):
        answer = d.http.get(f"/status/{job['job_id']}/{what}")
        assert answer.status == 404 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["job_id"] == job["job_id"]


def test_cancel_retry_and_delete_change_the_job_or_say_why_not(daemon):
    d = daemon(kinds={"wait": sh("exec sleep 60"), "fail": sh("exit 1")})
    job = d.submit("wait")["job_id"]
    d.wait_job(job, "running")
    assert d.http.delete(f"/status/{job}").status == 409
    assert d.http.post(f"/status/{job}/retry").status == 409
    answer = d.http.post(f"/status/{job}/cancel")
    assert (answer.status, answer.json()["job_id"]) == (202, job)
    d.wait_job(job, "cancelled")
    answer = d.http.post(f"/status/{job}/cancel", {})
    assert answer.status in (202, 409)  # it is cancelled already
    answer = d.http.delete(f"/status/{job}")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    assert d.http.get(f"/status/{job}").status == 404
    assert d.http.delete(f"/status/{job}").status == 404

    failed = d.submit("fail")["job_id"]
    d.wait_job(failed, "failed")
    conflict = d.http.post(f"/status/{failed}/cancel")
    assert conflict.status == 409
    assert "failed" in conflict.json()["detail"] and conflict.json()["job_id"] == failed
    assert d.http.post(f"/status/{failed}/retry").status == 202
    d.wait_job(failed, "failed")


def test_jobs_pages_newest_first_and_each_job_once(daemon):
    d = daemon(kinds={"a": sh(":"), "b": sh(":")}, runner_processes=0)
    made = [d.submit(kind)["job_id"] for kind in ("a", "b") * 5]
    d.http.post(f"/status/{made[0]}/cancel")

    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = d.http.get(f"/jobs?limit=3{cursor and '&cursor=' + cursor}").json()
        seen += [job["job_id"] for job in page["jobs"]]
        cursor, pages = page["next"], pages + 1
    assert seen == made[::-1] and pages == 4
    assert "params" not in d.http.get("/jobs").json()["jobs"][0]

    def ids(query):
        return [job["job_id"] for job in d.http.get(f"/jobs?{query}").json()["jobs"]]

    assert ids("kind=b") == made[1::2][::-1]
    assert ids("state=cancelled") == [made[0]]
    assert ids("state=cancelled,pending&kind=a") == made[0::2][::-1]
    assert ids("state=cancelled&state=failed") == [made[0]]
    assert ids("state=running") == []


def test_alive_and_ready(daemon):
    d = daemon()
    assert d.http.get("/healthz").json() == {"status": "ok"}
    assert d.http.get("/readyz").json() == {"status": "ready"}


def test_many_clients_at_once_get_a_job_each(daemon):
    d = daemon(runner_processes=0, worker_processes=2)
    answers, lock = [], threading.Lock()

    def client():
        http = d.client()
        for _ in range(25):
            answer = http.post("/run", {"params": {}})
            with lock:
                answers.append(answer)
        http.close()

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [202] * 400
    assert len({answer.json()["job_id"] for answer in answers}) == 400
    assert len({answer.json()["version"] for answer in answers}) == 400
    wait_until(lambda: d.mdb_stat()["pending"] == 400, what="400 pending jobs")


def test_a_change_is_told_as_it_was_made_though_the_job_is_gone_by_then(daemon):
    """A cancel and a delete in one transaction."""
    d = daemon(runner_processes=0)
    job = d.submit("echo")["job_id"]

    def ask(method, path):
        sock = socket.create_connection(("127.0.0.1", d.port), timeout=seconds(20))
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        sock.sendall(head.encode())
        for _ in range(2):  # by the second of them the loop has handed over what came before the first
            assert d.http.get("/healthz").status == 200
        return sock.makefile("rb")

    with WriterLock(d.table):
        ask("POST", "/run")  # waits for the lock alone; the others come meanwhile, and share the next commit
        cancel, delete = ask("POST", f"/status/{job}/cancel"), ask("DELETE", f"/status/{job}")
    status, _, body = read_answer(cancel)
    assert (status, json.loads(body)["status"]) == (202, "cancelled")
    assert read_answer(delete)[0] == 204
    assert d.http.get(f"/status/{job}").status == 404
