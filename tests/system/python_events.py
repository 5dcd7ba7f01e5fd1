"""What a Python process was told of a job, as a line of event.h, for oracle.py."""

import hashlib
import json
import time

# Of a row, what a write tells as well as a read.
COMMON = (
    "kind", "status", "reason", "progress", "message", "version", "attempt", "updated_at", "error",
)  # fmt: skip


def number(text, digits=12):
    """A text that may have spaces, as a number that tells it from others."""
    return int(hashlib.sha1(text.encode()).hexdigest()[:digits], 16) if text else 0


def line(verb, begun, outcome, row=None, *, job="-", token="-", letter="p", ended=None, extra="-"):
    """The letter: p, what a write gave to its process; q, what GET gave to a client."""
    head = [verb, begun, ended or time.monotonic_ns(), outcome]
    if row is None:
        return " ".join(map(str, [*head, job, 0, "-", 0, 0, 0, token, "-0", "-", extra]))
    if row["status"] == "pending":
        row = dict(row, message=None)  # that of its creation is none of a report's
    seen = json.dumps(row if letter == "q" else [row[name] for name in COMMON], sort_keys=True)
    facts = [
        row["uuid"], row["version"], row["status"], row["attempt"], number(row["started_at"]),
        row["progress"], token, f"{letter}{number(seen, 16):016x}", row["message"] or "-", extra,
    ]  # fmt: skip
    return " ".join(map(str, head + facts))
