/* control.c - what anybody may do to a job from outside: cancel, retry, delete. */
#include "end.h"
#include "error.h"
#include "payload.h"
#include "state.h"
#include "verbs.h"

/* A job without owner is cancelled at once. One that runs is marked: its owner is told, and may
 * still win. Asking twice is no error. */
int do_cancel(struct edit *edit, struct jobtab_op *op)
{
    struct record old, record;
    struct hot hot;

    int rc = table_load(edit->txn, &op->id, &old, &hot);
    if (rc)
        return rc;
    record = old;
    if (old.job.state == JOBTAB_RUNNING) {
        rc = state_move(&record.job, JOBTAB_CANCELLING, JOBTAB_BY_CANCEL);
        if (!rc)
            edit_put(edit, &old, &record, &hot);
    } else if (old.job.state != JOBTAB_CANCELLING) {
        rc = end_for_good(edit, &old, &record, JOBTAB_CANCELLED, JOBTAB_BY_CANCEL);
    }
    give_job(op, &record);
    return rc;
}

/* Start over: attempts and crashes from 0, the result gone, the log kept. */
int do_retry(struct edit *edit, struct jobtab_op *op)
{
    struct record old, record;

    int rc = table_load(edit->txn, &op->id, &old, NULL);
    if (rc)
        return rc;
    record = old;
    struct jobtab_job *job = &record.job;
    if (job->state != JOBTAB_FAILED && job->state != JOBTAB_CANCELLED)
        return fail(JOBTAB_FORBIDDEN,
                    "only a failed or cancelled job can be tried again; this one is %s",
                    jobtab_state_name(job->state));
    rc = state_move(job, JOBTAB_PENDING, JOBTAB_NO_REASON);
    if (rc)
        return rc;
    record.result = (struct slice){0};
    job->result_size = 0;
    job->result_format = JOBTAB_NONE;
    job->attempt = job->crashes = job->progress = 0;
    job->message[0] = job->error[0] = '\0';
    job->run_at = job->started_at = job->finished_at = job->expires_at = 0;
    record.queued = 0;
    edit_put(edit, &old, &record, NULL);
    payload_delete(edit->txn, &old, JOBTAB_RESULT);
    edit->totals.retried++;
    give_job(op, &record);
    return JOBTAB_OK;
}

int do_delete(struct edit *edit, struct jobtab_op *op)
{
    struct record record;

    int rc = table_load(edit->txn, &op->id, &record, NULL);
    if (rc)
        return rc;
    if (state_owned(record.job.state))
        return fail(JOBTAB_FORBIDDEN, "a %s job cannot be deleted: cancel it first",
                    jobtab_state_name(record.job.state));
    edit_remove(edit, &record);
    give_job(op, &record);
    return JOBTAB_OK;
}
