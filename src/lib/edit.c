/* edit.c - one writing transaction over the table. See edit.h. */
#include "edit.h"

#include "error.h"
#include "mutant.h"
#include "payload.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

int edit_begin(struct jobtab *table, struct edit *edit)
{
    memset(edit, 0, sizeof *edit);
    edit->table = table;
    int rc = store_write(table->store, &edit->txn);
    if (rc)
        return rc;
    rc = table_totals(edit->txn, &edit->totals);
    edit->before = edit->totals;
    if (!rc)
        rc = table_settings(edit->txn, &edit->settings);
    edit->now = clock_wall();
    edit->boot = clock_boot();
    if (rc)
        edit_drop(edit);
    return rc;
}

void edit_drop(struct edit *edit)
{
    store_end(edit->txn);
    free(edit->kinds);
}

/* The counts and what the edit makes claimable, of a kind. Its index, or -1 when the edit has
 * failed. */
static ssize_t kind_of(struct edit *edit, const char *kind)
{
    struct slice image;

    for (size_t i = 0; i < edit->n_kinds; i++)
        if (strcmp(edit->kinds[i].kind, kind) == 0)
            return (ssize_t)i;
    struct key key = key_meta("count", kind);
    if (edit->n_kinds == edit->room) {
        size_t room = edit->room ? 2 * edit->room : 4;
        struct edit_kind *kinds = realloc(edit->kinds, room * sizeof *kinds);
        if (!kinds) {
            store_fail(edit->txn, fail(JOBTAB_SYSTEM, "out of memory"));
            return -1;
        }
        edit->kinds = kinds;
        edit->room = room;
    }
    struct edit_kind *added = &edit->kinds[edit->n_kinds];
    memset(added, 0, sizeof *added);
    memcpy(added->kind, kind, strnlen(kind, JOBTAB_KIND_MAX));
    if (store_get(edit->txn, STORE_META, key_slice(&key), &image)) {
        int rc = count_decode(image, &added->count);
        if (rc) {
            store_fail(edit->txn, rc);
            return -1;
        }
    }
    return (ssize_t)edit->n_kinds++;
}

int edit_policy(struct edit *edit, const char *kind, struct jobtab_policy *policy)
{
    ssize_t at = kind_of(edit, kind);

    if (at < 0)
        return store_error(edit->txn);
    struct edit_kind *own = &edit->kinds[at];
    if (!own->policy.max_attempts) { /* a policy allows at least one */
        int rc = table_policy(edit->txn, kind, &own->policy);
        if (rc)
            return rc;
    }
    *policy = own->policy;
    policy->kind = kind;
    return JOBTAB_OK;
}

/* ------------------------------------------------------------------ room on the disk */

#define DISK_LEFT (UINT64_C(1) << 20) /* when a job begins */
#define LEFT_PART 4                   /* of that, when one is filled, a part */
#define WITH_IT   4096                /* record, indexes, the rest of its last page */

int edit_grow(struct edit *edit, size_t size, enum edit_growth growth)
{
    uint64_t map = store_size(edit->table->store);
    uint64_t left = map - map / 100 * edit->settings.high_water;

    left = left < DISK_LEFT ? left : DISK_LEFT;
    if (growth == EDIT_FILLS)
        left /= LEFT_PART;
    int rc = store_reserve(edit->txn, edit->added + size + WITH_IT + left);
    if (!rc)
        edit->added += size + WITH_IT;
    return rc;
}

/* -------------------------------------------------------------------- the feed */

/* Drop what the feed has too many of; at most twice what is added meanwhile, should it be much. */
static void trim_changes(struct edit *edit)
{
    struct slice key, value;
    int n = 0;

    struct store_cursor *cursor = store_cursor(edit->txn, STORE_CHANGES);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    while (found && n++ < 2 * EDIT_TRIM &&
           key_version_of(key) + EDIT_CHANGES <= edit->totals.sequence)
        found = store_delete_next(cursor, &key, &value);
    store_cursor_end(cursor);
}

/* Append the run of changes that ends with version `last`. */
static void put_run(struct edit *edit, uint64_t last)
{
    struct key key = key_version(last);

    store_append(edit->txn, STORE_CHANGES, key_slice(&key),
                 (struct slice){.data = edit->run, .size = edit->n_run * sizeof edit->run[0]});
    if (last / EDIT_TRIM != (last - edit->n_run) / EDIT_TRIM)
        trim_changes(edit);
    edit->n_run = 0;
}

/* ------------------------------------------------------------------ the end of it */

