"""A dictionary of jobs that many processes share, on a jobtab table.

An application that keeps its jobs in a global dictionary races, and loses them when it restarts or
has a second process. It says instead

    from jobtab import JobStore

    jobs = JobStore("var/table")

and goes on: ``jobs[job_id] = {"status": "pending"}``, ``jobs.update(job_id, progress=20)``,
``job_id in jobs``, ``for job_id in jobs``. Each change is on disk when the call returns, and every
process that opens the table sees it: other workers of the application, the daemon jobtabd with its
children, the command line.

What is different from a dictionary:

* A value is a copy. ``jobs[job_id]["progress"] = 20`` changes that copy and nothing else;
  ``jobs.update(job_id, progress=20)`` changes the job. An application that is full of the former
  opens ``JobStore("var/table", live=True)``: then it changes the job, too.
* A status is one of scheduled, pending, running, cancelling, completed, failed, cancelled, and goes
  from one to the other as jobtab(3) allows; anything else raises Refused.
* A running job has an owner: the process that moved it to running, by ``update(job_id,
  status="running")``, ``create(job_id, {"status": "running"})`` or ``claim``. Nobody else can
  report, finish or fail it (Stale), and nobody can delete it (Refused) before it has ended. When
  the owner dies, the job goes back to pending, and fails when that happened max_crashes (3) times.
* A finished job is deleted when it is older than the table's ``retention`` (a day).

The fields of a job are those of the HTTP interface: job_id, kind, status, reason, done, progress (0
to 100), message, version, attempt, max_attempts, priority, created_at, run_at, started_at,
updated_at, finished_at, expires_at (RFC 3339), params, result, error; and uuid, the table's own id,
by which the daemon and the command line know the job. ``job_id`` is what the application gave, or
the uuid if it gave none; both are keys of the dictionary. Of these, status, progress, message,
result and error can be changed, kind, priority, max_attempts and params can be given at creation,
and the rest is the table's own: where it is given, it is ignored. Any other key that a job is
created with is kept as a member of its params, and comes back beside the fields; it cannot be
changed later (FieldError).

Threads may share a JobStore. So may the processes of a pre-forked server: one that was opened
before the fork opens anew by itself in the child. In asyncio use ``jobs.aio``, whose methods have
the same names and never block the loop.

Needs libjobtab.so.0: where the system finds it, or the file that JOBTAB_LIBRARY names.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import ctypes
import functools
import inspect
import json
import logging
import os
import threading
import time
import traceback
import uuid as _uuid
from collections.abc import MutableMapping
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, AsyncIterator, Callable, Dict, Iterator, List, Mapping, Optional
from typing import Set, Tuple

__version__ = "0.1.0"
__all__ = [
    "JobStore", "Job", "LiveRow", "Error", "NotFound", "Refused", "Stale", "Cancelled", "Conflict",
    "Full", "Invalid", "FieldError", "TooBig", "Timeout", "Empty", "NoTable", "Broken",
    "LibraryError",
]  # fmt: skip

_log = logging.getLogger("jobtab")

Row = Dict[str, Any]

# --------------------------------------------------------------------------- errors


class Error(Exception):
    """What the table refuses, with its own words. `code` is the JOBTAB_... number."""

    code = 0

    def __str__(self) -> str:  # not KeyError's, which is a repr
        return str(self.args[0]) if self.args else ""


class NotFound(Error, KeyError):
    """There is no such job."""


class Refused(Error):
    """The job's status does not allow it."""


class Stale(Error):
    """Another process has the job, or none has it now."""


class Cancelled(Error):
    """The job is to be cancelled: stop working on it. Raised by Job.check only."""


class Conflict(Error):
    """There is another job of that job_id."""


class Full(Error):
    """The table is at its limit and holds no finished job to evict."""


class Invalid(Error, ValueError):
    """A value is out of its range."""


class FieldError(Invalid):
    """A job has no such field, or it cannot be changed."""


class TooBig(Invalid):
    """Params, result or message are over the table's limit."""


class Timeout(Error, TimeoutError):
    """The wait ended before the event."""


class Empty(Timeout):
    """No job of that kind came in time."""


class NoTable(Error):
    """There is no table in that directory, and none was to be made."""


class Broken(Error):
    """A commit failed with its outcome unknown. The next call opens the table anew."""


class LibraryError(Error, ImportError):
    """libjobtab cannot be loaded."""


# As enum jobtab_error counts.
_OK, _NOTFOUND, _EMPTY, _FORBIDDEN, _STALE, _STOP, _CONFLICT, _FULL, _INVALID, _TOOBIG = range(10)
_TIMEOUT, _FORKED, _BUSY, _NOTABLE, _SCHEMA, _DAMAGED, _SYSTEM, _BROKEN = range(10, 18)
_CLASSES = {
    _NOTFOUND: NotFound, _EMPTY: Empty, _FORBIDDEN: Refused, _STALE: Stale, _CONFLICT: Conflict,
    _FULL: Full, _INVALID: Invalid, _TOOBIG: TooBig, _TIMEOUT: Timeout, _NOTABLE: NoTable,
    _BROKEN: Broken,
}  # fmt: skip


def _error(code: int, why: str) -> Error:
    error = _CLASSES.get(code, Error)(why)
    error.code = code
    return error


# -------------------------------------------------------------- the header's structs
# tests/system/test_python_layout.py holds them to jobtab.h.

KIND_MAX, MESSAGE_MAX, KEY_MAX, WHY_MAX = 32, 255, 128, 160
_STATES = ("scheduled", "pending", "running", "cancelling", "completed", "failed", "cancelled")
_REASONS = (
    None, "exit", "signal", "timeout", "oom", "spawn", "owner_lost", "expired", "cancelled",
    "invalid",
)  # fmt: skip
_DONE = ("completed", "failed", "cancelled")
_OWNED = ("running", "cancelling")
_PENDING = _STATES.index("pending")
_NO_RESULT, _JSON, _TEXT, _BYTES = range(4)
_LOGTEXT = 3
_SUBMIT, _CLAIM, _REPORT, _RENEW, _LOG, _FINISH = range(6)
_RELEASE, _CANCEL, _RETRY, _DELETE, _TAKE = range(6, 11)
_SUCCEEDED, _TRY_AGAIN, _GIVE_UP, _STOPPED = range(4)


class _Id(ctypes.Structure):
    _fields_ = [("bytes", c_uint8 * 16)]


class _Token(ctypes.Structure):
    _fields_ = [("attempt", c_uint32), ("secret", c_uint64)]


class _Owner(ctypes.Structure):
    _fields_ = [("pid", c_int32), ("start_time", c_uint64), ("instance", c_uint64)]


class _Job(ctypes.Structure):
    _fields_ = [
        ("id", _Id), ("kind", c_char * (KIND_MAX + 1)), ("key", c_char * (KEY_MAX + 1)),
        ("message", c_char * (MESSAGE_MAX + 1)), ("error", c_char * (MESSAGE_MAX + 1)),
        ("state", c_int), ("reason", c_int), ("priority", c_int32), ("progress", c_uint32),
        ("attempt", c_uint32), ("max_attempts", c_uint32), ("crashes", c_uint32),
        ("max_crashes", c_uint32), ("version", c_uint64), ("backoff", c_int64),
        ("timeout", c_int64), ("created_at", c_int64), ("run_at", c_int64),
        ("started_at", c_int64), ("updated_at", c_int64), ("finished_at", c_int64),
        ("expires_at", c_int64), ("params_size", c_uint64), ("result_size", c_uint64),
        ("log_begin", c_uint64), ("log_end", c_uint64), ("result_format", c_int),
        ("owner", _Owner),
    ]  # fmt: skip


