/* warm.c - warm children.
 *
 *     DOWN ──due──▶ UP ──died──▶ DEAD ──sweep asked for──▶ SWEEPING ──swept, reaped──▶ DOWN
 *
 * One that dies right after its start is started again after a pause that doubles.
 */
#include "config.h"

#include "warm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_env.h"
#include "child_log.h"
#include "desk.h"
#include "jobtab.h"
#include "log.h"
#include "monotonic.h"
#include "proc.h"
#include "spawn.h"
#include "watch.h"

#define SHORT_LIFE     2000 /* ms; who dies sooner, untold, is throttled */
#define FIRST_PAUSE    100  /* ms before it is started again, doubling */
#define LONGEST_PAUSE  10000
#define DEADLINE_SLACK 50 /* ms; by then the table's own clock says so, too */
#define PAGE           64 /* running jobs read at a time */

enum stage { DOWN, UP, DEAD, SWEEPING };

struct warm_child {
    struct warm *warm;
    const struct conf_kind *kind;
    enum stage stage;
    pid_t pid;
    struct watch err;
    char who[JOBTAB_KIND_MAX + 24]; /* "validate, pid 123" */
    struct child_log log;

    int64_t start_at, started, pause; /* monotonic; pause in ms, 0 after a life that lasted */
    uint64_t start_time;              /* with the pid, which process it is */
    int told;                         /* to end, by this signal; 0: it was not */
    int64_t kill_at;                  /* monotonic; INT64_MAX: not to be killed */

    bool works, seen; /* on this job, when last looked at; seen while looking */
    struct jobtab_id job;
    int64_t job_started;
    int64_t deadline; /* monotonic; INT64_MAX: none */
};

struct warm {
    const struct site *site;
    bool stopping;
    int devnull;
    int64_t looked_at; /* monotonic: at what they work on */
    size_t n;
    struct warm_child *children;
};

/* ------------------------------------------------------------------- starting */

static void complained(struct watch *watch, uint32_t events);

static char **make_environment(const struct warm_child *child)
{
    struct child_env facts = {
        .kind = child->kind->name,
        .owner = child->warm->site->run_id,
        .table = child->warm->site->table_dir,
        .input_root = child->kind->input_root,
    };
    return child_env_make(&facts, environ);
}

static void pause_longer(struct warm_child *child, int64_t now)
{
    child->pause = child->pause == 0 ? FIRST_PAUSE : child->pause * 2;
    if (child->pause > LONGEST_PAUSE)
        child->pause = LONGEST_PAUSE;
    child->start_at = now + child->pause;
}

static void start(struct warm_child *child, int64_t now)
{
    struct warm *warm = child->warm;
    struct spawn spawn = {.program = child->kind->program, .argv = child->kind->command};
    int ends[2] = {-1, -1};
    const char *step = "environment";
    char **environment = make_environment(child);

    child->pid = 0;
    child->started = now;
    if (environment == NULL)
        goto fail;
    step = "pipe";
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        goto fail;
    spawn.envp = environment;
    memcpy(spawn.fds, (int[4]){warm->devnull, ends[1], ends[1], -1}, sizeof spawn.fds);
    if (spawn_program(&spawn, &child->pid, &step) < 0) {
        child->pid = 0;
        goto fail;
    }
    struct process process;
    child->start_time = proc_read(child->pid, &process) ? process.start_time : 0;
    child->stage = UP;
    child->told = 0;
    child->works = false;
    child->kill_at = child->deadline = INT64_MAX;
    child->log = (struct child_log){0};
    child->err.fd = ends[0];
    close(ends[1]);
    snprintf(child->who, sizeof child->who, "%s, pid %d", child->kind->name, (int)child->pid);
    if (watch_add(warm->site->epoll, &child->err, EPOLLIN) < 0)
        log_error("%s: what it says is lost: %s", child->who, strerror(errno));
    log_info("%s: started", child->who);
    child_env_free(environment);
    return;

fail:
    log_error("cannot start a child of kind %s: %s: %s: %s", child->kind->name, step,
              child->kind->program, strerror(errno));
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    child_env_free(environment);
    pause_longer(child, now);
}

struct warm *warm_new(const struct site *site, const struct conf *conf)
{
    struct warm *warm = calloc(1, sizeof *warm);
    size_t n = 0;

