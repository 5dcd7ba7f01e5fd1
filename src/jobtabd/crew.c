/* crew.c - fill slots with roles, replace who dies, see off who is to leave. */
#include "config.h"

#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"
#include "heart.h"
#include "log.h"
#include "monotonic.h"

#define FIRST_BREATH_MS 1000  /* who dies younger, or before it is ready, failed at its start */
#define A_WHILE_MS      10000 /* who lived so long starts with a clean record */
#define BACKOFF_MS      250   /* doubles with each failure in a row */
#define BACKOFF_MAX_MS  4000 /* so that a cause which is gone has nobody wait long */
#define NO_TABLE_MAX_MS 1000  /* the same when the table is the reason: once the disk is well, it goes on */
#define READY_MS        30000 /* for a new crew to get to work */
#define MARGIN_MS       3000  /* beyond kill_after, for a role to end after SIGTERM */

static int (*const mains[])(struct role *role) = {
    [ROLE_WORKER] = worker_main, [ROLE_RUNNER] = runner_main, [ROLE_KEEPER] = keeper_main};

struct crew *crew_new(struct conf *conf, enum crew_phase phase)
{
    const uint32_t counts[] = {[ROLE_KEEPER] = 1,
                               [ROLE_RUNNER] = conf->runner_processes,
                               [ROLE_WORKER] = conf->worker_processes};
    struct crew *crew = calloc(1, sizeof *crew);
    size_t n = (size_t)counts[ROLE_KEEPER] + counts[ROLE_RUNNER] + counts[ROLE_WORKER];

    if (!crew || !(crew->slots = calloc(n, sizeof *crew->slots)) ||
        !(crew->hearts = hearts_new(n)) ||
        !(crew->listeners = calloc(conf->n_listens, sizeof *crew->listeners))) {
        if (crew) {
            hearts_free(crew->hearts, n);
            free(crew->slots);
        }
        free(crew);
        return NULL;
    }
    crew->conf = conf;
    crew->phase = phase;
    crew->deadline = monotonic_ms() + READY_MS;
    for (size_t i = 0; i < conf->n_listens; i++) {
        crew->listeners[i] = -1;
    }
    for (size_t kind = 0; kind < sizeof counts / sizeof counts[0]; kind++) {
        for (uint32_t i = 0; i < counts[kind]; i++) {
            crew->slots[crew->n_slots++] =
                (struct slot){.kind = (enum role_kind)kind, .index = (int)i, .talk = -1};
        }
    }
    return crew;
}

void crew_free(struct crew *crew)
{
    if (crew) {
        conf_free(crew->conf);
        free(crew->listeners);
        hearts_free(crew->hearts, crew->n_slots);
        free(crew->slots);
        free(crew);
    }
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Close what the role is not to have: listeners of other crews would stay open with it, and so
 * would whatever else the master holds. */
static void close_others(const struct crew *crew, enum role_kind kind, int talk,
                         const struct crew_links *links)
{
    size_t n_listeners = kind == ROLE_WORKER ? crew->conf->n_listens : 0, n = 0;
    int *kept = malloc((n_listeners + 7) * sizeof *kept);
    unsigned next = 0;

    if (!kept) {
        _exit(1);
    }
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        kept[n++] = fd;
    }
    kept[n++] = log_fd();
    kept[n++] = links->lifeline;
    kept[n++] = links->ready;
    kept[n++] = talk;
    for (size_t i = 0; i < n_listeners; i++) {
        kept[n++] = crew->listeners[i];
    }
    qsort(kept, n, sizeof *kept, by_number);
    for (size_t i = 0; i < n; i++) {
        if (kept[i] < 0) {
            continue; /* the log is off, or there is no talk */
        }
        if ((unsigned)kept[i] > next) {
            close_range(next, (unsigned)kept[i] - 1, 0);
        }
        next = (unsigned)kept[i] + 1;
    }
    close_range(next, ~0u, 0);
    free(kept);
}

void slot_name(const struct slot *slot, char *text, size_t size)
{
    snprintf(text, size, slot->kind == ROLE_KEEPER ? "%s" : "%s %d", role_name(slot->kind),
             slot->index);
}

/* How long an empty slot stays empty: not at all after a life of work, then longer and longer. */
static int64_t backoff(unsigned failures, bool at_start)
{
    unsigned steps = at_start ? failures : failures - 1;
    int64_t wait = steps == 0 ? 0 : BACKOFF_MS;

    while (steps-- > 1 && wait < BACKOFF_MAX_MS) {
        wait *= 2;
    }
    return wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
}