class _Options(ctypes.Structure):
    _fields_ = [
        ("map_size", c_uint64), ("max_jobs", c_uint64), ("retention", c_int64),
        ("params_max", c_uint64), ("result_max", c_uint64), ("log_max", c_uint64),
        ("high_water", c_uint32), ("max_readers", c_uint32), ("policies", c_void_p),
        ("n_policies", c_size_t), ("must_exist", c_bool),
    ]  # fmt: skip


class _Submit(ctypes.Structure):
    _fields_ = [
        ("kind", c_char_p), ("params", c_char_p), ("params_size", c_size_t),
        ("priority", c_int32), ("take", c_bool), ("delay", c_int64), ("key", c_char_p),
        ("max_attempts", c_uint32), ("max_crashes", c_uint32), ("backoff", c_int64),
        ("timeout", c_int64),
    ]  # fmt: skip


class _ClaimArg(ctypes.Structure):
    _fields_ = [("kind", c_char_p), ("lease", c_int64)]


class _Report(ctypes.Structure):
    _fields_ = [("progress", c_uint32), ("message", c_char_p)]


class _Finish(ctypes.Structure):
    _fields_ = [
        ("outcome", c_int), ("reason", c_int), ("error", c_char_p), ("message", c_char_p),
        ("result", c_char_p), ("result_size", c_size_t), ("format", c_int),
    ]  # fmt: skip


class _Bytes(ctypes.Structure):
    _fields_ = [("data", c_char_p), ("size", c_size_t)]


class _Restore(ctypes.Structure):
    _fields_ = [
        ("job", POINTER(_Job)), ("params", c_char_p), ("params_size", c_size_t),
        ("result", c_char_p), ("result_size", c_size_t), ("log", c_char_p), ("log_size", c_size_t),
        ("check_only", c_bool),
    ]  # fmt: skip


class _Input(ctypes.Union):
    _fields_ = [
        ("submit", _Submit), ("claim", _ClaimArg), ("report", _Report), ("lease", c_int64),
        ("finish", _Finish), ("log", _Bytes), ("restore", _Restore),
    ]  # fmt: skip


class _Op(ctypes.Structure):
    _anonymous_ = ("input",)
    _fields_ = [
        ("verb", c_int), ("id", _Id), ("token", _Token), ("input", _Input), ("job", POINTER(_Job)),
        ("result", c_int), ("repeated", c_bool), ("why", c_char * WHY_MAX),
    ]  # fmt: skip


class _Filter(ctypes.Structure):
    _fields_ = [
        ("states", c_uint32), ("kind", c_char_p), ("oldest_first", c_bool),
        ("after_set", c_bool), ("after", _Id), ("damaged", c_void_p), ("context", c_void_p),
    ]  # fmt: skip


class _Stat(ctypes.Structure):
    _fields_ = [
        ("jobs", c_uint64), ("states", c_uint64 * 7), ("version", c_uint64),
        ("oldest_pending", c_int64), ("submitted", c_uint64), ("claimed", c_uint64),
        ("completed", c_uint64), ("failed", c_uint64), ("cancelled", c_uint64),
        ("retried", c_uint64), ("owners_lost", c_uint64), ("expired", c_uint64),
        ("evicted", c_uint64), ("map_size", c_uint64), ("map_used", c_uint64),
        ("readers", c_uint32), ("max_readers", c_uint32), ("owners", c_uint32),
        ("options", _Options), ("n_kinds", c_size_t),
    ]  # fmt: skip


class _Swept(ctypes.Structure):
    _fields_ = [
        ("due", c_uint32), ("expired", c_uint32), ("lost", c_uint32), ("timed_out", c_uint32),
        ("cancelled", c_uint32), ("readers", c_uint32), ("next", c_int64), ("more", c_bool),
        ("passed_over", c_char * WHY_MAX),
    ]  # fmt: skip


_PROTOTYPES = {
    "jobtab_open": (c_int, c_char_p, POINTER(_Options), POINTER(c_void_p)),
    "jobtab_close": (None, c_void_p),
    "jobtab_why": (c_char_p,),
    "jobtab_apply": (c_int, c_void_p, POINTER(_Op), c_size_t),
    "jobtab_find": (c_int, c_void_p, c_char_p, POINTER(_Id)),
    "jobtab_get": (c_int, c_void_p, POINTER(_Id), POINTER(_Job)),
    "jobtab_get_whole": (
        c_int, c_void_p, POINTER(_Id), POINTER(_Job), POINTER(c_void_p), POINTER(c_void_p),
    ),
    "jobtab_read": (
        c_int, c_void_p, POINTER(_Id), c_int, POINTER(c_uint64), c_size_t, POINTER(c_void_p),
        POINTER(c_size_t),
    ),
    "jobtab_version": (c_int, c_void_p, POINTER(_Id), POINTER(c_uint64)),
    "jobtab_list": (
        c_int, c_void_p, POINTER(_Filter), POINTER(_Job), POINTER(c_size_t), POINTER(_Id),
        POINTER(c_bool),
    ),
    "jobtab_stat": (c_int, c_void_p, POINTER(_Stat), c_void_p, c_size_t),
    "jobtab_wait": (c_int, c_void_p, POINTER(c_uint64), c_int64),
    "jobtab_wait_work": (c_int, c_void_p, c_char_p, c_int64),
    "jobtab_claimable": (c_int, c_void_p, c_char_p, POINTER(c_bool)),
    "jobtab_sweep": (c_int, c_void_p, c_uint32, POINTER(_Swept)),
}  # fmt: skip


@functools.lru_cache(maxsize=None)
def _library() -> Any:
    """libjobtab, its functions with their types, and free()."""
    name = os.environ.get("JOBTAB_LIBRARY") or "libjobtab.so.0"
    try:
        library: Any = ctypes.CDLL(name)
        for function, (result, *arguments) in _PROTOTYPES.items():
            getattr(library, function).restype = result
            getattr(library, function).argtypes = arguments
        library.free = ctypes.CDLL(None).free
    except OSError as error:
        raise LibraryError(
            f"libjobtab cannot be loaded ({error}): install it, or set JOBTAB_LIBRARY to its file"
        ) from None
    except AttributeError as error:
        raise LibraryError(f"{name} is no libjobtab that this module can use: {error}") from None
    library.free.argtypes, library.free.restype = [c_void_p], None
    return library


# ------------------------------------------------------------- the table of a process

# Waits are made of slices: a signal handler of Python's runs between two of them, and close() has
# an end.
_SLICE = 0.5
_SWEEP_BUDGET = 256
_PAGE = 256

# The job that this context works on, by claim or resume: two threads of a process are one owner to
# the table, and must not both begin the same job.
_at_work: contextvars.ContextVar[bytes] = contextvars.ContextVar("jobtab job", default=b"")

_tables: Dict[str, "_Table"] = {}
_tables_lock = threading.Lock()


