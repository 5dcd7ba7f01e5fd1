/* keeper.c - moves what time moves.
 * Born:  forked by the master; opens the table itself.
 * Loop:  look who is in the others' way (lookout.h), and sweep: due retries and delayed jobs,
 *        expiry, lapsed leases, jobs whose owner died, dead readers' slots; in small transactions
 *        with pauses while there is more, so that a million jobs which expire at once leave the
 *        table to those who submit. Then sleep until the next thing is due, the table has changed,
 *        or a second is over: no event tells of a process's death, unless the master reaps it and
 *        asks for a sweep before. A table that is in doubt is verified by the next sweep, so that
 *        it does not stay so until somebody writes; one that refuses it is asked again every
 *        second.
 * Ends:  QUIT and TERM alike, at once: nothing is under way between two sweeps.
 * Crash: nothing is lost; another keeper does what is due. Runners and workers go on.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bell_thread.h"
#include "conf.h"
#include "heart.h"
#include "jobtab.h"
#include "log.h"
#include "lookout.h"
#include "monotonic.h"
#include "role.h"
#include "role_table.h"
#include "talk.h"
#include "watch.h"

#define HEARTBEAT    1000 /* ms between sweeps when nothing happens */
#define SHORTEST     20   /* ms; what is overdue and was not moved is not asked for again at once */
#define BELL_GAP     200  /* ms between sweeps that follow changes, however many there are */
#define BUDGET       64   /* jobs moved in one transaction: who writes waits for no more */
#define SHARE        4    /* when there is more to move: pauses that many times what a sweep took */
#define RUNNING_SEEN 512  /* running jobs remembered, to name those that lost their owner */

struct keeper {
    struct role *role;
    struct jobtab *table;
    struct lookout *lookout;
    int bell;
    char told[JOBTAB_WHY_MAX];  /* why the last sweep failed; "": it did not */
    char passed_over[JOBTAB_WHY_MAX]; /* what the last one said of that */
    struct talk request; /* of the master: to clear the slots of the dead */
    bool asked, woken; /* something happened that wants a sweep before its time */
    bool pausing; /* there is more to move: what the last sweep did rang the bell, too */
    struct jobtab_swept untold; /* what was moved and is not yet in the log */
    int64_t told_at, remembered_at, sweep_at;
    int64_t busy_until; /* the table has changed, and is likely to go on changing */
    size_t n_running;
    struct jobtab_job running[RUNNING_SEEN]; /* before the sweep at hand */
};

/* A sweep counts; who lost what is seen by comparing. Not before each of many sweeps in a row,
 * unless somebody has just died. */
static void remember_running(struct keeper *keeper, int64_t now)
{
    struct jobtab_filter filter = {.states = JOBTAB_STATE_BIT(JOBTAB_RUNNING) |
                                             JOBTAB_STATE_BIT(JOBTAB_CANCELLING)};
    struct jobtab_id cursor;
    bool more;

    if (!keeper->asked && now - keeper->remembered_at < BELL_GAP)
        return;
    keeper->remembered_at = now;
    keeper->n_running = RUNNING_SEEN;
    if (jobtab_list(keeper->table, &filter, keeper->running, &keeper->n_running, &cursor, &more) !=
        JOBTAB_OK)
        keeper->n_running = 0;
}

static void tell_changed(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->n_running; i++) {
        const struct jobtab_job *before = &keeper->running[i];
        struct jobtab_job after;
        char id[JOBTAB_ID_TEXT];

        if (jobtab_get(keeper->table, &before->id, &after) != JOBTAB_OK ||
            (after.reason != JOBTAB_BY_OWNER_LOST && after.reason != JOBTAB_BY_TIMEOUT) ||
            after.version == before->version)
            continue;
        jobtab_id_format(&before->id, id);
        log_write(LOG_LEVEL_WARN, id, "%s: taken from pid %d: now %s (%u of %u crashes)",
                  jobtab_reason_name(after.reason), (int)before->owner.pid,
                  jobtab_state_name(after.state), after.crashes, after.max_crashes);
    }
}

/* At most one line a second of what goes on and on. */
static void tell(struct keeper *keeper, const struct jobtab_swept *swept, int64_t now)
{
    struct jobtab_swept *sum = &keeper->untold;

    if (swept->lost > 0 || swept->timed_out > 0)
        tell_changed(keeper);
    if (swept->readers > 0)
        log_notice("cleared the slots of %u dead readers", swept->readers);
    sum->due += swept->due;
    sum->expired += swept->expired;
    sum->lost += swept->lost;
    sum->timed_out += swept->timed_out;
    sum->cancelled += swept->cancelled;
    if ((swept->more && now - keeper->told_at < HEARTBEAT) ||
        sum->due + sum->expired + sum->lost + sum->timed_out + sum->cancelled == 0)
        return;
    log_info("swept: %u due, %u expired, %u lost, %u timed out, %u cancelled", sum->due,
             sum->expired, sum->lost, sum->timed_out, sum->cancelled);
    memset(sum, 0, sizeof *sum);
    keeper->told_at = now;
}