/* A keeper's talk with us; one that can have none works all the same. */
static void open_talk(struct slot *slot, int *theirs)
{
    int ends[2] = {-1, -1};

    if (slot->kind == ROLE_KEEPER &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        log_warn("the keeper can tell nothing: %s", strerror(errno));
    }
    slot->talk = ends[0];
    *theirs = ends[1];
}

static void close_talk(struct slot *slot)
{
    if (slot->talk >= 0) {
        close(slot->talk);
    }
    slot->talk = -1;
}

static void fill(struct crew *crew, struct slot *slot, const struct crew_links *links)
{
    struct heart *heart = &crew->hearts[slot - crew->slots];
    char name[32];
    int talk;

    slot->ready = slot->ended = false;
    slot->stopped_at = 0;
    slot->born = monotonic_ms();
    heart_clear(heart);
    open_talk(slot, &talk);
    slot->pid = fork();
    int error = errno;
    if (slot->pid != 0 && talk >= 0) {
        close(talk);
    }
    if (slot->pid == 0) {
        struct role role = {
            .kind = slot->kind,
            .slot = slot->index,
            .trial = crew->phase == CREW_COMING,
            .had_table = crew->had_table,
            .table_wait = slot->table_wait,
            .conf = crew->conf,
            .run_id = links->run_id,
            .listeners = slot->kind == ROLE_WORKER ? crew->listeners : NULL,
            .lifeline = links->lifeline,
            .ready = links->ready,
            .talk = talk,
            .wake = -1,
        };
        close_others(crew, slot->kind, talk, links);
        heart_use(heart);
        exit(mains[slot->kind](&role));
    }
    if (slot->pid < 0) {
        slot->pid = 0;
        close_talk(slot);
        slot->failures++;
        slot->fill_at = slot->born + backoff(slot->failures, true);
        slot_name(slot, name, sizeof name);
        log_error("cannot fork %s: %s; trying again in %lld ms", name, strerror(error),
                  (long long)(slot->fill_at - slot->born));
    }
}

static void send_all(const struct crew *crew, int number)
{
    for (size_t i = 0; i < crew->n_slots; i++) {
        if (crew->slots[i].pid > 0) {
            kill(crew->slots[i].pid, number);
        }
    }
}

static int64_t longest_kill_after(const struct conf *conf)
{
    int64_t longest = 0;

    for (size_t i = 0; i < conf->n_kinds; i++) {
        if (conf->kinds[i].kill_after > longest) {
            longest = conf->kinds[i].kill_after;
        }
    }
    return longest;
}

/* SIGQUIT, then SIGTERM, then SIGKILL: each one's time, and what follows. */
static void tell(struct crew *crew, int number)
{
    int64_t now = monotonic_ms();

    crew->told = number;
    send_all(crew, number);
    if (number == SIGQUIT) {
        crew->deadline = now + crew->conf->shutdown_timeout;
    } else if (number == SIGTERM) {
        crew->deadline = now + longest_kill_after(crew->conf) + MARGIN_MS;
    } else {
        crew->deadline = INT64_MAX; /* there is nothing harder */
    }
}

void crew_leave(struct crew *crew, int number)
{
    crew->phase = CREW_LEAVING;
    if (crew->told == 0 || (crew->told == SIGQUIT && number == SIGTERM)) {
        tell(crew, number);
    }
}

static void tell_harder(struct crew *crew)
{
    int number = crew->told == SIGQUIT ? SIGTERM : SIGKILL;

    log_warn("%zu processes did not end in time: sending SIG%s", crew_running(crew),
             sigabbrev_np(number));
    tell(crew, number);
}

int64_t crew_tend(struct crew *crew, const struct crew_links *links)
{
    int64_t now = monotonic_ms(), next = INT64_MAX;

    if (crew->phase == CREW_LEAVING) {
        if (now >= crew->deadline && crew_running(crew) > 0) {
            tell_harder(crew);
        }
        return crew->deadline;
    }
    for (size_t i = 0; i < crew->n_slots; i++) {
        struct slot *slot = &crew->slots[i];
        if (slot->pid == 0 && slot->fill_at <= now) {
            fill(crew, slot, links);
        }
        if (slot->pid == 0 && slot->fill_at < next) {
            next = slot->fill_at;
        }
    }
    return crew->phase == CREW_COMING && crew->deadline < next ? crew->deadline : next;
}

const struct slot *crew_find(const struct crew *crew, pid_t pid)
{
    for (size_t i = 0; pid > 0 && i < crew->n_slots; i++) { /* 0 is an empty slot's */
        if (crew->slots[i].pid == pid) {
            return &crew->slots[i];
        }
    }
    return NULL;
}