class _Table:
    """The one handle that a process may have of a table, shared by the JobStores on it.

    Born:  with the first JobStore of its directory, and anew in each forked child that uses it.
    Life:  calls are counted in and out and hold no Python lock meanwhile. One thread sweeps:
           without a daemon somebody must send back the jobs of dead owners and delete what has
           expired.
    Ends:  with the last JobStore that is closed, once the calls have left; else with the process.
    """

    def __init__(self, path: str, options: _Options, sweep: Optional[float]):
        self.path, self.options, self.sweep = path, options, sweep
        self.users = 0
        self.handle: Optional[c_void_p] = None
        self._fresh()

    def _fresh(self) -> None:
        """What belongs to this process, and to none that it forks."""
        self.pid = os.getpid()
        self.lock = threading.Lock()  # of the next two, for a moment
        self.calls = 0
        self.broken = False
        self.opening = threading.Lock()  # held through an open, for which all callers wait anyway
        self.stop = threading.Event()
        self.threads: List[threading.Thread] = []
        self.tokens: Dict[bytes, Tuple[int, int]] = {}  # of jobs that this process has
        self.runs: Set[bytes] = set()  # those of them that a claim or resume works on
        self.pool: Optional[concurrent.futures.ThreadPoolExecutor] = None
        self.bell = _Bell(self)

    def forked(self) -> None:
        """In a child: the parent's handle, threads and jobs are not ours."""
        inherited, self.handle = self.handle, None
        self._fresh()
        if inherited:
            _library().jobtab_close(inherited)

    # -- calls

    def enter(self) -> c_void_p:
        """The handle, for one call: leave() must follow."""
        if self.pid != os.getpid():  # a fork that Python did not see
            self.forked()
        while True:
            with self.lock:
                if self.users == 0:
                    raise Error(f"{self.path} is closed")
                if self.handle and not (self.broken and self.calls == 0):
                    self.calls += 1
                    return self.handle
            self.open()

    def leave(self) -> None:
        with self.lock:
            self.calls -= 1

    def open(self) -> None:
        library = _library()
        with self.opening:
            with self.lock:
                if self.handle and not (self.broken and self.calls == 0):
                    return  # another thread was faster
                broken, self.handle, self.broken = self.handle, None, False
            if broken:
                library.jobtab_close(broken)
            handle = c_void_p()
            code = library.jobtab_open(os.fsencode(self.path), byref(self.options), byref(handle))
            if code:
                raise _error(code, library.jobtab_why().decode("utf-8", "replace"))
            self.handle = handle
        if self.sweep is not None and not self.threads:
            self.start(self._sweep)

    def call(self, name: str, *arguments: Any, expect: Tuple[int, ...] = ()) -> int:
        """Call a function of the library; its code, if that is 0 or expected. Otherwise raises."""
        library = _library()
        handle = self.enter()
        try:
            code = getattr(library, name)(handle, *arguments)
            why = library.jobtab_why() if code else b""
        finally:
            self.leave()
        if code and code not in expect:
            if code == _BROKEN:
                self.broken = True
            raise _error(code, why.decode("utf-8", "replace"))
        return code

    def apply(self, *ops: _Op) -> List[_Op]:
        """The operations in one durable transaction. Raises for the first that was refused."""
        array = (_Op * len(ops))(*ops)
        jobs = (_Job * len(ops))()
        for op, job in zip(array, jobs):
            op.job = ctypes.pointer(job)
        self.call("jobtab_apply", array, len(ops))
        done = list(array)
        for op in done:
            self._note(op)
        for op in done:
            if op.result not in (_OK, _STOP):
                raise _error(op.result, op.why.decode("utf-8", "replace"))
        return done

    def _note(self, op: _Op) -> None:
        """Keep the token of a job that this process got, drop that of one it has no more."""
        job = bytes(op.id.bytes)
        if op.result in (_OK, _STOP):
            if op.verb in (_CLAIM, _TAKE) or (op.verb == _SUBMIT and op.token.secret):
                self.tokens[job] = (op.token.attempt, op.token.secret)
            elif op.verb in (_FINISH, _RELEASE):
                self.tokens.pop(job, None)
        elif op.result == _STALE and self.tokens.get(job) == (op.token.attempt, op.token.secret):
            self.tokens.pop(job, None)

    # -- threads

    def start(self, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=f"jobtab {body.__name__}", daemon=True)
        self.threads.append(thread)
        thread.start()

    def _sweep(self) -> None:
        swept, stop = _Swept(), self.stop
        while not stop.wait(0 if swept.more else self.sweep):
            try:
                self.call("jobtab_sweep", _SWEEP_BUDGET, byref(swept))
            except Error as error:
                swept.more = False
                if not stop.is_set():
                    _log.warning("sweep of %s: %s", self.path, error)

    def executor(self) -> concurrent.futures.ThreadPoolExecutor:
        """Threads that wait for the disk in place of an event loop. Those that wait at the same
        time share a commit, so there are many."""
        with self.lock:
            if self.pool is None:
                self.pool = concurrent.futures.ThreadPoolExecutor(32, "jobtab write")
            return self.pool

    def close(self) -> None:
        """The last user has gone."""
        self.stop.set()
        if self.pool:
            self.pool.shutdown()
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join()
        while True:
            with self.lock:
                if not self.calls:
                    break
            time.sleep(0.001)
        handle, self.handle = self.handle, None
        if handle:
            _library().jobtab_close(handle)


class _Bell:
    """One thread that waits for changes in place of any number of coroutines. It lives as long as
    one waits."""

    def __init__(self, table: _Table):
        self.table = table
        self.lock = threading.Lock()
        self.waiters: Dict[asyncio.Future, int] = {}  # and the version that each has seen
        self.newest = 0
        self.running = False

    async def changed(self, seen: int, timeout: Optional[float]) -> None:
        """Until the table has a version above `seen`, or the time is over."""
        future = asyncio.get_running_loop().create_future()
        with self.lock:
            if seen < self.newest:
                return
            self.waiters[future] = seen
            if not self.running:
                self.running = True
                threading.Thread(target=self._listen, name="jobtab bell", daemon=True).start()
        try:
            await asyncio.wait({future}, timeout=timeout)
        finally:
            with self.lock:
                self.waiters.pop(future, None)

    def _listen(self) -> None:
        seen = c_uint64(self.newest)
        while True:
            try:
                self.table.call("jobtab_wait", byref(seen), int(_SLICE * 1000), expect=(_TIMEOUT,))
                failed = False
            except Error:
                failed = True  # each waiter finds out for itself
            with self.lock:
                self.newest = seen.value
                woken = [f for f, at in self.waiters.items() if failed or at < self.newest]
                for future in woken:
                    del self.waiters[future]
                    with contextlib.suppress(RuntimeError):  # its loop is closed
                        future.get_loop().call_soon_threadsafe(_resolve, future)
                if not self.waiters:
                    self.running = False
                    return


def _resolve(future: asyncio.Future) -> None:
    if not future.done():
        future.set_result(None)


def _in_child() -> None:
    global _tables_lock
    _tables_lock = threading.Lock()
    for table in _tables.values():
        table.forked()


def _at_exit() -> None:
    """Threads of ours are in the library no more when the process goes."""
    for table in list(_tables.values()):
        table.stop.set()


