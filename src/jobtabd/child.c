/* child.c - one job in one process.
 *
 *     CLAIMED ──started──▶ RUNNING ──process ended──▶ DRAINING ──pipes ended, or a moment──▶ ENDING
 *     ENDING ──recorded──▶ GONE
 *
 * The process stays a zombie until its end is recorded: its pid and its group's id are not free
 * before, so a signal to the group meets nobody else, and the slots that it may hold in the
 * table's reader list are cleared while they still name a dead process.
 */
#include "config.h"

#include "child_own.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "monotonic.h"

#define DRAIN_FOR  250   /* ms in which the pipes must end once the group is dead */
#define ROOM_EVERY 100   /* ms between two looks whether there is memory for a result by now */
#define ROOM_FOR   10000 /* ms without any in which it must come */

struct child *child_new(const struct site *site, const struct conf_kind *kind,
                        const struct jobtab_job *job, const struct jobtab_token *token)
{
    struct child *child = calloc(1, sizeof *child);

    if (child == NULL)
        return NULL;
    child->site = site;
    child->kind = kind;
    child->id = job->id;
    child->token = *token;
    child->attempt = job->attempt;
    child->params_size = job->params_size;
    jobtab_id_format(&child->id, child->name);
    child->timeout = job->timeout;
    child->deadline = job->timeout > 0 ? monotonic_ms() + job->timeout : INT64_MAX;
    child->relay.in.fd = child->relay.out.fd = child->relay.err.fd = child->relay.report.fd = -1;
    child->stage = CLAIMED;
    return child;
}

/* ------------------------------------------------------------------- stopping */

/* To all of its group, also to those that a terminal stop has frozen. */
static void signal_group(const struct child *child, int signal)
{
    kill(-child->pid, signal);
    if (signal != SIGKILL)
        kill(-child->pid, SIGCONT);
}

void child_kill(struct child *child)
{
    if (child->stage != RUNNING)
        return;
    child->killed = true;
    child->kill_at = INT64_MAX;
    signal_group(child, SIGKILL);
}

void child_look(struct child *child)
{
    siginfo_t info = {0};

    if (child->stage != RUNNING ||
        waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT | WNOHANG) < 0 ||
        info.si_pid != child->pid)
        return;
    child->status = info.si_status;
    child->status_code = info.si_code;
    /* What it leaves behind in its group must not outlive its job. */
    kill(-child->pid, SIGKILL);
    relay_drain(&child->relay);
    child->drain_until = monotonic_ms() + DRAIN_FOR;
    child->stage = DRAINING;
}

void child_stop(struct child *child, enum ending_cause cause, int64_t kill_after)
{
    int64_t kill_at = monotonic_ms() + kill_after;

    if (child->stage == CLAIMED) {
        child->cause = cause;
        child->stage = ENDING;
        return;
    }
    child_look(child);
    if (child->stage != RUNNING)
        return;
    if (child->cause == ENDING_OWN) {
        child->cause = cause;
        child->kill_at = kill_at;
        signal_group(child, SIGTERM);
    } else if (kill_at < child->kill_at) {
        child->kill_at = kill_at;
    }
}

/* The job is over or another's. A child with the table in its hands may have recorded its end
 * itself and be about to leave. */
void child_lose(struct child *child)
{
    child_look(child);
    if (child->stage != RUNNING || child->cause != ENDING_OWN)
        return;
    if (child->kind->table) {
        child->cause = ENDING_LOST;
        child->kill_at = monotonic_ms() + child->kind->kill_after;
    } else {
        log_write(LOG_LEVEL_WARN, child->name, "the job is not ours any more: stopping pid %d",
                  (int)child->pid);
        child_stop(child, ENDING_LOST, child->kind->kill_after);
    }
}

void child_check(struct child *child)
{
    struct jobtab_job job;

    if (child->stage != RUNNING)
        return;
    int error = jobtab_get(child->site->table, &child->id, &job);
    if (error == JOBTAB_NOTFOUND)
        child_lose(child);
    else if (error != JOBTAB_OK)
        log_write(LOG_LEVEL_ERROR, child->name, "reading the job: %s", jobtab_why());
    else if (job.owner.pid != getpid())
        child_lose(child);
    else if (job.state == JOBTAB_CANCELLING)
        child_stop(child, ENDING_CANCEL, child->kind->kill_after);
}

/* ------------------------------------------------------------------ the clock */

/* Whether what it still writes can become a result. */
static bool may_succeed(const struct child *child)
{
    return child->cause == ENDING_OWN &&
           (child->stage == RUNNING || (child->status_code == CLD_EXITED && child->status == 0));
}

/* There was no memory for its result. That is no fault of the job's, and seldom lasts. */
static void await_room(struct child *child, int64_t now)
{
    if (child->room_until == 0) {
        child->room_at = now + ROOM_EVERY;
        child->room_until = now + ROOM_FOR;
        log_write(LOG_LEVEL_WARN, child->name, "no memory for its result for now");
    }
    if (now < child->room_at && may_succeed(child))
        return;
    child->room_at = now + ROOM_EVERY;
    relay_resume(&child->relay, now >= child->room_until || !may_succeed(child));
    if (child->relay.starved)
        return;
    child->room_until = 0;
    if (child->stage == DRAINING) {
        relay_drain(&child->relay);
        child->drain_until = now + DRAIN_FOR;
    }
}

void child_tick(struct child *child, int64_t now)
{
    if (child->relay.starved)
        await_room(child, now);
    if (child->stage == RUNNING) {
        if (child->relay.result_over)
            child_stop(child, ENDING_OVERFLOW, child->kind->kill_after);
        if (child->relay.no_room)
            child_stop(child, ENDING_NO_ROOM, child->kind->kill_after);
        if (now >= child->deadline && child->cause == ENDING_OWN)
            child_stop(child, ENDING_TIMEOUT, child->kind->kill_after);
        if (child->cause != ENDING_OWN && now >= child->kill_at)
            child_kill(child);
    }
    if (child->stage != DRAINING || child->relay.starved)
        return;
    if (!relay_ended(&child->relay) && now >= child->drain_until)
        relay_drain(&child->relay); /* somebody outside the group holds them open: enough */
    if (!child->relay.starved && (relay_ended(&child->relay) || now >= child->drain_until)) {
        relay_shut(&child->relay);
        child->stage = ENDING;
    }
}

int64_t child_next(const struct child *child, bool may_write)
{
    int64_t next = INT64_MAX;

    if (child->stage == CLAIMED)
        return 0;
    if (child->stage == DRAINING)
        return child->relay.starved ? child->room_at : child->drain_until;
    if (child->stage != RUNNING)
        return INT64_MAX;
    if (child->cause == ENDING_OWN)
        next = child->deadline;
    else if (!child->killed)
        next = child->kill_at;
    if (child->relay.starved && child->room_at < next)
        next = child->room_at;
    if (may_write && child_has_news(child) && child->cause != ENDING_LOST && child->write_at < next)
        next = child->write_at;
    return next;
}

const struct conf_kind *child_kind(const struct child *child)
{
    return child->kind;
}

bool child_waits(const struct child *child)
{
    return child->stage == CLAIMED;
}

bool child_gone(const struct child *child)
{
    return child->stage == GONE;
}

void child_free(struct child *child)
{
    relay_close(&child->relay);
    free(child->log.data);
    free(child);
}
