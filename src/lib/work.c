/* work.c - what a job's owner does: claim, take, report, renew, log, finish, release. */
#include "clock.h"
#include "end.h"
#include "error.h"
#include "mutant.h"
#include "payload.h"
#include "pending.h"
#include "state.h"
#include "verbs.h"

#include <string.h>

#define LEASE_MAX (INT64_C(86400) * 1000)

static int check_lease(int64_t lease, int64_t least)
{
    if (lease < least || lease > LEASE_MAX)
        return fail(JOBTAB_INVALID, "lease: %lld ms is not within %lld ms and a day",
                    (long long)lease, (long long)least);
    return JOBTAB_OK;
}

static int check_message(const char *message)
{
    if (message && strnlen(message, JOBTAB_MESSAGE_MAX + 1) > JOBTAB_MESSAGE_MAX)
        return fail(JOBTAB_TOOBIG, "message: it is over %d bytes", JOBTAB_MESSAGE_MAX);
    return JOBTAB_OK;
}

int check_claim(const struct jobtab_op *op)
{
    int rc = table_check_kind(op->claim.kind);

    return rc ? rc : check_lease(op->claim.lease, 0);
}

int check_take(const struct jobtab_op *op)
{
    return check_lease(op->lease, 0);
}

int check_report(const struct jobtab_op *op)
{
    if (op->report.progress > 100)
        return fail(JOBTAB_INVALID, "progress: %u is above 100", op->report.progress);
    return check_message(op->report.message);
}

int check_renew(const struct jobtab_op *op)
{
    return check_lease(op->lease, 1);
}

int check_log(const struct jobtab_op *op)
{
    if (op->log.size && !op->log.data)
        return fail(JOBTAB_INVALID, "log: there is a size and no data");
    return JOBTAB_OK;
}

int check_finish(const struct jobtab_op *op)
{
    const struct jobtab_finish *finish = &op->finish;

    if ((unsigned)finish->outcome > JOBTAB_STOPPED)
        return fail(JOBTAB_INVALID, "outcome: there is no %d", (int)finish->outcome);
    if ((unsigned)finish->reason >= JOBTAB_REASONS)
        return fail(JOBTAB_INVALID, "reason: there is no %d", (int)finish->reason);
    if (finish->result_size && !finish->result)
        return fail(JOBTAB_INVALID, "result: there is a size and no data");
    if (finish->result_size && (finish->format == JOBTAB_NONE || finish->format > JOBTAB_BYTES))
        return fail(JOBTAB_INVALID, "format: there is a result and it has none");
    return check_message(finish->message);
}

int check_result(const struct jobtab_op *op)
{
    const struct jobtab_finish *finish = &op->finish;

    return finish->result_size && finish->format == JOBTAB_JSON
               ? check_json("result", finish->result, finish->result_size)
               : JOBTAB_OK;
}

/* ---------------------------------------------------------------------- claim */

/* Make the caller the owner of the job as it was read. */
static int take_record(struct edit *edit, struct jobtab_op *op, const struct record *old,
                       int64_t lease)
{
    struct record record = *old;
    struct jobtab_job *job = &record.job;
    struct hot hot;

    int rc = state_move(job, JOBTAB_RUNNING, JOBTAB_NO_REASON);
    if (rc)
        return rc;
    job->attempt++;
    job->progress = 0;
    job->message[0] = '\0';
    job->started_at = edit->now;
    memset(&hot, 0, sizeof hot);
    hot.attempt = job->attempt;
    hot.secret = random_u64();
    hot.boot = edit->table->boot;
    hot.log_begin = job->log_begin;
    hot.log_end = job->log_end;
    if (job->timeout)
        hot.deadline = edit->boot + job->timeout;
    if (lease)
        hot.lease = edit->boot + lease;
    else
        hot.owner = *edit->self;
    job->owner = hot.owner;
    edit_put(edit, old, &record, &hot);
    edit->totals.claimed++;
    op->token = (struct jobtab_token){.attempt = hot.attempt, .secret = hot.secret};
    give_job(op, &record);
    return JOBTAB_OK;
}

int take_job(struct edit *edit, struct jobtab_op *op, int64_t lease)
{
    struct record record;
    int rc = table_load(edit->txn, &op->id, &record, NULL);

    return rc ? rc : take_record(edit, op, &record, lease);
}