os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)

# ------------------------------------------------------------------ jobs and their fields

_BOUNDS = ("max_jobs", "map_size", "params_max", "result_max", "log_max", "high_water")
_CHANGEABLE = ("status", "progress", "message", "result", "error")
_GIVEN = ("kind", "priority", "max_attempts", "params")
_OWN = (
    "job_id", "uuid", "reason", "done", "version", "attempt", "created_at", "run_at", "started_at",
    "updated_at", "finished_at", "expires_at",
)  # fmt: skip
_COLUMNS = frozenset(_CHANGEABLE + _GIVEN + _OWN)


class _Read:
    """A job, its params and result as one snapshot has them."""

    __slots__ = ("job", "params", "result")

    def __init__(self, job: _Job, params: bytes, result: bytes):
        self.job, self.params, self.result = job, params, result

    def row(self) -> Row:
        job = self.job
        params = json.loads(self.params) if self.params else {}
        status = _STATES[job.state]
        row: Row = {
            "job_id": _name(job),
            "uuid": str(_uuid.UUID(bytes=bytes(job.id.bytes))),
            "kind": job.kind.decode(),
            "status": status,
            "reason": _REASONS[job.reason],
            "done": status in _DONE,
            "progress": job.progress,
            "message": job.message.decode() or None,
            "version": job.version,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
            "priority": job.priority,
            "created_at": _when(job.created_at),
            "run_at": _when(job.run_at),
            "started_at": _when(job.started_at),
            "updated_at": _when(job.updated_at),
            "finished_at": _when(job.finished_at),
            "expires_at": _when(job.expires_at),
            "params": params,
            "result": _value(self.result, job.result_format),
            "error": job.error.decode() or None,
        }
        if isinstance(params, dict):
            for name, value in params.items():
                row.setdefault(name, value)
            if row["message"] is None and status in ("pending", "scheduled"):
                row["message"] = params.get("message")  # until somebody works on it
        return row


def _name(job: _Job) -> str:
    return job.key.decode() or str(_uuid.UUID(bytes=bytes(job.id.bytes)))


def _when(ms: int) -> Optional[str]:
    if not ms:
        return None
    seconds, ms = divmod(ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03d}Z"


def _value(data: bytes, form: int) -> Any:
    if form == _NO_RESULT:
        return None
    if form == _JSON:
        return json.loads(data)
    return data.decode("utf-8", "replace") if form == _TEXT else data


def _json(field: str, value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"{field}: it cannot be kept as JSON: {error}") from None


def _text(field: str, value: Any) -> Optional[bytes]:
    """A text for the library, without a NUL in it."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise Invalid(f"{field}: {value!r} is no text")
    if "\0" in value:
        raise Invalid(f"{field}: there is a NUL in it")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{field}: {error}") from None


def _number(field: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise Invalid(f"{field}: {value!r} is no whole number")
    if not least <= value <= most:
        raise Invalid(f"{field}: {value} is not within {least} and {most}")
    return int(value)


def _ms(field: str, seconds: Optional[float]) -> int:
    if not seconds:
        return 0
    if not 0 < seconds < 2**40:
        raise Invalid(f"{field}: {seconds!r} is no duration in seconds")
    return max(1, round(seconds * 1000))


def _key(job_id: Any) -> bytes:
    key = _text("job_id", job_id)
    if not key or len(key) > KEY_MAX:
        raise Invalid(f"job_id: {job_id!r} is no text of 1 to {KEY_MAX} bytes")
    return key


class _Deadline:
    """What is left of a timeout, None being for ever, in slices."""

    def __init__(self, timeout: Optional[float]):
        self.end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> Optional[float]:
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def slice_ms(self) -> int:
        left = self.left()
        return int(1000 * (_SLICE if left is None else min(_SLICE, left)))

    def over(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end


class LiveRow(Dict[str, Any]):
    """What a store with live=True gives: a copy that changes the job when it is changed, and then
    is as the job is. A plain copy of it is dict(row)."""

    def __init__(self, store: "JobStore", row: Row):
        super().__init__(row)
        self._store = store

    def update(self, *changes: Any, **more: Any) -> None:
        """All of it in one change."""
        super().update(self._store.update(self["uuid"], **dict(*changes, **more)))

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __ior__(self, changes: Any) -> "LiveRow":  # type: ignore[override,misc]
        self.update(changes)
        return self

    def setdefault(self, name: str, value: Any = None) -> Any:
        """The field, which is a FieldError if there is none."""
        if name not in self:
            self[name] = value
        return self[name]

    def _keep(self, *_: Any) -> Any:
        raise FieldError("a job keeps its fields")

    __delitem__ = pop = popitem = clear = _keep  # type: ignore[assignment]


class Job:
    """A job that this process has claimed. What is said after it was lost to another raises
    Stale."""

    def __init__(self, store: "JobStore", read: _Read):
        row = read.row()
        self._store, self._id = store, read.job.id
        self._token = store._table.tokens.get(bytes(read.job.id.bytes))
        self.job_id: str = row["job_id"]
        self.kind: str = row["kind"]
        self.params: Any = row["params"]
        self.attempt: int = row["attempt"]
        self.row: Row = row  #: the job as it was claimed
        self.progress = 0
        self.result: Any = None  #: what the job is finished with: JSON, text as JSON, or bytes
        self.cancelled = False  #: somebody wants it to stop; known after each report

    def _op(self, verb: int) -> _Op:
        return self._store._op(verb, self._id)

    def report(self, progress: Optional[int] = None, message: Optional[str] = None) -> None:
        """Say how far it is, durably. None keeps what was said last."""
        if progress is not None:
            self.progress = _number("progress", progress, 0, 100)
        op = self._op(_REPORT)
        op.report = _Report(self.progress, _text("message", message))
        self.cancelled = self._store._table.apply(op)[0].result == _STOP

    def log(self, text: str) -> None:
        """Append to the job's log."""
        self.cancelled = self._store._table.apply(self._log_op(text))[0].result == _STOP

    def check(self) -> None:
        """Raise Cancelled if the job is to be cancelled. Asks the table: a read."""
        if self._store._read(self.job_id).job.state == _STATES.index("cancelling"):
            self.cancelled = True
        if self.cancelled:
            raise Cancelled("the job is to be cancelled")

    def _log_op(self, text: str) -> _Op:
        data = text.encode("utf-8", "replace")
        op = self._op(_LOG)
        op.log = _Bytes(data, len(data))
        return op

    def _mine(self) -> bool:
        """It was not ended, handed back or lost meanwhile."""
        held = self._store._table.tokens.get(bytes(self._id.bytes))
        return held is not None and held == self._token

    def _end(self, error: Optional[BaseException]) -> None:
        """Finish it as its work ended."""
        if not self._mine():
            return
        op, ops = self._op(_FINISH), []
        if error is None and not (self.cancelled and self.result is None):
            data, form = _result_bytes(self.result)
            op.finish = _Finish(_SUCCEEDED, 0, None, None, data, len(data), form)
        elif error is None or isinstance(error, Cancelled):
            op.finish = _Finish(outcome=_STOPPED)
        elif isinstance(error, Exception):
            text = (str(error) or type(error).__name__).replace("\0", "")
            op.finish = _Finish(outcome=_TRY_AGAIN, error=text.encode("utf-8", "replace"))
            trace = traceback.format_exception(type(error), error, error.__traceback__)
            ops.append(self._log_op("".join(trace)))
        else:  # the process is told to end: the job is for another
            op = self._op(_RELEASE)
        self._store._table.apply(*ops, op)


