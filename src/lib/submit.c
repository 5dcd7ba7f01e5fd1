/* submit.c - taking a job in: arguments, idempotency, room, the record. */
#include "error.h"
#include "id.h"
#include "json_scan.h"
#include "state.h"
#include "text.h"
#include "verbs.h"

#include <string.h>

/* Finished jobs that one submit may evict to make room. */
#define EVICT_MAX 16


int check_json(const char *field, const void *data, size_t size)
{
    struct json_fault fault;

    if (json_scan(data, size, &fault))
        return JOBTAB_OK;
    return fail(JOBTAB_INVALID, "%s: not JSON, byte %zu: %s expected", field, fault.offset,
                fault.expected);
}

int check_size(const char *field, size_t size, uint64_t most)
{
    if (size > most)
        return fail(JOBTAB_TOOBIG, "%s: %zu bytes are over the limit of %llu", field, size,
                    (unsigned long long)most);
    return JOBTAB_OK;
}

int check_submit(const struct jobtab_op *op)
{
    const struct jobtab_submit *submit = &op->submit;

    int rc = table_check_kind(submit->kind);
    if (rc)
        return rc;
    if (submit->priority > JOBTAB_PRIORITY_MAX || submit->priority < -JOBTAB_PRIORITY_MAX)
        return fail(JOBTAB_INVALID, "priority: %d is not within -%d and %d", submit->priority,
                    JOBTAB_PRIORITY_MAX, JOBTAB_PRIORITY_MAX);
    const struct {
        const char *name;
        int64_t value;
    } durations[] = {
        {"delay", submit->delay}, {"backoff", submit->backoff}, {"timeout", submit->timeout}};
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
        if (durations[i].value < 0 || durations[i].value > JOBTAB_DURATION_MAX)
            return fail(JOBTAB_INVALID, "%s: %s", durations[i].name, NOT_A_DURATION);
    if (submit->take && submit->delay)
        return fail(JOBTAB_INVALID, "delay: a job that is taken at once has none");
    return submit->key ? table_check_key(submit->key) : JOBTAB_OK;
}

int check_params(const struct jobtab_op *op)
{
    const struct jobtab_submit *submit = &op->submit;

    return submit->params ? check_json("params", submit->params, submit->params_size) : JOBTAB_OK;
}

/* FNV-1a over all that makes two requests the same. */
static uint64_t hash(uint64_t state, const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        state = (state ^ bytes[i]) * UINT64_C(0x100000001b3);
    return state;
}

static uint64_t request_hash(const struct jobtab_submit *submit)
{
    uint64_t state = UINT64_C(0xcbf29ce484222325);

    state = hash(state, submit->kind, strlen(submit->kind) + 1);
    state = hash(state, &submit->priority, sizeof submit->priority);
    state = hash(state, &submit->delay, sizeof submit->delay);
    state = hash(state, &submit->max_attempts, sizeof submit->max_attempts);
    state = hash(state, &submit->max_crashes, sizeof submit->max_crashes);
    state = hash(state, &submit->backoff, sizeof submit->backoff);
    state = hash(state, &submit->timeout, sizeof submit->timeout);
    return hash(state, submit->params, submit->params ? submit->params_size : 0);
}

/* The key was used: the same job if the request is the same. JOBTAB_NOTFOUND when it is free. */
static int find_by_key(struct edit *edit, struct jobtab_op *op, uint64_t request)
{
    struct record record;

    if (!op->submit.key)
        return JOBTAB_NOTFOUND;
    int rc = table_find(edit->txn, op->submit.key, &op->id);
    if (rc)
        return rc;
    rc = table_load(edit->txn, &op->id, &record, NULL);
    if (rc)
        return rc == JOBTAB_NOTFOUND
                   ? fail(JOBTAB_DAMAGED, "idempotency_key: its job is missing")
                   : rc;
    if (record.request && record.request != request) /* a restored job's request is not known */
        return fail(JOBTAB_CONFLICT, "idempotency_key: it was used for another request");
    op->repeated = true;
    give_job(op, &record);
    return op->submit.take && record.job.state == JOBTAB_PENDING ? take_job(edit, op, 0) : JOBTAB_OK;
}