/* The first of the kind: highest priority, then longest waiting. */
int do_claim(struct edit *edit, struct jobtab_op *op)
{
    const char *kind = op->claim.kind;
    struct key prefix = key_pending_kind(kind);
    char passed[JOBTAB_WHY_MAX];
    struct record record;

    if (pending_first(edit->txn, &prefix, &record, passed)) {
        op->id = record.job.id;
        return take_record(edit, op, &record, op->claim.lease);
    }
    if (store_error(edit->txn))
        return store_error(edit->txn);
    return fail(JOBTAB_EMPTY, "no job of kind %s is pending%s", kind,
                passed[0] ? " but what is damaged: see verify" : "");
}

int do_take(struct edit *edit, struct jobtab_op *op)
{
    return take_job(edit, op, op->lease);
}

/* --------------------------------------------------------------- with a token */

/* Load the job for its owner. A token of an earlier attempt is refused, whatever it comes with. */
static int load_owned(struct edit *edit, const struct jobtab_op *op, struct record *record,
                      struct hot *hot)
{
    int rc = table_load(edit->txn, &op->id, record, hot);

    if (rc)
        return rc;
    if (!state_owned(record->job.state))
        return fail(JOBTAB_STALE, "the job is %s: no attempt has it now",
                    jobtab_state_name(record->job.state));
    if ((hot->attempt != op->token.attempt || hot->secret != op->token.secret) &&
        !mutant(MUTANT_NO_FENCING))
        return fail(JOBTAB_STALE, "the token is not that of the attempt which has the job");
    return JOBTAB_OK;
}

/* Done as asked; whether the owner is to go on. */
static int go_on(const struct record *record)
{
    if (record->job.state == JOBTAB_CANCELLING)
        return fail(JOBTAB_STOP, "the job is to be cancelled");
    return JOBTAB_OK;
}

int do_report(struct edit *edit, struct jobtab_op *op)
{
    struct record record;
    struct hot hot;

    int rc = load_owned(edit, op, &record, &hot);
    if (rc)
        return rc;
    hot.progress = record.job.progress = op->report.progress;
    if (op->report.message) {
        size_t size = strlen(op->report.message) + 1; /* checked: it fits */
        memcpy(hot.message, op->report.message, size);
        memcpy(record.job.message, op->report.message, size);
    }
    edit_put_hot(edit, &record, &hot);
    give_job(op, &record);
    return go_on(&record);
}

int do_renew(struct edit *edit, struct jobtab_op *op)
{
    struct record record;
    struct hot hot;

    int rc = load_owned(edit, op, &record, &hot);
    if (rc)
        return rc;
    if (!hot.lease)
        return fail(JOBTAB_INVALID, "lease: the owner is a local process and needs none");
    hot.lease = edit->boot + op->lease;
    edit_put_hot(edit, &record, &hot);
    give_job(op, &record);
    return go_on(&record);
}

int do_log(struct edit *edit, struct jobtab_op *op)
{
    struct record record;
    struct hot hot;

    int rc = load_owned(edit, op, &record, &hot);
    if (!rc && op->log.size)
        rc = edit_grow(edit, op->log.size, EDIT_FILLS);
    if (rc || !op->log.size)
        return rc;
    payload_append_log(edit->txn, &op->id, &hot.log_begin, &hot.log_end, op->log.data,
                       op->log.size, edit->settings.log_max);
    record.job.log_begin = hot.log_begin;
    record.job.log_end = hot.log_end;
    edit_put_hot(edit, &record, &hot);
    give_job(op, &record);
    return go_on(&record);
}

int do_finish(struct edit *edit, struct jobtab_op *op)
{
    struct record old, record;
    struct hot hot;

    int rc = load_owned(edit, op, &old, &hot);
    if (rc)
        return rc;
    rc = check_size("result", op->finish.result_size, edit->settings.result_max);
    if (!rc && op->finish.result_size)
        rc = edit_grow(edit, op->finish.result_size, EDIT_FILLS);
    if (rc)
        return rc;
    record = old;
    rc = end_finish(edit, &old, &record, &hot, &op->finish);
    give_job(op, &record);
    return rc;
}

int do_release(struct edit *edit, struct jobtab_op *op)
{
    struct record old, record;
    struct hot hot;

    int rc = load_owned(edit, op, &old, &hot);
    if (rc)
        return rc;
    record = old;
    rc = end_release(edit, &old, &record, &hot);
    give_job(op, &record);
    return rc;
}