    if (warm == NULL)
        return NULL;
    for (size_t i = 0; i < conf->n_kinds; i++)
        n += conf->kinds[i].children;
    warm->site = site;
    warm->children = calloc(n + 1, sizeof *warm->children);
    warm->looked_at = monotonic_ms();
    warm->devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (warm->children == NULL || warm->devnull < 0) {
        warm_free(warm);
        return NULL;
    }
    for (size_t i = 0; i < conf->n_kinds; i++) {
        for (uint32_t k = 0; k < conf->kinds[i].children; k++) {
            struct warm_child *child = &warm->children[warm->n++];
            child->warm = warm;
            child->kind = &conf->kinds[i];
            child->err = (struct watch){.fd = -1, .ready = complained, .owner = child};
        }
    }
    return warm;
}

void warm_free(struct warm *warm)
{
    if (warm == NULL)
        return;
    for (size_t i = 0; i < warm->n; i++)
        watch_close(warm->site->epoll, &warm->children[i].err);
    if (warm->devnull >= 0)
        close(warm->devnull);
    free(warm->children);
    free(warm);
}

/* -------------------------------------------------------------- life and death */

/* One bounded read. False when there is nothing more. */
static bool read_complaints(struct warm_child *child)
{
    char bytes[4096];
    ssize_t n = child->err.fd >= 0 ? read(child->err.fd, bytes, sizeof bytes) : -1;

    if (n > 0)
        child_log_feed(&child->log, child->who, bytes, (size_t)n);
    if (n == 0)
        watch_close(child->warm->site->epoll, &child->err);
    return n > 0;
}

static void complained(struct watch *watch, uint32_t events)
{
    (void)events;
    read_complaints(watch->owner);
}

static void tell_end(const struct warm_child *child, const siginfo_t *info)
{
    bool signalled = info->si_code != CLD_EXITED;
    bool expected = child->told != 0 || (!signalled && info->si_status == 0);
    char job[JOBTAB_ID_TEXT];

    jobtab_id_format(&child->job, job);
    log_write(expected ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, child->works ? job : NULL,
              "%s: ended with %s %d%s", child->who, signalled ? "signal" : "exit code",
              info->si_status, child->works ? " while it had this job" : "");
}

/* Sees whether the process has ended; leaves it a zombie. */
static void look_for_end(struct warm_child *child)
{
    struct warm *warm = child->warm;
    siginfo_t info = {0};

    if (child->stage != UP ||
        waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT | WNOHANG) < 0 ||
        info.si_pid != child->pid)
        return;
    kill(-child->pid, SIGKILL); /* whatever it leaves behind in its group */
    for (int reads = 0; reads < 64 && read_complaints(child); reads++)
        ;
    child_log_end(&child->log, child->who);
    watch_close(warm->site->epoll, &child->err);
    child->stage = DEAD;
    warm_inspect(warm); /* what it works on may have changed since it was last seen */
    tell_end(child, &info);
}

void warm_look(struct warm *warm)
{
    for (size_t i = 0; i < warm->n; i++)
        look_for_end(&warm->children[i]);
}

/* SIGQUIT asks for an end after the current job, SIGTERM for one at once. */
static void tell(struct warm_child *child, int signal, int64_t kill_after)
{
    int64_t now = monotonic_ms();

    if (child->stage != UP)
        return;
    child->told = signal;
    if (kill_after < child->kill_at - now)
        child->kill_at = now + kill_after;
    kill(-child->pid, signal);
    kill(-child->pid, SIGCONT); /* one that is stopped would hear of it only then */
}

static void tell_for_job(struct warm_child *child, const char *why)
{
    char job[JOBTAB_ID_TEXT];

    if (child->stage != UP || child->told == SIGTERM)
        return;
    jobtab_id_format(&child->job, job);
    log_write(LOG_LEVEL_INFO, job, "%s: told to stop: %s", child->who, why);
    tell(child, SIGTERM, child->kind->kill_after);
}

void warm_tick(struct warm *warm, int64_t now)
{
    for (size_t i = 0; i < warm->n; i++) {
        struct warm_child *child = &warm->children[i];
        if (child->stage == DOWN && !warm->stopping && now >= child->start_at)
            start(child, now);
        if (child->stage == UP && now >= child->deadline)
            tell_for_job(child, "over its time");
        if (child->stage == UP && now >= child->kill_at) {
            child->kill_at = INT64_MAX;
            kill(-child->pid, SIGKILL);
        }
    }
}

