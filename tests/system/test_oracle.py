"""The oracle of the acceptance tests: each rule fires on the fault that it is for."""

import io

import pytest

from oracle import Event, check, whole_lines

A = "01935b7e-0000-7000-8000-00000000000a"
B = "01935b7e-0000-7000-8000-00000000000b"


def event(verb, begun, ended, version=0, state="-", job=A, **more):
    fields = {
        "outcome": "ok", "attempt": 0, "started": 0, "progress": 0, "token": "-", "hash": "-0",
        "message": "-", "extra": "-",
    }  # fmt: skip
    fields.update(more)
    return Event(verb, begun, ended, job=job, version=version, state=state, **fields)


def says(progress, job=A, attempt=1):
    return {
        "progress": progress, "attempt": attempt, "started": 5,
        "message": f"p={progress},job={job},n={attempt}",
    }  # fmt: skip


def sound():
    """A job that is claimed, given back, claimed again and completed, with a cancel refused."""
    return [
        event("submit", 0, 10, 1, "pending", extra="n1:"),
        event("get", 11, 12, 1, "pending"),
        event("claim", 11, 20, 2, "running", token="1-a", attempt=1, started=5),
        event("release", 21, 30, 3, "pending", token="1-a"),
        event("claim", 31, 40, 4, "running", token="1-b", attempt=1, started=5),
        event("report", 41, 50, 5, "running", token="1-b", **says(50)),
        event("report", 41, 52, outcome="stale", token="1-a"),
        event("get", 45, 60, 4, "running", attempt=1, started=5),
        event("finish", 61, 70, 6, "completed", token="1-b", **says(100)),
        event("cancel", 71, 72, outcome="forbidden"),
        event("get", 71, 73, 6, "completed", extra=f"n1:{A}", **says(100)),
        event("submit", 80, 90, 7, "pending", job=B, extra="n2:"),
        event("final", 91, 92, 6, "completed", extra=f"n1:{A}", **says(100)),
        event("bell", 91, 92, job="-", message="told=7,found=7"),
        event("final", 91, 92, 7, "pending", job=B, extra="n2:"),
    ]


FAULTY = {
    "a read older than an acknowledged write": ("fresh", [event("get", 35, 36, 2, "running", attempt=1, started=5)]),
    "a read older than another's read": (
        "fresh",
        [event("get", 42, 43, 5, "running", **says(50)), event("get", 44, 45, 4, "running", attempt=1, started=5)],
    ),
    "a version seen before it was asked for": ("fresh", [event("get", 50, 60, 6, "completed", extra=f"n1:{A}", **says(100))]),
    "a not modified that is old": ("fresh", [event("get", 71, 73, 5, outcome="same")]),
    "one version of two jobs": ("versions", [event("get", 95, 96, 6, "pending", job=B)]),
    "one version with two contents": ("versions", [event("get", 71, 73, 6, "completed", extra=f"n1:{A}", **says(99))]),
    "one version with two texts": (
        "versions",
        [
            event("get", 71, 73, 6, "completed", extra=f"n1:{A}", hash="f1", **says(100)),
            event("get", 71, 73, 6, "completed", extra=f"n1:{A}", hash="f2", **says(100)),
        ],
    ),
    "a later write with a smaller version": (
        "order",
        [event("submit", 95, 96, 6, "pending", job="01935b7e-0000-7000-8000-00000000000c")],
    ),
    "a later submit with a smaller id": (
        "order",
        [event("submit", 95, 96, 8, "pending", job="01935b7e-0000-7000-8000-000000000001")],
    ),
    "a job that is not found": ("present", [event("get", 75, 76, outcome="notfound")]),
    "a job found after its deletion": (
        "present",
        [event("delete", 74, 75), event("get", 76, 77, 6, "completed", extra=f"n1:{A}", **says(100))],
    ),
    "done that runs again": ("moves", [event("get", 99, 100, 9, "running", attempt=1, started=5)]),
    "done that ends otherwise": ("moves", [event("get", 99, 100, 9, "failed", attempt=1, started=5)]),
    "progress that runs back": ("moves", [event("get", 98, 99, 8, "running", **says(60), job=B), event("get", 99, 100, 9, "running", job=B, **says(40))]),
    "an earlier claim's report": ("fencing", [event("report", 51, 52, 5, "running", token="1-a", **says(50))]),
    "a report after the end": ("fencing", [event("report", 74, 75, 9, "completed", token="1-b", **says(100))]),
    "a job that two have": ("fencing", [
        event("claim", 91, 92, 8, "running", job=B, token="1-c", attempt=1, started=5),
        event("claim", 93, 94, 9, "running", job=B, token="1-d", attempt=1, started=6),
    ]),
    "a message of other progress": ("torn", [event("get", 56, 57, 5, "running", **{**says(50), "message": f"p=40,job={A},n=1"})]),
    "a message of another job": ("torn", [event("get", 56, 57, 5, "running", **{**says(50), "message": f"p=50,job={B},n=1"})]),
    "a result of another job": ("torn", [event("get", 71, 73, 6, "completed", extra=f"n1:{B}", **says(100))]),
    "a server error": ("outcomes", [event("get", 71, 73, outcome="status500")]),
    "a broken connection": ("outcomes", [event("get", 71, 73, outcome="unanswered")]),
    "a submit that made two jobs": ("once", [event("get", 91, 92, 7, "pending", job=B, extra="n1:")]),
    "a bell before its version": ("bell", [event("bell", 75, 76, job="-", message="told=8,found=7")]),
    "an acknowledged job that is lost": (
        "once",
        [event("submit", 95, 96, 9, "pending", job="01935b7e-0000-7000-8000-00000000000c", extra="n3:")],
    ),
}  # fmt: skip


