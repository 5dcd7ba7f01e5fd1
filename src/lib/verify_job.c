/* verify_job.c - from a job outwards: its fields against each other, its indexes, its parts, the
 * feed. */
#include "edit.h"
#include "error.h"
#include "json_scan.h"
#include "payload.h"
#include "state.h"
#include "verify_check.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------- fields */

struct sight {
    const struct jobtab_job *job;
    const struct record *record;
    const struct hot *hot;
    uint64_t own; /* the record's version, without what stands in `running` */
};

#define IN(state) JOBTAB_STATE_BIT(JOBTAB_##state)
#define OWNED     (IN(RUNNING) | IN(CANCELLING))
#define WAITING   (IN(SCHEDULED) | IN(PENDING))
#define DONE      (IN(COMPLETED) | IN(FAILED) | IN(CANCELLED))
#define ALL       (OWNED | WAITING | DONE)

static bool has_kind(const struct sight *s)
{
    return table_check_kind(s->job->kind) == JOBTAB_OK;
}

static bool is_uuid_7(const struct sight *s)
{
    return s->job->id.bytes[6] >> 4 == 7 && s->job->id.bytes[8] >> 6 == 2;
}

static bool has_priority(const struct sight *s)
{
    return s->job->priority >= -JOBTAB_PRIORITY_MAX && s->job->priority <= JOBTAB_PRIORITY_MAX;
}

static bool has_stamps(const struct sight *s)
{
    return s->job->created_at > 0 && s->job->updated_at > 0;
}

static bool has_version(const struct sight *s)
{
    return s->job->version > 0 && s->record->queued <= s->job->version &&
           s->own <= s->job->version;
}

static bool has_durations(const struct sight *s)
{
    return s->job->backoff >= 0 && s->job->timeout >= 0;
}

static bool has_limits(const struct sight *s)
{
    return s->job->max_attempts > 0 && s->job->max_crashes > 0;
}

static bool within_attempts(const struct sight *s)
{
    return s->job->attempt <= s->job->max_attempts;
}

static bool has_attempts_left(const struct sight *s)
{
    return s->job->attempt < s->job->max_attempts;
}

static bool was_claimed(const struct sight *s)
{
    return s->job->attempt > 0;
}

static bool within_crashes(const struct sight *s)
{
    return s->job->crashes <= s->job->max_crashes;
}

static bool has_crashes_left(const struct sight *s)
{
    return s->job->crashes < s->job->max_crashes;
}

static bool key_has_request(const struct sight *s)
{
    return s->job->key[0] || !s->record->request;
}

static bool log_in_chunks(const struct sight *s)
{
    return s->job->log_begin <= s->job->log_end && s->job->log_begin % PAYLOAD_CHUNK == 0;
}

static bool result_has_format(const struct sight *s)
{
    return (s->job->result_size > 0) == (s->job->result_format != JOBTAB_NONE);
}

static bool has_no_result(const struct sight *s)
{
    return s->job->result_size == 0;
}

static bool has_begun(const struct sight *s)
{
    return s->job->started_at > 0;
}

static bool has_not_begun(const struct sight *s)
{
    return s->job->started_at == 0 && s->job->progress == 0;
}

static bool has_ended(const struct sight *s)
{
    return s->job->finished_at > 0 && s->job->expires_at > 0;
}

static bool has_not_ended(const struct sight *s)
{
    return s->job->finished_at == 0 && s->job->expires_at == 0;
}

static bool has_place(const struct sight *s)
{
    return s->record->queued > 0;
}

static bool has_no_place(const struct sight *s)
{
    return s->record->queued == 0;
}

static bool has_run_at(const struct sight *s)
{
    return s->job->run_at > 0;
}

static bool has_no_reason(const struct sight *s)
{
    return s->job->reason == JOBTAB_NO_REASON;
}

static bool by_cancel(const struct sight *s)
{
    return s->job->reason == JOBTAB_BY_CANCEL;
}

static bool is_complete(const struct sight *s)
{
    return s->job->progress == 100 && !s->job->error[0];
}

static bool has_one_owner(const struct sight *s)
{
    const struct jobtab_owner *owner = &s->hot->owner;

    return s->hot->lease ? !owner->pid && !owner->start_time && !owner->instance : owner->pid > 0;
}

static bool same_attempt(const struct sight *s)
{
    return s->hot->attempt == s->job->attempt;
}

static bool has_deadline(const struct sight *s)
{
    return (s->hot->deadline != 0) == (s->job->timeout != 0);
}

