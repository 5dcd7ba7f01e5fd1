"""What must hold of everything that many clients of one table saw (events as in event.h).

    faults = check(load(folder))        a list of sentences, empty when all is well

The rules, each a function below:

outcomes     every answer is one that the interface knows; no 5xx, no ETag beside the version
versions     one version is one change of one job: what is seen of it is always the same, to the byte
fresh        a read is at least every version known to anyone before it began (an acknowledged
             write, or a version somebody had read); and a version is not seen before
             the write that made it was asked for
order        writes that follow each other in time follow each other in version, all over the
             table; ids grow with the versions of their submits
present      an acknowledged job is there until somebody asks for its deletion, and not after
moves        states move along the arrows, what is done stays done unless somebody asks for a retry,
             progress does not run back within an attempt
fencing      what a worker said was accepted only from the job's latest claim, and nothing after its
             finish or release; one claim ends once
torn         message, progress, attempt and result tell of the same job and moment
once         every acknowledged submit is one job at the end; an unanswered one is one or none
bell         who was woken for a version finds it in the table

A write that was not answered (its client saw the connection break, or was killed before it could
log) counts once or never: `killed=True` allows for these, for claims that nobody logged, and for the
503 of a daemon that is going.
"""

import bisect
import collections
import math
import os

Event = collections.namedtuple(
    "Event",
    "verb begun ended outcome job version state attempt started progress token hash message extra",
)

DONE = {"completed", "failed", "cancelled"}
ACCEPTED = {"ok", "stop"}
OUTCOMES = {"ok", "same", "stop", "notfound", "forbidden", "stale"}
OTHER_OUTCOMES = {"list": {"ok"}, "final": {"ok"}, "submit": {"ok"}, "bell": {"ok"}}

# A write that was done as asked, and its client knows it.
WRITES = {"submit", "claim", "report", "finish", "release", "cancel", "retry", "delete"}

# One step of the state machine; REACH is what any number of steps can reach without a retry.
STEP = {
    "scheduled": {"pending", "cancelled"},
    "pending": {"running", "cancelled"},
    "running": {"completed", "failed", "scheduled", "pending", "cancelling"},
    "cancelling": {"cancelled", "completed"},
    "completed": set(),
    "failed": set(),
    "cancelled": set(),
}


def _reach():
    reach = {state: set(to) for state, to in STEP.items()}
    for _ in STEP:
        for state in reach:
            reach[state] |= set().union(*(reach[to] for to in reach[state]))
    return reach


REACH = _reach()


def load(folder):
    events = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as file:
            events += answered(map(parse, whole_lines(file)))
    return events


def whole_lines(file):
    """Who looks while a client writes may see the first part of its newest line; to go on from there would
    give the rest of it as a line of its own."""
    text = file.read()
    return text[: text.rfind("\n") + 1].splitlines()


def parse(line):
    f = line.split()
    return Event(
        f[0], int(f[1]), int(f[2]), f[3], f[4], int(f[5]), f[6], int(f[7]),
        int(f[8]), int(f[9]), f[10], f[11], f[12], f[13],
    )  # fmt: skip


def answered(events):
    """The events of one client: what it was about to ask and never logged an answer to is unanswered."""
    events = list(events)
    answers = {(e.verb, e.job, e.begun) for e in events if e.outcome != "asked"}
    return [
        e._replace(outcome="unanswered") if e.outcome == "asked" else e
        for e in events
        if e.outcome != "asked" or (e.verb, e.job, e.begun) not in answers
    ]


def check(events, killed=False, limit=20):
    faults = []
    jobs = collections.defaultdict(list)
    for event in events:
        if event.job != "-":
            jobs[event.job].append(event)
    for rule in (outcomes, versions, order, once, bell):
        faults += [f"{rule.__name__}: {text}" for text in rule(events, killed)]
    for rule in (fresh, present, moves, fencing, torn):
        for job, of_job in jobs.items():
            faults += [f"{rule.__name__}: {job}: {text}" for text in rule(of_job, killed)]
            if len(faults) > limit:
                return faults[:limit] + ["... and more"]
    return faults


