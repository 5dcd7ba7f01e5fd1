"""contrib/python/example/app_jobtab.py as it stands, with a store that logs what it asked and was
answered, for oracle.py, and speaks the oracle's language: the message of a report tells its job,
attempt and progress, the result its job.

STORM_EVENTS is the folder of the logs, STORM_PACE the seconds between two reports of a job.
STORM_FAULT=cache is a deliberate fault, for the control: a worker remembers what it has read.
"""

import os
import time
import uuid

import jobtab
import prices
from python_events import line

VERBS = {
    jobtab._SUBMIT: "submit", jobtab._CLAIM: "claim", jobtab._TAKE: "claim",
    jobtab._REPORT: "report", jobtab._FINISH: "finish",
}  # fmt: skip
OUTCOMES = {
    jobtab._OK: "ok", jobtab._STOP: "stop", jobtab._STALE: "stale", jobtab._FORBIDDEN: "forbidden",
    jobtab._NOTFOUND: "notfound",
}  # fmt: skip

call = jobtab._Table.call


def write(text, log={}):
    """To this process's own file. A line is one write: a killed process leaves whole lines."""
    pid = os.getpid()
    if pid not in log:
        path = f"{os.environ['STORM_EVENTS']}/worker-{pid}-{time.monotonic_ns()}"
        log[pid] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log[pid], text.encode() + b"\n")


def facts(op):
    token = f"{op.token.attempt}-{op.token.secret:016x}" if op.token.secret else "-"
    return {"job": str(uuid.UUID(bytes=bytes(op.id.bytes))), "token": token}


def logged_call(table, name, *arguments, expect=()):
    if name != "jobtab_apply":
        return call(table, name, *arguments, expect=expect)
    ops, begun = list(arguments[0]), time.monotonic_ns()
    for op in ops:
        if op.verb != jobtab._SUBMIT:
            write(line(VERBS[op.verb], begun, "asked", ended=begun, **facts(op)))
    try:
        return call(table, name, *arguments, expect=expect)
    finally:
        for op in ops:
            outcome, known = OUTCOMES.get(op.result, f"error{op.result}"), facts(op)
            row = jobtab._Read(op.job[0], b"", b"").row() if outcome in ("ok", "stop") else None
            write(line(VERBS[op.verb], begun, outcome, row, **known))


class LoggedStore(jobtab.JobStore):
    read = {}

    def __init__(self, path):
        super().__init__(path, max_crashes=1000)  # what kills the workers is not the jobs

    def resume(self, function):
        super().resume(function, patience=2)

    def update(self, job_id, /, **fields):
        row = super().__getitem__(job_id)
        progress = 100 if fields.get("status") == "completed" else fields.get("progress")
        fields.pop("message", None)
        if progress:
            fields["message"] = f"p={progress},job={row['uuid']},n={row['attempt']}"
        if fields.get("result"):
            fields["result"] = {**fields["result"], "of": row["uuid"]}
        return super().update(job_id, **fields)

    def __getitem__(self, job_id):
        row = super().__getitem__(job_id)
        if os.environ.get("STORM_FAULT") == "cache":
            return self.read.setdefault(job_id, row)
        return row


def paced(source, report, check=prices.validate):
    """The validation, slowly enough for what happens to its process to meet it at work."""

    def slowly(progress, message):
        report(progress, message)
        time.sleep(float(os.environ["STORM_PACE"]))

    return check(source, slowly)


prices.validate = paced
jobtab._Table.call = logged_call
jobtab.JobStore = LoggedStore

from app_jobtab import app  # noqa: E402, F401
