/* read.c - reading one job, its parts, and pages of jobs: each call one snapshot. */
#include "error.h"
#include "payload.h"
#include "state.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

/* Records that one page may look at: bounds the time that a caller's event loop is held. */
#define SCAN_MAX 20000

/* A snapshot for one call; *txn is NULL on an error, and store_end takes that. */
static int begin(struct jobtab *table, struct store_txn **txn)
{
    int rc = table_enter(table);

    *txn = NULL;
    return rc ? rc : store_read(table->store, txn);
}

/* And the job in it. */
static int begin_job(struct jobtab *table, const struct jobtab_id *id, struct store_txn **txn,
                     struct record *record)
{
    int rc = begin(table, txn);

    return rc ? rc : table_load(*txn, id, record, NULL);
}

int jobtab_get(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job)
{
    struct store_txn *txn;
    struct record record;

    int rc = begin_job(table, id, &txn, &record);
    store_end(txn);
    if (rc == JOBTAB_OK)
        *job = record.job;
    return rc;
}

int jobtab_find(struct jobtab *table, const char *key, struct jobtab_id *id)
{
    struct store_txn *txn;
    struct jobtab_id found;

    int rc = begin(table, &txn);
    if (!rc)
        rc = table_check_key(key);
    if (!rc)
        rc = table_find(txn, key, &found);
    store_end(txn);
    if (rc == JOBTAB_OK)
        *id = found;
    return rc;
}

int jobtab_hold(struct jobtab *table)
{
    int rc = table_enter(table);

    return rc ? rc : store_hold(table->store);
}

void jobtab_rest(struct jobtab *table)
{
    if (table_enter(table) == JOBTAB_OK)
        store_rest(table->store);
}

int jobtab_careful(struct jobtab *table, jobtab_fault_fn *fault, void *context)
{
    int rc = table_enter(table);

    return rc ? rc : store_be_careful(table->store, fault, context);
}

/* Read what of [*offset, *offset + max) the part holds into fresh memory, NUL behind it. */
static int read_part(struct jobtab *table, struct store_txn *txn, const struct record *record,
                     enum jobtab_part part, uint64_t *offset, size_t max, char **bytes,
                     size_t *size)
{
    uint64_t begin, end;

    payload_range(&record->job, part, &begin, &end);
    if (begin > end || end - begin > store_size(table->store))
        return fail(JOBTAB_DAMAGED, "the size of a part is beyond that of the table");
    uint64_t from = *offset < begin ? begin : *offset > end ? end : *offset;
    size_t n = end - from < max ? (size_t)(end - from) : max;
    char *copy = malloc(n + 1);
    if (!copy)
        return fail(JOBTAB_SYSTEM, "out of memory");
    int rc = payload_copy(txn, record, part, from, n, copy);
    if (rc) {
        free(copy);
        return rc;
    }
    copy[n] = '\0';
    *offset = from;
    *bytes = copy;
    *size = n;
    return JOBTAB_OK;
}

int jobtab_read(struct jobtab *table, const struct jobtab_id *id, enum jobtab_part part,
                uint64_t *offset, size_t max, char **bytes, size_t *size)
{
    struct store_txn *txn;
    struct record record;

    int rc = begin_job(table, id, &txn, &record);
    if (!rc && (part < JOBTAB_PARAMS || part > JOBTAB_LOGTEXT))
        rc = fail(JOBTAB_INVALID, "part: there is no %d", (int)part);
    if (!rc)
        rc = read_part(table, txn, &record, part, offset, max, bytes, size);
    store_end(txn);
    return rc;
}

int jobtab_get_whole(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job,
                     char **params, char **result)
{
    struct store_txn *txn;
    struct record record;
    char **wanted[2] = {params, result}, *parts[2] = {NULL, NULL};

    int rc = begin_job(table, id, &txn, &record);
    for (int i = 0; !rc && i < 2; i++) {
        uint64_t offset = 0;
        size_t size;
        if (wanted[i])
            rc = read_part(table, txn, &record, i == 0 ? JOBTAB_PARAMS : JOBTAB_RESULT, &offset,
                           SIZE_MAX - 1, &parts[i], &size);
    }
    store_end(txn);
    if (rc) {
        free(parts[0]);
        free(parts[1]);
        return rc;
    }
    *job = record.job;
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            *wanted[i] = parts[i];
    return JOBTAB_OK;
}

int jobtab_version(struct jobtab *table, const struct jobtab_id *id, uint64_t *version)
{
    struct store_txn *txn;
    uint64_t newest;

    int rc = begin(table, &txn);
    if (!rc)
        rc = table_version(txn, id, &newest);
    store_end(txn);
    if (rc == JOBTAB_OK)
        *version = newest;
    return rc;
}

/* A whole part for a moment: as it stands in the store, else put together in memory, *copy, which
 * the caller frees. */