def acknowledged(events):
    """How many writes were answered as done."""
    return sum(1 for e in events if e.verb in WRITES and e.outcome in ACCEPTED)


def outcomes(events, killed):
    for e in events:
        if e.outcome in ("unanswered", "status503"):
            if not killed:
                yield f"{e.verb} of {e.job} was answered {e.outcome}"
        elif e.outcome not in OTHER_OUTCOMES.get(e.verb, OUTCOMES):
            yield f"{e.verb} of {e.job} was answered {e.outcome}"


def versions(events, killed):
    job_of, seen = {}, {}
    for e in events:
        if not e.version:
            continue
        if job_of.setdefault(e.version, e.job) != e.job:
            yield f"version {e.version} is of {e.job} and of {job_of[e.version]}"
        if e.state == "-":
            continue
        facts = (e.state, e.attempt, e.started, e.progress, e.message)
        if seen.setdefault((e.version, ""), facts) != facts:
            yield f"version {e.version} of {e.job} is {facts} and {seen[e.version, '']}"
        letter = e.hash[0]
        if letter != "-" and seen.setdefault((e.version, letter), e.hash) != e.hash:
            yield f"version {e.version} of {e.job} has two texts ({e.verb})"


def known_before(pairs):
    """A function of a time: the highest version of the pairs (ended, version) that ended before."""
    pairs = sorted(pairs)
    times, highest = [], []
    top = 0
    for ended, version in pairs:
        top = max(top, version)
        times.append(ended)
        highest.append(top)

    def at(begun):
        place = bisect.bisect_left(times, begun)
        return highest[place - 1] if place else 0

    return at


def fresh(events, killed):
    at = known_before((e.ended, e.version) for e in events if e.version)
    made = {e.version: e.begun for e in events if changed(e) and e.verb != "submit"}
    for e in events:
        if not e.version:
            continue
        least = at(e.begun)
        if e.version < least:
            yield f"{e.verb} saw version {e.version} ({e.state}), {least} was known before"
        if e.version in made and e.ended < made[e.version]:
            yield f"{e.verb} saw version {e.version} before it was asked for"


def changed(e):
    """A write that has made the version that it tells. (What HTTP answers is the job after the
    write, which another one may have changed since; and a second cancel changes nothing.)"""
    if e.outcome not in ACCEPTED or not e.version:
        return False
    return e.verb in ("claim", "report", "finish", "release") or (
        e.verb == "submit" and e.state in ("pending", "scheduled")
    )


def order(events, killed):
    writes = [e for e in events if changed(e)]
    at = known_before((e.ended, e.version) for e in writes)
    for e in writes:
        least = at(e.begun)
        if e.version < least:
            yield f"{e.verb} of {e.job} made version {e.version}, {least} had been made before it"
    newest = ""
    for e in sorted((e for e in writes if e.verb == "submit"), key=lambda e: e.version):
        if e.job <= newest:
            yield f"the id {e.job} of version {e.version} is not above {newest}"
        newest = e.job


def present(events, killed):
    known = min((e.ended for e in events if e.version), default=None)
    asked = min((e.begun for e in events if e.verb == "delete"), default=None)
    gone = min((e.ended for e in events if e.verb == "delete" and e.outcome == "ok"), default=None)
    if known is None:
        if any(e.outcome == "ok" for e in events):
            yield "deleted, and was never there"
        return
    for e in events:
        if e.outcome == "notfound" and e.begun > known and (asked is None or e.ended < asked):
            yield f"{e.verb} did not find it, and nobody had asked for its deletion"
        if e.version and gone is not None and e.begun > gone:
            yield f"{e.verb} found it after its deletion"


