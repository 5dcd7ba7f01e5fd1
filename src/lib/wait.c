/* wait.c - waiting without polling: on the bell, then a look at the table. */
#include "error.h"
#include "pending.h"
#include "table.h"

/* A process that was woken for a job may die before it claims: the others look for themselves now
 * and then, which is all that an idle waiter does. */
#define HEARTBEAT 1000

static int64_t deadline_of(int64_t timeout)
{
    return timeout < 0 ? -1 : clock_boot() + timeout;
}

int jobtab_wait(struct jobtab *table, uint64_t *seen, int64_t timeout)
{
    int rc = table_enter(table);

    if (rc)
        return rc;
    store_pause(table->store);
    if (!bell_wait(&table->shared->bell, *seen, deadline_of(timeout)))
        return fail(JOBTAB_TIMEOUT, "nothing changed in %lld ms", (long long)timeout);
    *seen = bell_version(&table->shared->bell);
    return JOBTAB_OK;
}

static int claimable_now(struct jobtab *table, const char *kind, bool *claimable)
{
    struct key prefix = key_pending_kind(kind);
    struct store_txn *txn;

    int rc = store_read(table->store, &txn);
    if (rc)
        return rc;
    *claimable = pending_first(txn, &prefix, NULL, NULL);
    rc = store_error(txn);
    store_end(txn);
    return rc;
}

int jobtab_claimable(struct jobtab *table, const char *kind, bool *claimable)
{
    int rc = table_enter(table);

    if (!rc)
        rc = table_check_kind(kind);
    return rc ? rc : claimable_now(table, kind, claimable);
}

int jobtab_wait_work(struct jobtab *table, const char *kind, int64_t timeout)
{
    int64_t deadline = deadline_of(timeout);
    bool claimable = false;
    int rc = table_enter(table);

    if (!rc)
        rc = table_check_kind(kind);
    while (!rc) {
        /* The word before the look: a job that comes between the two changes it. */
        uint32_t word = bell_work(&table->shared->bell, kind);
        rc = claimable_now(table, kind, &claimable);
        if (rc || claimable)
            return rc;
        store_pause(table->store);
        int64_t until = clock_boot() + HEARTBEAT;
        if (deadline >= 0 && deadline < until)
            until = deadline;
        enum bell_end end = bell_wait_work(&table->shared->bell, kind, word, until);
        if (end == BELL_SIGNAL || (end == BELL_TIME && until == deadline))
            return fail(JOBTAB_TIMEOUT, "no job of kind %s came", kind);
    }
    return rc;
}