def _parsed(
    changes: Row, progress: int
) -> Tuple[int, Optional[bytes], Optional[bytes], bytes, int]:
    """The fields as the library takes them: progress, message, error, result and its format."""
    return (
        _number("progress", changes.get("progress", progress), 0, 100),
        _text("message", changes.get("message")),
        _text("error", changes.get("error")),
        *_result_bytes(changes.get("result")),
    )


def _result_bytes(value: Any) -> Tuple[bytes, int]:
    if value is None:
        return b"", _NO_RESULT
    if isinstance(value, (bytes, bytearray)):
        return bytes(value), _BYTES
    return _json("result", value), _JSON


# ------------------------------------------------------------------------- the store


class JobStore(MutableMapping[str, Row]):
    """The jobs of the table in directory `path`, which is made if there is none.

    kind        of jobs that are created without one
    max_attempts, max_crashes
                how often such a job may fail, and may lose its process, before it has failed for
                good; 0 is as the kind's policy has it: 1 and 3
    sweep       seconds between two looks for dead owners and expired jobs, while this process has
                the table open; None: a daemon does it
    live        values change the job when they are changed, as those of a dictionary do
    must_exist  raise NoTable instead of making a table
    retention   seconds that a finished job is kept
    max_jobs, map_size, params_max, result_max, log_max, high_water
                bounds, as jobtab.h has them; they are kept in the table, 0 leaves them
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        kind: str = "job",
        *,
        sweep: Optional[float] = 1.0,
        max_attempts: int = 0,
        max_crashes: int = 0,
        live: bool = False,
        must_exist: bool = False,
        retention: float = 0,
        **bounds: int,
    ):
        unknown = set(bounds) - set(_BOUNDS)
        if unknown:
            raise TypeError(f"JobStore has no option {', '.join(sorted(unknown))}")
        self.path, self.kind = os.fspath(path), kind
        self.max_attempts, self.max_crashes, self.live = max_attempts, max_crashes, live
        self.aio = AsyncJobStore(self)
        options = _Options(retention=_ms("retention", retention), must_exist=must_exist, **bounds)
        place = os.path.realpath(self.path)
        with _tables_lock:
            table = _tables.get(place)
            if table is None:
                # The path is the resolved one: the process may change its directory.
                table = _tables[place] = _Table(place, options, sweep)
            elif bounds or retention:
                raise Error(f"{place} is open in this process: bounds go with the first open")
            table.users += 1
        self._table = table
        self._closed = False
        try:
            table.enter()
            table.leave()
        except BaseException:
            self.close()
            raise

    # -- life

    def close(self) -> None:
        """Let the table go, once no call of another thread is in it."""
        if self._closed:
            return
        self._closed = True
        with _tables_lock:
            self._table.users -= 1
            last = self._table.users == 0
            if last:
                _tables.pop(self._table.path, None)
        if last:
            self._table.close()

    def __enter__(self) -> "JobStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"JobStore({self.path!r}, kind={self.kind!r})"

    __eq__ = object.__eq__  # a Mapping's would read both tables
    __hash__ = object.__hash__

    # -- finding

    def _find(self, job_id: Any) -> _Id:
        """By the application's id, else by the table's."""
        found = _Id()
        key = job_id.encode("utf-8", "surrogatepass") if isinstance(job_id, str) else b""
        if key and len(key) <= KEY_MAX and b"\0" not in key:
            if not self._table.call("jobtab_find", key, byref(found), expect=(_NOTFOUND,)):
                return found
            with contextlib.suppress(ValueError):
                if len(job_id) == 36:
                    return _Id((c_uint8 * 16)(*_uuid.UUID(job_id).bytes))
        raise _error(_NOTFOUND, f"there is no job {job_id!r}")

    def _whole(self, job_id: _Id) -> _Read:
        library, job = _library(), _Job()
        params, result = c_void_p(), c_void_p()
        self._table.call(
            "jobtab_get_whole", byref(job_id), byref(job), byref(params), byref(result)
        )
        try:
            return _Read(
                job,
                ctypes.string_at(params, job.params_size),
                ctypes.string_at(result, job.result_size),
            )
        finally:
            library.free(params)
            library.free(result)

    def _read(self, job_id: Any) -> _Read:
        return self._whole(self._find(job_id))

    def _op(self, verb: int, job_id: Optional[_Id] = None) -> _Op:
        op = _Op(verb=verb)
        if job_id is not None:
            op.id = job_id
            op.token = _Token(*self._table.tokens.get(bytes(job_id.bytes), (0, 0)))
        return op

    # -- reading

    def __getitem__(self, job_id: str) -> Row:
        """A copy of the job; NotFound, which is a KeyError."""
        return self._given(self._read(job_id))

    def _given(self, read: _Read) -> Row:
        return LiveRow(self, read.row()) if self.live else read.row()

    def exists(self, job_id: str) -> bool:
        """Whether there is such a job; cheaper than reading it."""
        try:
            version = c_uint64()
            self._table.call("jobtab_version", byref(self._find(job_id)), byref(version))
            return True
        except NotFound:
            return False

    def __contains__(self, job_id: object) -> bool:
        return isinstance(job_id, str) and self.exists(job_id)

    def _pages(
        self, states: int = 0, kind: Optional[bytes] = None, oldest: bool = True
    ) -> Iterator[_Job]:
        """All jobs, a page of one snapshot after the other."""
        wanted = _Filter(states=states, kind=kind, oldest_first=oldest)
        more = c_bool(True)
        while more.value:
            jobs, n = (_Job * _PAGE)(), c_size_t(_PAGE)
            self._table.call(
                "jobtab_list", byref(wanted), jobs, byref(n), byref(wanted.after), byref(more)
            )
            wanted.after_set = True
            yield from jobs[: n.value]

    def list(
        self,
        status: Optional[str] = None,
        kind: Optional[str] = None,
        limit: Optional[int] = None,
        oldest_first: bool = False,
    ) -> List[Row]:
        """Copies of the jobs of that status and kind, newest first."""
        states = 0 if status is None else 1 << _state(status)
        rows: List[Row] = []
        for job in self._pages(states, _text("kind", kind), oldest_first):
            if limit is not None and len(rows) >= limit:
                break
            with contextlib.suppress(NotFound):  # deleted meanwhile
                row = self._given(self._whole(job.id))
                if status in (None, row["status"]):
                    rows.append(row)
        return rows

    def __iter__(self) -> Iterator[str]:
        """The ids of all jobs of the table, of whatever kind, oldest first."""
        return (_name(job) for job in self._pages())

    def __len__(self) -> int:
        stat = _Stat()
        self._table.call("jobtab_stat", byref(stat), None, 0)
        return stat.jobs

    def items(self) -> List[Tuple[str, Row]]:  # type: ignore[override]
        """Pairs of id and copy, as they are now."""
        return [(row["job_id"], row) for row in self.list(oldest_first=True)]

    def values(self) -> List[Row]:  # type: ignore[override]
        """Copies of all jobs, as they are now."""
        return self.list(oldest_first=True)

    def log(self, job_id: str) -> str:
        """What its workers have written to its log, as far as it is kept."""
        offset, size, data = c_uint64(), c_size_t(), c_void_p()
        self._table.call(
            "jobtab_read", byref(self._find(job_id)), _LOGTEXT, byref(offset), 2**63,
            byref(data), byref(size),
        )  # fmt: skip
        try:
            return ctypes.string_at(data, size.value).decode("utf-8", "replace")
        finally:
            _library().free(data)

    # -- creating

    def create(
        self,
        job_id: Optional[str] = None,
        state: Optional[Mapping[str, Any]] = None,
        /,
        **more: Any,
    ) -> str:
        """Create a job, by the application's id or, for None, one of the table's; that id.

        `state` has what the dictionary had: status (pending if there is none, or running: then it
        is this process's), kind, priority, max_attempts, params, progress, message; its other keys
        are kept with the params. The same call again gives the same job; another one of the same id
        raises Conflict.
        """
        return _name(self._create((), job_id, {**(state or {}), **more}).job)

    def _create(self, before: Tuple[_Op, ...], job_id: Optional[str], state: Row) -> _Read:
        """Apply `before` and the submit in one transaction, then what else the state asks for."""
        status = state.get("status", "pending")
        _state(status)
        rest = {name: state[name] for name in _CHANGEABLE if state.get(name) is not None}
        rest.pop("status", None)
        if rest.get("progress") == 0:
            del rest["progress"]
        if status == "pending" and set(rest) - {"message"}:
            field = min(set(rest) - {"message"})
            raise FieldError(f"{field}: a pending job has none yet")
        _parsed(rest, 0)  # refused before there is a job
        params = _params(state, ("message",) if status == "pending" and "message" in rest else ())
        submit = self._submit(
            state.get("kind"), params, job_id, take=status != "pending",
            priority=state.get("priority", 0), max_attempts=state.get("max_attempts", 0),
        )  # fmt: skip
        op = self._table.apply(*before, submit)[-1]
        read = _Read(op.job[0], params, b"")
        if status == "pending":
            return read
        if not op.token.secret:
            raise _error(_CONFLICT, f"job_id: {job_id!r} is at work already")
        if status != "running" or rest:
            read = self._move(read, dict(rest, status=status))
        return read

    def submit(
        self,
        kind: Optional[str] = None,
        params: Any = None,
        *,
        job_id: Optional[str] = None,
        priority: int = 0,
        delay: float = 0,
        max_attempts: int = 0,
        max_crashes: int = 0,
        backoff: float = 0,
        timeout: float = 0,
    ) -> str:
        """Create a pending job of `kind` for whoever claims it, here or a child of jobtabd; its id.
        Durations are seconds; 0 is as the store, else the kind's policy has it."""
        op = self._submit(
            kind, b"" if params is None else _json("params", params), job_id,
            priority=priority, delay=delay, max_attempts=max_attempts, max_crashes=max_crashes,
            backoff=backoff, timeout=timeout,
        )  # fmt: skip
        return _name(self._table.apply(op)[0].job[0])

    def _submit(
        self, kind: Optional[str], params: bytes, job_id: Optional[str], *, take: bool = False,
        priority: int = 0, delay: float = 0, max_attempts: int = 0, max_crashes: int = 0,
        backoff: float = 0, timeout: float = 0,
    ) -> _Op:  # fmt: skip
        key = None if job_id is None else _key(job_id)
        op = _Op(verb=_SUBMIT)
        op.submit = _Submit(
            kind=_text("kind", self.kind if kind is None else kind),
            params=params or None,
            params_size=len(params),
            priority=_number("priority", priority, -100, 100),
            take=take,
            delay=_ms("delay", delay),
            key=key,
            max_attempts=_number("max_attempts", max_attempts or self.max_attempts, 0, 2**32 - 1),
            max_crashes=_number("max_crashes", max_crashes or self.max_crashes, 0, 2**32 - 1),
            backoff=_ms("backoff", backoff),
            timeout=_ms("timeout", timeout),
        )
        return op

    # -- changing

    def update(self, job_id: Any = (), /, **fields: Any) -> Row:  # type: ignore[override]
        """Change a job's status, progress, message, result or error; the job as that left it.

        status="running" makes this process its owner; "completed" (progress is 100 then), "failed"
        and "scheduled" (failed, to be tried again) end its work; "pending" hands it back, or starts
        one over that failed or was cancelled; "cancelled" cancels it, of which another owner is
        told by status cancelling. With a mapping in place of the id it is dict.update.
        """
        if not isinstance(job_id, str):
            super().update(job_id, **fields)
            return {}  # of no single job
        read = self._read(job_id)
        row = read.row()
        changes = {}
        for name, value in fields.items():
            if name in _OWN or name in row and row[name] == value and value != "running":
                continue  # but one that says "running" means that it is the owner
            if name not in _CHANGEABLE:
                known = "is fixed when a job is created" if name in row else "is no field of a job"
                can = ", ".join(_CHANGEABLE)
                raise FieldError(f"{name}: it {known}; what can be changed is {can}")
            changes[name] = value
        return self._move(read, changes).row() if changes else row

    def _move(self, read: _Read, changes: Row) -> _Read:
        """Make the changes, none of which is as it was: the job ours if need be, then the rest."""
        now = _STATES[read.job.state]
        to = changes.get("status", now)
        _state(to)
        others = sorted(set(changes) - {"status"})
        progress, message, error, data, form = _parsed(changes, read.job.progress)
        if to == now and to in _DONE:
            raise Refused(f"the job is {now}: it changes no more")
        job = bytes(read.job.id.bytes)
        if changes.get("status") == "running" and job in self._table.runs and _at_work.get() != job:
            raise Refused("a claim or resume of this process works on the job")
        if others and (to == "pending" or to == "scheduled" and now not in _OWNED):
            raise Refused(f"{others[0]}: a {to} job has no owner that could set it")
        for field, of in (("result", ("completed", "failed")), ("error", ("failed", "scheduled"))):
            if changes.get(field) is not None and to not in of:
                raise Refused(f"{field}: it is set with status {' or '.join(of)}")
        if now not in _OWNED and to in ("running", "completed", "failed"):
            taken = self._table.apply(self._op(_TAKE, read.job.id))[0]
            read = _Read(taken.job[0], read.params, b"")
            if to == "running" and not others:
                return read
        ops = [self._op(verb, read.job.id) for verb in self._verbs(read, to, others)]
        for op in ops:
            if op.verb == _REPORT:
                op.report = _Report(progress, message)
            elif op.verb == _FINISH:
                op.finish = _Finish(_OUTCOMES[to], 0, error, message, data, len(data), form)
        done = self._table.apply(*ops)[-1]
        return _Read(done.job[0], read.params, data if done.job[0].result_size else b"")

    def _verbs(self, read: _Read, to: str, others: List[str]) -> List[int]:
        """What the library is asked for to get there; it refuses what is not allowed."""
        now = _STATES[read.job.state]
        ours = bytes(read.job.id.bytes) in self._table.tokens
        if to == "cancelled" and now in _OWNED and ours:
            return [_CANCEL, _FINISH]
        if to in ("cancelled", "cancelling") and to != now:
            if others:
                raise Refused(f"{others[0]}: only the owner of a job can set it")
            return [_CANCEL]
        if now in _OWNED:
            if to in ("running", "cancelling"):
                return [_REPORT]
            if to == "pending":
                return [_RELEASE]
            return [_REPORT, _FINISH] if "progress" in others else [_FINISH]
        if now == "scheduled":
            raise Refused("a scheduled job becomes pending when its time has come")
        return [_RETRY]

    def cancel(self, job_id: str) -> Row:
        """Cancel it: at once if it has no owner, else its owner is told."""
        done = self._table.apply(self._op(_CANCEL, self._find(job_id)))[0]
        return self._whole(done.id).row()

    def retry(self, job_id: str) -> Row:
        """Start a failed or cancelled job over."""
        done = self._table.apply(self._op(_RETRY, self._find(job_id)))[0]
        return self._whole(done.id).row()

    def delete(self, job_id: str) -> None:
        """Delete it with all its parts; Refused while it has an owner."""
        self._table.apply(self._op(_DELETE, self._find(job_id)))

    def __delitem__(self, job_id: str) -> None:
        self.delete(job_id)

    def pop(self, job_id: str, *default: Any) -> Any:
        """Delete the job and return its last copy; the default when another process was faster."""
        try:
            row = self[job_id]
            self.delete(job_id)
            return row
        except NotFound:
            if not default:
                raise
            return default[0]

    def __setitem__(self, job_id: str, state: Mapping[str, Any]) -> None:
        """Create the job, or change it to that state. One that is done starts anew, with that state
        alone, when its status is pending or running."""
        try:
            read = self._read(job_id)
        except NotFound:
            self.create(job_id, state)
            return
        status = state.get("status", "pending")
        if _STATES[read.job.state] in _DONE and status in ("pending", "running"):
            self._create((self._op(_DELETE, read.job.id),), job_id, dict(state))
            return
        self.update(job_id, **state)

    def setdefault(  # type: ignore[override]
        self, job_id: str, state: Optional[Mapping[str, Any]] = None
    ) -> Row:
        """The job, created if there is none."""
        with contextlib.suppress(Conflict):
            if job_id not in self:
                self.create(job_id, state)
        return self[job_id]

    # -- waiting

    def wait(self, job_id: str, timeout: Optional[float] = None) -> Row:
        """The job, once it is completed, failed or cancelled. Timeout after so many seconds."""
        row: Row = {}
        for row in self.watch(job_id, timeout):
            pass
        if not row["done"]:
            raise _error(_NOTFOUND, f"job {job_id!r} was deleted")
        return row

    def watch(self, job_id: str, timeout: Optional[float] = None) -> Iterator[Row]:
        """The job now, and again whenever it has changed, until it is done or deleted. Changes that
        follow each other faster than they are looked at are seen as one."""
        deadline = _Deadline(timeout)
        found = self._find(job_id)
        read, version = self._whole(found), c_uint64()
        seen = c_uint64(read.job.version)
        while True:
            yield read.row()
            if _STATES[read.job.state] in _DONE:
                return
            version.value = read.job.version
            while version.value == read.job.version:
                if deadline.over():
                    raise _error(_TIMEOUT, f"job {job_id!r} is not done in time")
                wait = deadline.slice_ms()
                self._table.call("jobtab_wait", byref(seen), wait, expect=(_TIMEOUT,))
                if not self._version(found, version):
                    return
            try:
                read = self._whole(found)
            except NotFound:
                return

    def _version(self, job_id: _Id, version: c_uint64) -> bool:
        """False when the job is gone."""
        there = self._table.call(
            "jobtab_version", byref(job_id), byref(version), expect=(_NOTFOUND,)
        )
        return there == _OK

    # -- working

    @contextlib.contextmanager
    def claim(self, kind: Optional[str] = None, timeout: Optional[float] = None) -> Iterator[Job]:
        """Work on the next job of `kind`, waiting for one at most `timeout` seconds (then: Empty).

            with jobs.claim("report") as job:
                job.report(20, "Collecting prices...")
                job.result = work(job.params)

        The job is completed with job.result when the block ends. An exception fails it with its
        text, or schedules another attempt if there are any left, leaves its traceback in the job's
        log, and goes on; KeyboardInterrupt and SystemExit hand the job back. A block that sees
        job.cancelled leaves without a result, or by job.check(), and the job is cancelled.
        """
        deadline = _Deadline(timeout)
        name = self.kind if kind is None else kind
        job = self._claim(name)
        while job is None:
            if deadline.over():
                raise _error(_EMPTY, f"no job of kind {name} came")
            self._wait_work(name, deadline.slice_ms())
            job = self._claim(name)
        with _ended(job):
            yield job

    def _wait_work(self, kind: str, ms: int) -> None:
        self._table.call("jobtab_wait_work", _text("kind", kind), ms, expect=(_TIMEOUT,))

    def _claim(self, kind: str) -> Optional[Job]:
        """A job, if there is one at once."""
        op = _Op(verb=_CLAIM)
        op.claim = _ClaimArg(_text("kind", kind), 0)
        try:
            claimed = self._table.apply(op)[0]
        except Empty:
            return None
        return Job(self, self._whole(claimed.id))

    def task(
        self, kind: Optional[str] = None
    ) -> Callable[[Callable[[Job], Any]], Callable[..., Row]]:
        """Decorate a function of a Job. Calling it claims one (see claim), and finishes it with
        what the function returns; the job as it is then. An exception is logged and kept in the
        job.

            @jobs.task("report")
            def report(job): return {"rows": count(job.params)}

            while True: report()
        """

        def decorate(function: Callable[[Job], Any]) -> Callable[..., Row]:
            @functools.wraps(function)
            def one(timeout: Optional[float] = None) -> Row:
                job = None
                try:
                    with self.claim(kind, timeout) as job:
                        job.result = function(job)
                except Exception:
                    if job is None:
                        raise
                    _log.exception("job %s", job.job_id)
                return self[job.job_id]

            return one

        return decorate

    def resume(
        self, function: Callable[[str], Any], kind: Optional[str] = None, patience: float = 10
    ) -> None:
        """Have a thread call function(job_id) for each job whose process died before its end.

        For applications whose jobs are run by the process that took the request: a job of `kind`
        that was lost with its owner is taken at once, one that nobody has begun for `patience`
        seconds, too. The function finds the job running, and this process's; another thread that
        comes late and says status="running" is Refused. A function that raises fails the job; one
        that returns and has not ended it completes it, with what it returned. It may be a coroutine
        function, which then runs in a loop of its own.
        """
        name, table = self.kind if kind is None else kind, self._table

        def resuming() -> None:
            stop = table.stop
            while not stop.is_set():
                try:
                    job = self._left_over(name, patience)
                    if job is not None:
                        self._rerun(job, function)
                    elif self._claimable(name):
                        stop.wait(_SLICE)  # somebody's, most likely
                    else:
                        self._wait_work(name, int(_SLICE * 1000))
                except Exception:
                    if not stop.is_set():
                        _log.exception("resume of %s", name)
                        stop.wait(_SLICE)

        table.start(resuming)

    def _claimable(self, kind: str) -> bool:
        claimable = c_bool()
        self._table.call("jobtab_claimable", _text("kind", kind), byref(claimable))
        return claimable.value

    def _left_over(self, kind: str, patience: float) -> Optional[Job]:
        """Take a job that its process left behind."""
        if not self._claimable(kind):
            return None
        before = (time.time() - patience) * 1000
        for job in self._pages(1 << _PENDING, kind.encode()):
            if job.crashes or job.updated_at < before:
                with contextlib.suppress(Refused, NotFound):  # another process was faster
                    taken = self._table.apply(self._op(_TAKE, job.id))[0]
                    return Job(self, self._whole(taken.id))
        return None

    def _rerun(self, job: Job, function: Callable[[str], Any]) -> None:
        try:
            with _ended(job):
                job.result = function(job.job_id)
                if inspect.isawaitable(job.result):
                    job.result = asyncio.run(_await(job.result))
        except Exception:
            _log.exception("job %s", job.job_id)


@contextlib.contextmanager
def _working(job: Job) -> Iterator[None]:
    """This context works on the job, and may say so by status running."""
    runs, ours = job._store._table.runs, bytes(job._id.bytes)
    runs.add(ours)
    before = _at_work.set(ours)
    try:
        yield
    finally:
        _at_work.reset(before)
        runs.discard(ours)


@contextlib.contextmanager
def _ended(job: Job) -> Iterator[None]:
    """End the job as the block does. Cancelled is what the job is then, no news to the caller."""
    try:
        with _working(job):
            yield
    except BaseException as error:
        job._end(error)
        if not isinstance(error, Cancelled):
            raise
    else:
        try:
            job._end(None)
        except Invalid as error:  # a result that cannot be kept
            job._end(error)
            raise


async def _await(value: Any) -> Any:
    return await value


def _state(status: Any) -> int:
    if status not in _STATES:
        raise Invalid(f"status: {status!r} is none of {', '.join(_STATES)}")
    return _STATES.index(status)


# What an owner says of a job that is to have that status.
_OUTCOMES = {
    "completed": _SUCCEEDED,
    "failed": _GIVE_UP,
    "scheduled": _TRY_AGAIN,
    "cancelled": _STOPPED,
}


def _params(state: Mapping[str, Any], besides: Tuple[str, ...]) -> bytes:
    """The params of a new job: those that are given, and all keys that are no fields."""
    names = [name for name in state if name not in _COLUMNS or name in besides]
    extra = {name: state[name] for name in names}
    params = state.get("params")
    if extra and params is not None and not isinstance(params, Mapping):
        raise Invalid(f"params: {min(extra)} is to be kept with them, and they are no dictionary")
    if extra:
        params = {**(params or {}), **extra}
    return b"" if params is None else _json("params", params)


# ------------------------------------------------------------------------ asyncio


class AsyncJobStore:
    """``jobs.aio``: the same names, for coroutines. What waits for the disk or for other processes
    does so in a thread; a coroutine that is cancelled meanwhile does not take its change back.
    `get` reads in the loop: that takes some 50 microseconds and waits for nobody."""

    def __init__(self, store: JobStore):
        self._store = store

    async def _run(self, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        call = functools.partial(contextvars.copy_context().run, function, *arguments, **more)
        return await asyncio.get_running_loop().run_in_executor(self._store._table.executor(), call)

    async def get(self, job_id: str, default: Optional[Row] = None) -> Optional[Row]:
        return self._store.get(job_id, default)

    async def exists(self, job_id: str) -> bool:
        return self._store.exists(job_id)

    async def list(self, *arguments: Any, **more: Any) -> List[Row]:
        return await self._run(self._store.list, *arguments, **more)

    async def create(
        self,
        job_id: Optional[str] = None,
        state: Optional[Mapping[str, Any]] = None,
        /,
        **more: Any,
    ) -> str:
        return await self._run(self._store.create, job_id, state, **more)

    async def submit(self, kind: Optional[str] = None, params: Any = None, **more: Any) -> str:
        return await self._run(self._store.submit, kind, params, **more)

    async def update(self, job_id: str, /, **fields: Any) -> Row:
        return await self._run(self._store.update, job_id, **fields)

    async def cancel(self, job_id: str) -> Row:
        return await self._run(self._store.cancel, job_id)

    async def retry(self, job_id: str) -> Row:
        return await self._run(self._store.retry, job_id)

    async def delete(self, job_id: str) -> None:
        await self._run(self._store.delete, job_id)

    async def log(self, job_id: str) -> str:
        return await self._run(self._store.log, job_id)

    async def wait(self, job_id: str, timeout: Optional[float] = None) -> Row:
        row: Row = {}
        async for row in self.watch(job_id, timeout):
            pass
        if not row["done"]:
            raise _error(_NOTFOUND, f"job {job_id!r} was deleted")
        return row

    async def watch(self, job_id: str, timeout: Optional[float] = None) -> AsyncIterator[Row]:
        store, deadline = self._store, _Deadline(timeout)
        found = store._find(job_id)
        read, version = store._whole(found), c_uint64()
        while True:
            yield read.row()
            if _STATES[read.job.state] in _DONE:
                return
            seen = version.value = read.job.version
            while version.value == read.job.version:
                if deadline.over():
                    raise _error(_TIMEOUT, f"job {job_id!r} is not done in time")
                # In slices, since a deletion makes no version that would ring.
                await store._table.bell.changed(seen, deadline.slice_ms() / 1000)
                seen = max(seen, store._table.bell.newest)
                if not store._version(found, version):
                    return
            try:
                read = store._whole(found)
            except NotFound:
                return

    @contextlib.asynccontextmanager
    async def claim(
        self, kind: Optional[str] = None, timeout: Optional[float] = None
    ) -> AsyncIterator["AsyncJob"]:
        """As JobStore.claim, the job's report and log being coroutines. Cancelling the task hands
        the job back."""
        store, deadline = self._store, _Deadline(timeout)
        name = store.kind if kind is None else kind
        while True:
            seen = store._table.bell.newest  # before the look: what comes after it rings
            if store._claimable(name):
                claiming = asyncio.ensure_future(self._run(store._claim, name))
                try:
                    job = await asyncio.shield(claiming)
                except asyncio.CancelledError as error:
                    job = await claiming  # it is on its way to the disk
                    if job is not None:
                        await self._run(job._end, error)
                    raise
                if job is not None:
                    break
            if deadline.over():
                raise _error(_EMPTY, f"no job of kind {name} came")
            await store._table.bell.changed(seen, deadline.left())
        try:
            with _working(job):
                yield AsyncJob(self, job)
        except BaseException as error:
            await asyncio.shield(self._run(job._end, error))
            if not isinstance(error, Cancelled):
                raise
        else:
            try:
                await self._run(job._end, None)
            except Invalid as error:
                await self._run(job._end, error)
                raise


class AsyncJob:
    """A claimed job of a coroutine: a Job whose report, log and check are to be awaited."""

    def __init__(self, aio: AsyncJobStore, job: Job):
        self.__dict__.update(_aio=aio, _job=job)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._job, name, value)

    async def report(self, progress: Optional[int] = None, message: Optional[str] = None) -> None:
        await self._aio._run(self._job.report, progress, message)

    async def log(self, text: str) -> None:
        await self._aio._run(self._job.log, text)

    async def check(self) -> None:
        self._job.check()