int64_t warm_next(const struct warm *warm)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < warm->n; i++) {
        const struct warm_child *child = &warm->children[i];
        int64_t at = INT64_MAX;
        if (child->stage == DOWN && !warm->stopping)
            at = child->start_at;
        else if (child->stage == UP)
            at = child->deadline < child->kill_at && child->told != SIGTERM ? child->deadline
                                                                            : child->kill_at;
        next = at < next ? at : next;
    }
    return next;
}

/* -------------------------------------------------------------------- the table */

static void works_on(struct warm_child *child, const struct jobtab_job *job)
{
    bool known = child->works && child->job_started == job->started_at &&
                 memcmp(&child->job, &job->id, sizeof job->id) == 0;

    if (!known) {
        /* When it began is told by the wall clock, which may have been stepped since: not before
         * the last look, and not later than now. */
        int64_t now = monotonic_ms(), longest = now - child->warm->looked_at;
        int64_t lasted = jobtab_now() - job->started_at;
        lasted = lasted < 0 ? 0 : lasted > longest ? longest : lasted;
        child->job = job->id;
        child->job_started = job->started_at;
        child->deadline = INT64_MAX;
        if (job->timeout > 0)
            child->deadline = now + job->timeout - lasted + DEADLINE_SLACK;
    }
    child->works = child->seen = true;
    if (job->state == JOBTAB_CANCELLING)
        tell_for_job(child, "cancelled");
}

static void match(struct warm *warm, const struct jobtab_job *job)
{
    for (size_t i = 0; i < warm->n; i++) {
        struct warm_child *child = &warm->children[i];
        if ((child->stage == UP || child->stage == DEAD) && child->pid == job->owner.pid &&
            child->start_time == job->owner.start_time)
            works_on(child, job);
    }
}

void warm_inspect(struct warm *warm)
{
    struct jobtab_filter filter = {.states = JOBTAB_STATE_BIT(JOBTAB_RUNNING) |
                                             JOBTAB_STATE_BIT(JOBTAB_CANCELLING)};
    static struct jobtab_job jobs[PAGE]; /* of the one thread that is the loop */
    bool more = warm->n > 0;

    for (size_t i = 0; i < warm->n; i++)
        warm->children[i].seen = false;
    int64_t looking_since = monotonic_ms();
    while (more) {
        size_t n = PAGE;
        if (jobtab_list(warm->site->table, &filter, jobs, &n, &filter.after, &more) != JOBTAB_OK) {
            log_error("listing running jobs: %s", jobtab_why());
            return;
        }
        for (size_t i = 0; i < n; i++)
            match(warm, &jobs[i]);
        filter.after_set = true;
    }
    warm->looked_at = looking_since;
    for (size_t i = 0; i < warm->n; i++) {
        struct warm_child *child = &warm->children[i];
        if (!child->seen) {
            child->works = false;
            child->deadline = INT64_MAX;
        }
    }
}

void warm_offer(struct warm *warm)
{
    for (size_t i = 0; i < warm->n; i++) {
        if (warm->children[i].stage == DEAD) {
            warm->children[i].stage = SWEEPING;
            desk_sweep(warm->site->desk);
        }
    }
}

void warm_swept(struct warm *warm)
{
    int64_t now = monotonic_ms();

    for (size_t i = 0; i < warm->n; i++) {
        struct warm_child *child = &warm->children[i];
        if (child->stage != SWEEPING)
            continue;
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        child->stage = DOWN;
        child->pid = 0;
        child->start_at = now;
        if (child->told == 0 && now - child->started < SHORT_LIFE)
            pause_longer(child, now);
        else
            child->pause = 0;
    }
}

/* --------------------------------------------------------------------- stopping */

void warm_quit(struct warm *warm)
{
    warm->stopping = true;
    for (size_t i = 0; i < warm->n; i++)
        tell(&warm->children[i], SIGQUIT, INT64_MAX);
}

void warm_stop(struct warm *warm, int64_t longest)
{
    warm->stopping = true;
    for (size_t i = 0; i < warm->n; i++) {
        int64_t kill_after = warm->children[i].kind->kill_after;
        tell(&warm->children[i], SIGTERM, kill_after < longest ? kill_after : longest);
    }
}

void warm_kill(struct warm *warm)
{
    warm->stopping = true;
    for (size_t i = 0; i < warm->n; i++)
        if (warm->children[i].stage == UP)
            kill(-warm->children[i].pid, SIGKILL);
}

bool warm_gone(const struct warm *warm)
{
    for (size_t i = 0; i < warm->n; i++)
        if (warm->children[i].stage != DOWN)
            return false;
    return true;
}
