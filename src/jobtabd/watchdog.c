/* watchdog.c - see watchdog.h. */
#include "config.h"

#include "watchdog.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "conf.h"
#include "crew.h"
#include "heart.h"
#include "log.h"
#include "monotonic.h"
#include "proc.h"
#include "talk.h"

#define LOOK_EVERY  1000 /* ms */
#define STOPPED_FOR 200  /* ms that a keeper may be stopped, or a role that is not ready */
#define IDLE_TURN   2000 /* ms; a loop with nothing to do turns once a second */
#define CALLS       2    /* times stall_timeout: who holds others up is ended first, then they go on */

/* What one role has done for too long. */
struct rule {
    const char *text;
    int64_t (*lasts)(const struct slot *slot, const struct heart *heart, int64_t now); /* 0: it does not */
    int64_t times; /* stall_timeout, */
    int64_t more;  /* and so many ms */
};

static int64_t since(int64_t instant, int64_t now)
{
    return instant == 0 ? 0 : now > instant ? now - instant : 1;
}

static int64_t no_turn(const struct slot *slot, const struct heart *heart, int64_t now)
{
    (void)slot;
    return since(atomic_load(&heart->turn), now);
}

static int64_t in_a_call(const struct slot *slot, const struct heart *heart, int64_t now)
{
    (void)slot;
    return since(atomic_load(&heart->call), now);
}

static int64_t stopped(const struct slot *slot, const struct heart *heart, int64_t now)
{
    (void)heart;
    return slot->kind == ROLE_KEEPER || !slot->ready ? since(slot->stopped_at, now) : 0;
}

static const struct rule rules[] = {
    {"its loop has not turned for", no_turn, 1, IDLE_TURN},
    {"a call to the table has lasted for", in_a_call, CALLS, 0},
    {"it has been stopped for", stopped, 0, STOPPED_FOR},
};

static void end_role(struct slot *slot, const char *text, int64_t lasted)
{
    char name[32];

    slot_name(slot, name, sizeof name);
    log_error("%s (process %d) is ended: %s %lld ms", name, (int)slot->pid, text,
              (long long)lasted);
    slot->ended = true;
    kill(slot->pid, SIGKILL); /* a child of ours that is not reaped: the pid is its own */
}

int64_t watchdog_tend(struct crew *crew)
{
    const int64_t stall = crew->conf->stall_timeout, now = monotonic_ms();
    int64_t next = now + LOOK_EVERY;

    if (stall == 0) {
        return INT64_MAX;
    }
    for (size_t i = 0; i < crew->n_slots; i++) {
        struct slot *slot = &crew->slots[i];
        for (const struct rule *rule = rules; rule < rules + sizeof rules / sizeof *rules; rule++) {
            if (slot->pid <= 0 || slot->ended) {
                break;
            }
            int64_t lasted = rule->lasts(slot, &crew->hearts[i], now);
            int64_t most = rule->times * stall + rule->more;
            if (lasted >= most) {
                end_role(slot, rule->text, lasted);
            } else if (lasted > 0 && now + most - lasted < next) {
                next = now + most - lasted;
            }
        }
    }
    return next;
}

/* ------------------------------------------------------------- told by the keeper */

static void describe(const struct talk *talk, char *text, size_t size)
{
    static const char *const held[] = {
        [JOBTAB_HOLDS_SNAPSHOT] = "an old snapshot",
        [JOBTAB_HOLDS_WRITER] = "the writer lock",
        [JOBTAB_HOLDS_READERS] = "the lock of the list of readers",
        [JOBTAB_HOLDS_OPEN] = "the open lock",
    };
    const struct jobtab_holder *holder = &talk->holder;
    int n = snprintf(text, size, "it has held %s and %s for %lld ms", held[holder->what],
                     holder->stopped ? "been stopped" : "done nothing", (long long)talk->lasted);

    if (holder->what == JOBTAB_HOLDS_SNAPSHOT && n > 0 && (size_t)n < size) {
        snprintf(text + n, size - (size_t)n, ", %llu commits behind",
                 (unsigned long long)holder->behind);
    }
}

static bool is_as_told(const struct crew *crew, const struct jobtab_holder *holder,
                       struct process *process)
{
    char lock[PATH_MAX];

    return proc_read(holder->pid, process) && process->start_time == holder->start_time &&
           (!holder->stopped || process->state == 'T' || process->state == 't') &&
           (size_t)snprintf(lock, sizeof lock, "%s/%s", crew->conf->table.dir,
                            holder->what == JOBTAB_HOLDS_OPEN ? "open.lock" : "lock.mdb") <
               sizeof lock &&
           proc_has_open(holder->pid, lock);
}

/* A keeper runs with fewer rights than the master, and may ask for nobody's end but of those who
 * have the table open. */
void watchdog_told(struct crew *crew, const struct talk *talk)
{
    static pid_t refused; /* said once of each */
    const struct jobtab_holder *holder = &talk->holder;
    struct slot *slot = (struct slot *)crew_find(crew, holder->pid); /* NULL: it is no role */
    struct process process;
    char text[160];

    if (crew->conf->stall_timeout == 0 || holder->what > JOBTAB_HOLDS_OPEN) {
        return;
    }
    int pidfd = pidfd_open(holder->pid, 0);
    if (pidfd < 0) {
        return; /* it has died */
    }
    /* What is read after the pidfd was opened is about the process that it names. */
    describe(talk, text, sizeof text);
    if (!is_as_told(crew, holder, &process)) {
        errno = ESTALE;
    } else if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) == 0) {
        log_error("process %d (%s) is ended: %s", (int)holder->pid, process.name, text);
        if (slot) {
            slot->ended = true;
        }
        errno = 0;
    }
    if (errno != 0 && refused != holder->pid) {
        refused = holder->pid;
        log_warn("process %d is not ended, though %s: %s", (int)holder->pid, text,
                 errno == ESTALE ? "it is not so, or may not be looked into" : strerror(errno));
    }
    close(pidfd);
}