static int whole_part(struct jobtab *table, struct store_txn *txn, const struct record *record,
                      enum jobtab_part part, const char **bytes, char **copy)
{
    struct slice piece;
    uint64_t offset = 0;
    size_t size;

    *copy = NULL;
    if (payload_piece(txn, record, part, &piece)) {
        *bytes = piece.data;
        return JOBTAB_OK;
    }
    int rc = read_part(table, txn, record, part, &offset, SIZE_MAX - 1, copy, &size);
    *bytes = *copy;
    return rc;
}

int jobtab_get_json(struct jobtab *table, const struct jobtab_id *id, char *text, size_t size,
                    size_t *length, uint64_t *version)
{
    struct store_txn *txn;
    struct record record;
    const char *params, *result;
    char *params_copy = NULL, *result_copy = NULL;

    int rc = begin_job(table, id, &txn, &record);
    if (!rc)
        rc = whole_part(table, txn, &record, JOBTAB_PARAMS, &params, &params_copy);
    if (!rc)
        rc = whole_part(table, txn, &record, JOBTAB_RESULT, &result, &result_copy);
    if (!rc) {
        *length = jobtab_job_json(&record.job, params, result, text, size);
        *version = record.job.version;
    }
    store_end(txn);
    free(params_copy);
    free(result_copy);
    return rc;
}

/* ----------------------------------------------------------------------- list */

/* Jobs that have an owner are few and have a database of their own, in the order of ids: what asks
 * only for them goes through that. */
static enum store_db database_for(const struct jobtab_filter *filter)
{
    const uint32_t owned =
        JOBTAB_STATE_BIT(JOBTAB_RUNNING) | JOBTAB_STATE_BIT(JOBTAB_CANCELLING);

    return filter->states && !(filter->states & ~owned) ? STORE_RUNNING : STORE_JOBS;
}

static bool first_entry(struct store_cursor *cursor, const struct jobtab_filter *filter,
                        struct slice *key, struct slice *value)
{
    struct slice after = {0};

    if (filter->after_set)
        after = id_slice(&filter->after);
    if (!filter->oldest_first)
        return store_seek_below(cursor, after, key, value);
    bool found = store_seek(cursor, after, key, value);
    if (found && filter->after_set && key->size == after.size &&
        memcmp(key->data, after.data, after.size) == 0)
        found = store_next(cursor, key, value);
    return found;
}

static bool next_entry(struct store_cursor *cursor, const struct jobtab_filter *filter,
                       struct slice *key, struct slice *value)
{
    return filter->oldest_first ? store_next(cursor, key, value)
                                : store_previous(cursor, key, value);
}

static bool wanted(const struct jobtab_filter *filter, const struct jobtab_job *job)
{
    if (filter->states && !(filter->states & JOBTAB_STATE_BIT(job->state)))
        return false;
    return !filter->kind || strcmp(filter->kind, job->kind) == 0;
}

/* A page out of one database. */
static int scan(struct store_txn *txn, const struct jobtab_filter *filter,
                struct jobtab_job *jobs, size_t max, size_t *n, struct jobtab_id *last, bool *more)
{
    enum store_db db = database_for(filter);
    struct slice key, value;
    struct record record;
    size_t looked = 0;

    struct store_cursor *cursor = store_cursor(txn, db);
    bool found = first_entry(cursor, filter, &key, &value);
    for (; found && *n < max && looked < SCAN_MAX; looked++) {
        if (key_id_of(key, sizeof last->bytes, last)) { /* a key that is no id is nobody's */
            int rc = db == STORE_JOBS ? table_decode(txn, last, value, &record, NULL)
                                      : table_load(txn, last, &record, NULL);
            if (!rc && wanted(filter, &record.job))
                jobs[(*n)++] = record.job;
            else if (rc && filter->damaged)
                filter->damaged(last, filter->context);
        }
        found = next_entry(cursor, filter, &key, &value);
    }
    *more = found;
    store_cursor_end(cursor);
    return store_error(txn);
}

int jobtab_list(struct jobtab *table, const struct jobtab_filter *filter, struct jobtab_job *jobs,
                size_t *n, struct jobtab_id *cursor, bool *more)
{
    static const struct jobtab_filter all;
    struct store_txn *txn;
    struct jobtab_id last;
    size_t max = *n, count = 0;
    bool rest = false;

    int rc = table_enter(table);
    if (!rc && !max)
        rc = fail(JOBTAB_INVALID, "n: a page has room for no job");
    if (!rc)
        rc = store_read(table->store, &txn);
    if (rc)
        return rc;
    rc = scan(txn, filter ? filter : &all, jobs, max, &count, &last, &rest);
    store_end(txn);
    if (rc == JOBTAB_DAMAGED && count > 0)
        rest = true; /* what came before the damage is a page; the next call says what is wrong */
    else if (rc)
        return rc;
    fail_clear(); /* of what was damaged */
    *n = count;
    *more = rest;
    if (rest && cursor)
        *cursor = last;
    return JOBTAB_OK;
}
