/* lead.c - who applies what, in which transaction. See queue.h for the line that is waited in.
 *
 * Life of a leader:
 *   gathers a moment if there were others last time,
 *   begins the one writing transaction, and heals if the leader before died,
 *   applies its own operations, then those of all that wait, answers going into their slots,
 *   adds the record of what it did for others (batch.h), commits,
 *   posts the answers, gives up the lead, wakes.
 * Killed before the commit: nothing was done, the next leader does it. Killed after: see batch.h.
 */
#include "lead.h"

#include "batch.h"
#include "doubt.h"
#include "error.h"
#include "mutant.h"
#include "parcel.h"
#include "verbs.h"

static struct queue *queue_of(struct jobtab *table)
{
    return &table->shared->queue;
}

/* The lead is ours. */
static int begin(struct jobtab *table, struct edit *edit)
{
    struct queue *queue = queue_of(table);
    int rc = edit_begin(table, edit);

    if (rc)
        return rc;
    rc = doubt_settle(table, edit->txn);
    if (!rc && queue->heal)
        rc = batch_heal(edit, queue);
    if (rc == JOBTAB_BROKEN)
        doubt_raise(table);
    if (rc)
        edit_drop(edit);
    return rc;
}

/* -------------------------------------------------------------- for the others */

/* Apply what is in the slot, as its caller would. The bytes are another process's: they are checked
 * again, but for what needs its time (JSON) and can do no harm here. */
static void apply_slot(struct edit *edit, struct slot *slot, struct batch *batch)
{
    struct queue *queue = queue_of(edit->table);
    struct answer *answers = slot_answer(queue, slot);
    struct jobtab_op ops[LARGE_ANSWERS];

    if (!parcel_unpack(queue, slot, ops)) {
        store_fail(edit->txn, fail(JOBTAB_DAMAGED, "a request in the shared file is damaged"));
        return;
    }
    for (uint32_t i = 0; i < slot->n; i++)
        parcel_expect(&ops[i], &answers[i]);
    ops_check(ops, slot->n, false);
    edit->self = &slot->self;
    ops_apply(edit, ops, slot->n);
    for (uint32_t i = 0; i < slot->n; i++)
        parcel_answer(&ops[i], &answers[i]);
    batch_add(batch, slot, ops);
}

/* Apply what is queued, as much as one record has room for. Returns how many slots that was. */
static size_t apply_slots(struct edit *edit, struct slot *slots[QUEUE_SLOTS])
{
    struct queue *queue = queue_of(edit->table);
    size_t n = queue_collect(queue, slots), done = 0;

    if (n == 0) /* nobody else: there is nothing to record */
        return 0;
    struct batch batch = {.size = 0};
    while (done < n && !store_error(edit->txn) && batch_has_room(&batch, slots[done]))
        apply_slot(edit, slots[done++], &batch);
    batch_put(edit, &batch, queue->epoch);
    return done;
}

/* ------------------------------------------------------------------ the leader */

/* What a call brings: its operations and the slot that it waited in (NULL: there was none free), or
 * work of another kind. */
struct call {
    struct jobtab *table;
    struct jobtab_op *ops;
    size_t n;
    struct slot *slot;
    lead_work_fn *work;
    void *context;
};

/* Take the answers that another process gave. */
static int accept(const struct call *call)
{
    const struct answer *answer = slot_answer(queue_of(call->table), call->slot);

    if (call->slot->rc == JOBTAB_BROKEN)
        store_break(call->table->store);
    if (call->slot->rc)
        return fail(call->slot->rc, "the commit that it shared failed");
    for (struct jobtab_op *op = call->ops; op < call->ops + call->n; op++)
        if (!op->result)
            parcel_accept(answer++, op);
    return JOBTAB_OK;
}

/* What never happens: see mutant.h. */
static void answer_early(struct slot *slots[QUEUE_SLOTS], size_t *answered)
{
    for (size_t i = 0; i < *answered; i++) {
        queue_post(slots[i], JOBTAB_OK);
        queue_wake(slots[i]);
    }
    *answered = 0;
}

/* One transaction: the leader's own operations and, if `slots`, those of *answered others. */
static int commit_once(const struct call *call, struct slot *slots[QUEUE_SLOTS], size_t *answered)
{
    struct edit edit;
    int rc = begin(call->table, &edit);

    *answered = 0;
    /* Out of the line before the lead is given up: another leader would do what was refused
     * here. */
    if (rc)
        return mutant(MUTANT_LATE_WITHDRAWAL) || queue_withdraw(call->slot) ? rc : accept(call);
    edit.self = &call->table->self;
    if (call->work)
        rc = call->work(&edit, call->context);
    else if (queue_withdraw(call->slot))
        rc = ops_apply(&edit, call->ops, call->n);
    else
        rc = accept(call); /* the leader that died had done it */
    if (!rc && slots)
        *answered = apply_slots(&edit, slots);
    if (mutant(MUTANT_EARLY_ANSWER))
        answer_early(slots, answered);
    rc = edit_commit(&edit);
    /* Before anyone hears of it, nobody can write to the table any more as if nothing had been. */
    if (rc == JOBTAB_BROKEN)
        doubt_raise(call->table);
    return rc;
}

static int lead(const struct call *call)
{
    struct queue *queue = queue_of(call->table);
    struct slot *slots[QUEUE_SLOTS];
    bool alone = queue->alone > 0;
    size_t answered;

    if (alone)
        queue->alone--;
    else
        queue_gather(queue);
    int rc = commit_once(call, alone ? NULL : slots, &answered);
    if (rc && rc != JOBTAB_BROKEN && answered) {
        /* One of them is too much for the transaction: each for itself, then. */
        queue->alone = (uint32_t)answered;
        ops_check(call->ops, call->n, true);
        rc = commit_once(call, NULL, &answered);
    }
    /* A commit with its outcome unknown is so for all that were in it. */
    for (size_t i = 0; i < answered; i++)
        queue_post(slots[i], rc);
    queue_leave(queue, slots, answered);
    return rc;
}

int lead_work(struct jobtab *table, lead_work_fn *work, void *context)
{
    struct call call = {.table = table, .work = work, .context = context};

    store_pause(table->store); /* no snapshot is held while it waits */
    queue_lead(queue_of(table), &table->self);
    return lead(&call);
}

int lead_apply(struct jobtab *table, struct jobtab_op *ops, size_t n)
{
    struct queue *queue = queue_of(table);
    size_t left, size = parcel_size(ops, n, &left);
    struct call call = {.table = table, .ops = ops, .n = n};
    int rc;

    store_pause(table->store);
    call.slot = queue_take(queue, &table->self, size, left);
    if (call.slot && call.slot->n)
        parcel_pack(queue, call.slot, ops, n);
    rc = queue_wait(queue, call.slot) ? lead(&call) : accept(&call);
    queue_put_back(call.slot);
    return rc;
}