/* Once, however long it stays: claims and sweeps go past it, and somebody has to look at it. */
static void tell_passed_over(struct keeper *keeper, const char *what)
{
    if (what[0] != '\0' && strcmp(keeper->passed_over, what) != 0)
        log_error("passed over, see jobtab verify: %s", what);
    snprintf(keeper->passed_over, sizeof keeper->passed_over, "%s", what);
}

/* Once, however long it lasts: the disk may have to be bad for hours, and have the log on it. */
static void tell_error(struct keeper *keeper, const char *why)
{
    if (strcmp(keeper->told, why) == 0)
        return;
    if (why[0] != '\0')
        log_error("sweeping: %s", why);
    else
        log_notice("the table is written again");
    snprintf(keeper->told, sizeof keeper->told, "%s", why);
}

static void take_requests(struct keeper *keeper)
{
    struct talk talk;

    while (recv(keeper->role->talk, &talk, sizeof talk, MSG_DONTWAIT) == (ssize_t)sizeof talk) {
        keeper->asked = talk.what == TALK_CLEAR;
        keeper->request = talk; /* the newest: what is cleared for it is cleared for those before */
    }
}

/* A sweep has begun after the request came. */
static void answer_request(struct keeper *keeper)
{
    if (!keeper->asked)
        return;
    keeper->asked = false;
    keeper->request.what = TALK_CLEARED;
    if (send(keeper->role->talk, &keeper->request, sizeof keeper->request,
             MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_error("answering the master: %s", strerror(errno));
}

/* Returns how long to sleep, in ms, or -1 when the table is broken. */
static int sweep(struct keeper *keeper)
{
    struct jobtab_swept swept;
    int64_t begun = monotonic_ms();

    remember_running(keeper, begun);
    lookout_call_begins(keeper->lookout);
    int error = jobtab_sweep(keeper->table, BUDGET, &swept);
    lookout_call_ends(keeper->lookout);
    if (error != JOBTAB_OK) {
        tell_error(keeper, jobtab_why());
        return error == JOBTAB_BROKEN ? -1 : HEARTBEAT;
    }
    if (keeper->told[0] != '\0')
        tell_error(keeper, "");
    int64_t now = monotonic_ms();
    tell(keeper, &swept, now);
    tell_passed_over(keeper, swept.passed_over);
    answer_request(keeper);
    keeper->pausing = swept.more;

    int64_t left = swept.more        ? SHARE * (now - begun + 1)
                   : swept.next != 0 ? swept.next - jobtab_now()
                                     : HEARTBEAT;
    int64_t least = swept.more ? 1 : SHORTEST;
    return left < least ? (int)least : left > HEARTBEAT ? HEARTBEAT : (int)left;
}

/* Look, and sweep when it is time. Returns how long to sleep, in ms, or -1 when the table is
 * broken. */
static int turn(struct keeper *keeper)
{
    enum lookout_next look = lookout_look(keeper->lookout);
    int64_t now = monotonic_ms();

    if (keeper->woken || look == LOOKOUT_SWEEP || now >= keeper->sweep_at) {
        keeper->woken = false;
        int pause = sweep(keeper);
        if (pause < 0)
            return -1;
        now = monotonic_ms();
        keeper->sweep_at = now + pause;
    }
    int left = keeper->sweep_at > now ? (int)(keeper->sweep_at - now) : 0;
    bool again = look != LOOKOUT_CALM || now < keeper->busy_until;
    return again && left > LOOKOUT_SOON ? LOOKOUT_SOON : left;
}

static void sleep_for(struct keeper *keeper, int ms)
{
    struct pollfd fds[] = {{.fd = keeper->role->wake, .events = POLLIN},
                           {.fd = keeper->role->lifeline, .events = POLLIN},
                           {.fd = keeper->bell, .events = POLLIN},
                           {.fd = keeper->role->talk, .events = POLLIN}};
    uint64_t count;

    if (poll(fds, sizeof fds / sizeof *fds, ms) <= 0)
        return;
    if (fds[0].revents != 0 && read(fds[0].fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("reading the wake descriptor: %s", strerror(errno));
    keeper->woken = fds[0].revents || fds[1].revents || fds[3].revents || !keeper->pausing;
    if (fds[2].revents != 0)
        keeper->busy_until = monotonic_ms() + 2 * BELL_GAP;
    if (fds[2].revents != 0 && read(fds[2].fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("reading the bell: %s", strerror(errno));
    take_requests(keeper);
}

int keeper_main(struct role *role)
{
    static struct keeper keeper; /* as large as the jobs it remembers */
    int pause = 0;

    role_begin(role);
    keeper.role = role;
    if (role_table_open(role, &keeper.table) != JOBTAB_OK)
        return ROLE_NO_TABLE;
    keeper.lookout = lookout_start(keeper.table, role->talk, role->conf->stall_timeout);
    if (keeper.lookout == NULL || bell_thread_start(keeper.table, BELL_GAP, &keeper.bell) < 0) {
        log_error("keeper: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    role_ready(role);

    while (role_stopping(role) == ROLE_GO_ON) {
        heart_beat();
        pause = turn(&keeper);
        if (pause < 0)
            break;
        sleep_for(&keeper, pause);
    }
    /* The table stays open: the bell's thread is inside a call. The kernel closes it. */
    return pause < 0 ? ROLE_NO_TABLE : EXIT_SUCCESS;
}