/* Totals and counts go in once, at the end. The sequence alone is no reason: the feed has it, and a
 * commit of reports has a page less to write. */
static void flush(struct edit *edit)
{
    struct image image;

    if (edit->n_run)
        put_run(edit, edit->totals.sequence);
    edit->before.sequence = edit->totals.sequence;
    if (memcmp(&edit->totals, &edit->before, sizeof edit->totals) != 0) {
        totals_encode(&edit->totals, &image);
        store_put(edit->txn, STORE_META, text_slice("totals"), image_slice(&image));
    }
    for (size_t i = 0; i < edit->n_kinds; i++) {
        static const struct count none;
        const struct edit_kind *kind = &edit->kinds[i];
        struct key key = key_meta("count", kind->kind);

        if (memcmp(&kind->count, &none, sizeof none) == 0) {
            store_delete(edit->txn, STORE_META, key_slice(&key));
        } else {
            count_encode(&kind->count, &image);
            store_put(edit->txn, STORE_META, key_slice(&key), image_slice(&image));
        }
    }
}

static void ring(const struct edit *edit)
{
    struct bell *bell = &edit->table->shared->bell;

    if (!edit->changed)
        return;
    bell_ring(bell, edit->totals.sequence);
    for (size_t i = 0; i < edit->n_kinds; i++)
        if (edit->kinds[i].claimable)
            bell_ring_work(bell, edit->kinds[i].kind, edit->kinds[i].claimable);
}

int edit_commit(struct edit *edit)
{
    int rc = JOBTAB_OK;

    if (edit->changed)
        flush(edit);
    else if (edit->repeated && !store_error(edit->txn))
        rc = store_sync(edit->table->store);
    if (mutant(MUTANT_EARLY_BELL))
        ring(edit);
    int committed = store_commit(edit->txn);
    rc = rc ? rc : committed;
    /* After the commit: who is woken by the bell finds what it rang for. */
    if (!rc && !mutant(MUTANT_EARLY_BELL))
        ring(edit);
    free(edit->kinds);
    return rc;
}

/* -------------------------------------------------------------------- indexes */

/* Take the job out of the index of its state. */
static void unindex(struct edit *edit, const struct record *record)
{
    const struct jobtab_job *job = &record->job;
    struct key key;

    switch (job->state) {
    case JOBTAB_SCHEDULED:
        key = key_instant(job->run_at, &job->id);
        store_delete(edit->txn, STORE_SCHEDULED, key_slice(&key));
        break;
    case JOBTAB_PENDING:
        key = key_pending(job->kind, job->priority, record->queued);
        store_delete(edit->txn, STORE_PENDING, key_slice(&key));
        break;
    case JOBTAB_RUNNING:
    case JOBTAB_CANCELLING:
        store_delete(edit->txn, STORE_RUNNING, id_slice(&job->id));
        break;
    case JOBTAB_COMPLETED:
    case JOBTAB_FAILED:
    case JOBTAB_CANCELLED:
        key = key_instant(job->expires_at, &job->id);
        store_delete(edit->txn, STORE_DONE, key_slice(&key));
        break;
    }
}

static void put_running(struct edit *edit, const struct jobtab_id *id, const struct hot *hot)
{
    struct image image;

    hot_encode(hot, &image);
    store_put(edit->txn, STORE_RUNNING, id_slice(id), image_slice(&image));
}

/* Put it into that of its new one. */
static void index_job(struct edit *edit, const struct record *record, const struct hot *hot)
{
    static const struct slice nothing = {.data = "", .size = 0};
    const struct jobtab_job *job = &record->job;
    struct key key;

    switch (job->state) {
    case JOBTAB_SCHEDULED:
        key = key_instant(job->run_at, &job->id);
        store_put(edit->txn, STORE_SCHEDULED, key_slice(&key), nothing);
        break;
    case JOBTAB_PENDING:
        key = key_pending(job->kind, job->priority, record->queued);
        store_put(edit->txn, STORE_PENDING, key_slice(&key), id_slice(&job->id));
        break;
    case JOBTAB_RUNNING:
    case JOBTAB_CANCELLING:
        put_running(edit, &job->id, hot);
        break;
    case JOBTAB_COMPLETED:
    case JOBTAB_FAILED:
    case JOBTAB_CANCELLED:
        key = key_instant(job->expires_at, &job->id);
        store_put(edit->txn, STORE_DONE, key_slice(&key), nothing);
        break;
    }
}

/* Every change takes the next number of the table's one sequence, which is the job's version and
 * stands in the feed. A deletion takes one, too: who waits for a change is told of it. */
