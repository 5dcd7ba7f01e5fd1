/* restore.c - taking a job in as it was: in another table, or in another system. */
#include "error.h"
#include "id.h"
#include "payload.h"
#include "state.h"
#include "verbs.h"

#include <string.h>

#define AHEAD_MAX (INT64_C(86400) * 1000)
#define TIME_MAX  INT64_C(253402300799999) /* the year 9999: what its text has room for */

/* No job has this id. */
static const struct jobtab_id nobody;

static bool has_id(const struct jobtab_job *job)
{
    return memcmp(&job->id, &nobody, sizeof nobody) != 0;
}

/* ----------------------------------------------------------------- the arguments */

static int check_texts(const struct jobtab_job *job)
{
    int rc = table_check_kind(job->kind); /* it ends within its array, or is too long */
    if (rc)
        return rc;
    if (job->key[0])
        rc = table_check_key(job->key);
    if (rc)
        return rc;
    if (strnlen(job->message, sizeof job->message) > JOBTAB_MESSAGE_MAX)
        return fail(JOBTAB_TOOBIG, "message: it is over %d bytes", JOBTAB_MESSAGE_MAX);
    if (strnlen(job->error, sizeof job->error) > JOBTAB_MESSAGE_MAX)
        return fail(JOBTAB_TOOBIG, "error: it is over %d bytes", JOBTAB_MESSAGE_MAX);
    return JOBTAB_OK;
}

static int check_numbers(const struct jobtab_job *job)
{
    if ((unsigned)job->state >= JOBTAB_STATES)
        return fail(JOBTAB_INVALID, "status: there is no %d", (int)job->state);
    if ((unsigned)job->reason >= JOBTAB_REASONS)
        return fail(JOBTAB_INVALID, "reason: there is no %d", (int)job->reason);
    if (job->progress > 100)
        return fail(JOBTAB_INVALID, "progress: %u is above 100", job->progress);
    if (job->priority > JOBTAB_PRIORITY_MAX || job->priority < -JOBTAB_PRIORITY_MAX)
        return fail(JOBTAB_INVALID, "priority: %d is not within -%d and %d", job->priority,
                    JOBTAB_PRIORITY_MAX, JOBTAB_PRIORITY_MAX);
    if (job->state == JOBTAB_COMPLETED && job->error[0])
        return fail(JOBTAB_INVALID, "error: a completed job has none");
    for (int i = 0; i < 2; i++) {
        int64_t duration = i ? job->timeout : job->backoff;
        if (duration < 0 || duration > JOBTAB_DURATION_MAX)
            return fail(JOBTAB_INVALID, "%s: %s", i ? "timeout" : "backoff", NOT_A_DURATION);
    }
    return JOBTAB_OK;
}

static int check_times(const struct jobtab_job *job)
{
    const struct {
        const char *name;
        int64_t instant;
    } times[] = {
        {"created_at", job->created_at},   {"run_at", job->run_at},
        {"started_at", job->started_at},   {"updated_at", job->updated_at},
        {"finished_at", job->finished_at}, {"expires_at", job->expires_at},
    };

    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i].instant < 0 || times[i].instant > TIME_MAX)
            return fail(JOBTAB_INVALID, "%s: it is not within 1970 and 9999", times[i].name);
    if (job->state == JOBTAB_SCHEDULED && !job->run_at)
        return fail(JOBTAB_INVALID, "run_at: a scheduled job needs one");
    return JOBTAB_OK;
}

/* New ids go on from the highest: one of another kind, or far ahead, would use up what is left. */
static int check_id(const struct jobtab_job *job)
{
    uint64_t time = 0;

    if (!has_id(job))
        return JOBTAB_OK;
    for (int i = 0; i < 6; i++)
        time = time << 8 | job->id.bytes[i];
    if (job->id.bytes[6] >> 4 != 7 || job->id.bytes[8] >> 6 != 2)
        return fail(JOBTAB_INVALID, "job id: it is no UUID of version 7");
    if (time > (uint64_t)(jobtab_now() + AHEAD_MAX))
        return fail(JOBTAB_INVALID, "job id: the instant in it is more than a day ahead");
    return JOBTAB_OK;
}

