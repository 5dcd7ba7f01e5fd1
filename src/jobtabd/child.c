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

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_env.h"
#include "desk.h"
#include "log.h"
#include "monotonic.h"
#include "relay.h"
#include "spawn.h"
#include "text.h"
#include "watch.h"

#define WRITE_EVERY  250   /* ms between two commits for the reports and the log of one job */
#define DRAIN_FOR    250   /* ms in which the pipes must end once the group is dead */
#define LOG_PATIENCE 10000 /* ms that a job's end waits for room for its log */
#define ROOM_EVERY   100   /* ms between two looks whether there is memory for a result by now */
#define ROOM_FOR     10000 /* ms without any in which it must come */
#define OOM_FRESH    1000  /* ms for which the count of the kernel's memory kills is good enough */

enum stage { CLAIMED, RUNNING, DRAINING, ENDING, GONE };

/* The table has the last word on a result; a job must end whatever it says. */
enum result_form { AS_IT_LOOKS, AS_TEXT, REFUSED };

struct child {
    const struct site *site;
    const struct conf_kind *kind;
    struct jobtab_id id;
    struct jobtab_token token;
    uint32_t attempt;
    uint64_t params_size;
    char name[JOBTAB_ID_TEXT]; /* the id, for the log */
    enum stage stage;

    pid_t pid; /* 0: there never was a process */
    struct relay relay;
    uint64_t oom_kills; /* of the machine, about when it was started */

    int64_t timeout;              /* ms, 0 is none */
    int64_t deadline;             /* monotonic, INT64_MAX is none */
    int64_t kill_at, drain_until; /* monotonic */
    int64_t room_at, room_until;  /* while its result waits for memory, else 0 */
    enum ending_cause cause;
    bool killed; /* by us, with SIGKILL */
    int status;  /* siginfo's si_status and si_code */
    int status_code;
    char not_started[JOBTAB_MESSAGE_MAX + 1];

    int64_t write_at;        /* not before */
    int64_t log_until;       /* the end waits for the log's sake; 0: it need not wait */
    struct report report;    /* being written */
    struct relay_buffer log; /* being written, or to be written again */
    char error[JOBTAB_MESSAGE_MAX + 1];
    enum result_form form; /* in which the table may take the result */
};

/* ------------------------------------------------------------------- starting */

static uint64_t count_oom_kills(void)
{
    char text[16384];
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    return ending_counter(text, "oom_kill");
}

/* Processes the kernel has killed for memory, on this machine, control groups included: counted at
 * most `age` ms ago, because the kernel adds up all its counters for each look. */
static uint64_t oom_kills(int64_t age)
{
    static int64_t counted_at = INT64_MIN; /* of the one thread that starts children */
    static uint64_t counted;
    int64_t now = monotonic_ms();

    if (counted_at < now - age) {
        counted = count_oom_kills();
        counted_at = now;
    }
    return counted;
}

static char **make_environment(const struct child *child)
{
    char token[JOBTAB_TOKEN_TEXT];

    jobtab_token_format(&child->token, token);
    struct child_env facts = {
        .kind = child->kind->name,
        .owner = child->site->run_id,
        .table = child->kind->table ? child->site->table_dir : NULL,
        .input_root = child->kind->input_root,
        .job_id = child->name,
        .attempt = child->attempt,
        .token = child->kind->table ? token : NULL,
    };
    return child_env_make(&facts, environ);
}

static void fail_start(struct child *child, const char *what, const char *why)
{
    char text[2 * JOBTAB_MESSAGE_MAX];

    snprintf(text, sizeof text, "%s: %s", what, why);
    text_one_line(child->not_started, sizeof child->not_started, text, strlen(text));
    log_write(LOG_LEVEL_ERROR, child->name, "cannot start a child of kind %s: %s",
              child->kind->name, child->not_started);
    child->stage = ENDING;
}

/* For want of memory or descriptors, which is no fault of the job's: it goes back as it came.
 * Always false. */
static bool give_back(struct child *child, const char *what, const char *why)
{
    log_write(LOG_LEVEL_WARN, child->name, "not started for now: %s: %s", what, why);
    child->cause = ENDING_STARVED;
    child->stage = ENDING;
    return false;
}

static bool is_want(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE || error == EAGAIN;
}

/* The parameters, for relay_open; an empty object for a job that was submitted without. JOBTAB_OK,
 * or the table's error. */
static int read_params(const struct child *child, char **params, size_t *size)
{
    uint64_t offset = 0;

    *size = 2;
    if (child->params_size > 0)
        return jobtab_read(child->site->table, &child->id, JOBTAB_PARAMS, &offset, SIZE_MAX - 1,
                           params, size);
    *params = strdup("{}");
    return *params != NULL ? JOBTAB_OK : JOBTAB_SYSTEM;
}

bool child_start(struct child *child)
{
    const struct site *site = child->site;
    struct spawn spawn = {.program = child->kind->program, .argv = child->kind->command};
    char **environment = NULL, *params;
    size_t params_size;
    const char *step = NULL;
    bool fed = true;
    int error = read_params(child, &params, &params_size);

    if (error == JOBTAB_SYSTEM)
        return give_back(child, "params", jobtab_why());
    if (error != JOBTAB_OK) {
        fail_start(child, "params", jobtab_why());
        return true;
    }
    environment = make_environment(child);
    if (environment == NULL) {
        free(params);
        return give_back(child, "environment", strerror(errno));
    }
    if (relay_open(&child->relay, site->epoll, params, params_size, site->result_max, site->log_max,
                   spawn.fds) < 0) {
        fed = !is_want(errno);
        if (fed)
            fail_start(child, "pipes", strerror(errno));
        else
            give_back(child, "pipes", strerror(errno));
        goto out;
    }
    child->oom_kills = oom_kills(OOM_FRESH);
    spawn.envp = environment;
    int started = spawn_program(&spawn, &child->pid, &step);
    error = errno;
    for (int i = 0; i < 4; i++)
        close(spawn.fds[i]);
    if (started < 0) {
        char why[JOBTAB_MESSAGE_MAX];
        child->pid = 0;
        snprintf(why, sizeof why, "%s: %s", child->kind->program, strerror(error));
        fed =
            strcmp(step, "exec") == 0 || !is_want(error); /* a program may want too much for ever */
        if (fed)
            fail_start(child, step, why);
        else
            give_back(child, step, why);
        relay_shut(&child->relay);
        goto out;
    }
    child->stage = RUNNING;
    log_write(LOG_LEVEL_INFO, child->name, "%s started, pid %d, attempt %u", child->kind->name,
              (int)child->pid, child->attempt);
out:
    child_env_free(environment);
    return fed;
}

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
static void lose(struct child *child)
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
        lose(child);
    else if (error != JOBTAB_OK)
        log_write(LOG_LEVEL_ERROR, child->name, "reading the job: %s", jobtab_why());
    else if (job.owner.pid != getpid())
        lose(child);
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

static bool has_news(const struct child *child)
{
    return child->relay.reported || child->relay.log.size > 0 || child->log.size > 0;
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
    if (may_write && has_news(child) && child->cause != ENDING_LOST && child->write_at < next)
        next = child->write_at;
    return next;
}

/* -------------------------------------------------------------------- writing */

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
        lose(child);
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
               oom_kills(0) > child->oom_kills,
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

    if (child->stage == RUNNING && child->cause != ENDING_LOST && has_news(child) &&
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