bool crew_said_ready(struct crew *crew, pid_t pid)
{
    struct slot *slot = (struct slot *)crew_find(crew, pid);

    if (slot) {
        slot->ready = true;
        crew->had_table = true;
    }
    return slot != NULL;
}

bool crew_look(struct slot *slot, int *status)
{
    siginfo_t info = {0};

    if (slot->pid <= 0 ||
        waitid(P_PID, (id_t)slot->pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0) {
        return false;
    }
    if (info.si_pid == 0) {
        slot->stopped_at = 0;
    } else if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED) {
        slot->stopped_at = slot->stopped_at ? slot->stopped_at : monotonic_ms();
    } else {
        *status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
                                             : W_EXITCODE(0, info.si_status);
        return true;
    }
    return false;
}

static void describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(text, size, "was killed by signal %d (SIG%s)", WTERMSIG(status),
                 name ? name : "?");
    } else if (WEXITSTATUS(status) == ROLE_NO_TABLE) {
        snprintf(text, size, "left for want of the table");
    } else {
        snprintf(text, size, "exited with code %d", WEXITSTATUS(status));
    }
}

/* Whether the table ended it, and not a fault of its own: it left, or it read a page that its disk
 * does not give. */
static bool ended_by_table(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) == ROLE_NO_TABLE : WTERMSIG(status) == SIGBUS;
}

/* After such an end the slot of a worker is filled at once, so that clients are answered, and it is
 * the table that is waited for; unless the last one did not live to see to that. */
static void plan_fill(struct slot *slot, int status, int64_t lived, int64_t wait)
{
    bool serves = slot->kind == ROLE_WORKER && ended_by_table(status) && lived >= slot->table_wait;

    slot->table_wait = serves ? wait : 0;
    slot->fill_at = slot->born + lived + (serves ? 0 : wait);
}

bool crew_died(struct crew *crew, pid_t pid, int status)
{
    struct slot *slot = (struct slot *)crew_find(crew, pid);
    char name[32], end[64];

    if (!slot) {
        return false;
    }
    int64_t now = monotonic_ms(), lived = now - slot->born;
    bool at_start = !slot->ready || lived < FIRST_BREATH_MS;
    bool in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    slot->pid = 0;
    close_talk(slot);
    slot_name(slot, name, sizeof name);
    describe_end(status, end, sizeof end);
    if (crew->phase == CREW_LEAVING) {
        log_write(in_order ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, NULL, "%s (process %d) %s", name,
                  (int)pid, end);
        return true;
    }
    /* Who was ended for being stopped or hung has not failed at its work: it is wanted at once. */
    bool clean = slot->ready && (lived >= A_WHILE_MS || slot->ended);
    at_start = at_start && !clean;
    slot->failures = clean ? 1 : slot->failures + 1;
    int64_t wait = backoff(slot->failures, at_start);
    if (ended_by_table(status) && wait > NO_TABLE_MAX_MS) {
        wait = NO_TABLE_MAX_MS;
    }
    plan_fill(slot, status, lived, wait);
    if (crew->phase == CREW_COMING) {
        log_error("%s (process %d) %s at its start", name, (int)pid, end);
    } else if (slot->table_wait > 0) {
        log_error("%s (process %d) %s, %u in a row; starting it again, to open the table in %lld "
                  "ms", name, (int)pid, end, slot->failures, (long long)slot->table_wait);
    } else if (slot->fill_at == now) {
        log_error("%s (process %d) %s; starting it again", name, (int)pid, end);
    } else {
        log_error("%s (process %d) %s%s, %u in a row; starting it again in %lld ms", name, (int)pid,
                  end, at_start ? " at its start" : "", slot->failures,
                  (long long)(slot->fill_at - now));
    }
    return true;
}

bool crew_is_ready(const struct crew *crew)
{
    for (size_t i = 0; i < crew->n_slots; i++) {
        if (!crew->slots[i].pid || !crew->slots[i].ready) {
            return false;
        }
    }
    return true;
}

bool crew_failed(const struct crew *crew)
{
    for (size_t i = 0; i < crew->n_slots; i++) {
        if (crew->slots[i].failures > 0) {
            return true;
        }
    }
    return false;
}

size_t crew_running(const struct crew *crew)
{
    size_t n = 0;

    for (size_t i = 0; i < crew->n_slots; i++) {
        n += crew->slots[i].pid > 0;
    }
    return n;
}