def moves(events, killed):
    seen = {e.version: e for e in events if e.version and e.state != "-"}
    steps = [seen[version] for version in sorted(seen)]
    # A retry made some version above what was known when it began, at most what it was told. One that
    # was told nothing, or over HTTP that the job had been deleted since, may have made any above.
    at = known_before((e.ended, e.version) for e in events if e.version)
    retries = [
        (at(e.begun), e.version if e.outcome in ACCEPTED else math.inf)
        for e in events
        if e.verb == "retry" and e.outcome in {"unanswered", "notfound", *ACCEPTED}
    ]
    for before, after in zip(steps, steps[1:]):
        retried = any(
            max(before.version, above) < min(after.version, most) for above, most in retries
        )
        if retried:
            continue
        if after.state == before.state:
            if before.state in DONE:
                yield f"{before.state} changed at {after.version} and stayed {after.state}"
        elif after.state not in REACH[before.state]:
            yield f"{before.state} at {before.version} became {after.state} at {after.version}"
        if (after.attempt, after.started) == (before.attempt, before.started):
            live = {"running", "cancelling", "completed"}
            if {before.state, after.state} <= live and after.progress < before.progress:
                yield f"progress ran back from {before.progress} to {after.progress}"
        elif after.attempt < before.attempt and after.state == "completed":
            yield f"attempt {before.attempt} became {after.attempt}"


def fencing(events, killed):
    claims = {
        e.version: e for e in events if e.verb == "claim" and e.outcome == "ok" and e.version
    }
    if not claims and killed:
        return
    order_of = sorted(claims)
    ended = {}
    said = sorted(
        (e for e in events if e.verb in ("report", "finish", "release") and e.outcome in ACCEPTED),
        key=lambda e: e.version,
    )
    logged = {e.token for e in claims.values()}
    for e in said:
        if killed and e.token not in logged:
            continue
        if killed and e.verb != "report" and e.state in ("running", "cancelling"):
            # The leader of its commit died: it is told of the job as it is by then, which is another's.
            ended[e.token] = e.verb
            continue
        place = bisect.bisect_right(order_of, e.version)
        latest = claims[order_of[place - 1]] if place else None
        if latest is None or latest.token != e.token:
            yield f"{e.verb} with {e.token} was accepted at {e.version}, the claim then was " + (
                f"{latest.token}" if latest else "none"
            )
        elif e.token in ended:
            yield f"{e.verb} with {e.token} was accepted after its {ended[e.token]}"
        if e.verb != "report":
            ended[e.token] = e.verb
    if not killed:
        for one, other in zip(order_of, order_of[1:]):
            if claims[one].token not in ended and not any(
                e.verb in ("cancel", "retry") for e in events
            ):
                yield f"claimed at {one} and again at {other}, and was never given back"


def torn(events, killed):
    for e in events:
        if e.state in ("running", "cancelling") and e.progress > 0 or e.state == "completed":
            message = f"p={e.progress},job={e.job},n={e.attempt}"
            if e.message != message or (e.state == "completed" and e.progress != 100):
                yield f"{e.verb} at {e.version} has {e.message} with {message} ({e.state})"
        if e.extra != "-":
            of = e.extra.partition(":")[2]
            if e.verb in ("get", "final") and e.state == "completed" and of != e.job:
                yield f"{e.verb} at {e.version} has the result of {of or 'nobody'}"
            if of and of != e.job:
                yield f"{e.verb} has the result of {of}"


def once(events, killed):
    jobs_of, nonce_of = collections.defaultdict(set), {}
    for e in events:
        nonce = e.extra.partition(":")[0]
        if e.extra == "-" or not nonce:
            continue
        jobs_of[nonce].add(e.job)
        if nonce_of.setdefault(e.job, nonce) != nonce:
            yield f"{e.job} has the params {nonce} and {nonce_of[e.job]}"
    for nonce, jobs in jobs_of.items():
        if len(jobs) > 1:
            yield f"submit {nonce} made {len(jobs)} jobs: {sorted(jobs)}"
    final = {e.job for e in events if e.verb == "final"}
    deleted = {e.job for e in events if e.verb == "delete" and e.outcome in ("ok", "unanswered")}
    if final:
        for e in events:
            if e.verb == "submit" and e.outcome == "ok" and e.job not in final | deleted:
                yield f"{e.job} was acknowledged and is not there at the end"


def bell(events, killed):
    for e in events:
        if e.verb == "bell":
            told, found = (int(word.partition("=")[2]) for word in e.message.split(","))
            if found < told:
                yield f"told of version {told}, and the table was at {found}"