static int check_result_of(const struct jobtab_restore *restore, const struct jobtab_job *job)
{
    if (!restore->result_size)
        return JOBTAB_OK;
    if (!jobtab_state_done(job->state))
        return fail(JOBTAB_INVALID, "result: the job is %s, and only a finished one has a result",
                    jobtab_state_name(job->state));
    if (job->result_format == JOBTAB_NONE || (unsigned)job->result_format > JOBTAB_BYTES)
        return fail(JOBTAB_INVALID, "result_format: there is a result and it has none");
    return JOBTAB_OK;
}

/* A copy: what comes from another process is not aligned. */
static struct jobtab_job job_of(const struct jobtab_restore *restore)
{
    struct jobtab_job job;

    memcpy(&job, restore->job, sizeof job);
    return job;
}

int check_restore(const struct jobtab_op *op)
{
    const struct jobtab_restore *restore = &op->restore;

    if (!restore->job)
        return fail(JOBTAB_INVALID, "job: there is none");
    if ((restore->params_size && !restore->params) || (restore->result_size && !restore->result) ||
        (restore->log_size && !restore->log))
        return fail(JOBTAB_INVALID, "params, result, log: there is a size and no data");
    struct jobtab_job job = job_of(restore);
    int rc = check_texts(&job);
    if (!rc)
        rc = check_numbers(&job);
    if (!rc)
        rc = check_times(&job);
    if (!rc)
        rc = check_id(&job);
    return rc ? rc : check_result_of(restore, &job);
}

int check_parts(const struct jobtab_op *op)
{
    const struct jobtab_restore *restore = &op->restore;
    int rc = JOBTAB_OK;

    if (restore->params_size)
        rc = check_json("params", restore->params, restore->params_size);
    if (!rc && restore->result_size && job_of(restore).result_format == JOBTAB_JSON)
        rc = check_json("result", restore->result, restore->result_size);
    return rc;
}

/* ------------------------------------------------------------------ into the table */

static bool is_there(struct edit *edit, enum store_db db, struct slice key)
{
    struct slice value;

    return store_get(edit->txn, db, key, &value);
}

/* Neither id nor key may be another job's, or its own from an earlier restore. */
static int check_free(struct edit *edit, struct jobtab_op *op, const struct jobtab_job *job)
{
    if (has_id(job) && is_there(edit, STORE_JOBS, id_slice(&job->id))) {
        op->repeated = true;
        return fail(JOBTAB_CONFLICT, "job id: the table has a job of that id");
    }
    if (job->key[0] && is_there(edit, STORE_KEYS, text_slice(job->key))) {
        op->repeated = !has_id(job);
        return fail(JOBTAB_CONFLICT, "idempotency_key: the table has %sjob of that key",
                    has_id(job) ? "another " : "a ");
    }
    return JOBTAB_OK;
}

/* Whoever had it is not here: as end.c leaves a job whose owner hands it back. */
static void disown(struct jobtab_job *job)
{
    if (job->state == JOBTAB_RUNNING) {
        job->state = JOBTAB_PENDING;
        job->reason = JOBTAB_NO_REASON;
        job->message[0] = '\0';
        job->attempt -= job->attempt > 0;
    } else if (job->state == JOBTAB_CANCELLING) {
        job->state = JOBTAB_CANCELLED;
        job->reason = JOBTAB_BY_CANCEL;
    }
    job->owner = (struct jobtab_owner){0};
}

static void fill_limits(struct jobtab_job *job, const struct jobtab_policy *policy)
{
    bool waits = !jobtab_state_done(job->state);

    if (!job->max_attempts)
        job->max_attempts = policy->max_attempts;
    if (!job->max_crashes)
        job->max_crashes = policy->max_crashes;
    if (!job->backoff)
        job->backoff = policy->backoff;
    if (!job->timeout)
        job->timeout = policy->timeout;
    /* One that waits has an attempt left; a crash, all that have not failed of it. */
    if (job->state == JOBTAB_COMPLETED && !job->attempt)
        job->attempt = 1;
    if (waits && job->attempt >= job->max_attempts)
        job->attempt = job->max_attempts - 1;
    else if (job->attempt > job->max_attempts)
        job->max_attempts = job->attempt;
    if (job->crashes >= job->max_crashes)
        job->crashes = job->max_crashes - (job->state != JOBTAB_FAILED);
}

