/* child_write.c - what a job's child brings, on its way into the table: the newest report, the log,
 * and its end. All of it goes through the desk, and is tried again while the table takes no change
 * at all: a job's end is recorded, whatever else there is no room for. */
#include "config.h"

#include "child_own.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "desk.h"
#include "log.h"
#include "monotonic.h"

#define WRITE_EVERY  250   /* ms between two commits for the reports and the log of one job */
#define LOG_PATIENCE 10000 /* ms that a job's end waits for room for its log */

bool child_has_news(const struct child *child)
{
    return child->relay.reported || child->relay.log.size > 0 || child->log.size > 0;
}

static bool is_lost(int result)
{
    return result == JOBTAB_STALE || result == JOBTAB_FORBIDDEN || result == JOBTAB_NOTFOUND;
}

/* What a report or a log operation brought, beside its own success. */
static void heed(struct child *child, const struct jobtab_op *op, const char *what)
{
    if (op->result == JOBTAB_STOP)
        child_stop(child, ENDING_CANCEL, child->kind->kill_after);
    else if (is_lost(op->result))
        child_lose(child);
    else if (op->result != JOBTAB_OK)
        log_write(LOG_LEVEL_ERROR, child->name, "%s: %s", what, op->why);
}

/* The table takes no change at all now: a disk that fails or is full, or damage that awaits
 * repair. */
static bool worth_repeating(const struct child *child, int result)
{
    return result == JOBTAB_SYSTEM || result == JOBTAB_FULL ||
           (result == JOBTAB_DAMAGED && jobtab_writable(child->site->table) == JOBTAB_DAMAGED);
}

/* A table that stays full must not keep a job from its end: the end has room, its log may have
 * none. */
static bool gives_up_log(struct child *child, int result)
{
    if (child->stage != ENDING || result != JOBTAB_FULL)
        return false;
    if (child->log_until == 0)
        child->log_until = monotonic_ms() + LOG_PATIENCE;
    if (monotonic_ms() < child->log_until)
        return false;
    log_write(LOG_LEVEL_WARN, child->name, "%zu bytes of its log are not kept", child->log.size);
    return true;
}

static void log_written(void *owner, const struct jobtab_op *op)
{
    struct child *child = owner;

    if (!worth_repeating(child, op->result) || gives_up_log(child, op->result))
        child->log.size = 0;
    heed(child, op, "log");
}

static void report_written(void *owner, const struct jobtab_op *op)
{
    struct child *child = owner;

    if (worth_repeating(child, op->result) && !child->relay.reported) {
        child->relay.newest = child->report;
        child->relay.reported = true;
    }
    heed(child, op, "report");
}

static void reap(struct child *child)
{
    if (child->pid > 0)
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    child->stage = GONE;
}

static void finish_written(void *owner, const struct jobtab_op *op)
{
    struct child *child = owner;
    int result = op->result;

    if (worth_repeating(child, result))
        return;
    if (result != JOBTAB_OK && !is_lost(result) && result != JOBTAB_BROKEN &&
        child->form != REFUSED) {
        log_write(LOG_LEVEL_WARN, child->name, "its result was refused: %s", op->why);
        snprintf(child->error, sizeof child->error, "result refused: %s", op->why);
        child->form = result == JOBTAB_INVALID && child->form == AS_IT_LOOKS ? AS_TEXT : REFUSED;
        return;
    }
    if (result == JOBTAB_OK)
        log_write(LOG_LEVEL_INFO, child->name, "%s ended, now %s%s%s", child->kind->name,
                  jobtab_state_name(op->job->state), child->error[0] != '\0' ? ": " : "",
                  child->error);
    else if (!is_lost(result))
        log_write(LOG_LEVEL_ERROR, child->name, "its end was not recorded: %s", op->why);
    else if (!child->kind->table)
        log_write(LOG_LEVEL_INFO, child->name, "its end came too late: %s", op->why);
    reap(child);
}

static struct jobtab_op *add(struct child *child, enum jobtab_verb verb, size_t bytes,
                             desk_answer_fn *answer)
{
    struct jobtab_op *op = desk_add(child->site->desk, verb, bytes, answer, child);

    op->id = child->id;
    op->token = child->token;
    return op;
}

/* The newest report and the log so far. */
static void add_news(struct child *child)
{
    struct relay *relay = &child->relay;

    if (child->log.size == 0)
        relay_take_log(relay, &child->log);
    if (child->log.size > 0) {
        struct jobtab_op *op = add(child, JOBTAB_LOG, child->log.size, log_written);
        op->log = (struct jobtab_bytes){.data = child->log.data, .size = child->log.size};
    }
    if (relay->reported) {
        child->report = relay->newest;
        relay->reported = false;
        struct jobtab_op *op = add(child, JOBTAB_REPORT, 0, report_written);
        op->report.progress = child->report.progress;
        op->report.message = child->report.has_message ? child->report.message : NULL;
    }
}

/* The end of what it wrote may have been read after its own end: too much is too much all the
 * same. */
static enum ending_cause cause_of(const struct child *child)
{
    bool succeeded = child->status_code == CLD_EXITED && child->status == 0;

    if (child->cause != ENDING_OWN || !succeeded)
        return child->cause;
    return child->relay.result_over ? ENDING_OVERFLOW
           : child->relay.no_room   ? ENDING_NO_ROOM
                                    : ENDING_OWN;
}

static void add_finish(struct child *child)
{
    const char *result = child->relay.result.data;
    size_t size = child->relay.result.size;
    char last_line[RELAY_LINE_MAX];
    bool signalled = child->status_code != CLD_EXITED;

    relay_last_line(&child->relay, last_line);
    struct ending ending = {
        .cause = cause_of(child),
        .not_started = child->not_started[0] != '\0' ? child->not_started : NULL,
        .signalled = signalled,
        .code = child->status,
        .oom = signalled && child->status == SIGKILL && !child->killed &&
               child_oom_kills(0) > child->oom_kills,
        .last_line = last_line,
        .timeout = child->timeout,
        .result_max = child->site->result_max,
    };
    struct jobtab_op *op = add(child, JOBTAB_FINISH, size, finish_written);
    if (child->form == REFUSED) {
        op->finish = (struct jobtab_finish){
            .outcome = JOBTAB_GIVE_UP, .reason = JOBTAB_BY_INVALID, .error = child->error};
        return;
    }
    ending_judge(&ending, &op->finish, child->error);
    if (op->finish.outcome == JOBTAB_SUCCEEDED && size > 0) {
        op->finish.format = child->form == AS_TEXT ? JOBTAB_TEXT : ending_format(&result, &size);
        op->finish.result = result;
        op->finish.result_size = size;
    }
}

bool child_offer(struct child *child, int64_t now)
{
    size_t bytes = child->log.size + child->relay.log.size;
    struct desk *desk = child->site->desk;

    if (child->stage == RUNNING && child->cause != ENDING_LOST && child_has_news(child) &&
        now >= child->write_at && desk_has_room(desk, 2, bytes)) {
        add_news(child);
        child->write_at = now + WRITE_EVERY;
    }
    if (child->stage == ENDING && desk_has_room(desk, 4, bytes + child->relay.result.size)) {
        add_news(child);
        if (child->relay.log.size > 0) /* an earlier part had to be repeated first */
            return false;
        add_finish(child);
        if (child->kind->table)
            desk_sweep(desk); /* it may have been reading when it died */
        return true;
    }
    return false;
}
