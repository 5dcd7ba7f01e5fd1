/* doubt.c - see doubt.h. */
#include "doubt.h"

#include "error.h"
#include "text.h"
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>

/* ms between two attempts: each asks a disk that is not well, and reads all of the table. */
#define RETRY 500

/* Room that the file must have to grow before it is written to again: a disk that is full to the
 * brim would fail the next commit as it did the last. */
#define ROOM (UINT64_C(64) << 10)

void doubt_raise(struct jobtab *table)
{
    struct doubt *doubt = &table->shared->doubt;

    if (atomic_load(&doubt->state) == DOUBT_DAMAGED)
        return;
    doubt->refused_at = 0;
    snprintf(doubt->why, sizeof doubt->why, "a commit failed, and nobody has verified the table yet");
    doubt->code = JOBTAB_SYSTEM;
    atomic_store(&doubt->state, DOUBT_OPEN);
}

bool doubt_stands(const struct jobtab *table)
{
    return atomic_load(&table->shared->doubt.state) != DOUBT_NONE;
}

static void keep_first(const char *fault, void *context)
{
    char *first = context;

    if (!first[0])
        text_copy(first, JOBTAB_WHY_MAX, fault);
}

static int verify(struct jobtab *table, struct store_txn *txn)
{
    char first[JOBTAB_WHY_MAX] = "";
    uint64_t records, faults;
    bool passed; /* by nobody: it is the writer's */

    int rc = verify_all(table, txn, keep_first, NULL, first, &records, &faults, &passed);
    if (rc || !faults)
        return rc;
    return fail(JOBTAB_DAMAGED, "the table is damaged: %" PRIu64 " faults, see verify; %s", faults,
                first);
}

static int settle(struct jobtab *table, struct store_txn *txn)
{
    int rc = store_settle(txn);

    if (!rc)
        rc = store_reserve(txn, ROOM);
    return rc ? rc : verify(table, txn);
}

int doubt_settle(struct jobtab *table, struct store_txn *txn)
{
    struct doubt *doubt = &table->shared->doubt;

    if (!doubt_stands(table))
        return JOBTAB_OK;
    if (atomic_load(&doubt->state) == DOUBT_DAMAGED ||
        (doubt->refused_at && clock_boot() - doubt->refused_at < RETRY))
        return fail(doubt->code, "%s", doubt->why);
    int rc = settle(table, txn);
    if (rc) {
        text_copy(doubt->why, sizeof doubt->why, jobtab_why());
        doubt->code = rc;
        doubt->refused_at = clock_boot();
    }
    atomic_store(&doubt->state, rc == JOBTAB_OK        ? DOUBT_NONE
                                : rc == JOBTAB_DAMAGED ? DOUBT_DAMAGED
                                                       : DOUBT_OPEN);
    return rc;
}

int jobtab_writable(struct jobtab *table)
{
    int rc = table_enter(table);

    if (!rc)
        rc = store_whole(table->store);
    if (rc || !doubt_stands(table))
        return rc;
    /* The words are a leader's, who may be writing others just now. */
    return atomic_load(&table->shared->doubt.state) == DOUBT_DAMAGED
               ? fail(JOBTAB_DAMAGED, "the table was found to be damaged: see verify")
               : fail(JOBTAB_SYSTEM, "a commit failed, and the table is not verified yet");
}