/* What a job of its state always has here, and systems that know less may not. */
static void fill_state(const struct edit *edit, struct jobtab_job *job)
{
    if (!job->created_at)
        job->created_at = edit->now;
    if (!jobtab_state_done(job->state)) {
        job->progress = 0;
        job->started_at = job->finished_at = job->expires_at = 0;
        return;
    }
    if (!job->finished_at)
        job->finished_at = job->updated_at ? job->updated_at : edit->now;
    if (!job->expires_at)
        job->expires_at = edit->now + edit->settings.retention;
    if (!job->started_at && job->state != JOBTAB_CANCELLED)
        job->started_at = job->created_at;
    if (job->state == JOBTAB_COMPLETED) {
        job->progress = 100;
        job->reason = JOBTAB_NO_REASON;
    } else if (job->state == JOBTAB_CANCELLED) {
        job->reason = JOBTAB_BY_CANCEL;
    }
}

static void make_id(struct edit *edit, struct jobtab_job *job)
{
    int64_t instant = job->created_at < edit->now ? job->created_at : edit->now;

    if (has_id(job))
        return;
    do
        job->id = id_next(&nobody, instant);
    while (is_there(edit, STORE_JOBS, id_slice(&job->id)));
}

static void fill_record(struct edit *edit, const struct jobtab_restore *restore,
                        const struct jobtab_policy *policy, struct record *record)
{
    struct jobtab_job *job = &record->job;

    disown(job);
    fill_limits(job, policy);
    fill_state(edit, job);
    make_id(edit, job);
    if (jobtab_state_done(job->state)) /* it had a place in the queue, which nobody knows */
        record->queued = edit->totals.sequence + 1;
    job->params_size = restore->params_size;
    job->result_size = restore->result_size;
    if (restore->params_size)
        record->params = (struct slice){.data = restore->params, .size = restore->params_size};
    if (restore->result_size)
        record->result = (struct slice){.data = restore->result, .size = restore->result_size};
    else
        job->result_format = JOBTAB_NONE;
    job->log_begin = job->log_end = 0;
}

/* In `meta`: how many were restored, by the state that they came in. They are in no other total,
 * and who compares these with the jobs that there are has to know. */
static void count_restored(struct edit *edit, enum jobtab_state state)
{
    struct slice key = text_slice("restored"), value;
    struct count count = {.states = {0}};
    struct image image;

    if (store_get(edit->txn, STORE_META, key, &value)) {
        int rc = count_decode(value, &count);
        if (rc) {
            store_fail(edit->txn, rc);
            return;
        }
    }
    count.states[state]++;
    count_encode(&count, &image);
    store_put(edit->txn, STORE_META, key, image_slice(&image));
}

int do_restore(struct edit *edit, struct jobtab_op *op)
{
    const struct jobtab_restore *restore = &op->restore;
    struct record record = {.job = job_of(restore)};
    struct jobtab_job *job = &record.job;
    struct jobtab_policy policy;

    int rc = check_free(edit, op, job);
    if (!rc)
        rc = check_size("params", restore->params_size, edit->settings.params_max);
    if (!rc)
        rc = check_size("result", restore->result_size, edit->settings.result_max);
    if (!rc)
        rc = make_room(edit, restore->params_size + restore->result_size + restore->log_size, false);
    if (!rc)
        rc = edit_policy(edit, job->kind, &policy);
    if (rc || restore->check_only)
        return rc;
    fill_record(edit, restore, &policy, &record);
    payload_append_log(edit->txn, &job->id, &job->log_begin, &job->log_end, restore->log,
                       restore->log_size, edit->settings.log_max);
    if (job->key[0])
        store_put(edit->txn, STORE_KEYS, text_slice(job->key), id_slice(&job->id));
    edit_put(edit, NULL, &record, NULL);
    count_restored(edit, job->state);
    op->id = job->id;
    give_job(op, &record);
    return JOBTAB_OK;
}