/* What holds in which states, and what is wrong where it does not. */
static const struct {
    unsigned states;
    bool (*holds)(const struct sight *s);
    const char *otherwise;
} rules[] = {
    {ALL, has_kind, "its kind has no proper name"},
    {ALL, is_uuid_7, "its id is no UUID of version 7"},
    {ALL, has_priority, "its priority is out of bounds"},
    {ALL, has_stamps, "it has no created_at or updated_at"},
    {ALL, has_version, "its version is 0, or below that of its record or of its place in the queue"},
    {ALL, has_durations, "its backoff or timeout is negative"},
    {ALL, has_limits, "it may have no attempt or no crash"},
    {ALL, within_attempts, "it had more attempts than it may"},
    {WAITING, has_attempts_left, "it waits and has no attempt left"},
    {OWNED | IN(COMPLETED), was_claimed, "it was never claimed"},
    {ALL, within_crashes, "its owners were lost more often than may be"},
    {ALL & ~IN(FAILED), has_crashes_left, "its owners were lost as often as may be"},
    {ALL, key_has_request, "it has the hash of a request and no key"},
    {ALL, log_in_chunks, "its log does not begin with a chunk, or ends before it begins"},
    {ALL, result_has_format, "it has a result without format, or a format without result"},
    {ALL & ~DONE, has_no_result, "it has a result and has not ended"},
    {OWNED | IN(COMPLETED) | IN(FAILED), has_begun, "it has no started_at"},
    {WAITING, has_not_begun, "it waits and has progress or started_at"},
    {DONE, has_ended, "it is done and has no finished_at or expires_at"},
    {ALL & ~DONE, has_not_ended, "it is not done and has finished_at or expires_at"},
    {IN(PENDING) | OWNED | IN(COMPLETED) | IN(FAILED), has_place, "it has no place in the queue"},
    {IN(SCHEDULED), has_no_place, "it is scheduled and has a place in the queue"},
    {IN(SCHEDULED), has_run_at, "it is scheduled and has no run_at"},
    {IN(RUNNING) | IN(COMPLETED), has_no_reason, "it has a reason, for which there is none"},
    {IN(CANCELLING) | IN(CANCELLED), by_cancel, "its reason is not that it was cancelled"},
    {IN(COMPLETED), is_complete, "it is completed and has an error, or not 100 percent"},
    {OWNED, has_one_owner, "it has no owner, or one with a lease besides"},
    {OWNED, same_attempt, "its attempt is not that of its owner"},
    {OWNED, has_deadline, "it has a timeout without deadline, or a deadline without timeout"},
};

static void check_fields(struct check *check, const struct sight *s)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].states & JOBTAB_STATE_BIT(s->job->state) && !rules[i].holds(s))
            verify_fault(check, &s->job->id, "%s: it is %s", rules[i].otherwise,
                         jobtab_state_name(s->job->state));
}

/* --------------------------------------------------------------------- indexes */

static void need_entry(struct check *check, const struct jobtab_id *id, enum store_db db,
                       const char *name, struct key key, bool names_id)
{
    struct slice value;
    struct jobtab_id found;

    if (!store_get(check->txn, db, key_slice(&key), &value))
        verify_fault(check, id, "it has no entry in `%s`", name);
    else if (names_id && (!key_id_of(value, sizeof found.bytes, &found) ||
                          memcmp(&found, id, sizeof found) != 0))
        verify_fault(check, id, "its entry in `%s` names another job", name);
}

static void check_index(struct check *check, const struct record *record)
{
    const struct jobtab_job *job = &record->job;

    if (job->state == JOBTAB_SCHEDULED)
        need_entry(check, &job->id, STORE_SCHEDULED, "scheduled",
                   key_instant(job->run_at, &job->id), false);
    else if (job->state == JOBTAB_PENDING)
        need_entry(check, &job->id, STORE_PENDING, "pending",
                   key_pending(job->kind, job->priority, record->queued), true);
    else if (jobtab_state_done(job->state))
        need_entry(check, &job->id, STORE_DONE, "done", key_instant(job->expires_at, &job->id),
                   false);
    /* `running` was read with the record */
    if (job->key[0]) {
        struct key key = {.size = strlen(job->key)};
        memcpy(key.bytes, job->key, key.size);
        need_entry(check, &job->id, STORE_KEYS, "keys", key, true);
    }
}

/* ----------------------------------------------------------------------- parts */

