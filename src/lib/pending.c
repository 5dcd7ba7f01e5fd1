/* pending.c - going through the queues. See pending.h. */
#include "pending.h"

#include "error.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define PLACE 8 /* bytes at the end of a key: the place in its queue */

bool pending_owns(const struct record *record, struct slice key)
{
    const struct jobtab_job *job = &record->job;

    return job->state == JOBTAB_PENDING &&
           key_is(key, key_pending(job->kind, job->priority, record->queued));
}

/* What keeps the job of an entry from being claimed, or JOBTAB_OK. `id` is all zero where the entry
 * has none. */
static int load(struct store_txn *txn, struct slice key, struct slice value, struct jobtab_id *id,
                struct record *record)
{
    if (!key_id_of(value, sizeof id->bytes, id)) {
        memset(id, 0, sizeof *id);
        return fail(JOBTAB_DAMAGED, "an entry of `pending` is no id");
    }
    int rc = table_load(txn, id, record, NULL);
    if (!rc && !pending_owns(record, key))
        rc = fail(JOBTAB_DAMAGED, "it has an entry of `pending` that is not its own");
    return rc;
}

void pending_tell(char passed[JOBTAB_WHY_MAX], const struct jobtab_id *id)
{
    static const struct jobtab_id nobody;
    char text[JOBTAB_ID_TEXT];

    if (memcmp(id, &nobody, sizeof nobody) == 0) {
        text_copy(passed, JOBTAB_WHY_MAX, jobtab_why());
        return;
    }
    jobtab_id_format(id, text);
    snprintf(passed, JOBTAB_WHY_MAX, "job %s: %.*s", text, JOBTAB_WHY_MAX - JOBTAB_ID_TEXT - 8,
             jobtab_why());
}

bool pending_first(struct store_txn *txn, const struct key *prefix, struct record *record,
                   char passed[JOBTAB_WHY_MAX])
{
    struct record own;
    struct slice key, value;
    struct jobtab_id id;
    uint32_t n = 0;
    int rc = JOBTAB_EMPTY;

    if (!record)
        record = &own;
    if (passed)
        passed[0] = '\0';
    struct store_cursor *cursor = store_cursor(txn, STORE_PENDING);
    bool found = store_seek(cursor, key_slice(prefix), &key, &value);
    for (; found && key_begins(key, prefix); found = store_next(cursor, &key, &value)) {
        rc = load(txn, key, value, &id, record);
        if (!rc || store_error(txn))
            break;
        if (passed && !n)
            pending_tell(passed, &id);
        if (++n == PENDING_PASSED)
            break;
    }
    store_cursor_end(cursor);
    if (!store_error(txn))
        fail_clear(); /* of what was passed over */
    return rc == JOBTAB_OK;
}

bool pending_next_queue(struct store_txn *txn, struct key *queue)
{
    struct slice key, value;
    struct key behind = *queue;

    /* Behind the last possible place: a byte longer than any key of the queue. */
    if (queue->size) {
        memset(behind.bytes + queue->size, 0xff, PLACE + 1);
        behind.size += PLACE + 1;
    }
    struct store_cursor *cursor = store_cursor(txn, STORE_PENDING);
    bool found = store_seek(cursor, key_slice(&behind), &key, &value);
    while (found && (key.size <= PLACE || key.size + 1 > sizeof queue->bytes))
        found = store_next(cursor, &key, &value); /* no queue's: verify names it */
    if (found) {
        queue->size = key.size - PLACE;
        memcpy(queue->bytes, key.data, queue->size);
    }
    store_cursor_end(cursor);
    return found;
}
