/* stat.c - the table at a glance: from counts that every commit keeps, not from a scan. */
#include "error.h"
#include "pending.h"
#include "state.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

static const char count_prefix[] = "count:";

/* Sum the counts of all kinds, and list the first `max`. */
static int read_counts(struct store_txn *txn, struct jobtab_stat *stat,
                       struct jobtab_kind_count *kinds, size_t max)
{
    const size_t prefix = sizeof count_prefix - 1;
    struct slice key, value;
    struct count count;
    int rc = JOBTAB_OK;

    struct store_cursor *cursor = store_cursor(txn, STORE_META);
    bool found = store_seek(cursor, text_slice(count_prefix), &key, &value);
    for (; found && !rc; found = store_next(cursor, &key, &value)) {
        if (key.size <= prefix || key.size > prefix + JOBTAB_KIND_MAX ||
            memcmp(key.data, count_prefix, prefix) != 0)
            break;
        rc = count_decode(value, &count);
        for (int i = 0; !rc && i < JOBTAB_STATES; i++)
            stat->states[i] += count.states[i];
        if (!rc && kinds && stat->n_kinds < max) {
            struct jobtab_kind_count *kind = &kinds[stat->n_kinds];
            memset(kind, 0, sizeof *kind);
            memcpy(kind->kind, (const char *)key.data + prefix, key.size - prefix);
            memcpy(kind->states, count.states, sizeof kind->states);
        }
        stat->n_kinds++;
    }
    store_cursor_end(cursor);
    return rc ? rc : store_error(txn);
}

/* The head of each queue waits longest in it: look at the heads only, past what is damaged. */
static int read_oldest_pending(struct store_txn *txn, int64_t *oldest)
{
    struct key queue = {.size = 0};
    struct record record;

    while (pending_next_queue(txn, &queue))
        if (pending_first(txn, &queue, &record, NULL) &&
            (!*oldest || record.job.updated_at < *oldest))
            *oldest = record.job.updated_at;
    return store_error(txn);
}

static int compare_owners(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct jobtab_owner));
}

/* How many processes own the running jobs. */
static int read_owners(struct store_txn *txn, uint32_t *owners)
{
    uint64_t room = store_count(txn, STORE_RUNNING);
    struct slice key, value;
    struct hot hot;
    size_t n = 0;

    *owners = 0;
    if (!room)
        return store_error(txn);
    struct jobtab_owner *all = calloc(room, sizeof *all);
    if (!all)
        return fail(JOBTAB_SYSTEM, "out of memory");
    struct store_cursor *cursor = store_cursor(txn, STORE_RUNNING);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found && n < room; found = store_next(cursor, &key, &value)) {
        if (hot_decode(value, &hot))
            continue;
        all[n].pid = hot.owner.pid; /* field by field: the padding stays zero for memcmp */
        all[n].start_time = hot.owner.start_time;
        all[n].instance = hot.owner.instance;
        n++;
    }
    store_cursor_end(cursor);
    qsort(all, n, sizeof *all, compare_owners);
    for (size_t i = 0; i < n; i++)
        *owners += i == 0 || compare_owners(&all[i - 1], &all[i]) != 0;
    free(all);
    return store_error(txn);
}

int jobtab_stat(struct jobtab *table, struct jobtab_stat *stat, struct jobtab_kind_count *kinds,
                size_t max)
{
    struct store_txn *txn;
    struct totals totals;
    struct jobtab_stat s = {0};

    int rc = table_enter(table);
    if (!rc)
        rc = store_read(table->store, &txn);
    if (rc)
        return rc;
    rc = table_totals(txn, &totals);
    if (!rc)
        rc = table_settings(txn, &s.options);
    if (!rc)
        rc = read_counts(txn, &s, kinds, max);
    if (!rc)
        rc = read_oldest_pending(txn, &s.oldest_pending);
    if (!rc)
        rc = read_owners(txn, &s.owners);
    s.jobs = store_count(txn, STORE_JOBS);
    s.map_used = store_used(txn, 0);
    rc = rc ? rc : store_error(txn);
    store_end(txn);
    if (rc)
        return rc;
    s.map_size = store_size(table->store);
    store_readers(table->store, &s.readers, &s.max_readers);
    s.version = totals.sequence;
    s.submitted = totals.submitted;
    s.claimed = totals.claimed;
    s.completed = totals.completed;
    s.failed = totals.failed;
    s.cancelled = totals.cancelled;
    s.retried = totals.retried;
    s.owners_lost = totals.owners_lost;
    s.expired = totals.expired;
    s.evicted = totals.evicted;
    *stat = s;
    fail_clear(); /* of what was damaged */
    return JOBTAB_OK;
}
