/* end.c - how an attempt ends. See end.h.
 *
 *   the owner says     running                              cancelling
 *   succeeded          completed                            completed (the child won)
 *   try again          scheduled, or failed if none left    cancelled
 *   give up            failed                               cancelled
 *   stopped            pending; over its time: try again    cancelled
 *   nothing, it died   pending, or failed at max_crashes;   cancelled
 *                      over its time: try again
 */
#include "end.h"

#include "clock.h"
#include "error.h"
#include "state.h"

#include <string.h>

#define BACKOFF_MAX (INT64_C(3600) * 1000)

/* Cut at the limit, not within a character. */
static void set_text(char text[JOBTAB_MESSAGE_MAX + 1], const char *from)
{
    size_t length = strnlen(from, JOBTAB_MESSAGE_MAX + 1);

    if (length > JOBTAB_MESSAGE_MAX) {
        length = JOBTAB_MESSAGE_MAX;
        while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80)
            length--;
    }
    memmove(text, from, length);
    text[length] = '\0';
}

/* Before the next attempt: backoff, doubled for each attempt so far, the last half of it random so
 * that jobs which failed together do not come back together. */
static int64_t next_delay(const struct jobtab_job *job)
{
    int64_t delay = job->backoff;

    for (uint32_t n = 1; n < job->attempt && delay < BACKOFF_MAX; n++)
        delay *= 2;
    if (delay > BACKOFF_MAX)
        delay = job->backoff > BACKOFF_MAX ? job->backoff : BACKOFF_MAX;
    return delay - (int64_t)(random_u64() % (uint64_t)(delay / 2 + 1));
}

int end_for_good(struct edit *edit, const struct record *old, struct record *record,
                 enum jobtab_state state, enum jobtab_reason reason)
{
    struct jobtab_job *job = &record->job;
    struct totals *totals = &edit->totals;

    int rc = state_move(job, state, reason);
    if (rc)
        return rc;
    job->finished_at = edit->now;
    job->expires_at = edit->now + edit->settings.retention;
    job->owner = (struct jobtab_owner){0};
    totals->completed += state == JOBTAB_COMPLETED;
    totals->failed += state == JOBTAB_FAILED;
    totals->cancelled += state == JOBTAB_CANCELLED;
    edit_put(edit, old, record, NULL);
    return JOBTAB_OK;
}

/* Back into the queue: what the lost attempt had reported goes, its place stays. */
static int requeue(struct edit *edit, const struct record *old, struct record *record,
                   enum jobtab_reason reason)
{
    struct jobtab_job *job = &record->job;

    int rc = state_move(job, JOBTAB_PENDING, reason);
    if (rc)
        return rc;
    job->progress = 0;
    job->message[0] = '\0';
    job->started_at = 0;
    job->owner = (struct jobtab_owner){0};
    edit_put(edit, old, record, NULL);
    return JOBTAB_OK;
}

static int failed_attempt(struct edit *edit, const struct record *old, struct record *record,
                          enum jobtab_reason reason)
{
    struct jobtab_job *job = &record->job;

    if (job->attempt >= job->max_attempts)
        return end_for_good(edit, old, record, JOBTAB_FAILED, reason);
    int rc = state_move(job, JOBTAB_SCHEDULED, reason);
    if (rc)
        return rc;
    job->run_at = edit->now + next_delay(job);
    job->progress = 0;
    job->started_at = 0;
    job->owner = (struct jobtab_owner){0};
    record->queued = 0; /* it joins the queue anew when it is due */
    edit_put(edit, old, record, NULL);
    return JOBTAB_OK;
}

static bool over_time(const struct edit *edit, const struct hot *hot)
{
    return hot->deadline && boot_same(&hot->boot, &edit->table->boot) &&
           edit->boot >= hot->deadline;
}

static int timed_out(struct edit *edit, const struct record *old, struct record *record)
{
    set_text(record->job.error, "it ran longer than it may");
    return failed_attempt(edit, old, record, JOBTAB_BY_TIMEOUT);
}

int end_release(struct edit *edit, const struct record *old, struct record *record,
                const struct hot *hot)
{
    if (record->job.state == JOBTAB_CANCELLING)
        return end_for_good(edit, old, record, JOBTAB_CANCELLED, JOBTAB_BY_CANCEL);
    if (over_time(edit, hot))
        return timed_out(edit, old, record);
    record->job.attempt--;
    return requeue(edit, old, record, JOBTAB_NO_REASON);
}

int end_lost(struct edit *edit, const struct record *old, struct record *record,
             const struct hot *hot)
{
    struct jobtab_job *job = &record->job;

    if (job->state == JOBTAB_CANCELLING)
        return end_for_good(edit, old, record, JOBTAB_CANCELLED, JOBTAB_BY_CANCEL);
    if (over_time(edit, hot))
        return timed_out(edit, old, record);
    edit->totals.owners_lost++;
    job->attempt--;
    job->crashes++;
    if (job->crashes < job->max_crashes)
        return requeue(edit, old, record, JOBTAB_BY_OWNER_LOST);
    set_text(job->error, "the process that worked on it died, too many times");
    return end_for_good(edit, old, record, JOBTAB_FAILED, JOBTAB_BY_OWNER_LOST);
}

/* A result is kept only by a job that has ended for good: another attempt makes its own. */
static void set_result(struct record *record, const struct jobtab_finish *finish)
{
    if (!finish->result_size)
        return;
    record->job.result_size = finish->result_size;
    record->job.result_format = finish->format;
    record->result = (struct slice){.data = finish->result, .size = finish->result_size};
}

int end_finish(struct edit *edit, const struct record *old, struct record *record,
               const struct hot *hot, const struct jobtab_finish *finish)
{
    struct jobtab_job *job = &record->job;
    bool last = finish->outcome == JOBTAB_GIVE_UP || job->attempt >= job->max_attempts;

    if (finish->message)
        set_text(job->message, finish->message);
    if (finish->outcome == JOBTAB_STOPPED)
        return end_release(edit, old, record, hot);
    if (finish->outcome == JOBTAB_SUCCEEDED) {
        job->progress = 100;
        job->error[0] = '\0';
        set_result(record, finish);
        return end_for_good(edit, old, record, JOBTAB_COMPLETED, JOBTAB_NO_REASON);
    }
    if (job->state == JOBTAB_CANCELLING)
        return end_for_good(edit, old, record, JOBTAB_CANCELLED, JOBTAB_BY_CANCEL);
    set_text(job->error, finish->error ? finish->error : "");
    if (last)
        set_result(record, finish);
    if (finish->outcome == JOBTAB_GIVE_UP)
        return end_for_good(edit, old, record, JOBTAB_FAILED, finish->reason);
    return failed_attempt(edit, old, record, finish->reason);
}