static void stamp(struct edit *edit, struct jobtab_job *job, struct hot *hot)
{
    job->version = ++edit->totals.sequence;
    job->updated_at = edit->now;
    if (state_owned(job->state)) {
        hot->version = job->version;
        hot->updated_at = job->updated_at;
    }
    edit->changed = true;
}

static void note_change(struct edit *edit, const struct jobtab_job *job)
{
    if (edit->n_run == EDIT_RUN)
        put_run(edit, edit->totals.sequence - 1);
    uint8_t *change = edit->run[edit->n_run++];
    memcpy(change, job->id.bytes, sizeof job->id.bytes);
    change[sizeof job->id.bytes] = (uint8_t)job->state;
}

/* ---------------------------------------------------------------------- records */

/* A record keeps the room in its page that it got at first: one that outgrows it splits a page that
 * is full, into two that stay half empty. So a new one gets what the end will add to it, and the
 * result goes into the record only if it fits. */
static size_t first_room(size_t size)
{
    const size_t page = 4080, entry = 10 + sizeof(struct jobtab_id), end = 80;
    size_t n = page / (size + entry + end); /* records in a page, which share what is left over */

    return (page / n - entry) & ~(size_t)1;
}

static void move(struct slice *to, struct slice *from)
{
    *to = *from;
    *from = (struct slice){0};
}

static void put_record(struct edit *edit, const struct record *old, struct record *record)
{
    const struct jobtab_id *id = &record->job.id;
    bool newest = !old && memcmp(id, &edit->totals.last_id, sizeof *id) > 0;
    struct slice params = {0}, result = {0}; /* what goes to `payload` */
    struct image image;

    if (record->params.size > RECORD_PART_MAX)
        move(&params, &record->params);
    if (record->result.size > RECORD_PART_MAX)
        move(&result, &record->result);
    record_encode(record, &image);
    size_t room = old ? old->room : first_room(image.size);
    if (image.size > room && record->result.data) {
        move(&result, &record->result);
        record_encode(record, &image);
    }
    record_fill(&image, room);
    if (newest) {
        edit->totals.last_id = *id;
        store_append(edit->txn, STORE_JOBS, id_slice(id), image_slice(&image));
    } else {
        store_put(edit->txn, STORE_JOBS, id_slice(id), image_slice(&image));
    }
    payload_put(edit->txn, id, JOBTAB_PARAMS, params);
    payload_put(edit->txn, id, JOBTAB_RESULT, result);
}

void edit_put(struct edit *edit, const struct record *old, struct record *record, struct hot *hot)
{
    struct jobtab_job *job = &record->job;
    ssize_t kind = kind_of(edit, job->kind);
    int64_t updated_at = old ? 0 : job->updated_at;

    if (kind < 0)
        return;
    stamp(edit, job, hot);
    if (updated_at) /* a restored job's last change was elsewhere */
        job->updated_at = updated_at;
    if (job->state == JOBTAB_PENDING && !record->queued)
        record->queued = job->version;
    put_record(edit, old, record); /* first: its parts may point into the store */
    note_change(edit, job);
    if (old) {
        if (!mutant(MUTANT_NO_INDEX))
            unindex(edit, old);
        edit->kinds[kind].count.states[old->job.state]--;
    }
    index_job(edit, record, hot);
    edit->kinds[kind].count.states[job->state]++;
    if (job->state == JOBTAB_PENDING)
        edit->kinds[kind].claimable++;
}

void edit_put_hot(struct edit *edit, struct record *record, struct hot *hot)
{
    stamp(edit, &record->job, hot);
    note_change(edit, &record->job);
    put_running(edit, &record->job.id, hot);
}

void edit_remove(struct edit *edit, const struct record *record)
{
    const struct jobtab_job *job = &record->job;
    ssize_t kind = kind_of(edit, job->kind);

    if (kind < 0)
        return;
    unindex(edit, record);
    edit->kinds[kind].count.states[job->state]--;
    payload_delete(edit->txn, record, JOBTAB_PARAMS);
    payload_delete(edit->txn, record, JOBTAB_RESULT);
    payload_delete(edit->txn, record, JOBTAB_LOGTEXT);
    if (job->key[0])
        store_delete(edit->txn, STORE_KEYS, text_slice(job->key));
    store_delete(edit->txn, STORE_JOBS, id_slice(&job->id));
    edit->totals.sequence++;
    note_change(edit, job); /* in the state that it had */
    edit->changed = true;
}