/* Remove the job that would expire first. False when no job has finished. */
static bool evict_one(struct edit *edit)
{
    struct slice key, value;
    struct jobtab_id id;
    struct record record;
    bool evicted = false;

    struct store_cursor *cursor = store_cursor(edit->txn, STORE_DONE);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    found = found && key_id_of(key, 24, &id);
    store_cursor_end(cursor);
    if (found && table_load(edit->txn, &id, &record, NULL) == JOBTAB_OK) {
        edit_remove(edit, &record);
        edit->totals.evicted++;
        evicted = true;
    }
    return evicted;
}

/* Pages that an eviction frees can be used only a few commits later, so there are two marks: above
 * the first, a submit pays with evictions; above the second, half-way to a full map, it is refused
 * as well, and what is left is for finishing, cancelling and expiring. */
int make_room(struct edit *edit, uint64_t bytes, bool evict)
{
    uint64_t jobs = store_count(edit->txn, STORE_JOBS);
    uint64_t size = store_size(edit->table->store);
    uint64_t mark = size / 100 * edit->settings.high_water;

    for (int n = 0; jobs >= edit->settings.max_jobs; n++, jobs--)
        if (!evict || n == EVICT_MAX || !evict_one(edit))
            return fail(JOBTAB_FULL, "the table holds max_jobs = %llu jobs%s",
                        (unsigned long long)edit->settings.max_jobs,
                        evict ? ", none to evict" : "");
    uint64_t used = store_used(edit->txn, mark);
    int evicted = 0;
    for (; evict && used > mark && evicted < EVICT_MAX && evict_one(edit); evicted++)
        used = store_used(edit->txn, mark);
    if (used > mark && (!evicted || used > mark + (size - mark) / 2))
        return fail(JOBTAB_FULL, "the table's file is over %u percent of its map_size",
                    edit->settings.high_water);
    return edit_grow(edit, bytes, EDIT_BEGINS);
}

static void fill_record(struct edit *edit, const struct jobtab_submit *submit,
                        const struct jobtab_policy *policy, struct record *record)
{
    struct jobtab_job *job = &record->job;

    memset(record, 0, sizeof *record);
    job->id = id_next(&edit->totals.last_id, edit->now);
    text_copy(job->kind, sizeof job->kind, submit->kind);
    if (submit->key)
        text_copy(job->key, sizeof job->key, submit->key);
    job->priority = submit->priority;
    job->max_attempts = submit->max_attempts ? submit->max_attempts : policy->max_attempts;
    job->max_crashes = submit->max_crashes ? submit->max_crashes : policy->max_crashes;
    job->backoff = submit->backoff ? submit->backoff : policy->backoff;
    job->timeout = submit->timeout ? submit->timeout : policy->timeout;
    job->created_at = edit->now;
    job->state = submit->delay ? JOBTAB_SCHEDULED : JOBTAB_PENDING;
    job->run_at = submit->delay ? edit->now + submit->delay : 0;
    if (submit->params && submit->params_size) {
        job->params_size = submit->params_size;
        record->params = (struct slice){.data = submit->params, .size = submit->params_size};
    }
}

int do_submit(struct edit *edit, struct jobtab_op *op)
{
    const struct jobtab_submit *submit = &op->submit;
    uint64_t request = request_hash(submit);
    struct jobtab_policy policy;
    struct record record;

    if (submit->take)
        op->token = (struct jobtab_token){.attempt = 0};
    int rc = find_by_key(edit, op, request);
    if (rc != JOBTAB_NOTFOUND)
        return rc;
    fail_clear();
    size_t params_size = submit->params ? submit->params_size : 0;
    rc = check_size("params", params_size, edit->settings.params_max);
    if (!rc)
        rc = make_room(edit, params_size, true);
    if (!rc)
        rc = edit_policy(edit, submit->kind, &policy);
    if (rc)
        return rc;
    fill_record(edit, submit, &policy, &record);
    struct jobtab_job *job = &record.job;
    if (submit->key) {
        record.request = request;
        store_put(edit->txn, STORE_KEYS, text_slice(submit->key), id_slice(&job->id));
    }
    edit_put(edit, NULL, &record, NULL);
    edit->totals.submitted++;
    op->id = job->id;
    give_job(op, &record);
    return submit->take ? take_job(edit, op, 0) : JOBTAB_OK;
}
