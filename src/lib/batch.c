/* batch.c - the record of the last shared commit. See batch.h.
 *
 * In the record, per slot: ticket, number of operations, and for each its result and, where it made
 * them, id and token. All as this machine has them: the record means nothing after a boot, when
 * the queue has another epoch.
 */
#include "batch.h"

#include "error.h"
#include "mutant.h"
#include "parcel.h"
#include "text.h"

#include <string.h>

struct entry {
    uint64_t ticket;
    uint32_t n, size; /* of what follows */
};

struct outcome {
    uint8_t result, repeated;
};

/* The operation was done, whatever its owner is told besides. */
static bool done(int result)
{
    return result == JOBTAB_OK || result == JOBTAB_STOP;
}

static bool gives_id(enum jobtab_verb verb)
{
    return verb == JOBTAB_SUBMIT || verb == JOBTAB_CLAIM || verb == JOBTAB_RESTORE;
}

static bool gives_token(const struct jobtab_op *op)
{
    return op->verb == JOBTAB_CLAIM || op->verb == JOBTAB_TAKE ||
           (op->verb == JOBTAB_SUBMIT && op->submit.take);
}

bool batch_has_room(const struct batch *batch, const struct slot *slot)
{
    size_t most = sizeof(struct outcome) + sizeof(struct jobtab_id) + sizeof(struct jobtab_token);

    return sizeof(struct entry) + slot->n * most <= sizeof batch->bytes - batch->size;
}

static void add(struct batch *batch, const void *bytes, size_t size)
{
    memcpy(batch->bytes + batch->size, bytes, size);
    batch->size += size;
}

void batch_add(struct batch *batch, const struct slot *slot, const struct jobtab_op *ops)
{
    size_t begin = batch->size;

    batch->size += sizeof(struct entry);
    for (const struct jobtab_op *op = ops; op < ops + slot->n; op++) {
        struct outcome outcome = {.result = (uint8_t)op->result, .repeated = op->repeated};
        add(batch, &outcome, sizeof outcome);
        if (done(op->result) && gives_id(op->verb))
            add(batch, &op->id, sizeof op->id);
        if (done(op->result) && gives_token(op))
            add(batch, &op->token, sizeof op->token);
    }
    struct entry entry = {.ticket = slot->ticket,
                          .n = slot->n,
                          .size = (uint32_t)(batch->size - begin - sizeof entry)};
    memcpy(batch->bytes + begin, &entry, sizeof entry);
    batch->slots++;
}

void batch_put(struct edit *edit, const struct batch *batch, uint64_t epoch)
{
    char image[BATCH_MAX + 64];
    size_t size;

    if (!batch->slots)
        return;
    int rc = batch_encode(epoch, (struct slice){.data = batch->bytes, .size = batch->size}, image,
                          sizeof image, &size);
    if (rc)
        store_fail(edit->txn, rc);
    else
        store_put(edit->txn, STORE_META, text_slice("batch"),
                  (struct slice){.data = image, .size = size});
}

/* ----------------------------------------------------------------------- read */

struct reader {
    const char *at, *end;
};

static bool take(struct reader *reader, void *field, size_t size)
{
    if ((size_t)(reader->end - reader->at) < size)
        return false;
    memcpy(field, reader->at, size);
    reader->at += size;
    return true;
}

/* The next entry and its outcomes; false at the end, or with *cut where the record is cut short. */
static bool take_entry(struct reader *reader, struct entry *entry, struct slice *outcomes, bool *cut)
{
    if (reader->at == reader->end)
        return false;
    *cut = !take(reader, entry, sizeof *entry) ||
           entry->size > (size_t)(reader->end - reader->at) ||
           entry->size < entry->n * sizeof(struct outcome);
    if (*cut)
        return false;
    *outcomes = (struct slice){.data = reader->at, .size = entry->size};
    reader->at += entry->size;
    return true;
}

static int cut_short(void)
{
    return fail(JOBTAB_DAMAGED, "the record of the last batch is cut short");
}

int batch_check(struct slice image)
{
    struct slice record, outcomes;
    struct entry entry;
    uint64_t epoch;
    bool cut = false;

    int rc = batch_decode(image, &epoch, &record);
    if (rc)
        return rc;
    struct reader reader = {.at = record.data, .end = (const char *)record.data + record.size};
    while (take_entry(&reader, &entry, &outcomes, &cut))
        continue;
    return cut ? cut_short() : JOBTAB_OK;
}

/* ----------------------------------------------------------------------- heal */

/* Build one answer anew. What the words were is lost, but for what its code says. */
static bool rebuild(struct edit *edit, struct reader *reader, struct jobtab_op *op,
                    struct answer *answer)
{
    struct outcome outcome;
    struct record record;

    parcel_expect(op, answer);
    if (!take(reader, &outcome, sizeof outcome))
        return false;
    op->result = outcome.result;
    op->repeated = outcome.repeated;
    text_copy(op->why, sizeof op->why, op->result ? jobtab_strerror(op->result) : "");
    if (done(op->result)) {
        if (gives_id(op->verb) && !take(reader, &op->id, sizeof op->id))
            return false;
        if (gives_token(op) && !take(reader, &op->token, sizeof op->token))
            return false;
        /* It may have been deleted, by this operation or by one that came after it. */
        if (table_load(edit->txn, &op->id, &record, NULL) == JOBTAB_OK)
            *op->job = record.job;
        else
            *op->job = (struct jobtab_job){.id = op->id};
    }
    parcel_answer(op, answer);
    return true;
}

/* Post the answers of a slot that waits for what was done. */
static bool settle(struct edit *edit, struct queue *queue, struct slice outcomes, struct slot *slot)
{
    struct reader reader = {.at = outcomes.data, .end = (const char *)outcomes.data + outcomes.size};
    struct jobtab_op ops[LARGE_ANSWERS];

    if (!parcel_unpack(queue, slot, ops))
        return false;
    for (uint32_t i = 0; i < slot->n; i++)
        if (!rebuild(edit, &reader, &ops[i], &slot_answer(queue, slot)[i]))
            return false;
    queue_post(slot, JOBTAB_OK);
    queue_wake(slot);
    return true;
}

static int settle_all(struct edit *edit, struct queue *queue, struct slice record)
{
    struct reader reader = {.at = record.data, .end = (const char *)record.data + record.size};
    struct slot *slots[QUEUE_SLOTS];
    struct slice outcomes;
    struct entry entry;
    bool cut = false;

    size_t n = queue_collect(queue, slots);
    while (take_entry(&reader, &entry, &outcomes, &cut)) {
        for (size_t i = 0; i < n; i++)
            if (slots[i]->ticket == entry.ticket && slots[i]->n == entry.n &&
                !settle(edit, queue, outcomes, slots[i]))
                return fail(JOBTAB_DAMAGED, "the record of the last batch does not fit its requests");
    }
    return cut ? cut_short() : JOBTAB_OK;
}

int batch_heal(struct edit *edit, struct queue *queue)
{
    struct slice image, record;
    uint64_t epoch;

    /* What it left can be seen, and may not be on disk. */
    int rc = store_sync(edit->table->store);
    if (!rc && !mutant(MUTANT_NO_BATCH_CHECK) && store_get(edit->txn, STORE_META, text_slice("batch"), &image)) {
        rc = batch_decode(image, &epoch, &record);
        if (!rc && epoch == queue->epoch)
            rc = settle_all(edit, queue, record);
    }
    rc = rc ? rc : store_error(edit->txn);
    if (!rc)
        queue->heal = 0;
    return rc;
}