/* True when all chunks of the part are there, and are as large as they must be. */
static bool check_chunks(struct check *check, const struct record *record, enum jobtab_part part,
                         const char *name)
{
    const struct jobtab_job *job = &record->job;
    struct slice inside;
    uint64_t begin, end;
    bool sound = true;

    if (payload_inside(record, part, &inside))
        return true; /* decoded with its size; chunks besides are found with the chunks */
    payload_range(job, part, &begin, &end);
    if (begin > end || end - begin > check->size || end > UINT32_MAX * (uint64_t)PAYLOAD_CHUNK) {
        verify_fault(check, &job->id, "its %s ends before it begins, or is beyond all bounds",
                     name);
        return false;
    }
    for (uint64_t chunk = begin / PAYLOAD_CHUNK; chunk * PAYLOAD_CHUNK < end; chunk++) {
        struct key key = key_chunk(&job->id, part, (uint32_t)chunk);
        uint64_t left = end - chunk * PAYLOAD_CHUNK;
        uint64_t size = left < PAYLOAD_CHUNK ? left : PAYLOAD_CHUNK;
        struct slice value;

        if (!store_get(check->txn, STORE_PAYLOAD, key_slice(&key), &value)) {
            verify_fault(check, &job->id, "chunk %llu of its %s is missing",
                         (unsigned long long)chunk, name);
            return false;
        }
        if (value.size != size) {
            verify_fault(check, &job->id, "chunk %llu of its %s has %zu bytes, not %llu",
                         (unsigned long long)chunk, name, value.size, (unsigned long long)size);
            sound = false;
        }
    }
    return sound;
}

/* It was checked when it came in. */
static void check_json_part(struct check *check, const struct record *record,
                            enum jobtab_part part, uint64_t size, const char *name)
{
    struct json_fault json;

    if (size > check->bytes_room) {
        char *bytes = realloc(check->bytes, size);
        if (!bytes) {
            store_fail(check->txn, fail(JOBTAB_SYSTEM, "out of memory"));
            return;
        }
        check->bytes = bytes;
        check->bytes_room = size;
    }
    if (payload_copy(check->txn, record, part, 0, size, check->bytes) == JOBTAB_OK &&
        !json_scan(check->bytes, size, &json))
        verify_fault(check, &record->job.id, "its %s are not JSON, byte %zu: %s expected", name,
                     json.offset, json.expected);
}

static void check_parts(struct check *check, const struct record *record)
{
    const struct jobtab_job *job = &record->job;

    if (check_chunks(check, record, JOBTAB_PARAMS, "params") && job->params_size)
        check_json_part(check, record, JOBTAB_PARAMS, job->params_size, "params");
    if (check_chunks(check, record, JOBTAB_RESULT, "result") && job->result_size &&
        job->result_format == JOBTAB_JSON)
        check_json_part(check, record, JOBTAB_RESULT, job->result_size, "result's bytes");
    check_chunks(check, record, JOBTAB_LOGTEXT, "log");
}

/* -------------------------------------------------------------------- the table */

static void tally(struct check *check, const struct jobtab_job *job)
{
    size_t i = 0;

    while (i < check->n_kinds && strcmp(check->kinds[i].kind, job->kind) != 0)
        i++;
    if (i == check->n_kinds) {
        struct kind_tally *kinds = realloc(check->kinds, (i + 1) * sizeof *kinds);
        if (!kinds) {
            store_fail(check->txn, fail(JOBTAB_SYSTEM, "out of memory"));
            return;
        }
        memset(&kinds[i], 0, sizeof kinds[i]);
        memcpy(kinds[i].kind, job->kind, sizeof kinds[i].kind);
        check->kinds = kinds;
        check->n_kinds++;
    }
    check->kinds[i].count.states[job->state]++;
}

/* What the feed says of the job's last change, if it reaches back so far. */
static void check_change(struct check *check, const struct jobtab_job *job)
{
    struct key key = key_version(job->version);
    struct slice last, run;

    if (!check->first_change || job->version < check->first_change ||
        !store_seek(check->feed, key_slice(&key), &last, &run))
        return;
    uint64_t behind = key_version_of(last) - job->version, n = run.size / EDIT_CHANGE;
    const uint8_t *change = NULL;
    if (behind < n)
        change = (const uint8_t *)run.data + (n - 1 - behind) * EDIT_CHANGE;
    if (!change || memcmp(change, job->id.bytes, sizeof job->id.bytes) != 0 ||
        change[sizeof job->id.bytes] != job->state)
        verify_fault(check, &job->id, "`changes` does not say that version %llu is it, and %s",
                     (unsigned long long)job->version, jobtab_state_name(job->state));
}

void verify_job(struct check *check, const struct record *record, uint64_t own,
                const struct hot *hot)
{
    const struct jobtab_job *job = &record->job;
    struct sight sight = {.job = job, .record = record, .hot = hot, .own = own};

    tally(check, job);
    verify_note_version(check, job);
    check_fields(check, &sight);
    check_index(check, record);
    check_parts(check, record);
    check_change(check, job);
    if (job->version > check->totals.sequence)
        verify_fault(check, &job->id, "its version %llu is above the table's %llu",
                     (unsigned long long)job->version,
                     (unsigned long long)check->totals.sequence);
    if (memcmp(&job->id, &check->totals.last_id, sizeof job->id) > 0)
        verify_fault(check, &job->id, "its id is above the last one that was given");
}