def test_a_sound_history_has_no_fault():
    assert check(sound()) == []


@pytest.mark.parametrize("name", FAULTY)
def test_the_oracle_sees(name):
    rule, more = FAULTY[name]
    faults = check(sound() + more)
    assert any(fault.startswith(rule + ":") for fault in faults), faults


def test_an_unanswered_write_counts_once_or_never():
    lost = event("submit", 75, 79, outcome="unanswered", job="-")
    assert check(sound() + [lost], killed=True) == []


def test_a_release_may_be_told_of_the_next_claim_when_its_leader_died():
    told = [
        event("claim", 95, 96, 9, "running", job=B, token="1-c", attempt=1, started=6),
        event("release", 97, 99, 11, "running", job=B, token="1-c", attempt=1, started=7),
        event("claim", 98, 99, 11, "running", job=B, token="1-d", attempt=1, started=7),
    ]
    assert check(sound() + told, killed=True) == []
    late = [event("report", 100, 101, 12, "running", token="1-c", job=B, **says(10, job=B))]
    assert check(sound() + told + late, killed=True)


def test_a_retry_that_was_not_found_may_have_been_done_before_the_deletion():
    told = [
        event("cancel", 95, 96, 8, "cancelled", job=B),
        event("retry", 97, 120, outcome="notfound", job=B),
        event("claim", 100, 101, 10, "running", job=B, token="1-c", attempt=1, started=6),
        event("delete", 110, 111, job=B),
    ]
    assert not [fault for fault in check(sound() + told, killed=True) if fault.startswith("moves")]
    assert [fault for fault in check(sound() + told[:1] + told[2:], killed=True) if fault.startswith("moves")]


class Growing(io.RawIOBase):
    """A file to which somebody appends whenever its end has been met."""

    def __init__(self, *parts):
        self.parts = [part for text in parts for part in (text.encode(), b"")]

    def readable(self):
        return True

    def readinto(self, room):
        part = self.parts.pop(0) if self.parts else b""
        room[: len(part)] = part
        return len(part)


def test_a_line_that_is_being_written_is_not_there_yet():
    file = io.TextIOWrapper(io.BufferedReader(Growing("one\ntw", "o\n")))
    assert whole_lines(file) == ["one"]
