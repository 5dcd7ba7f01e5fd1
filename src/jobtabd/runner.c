/* runner.c - works off jobs.
 * Born:  forked by the master; opens the table itself, starts a thread for the bell and one for
 *        what is written, then the warm children.
 * Loop:  claim what is ready while there are free slots, spawn a child each, relay what they say,
 *        stop those that are cancelled or over their time, record how they ended. All that a
 *        turn has to write is one batch; the next is written while the loop goes on.
 * Ends:  QUIT lets children end; TERM, or the master's death, tells them to stop and hands their
 *        jobs back. A commit that failed ends it at once, and its children with it; what a disk
 *        that is full or failing refuses is tried again every second.
 * Crash: the kernel kills its children; the keeper sees the owners gone, and their jobs go
 *        back to pending.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bell_thread.h"
#include "child.h"
#include "conf.h"
#include "desk.h"
#include "heart.h"
#include "jobtab.h"
#include "log.h"
#include "monotonic.h"
#include "role.h"
#include "role_table.h"
#include "site.h"
#include "warm.h"
#include "watch.h"

#define HEARTBEAT   1000 /* ms; a bell that was lost with its ringer costs no more than this */
#define LOOK_EVERY  50   /* ms between two looks at what runs */
#define OVERLAP     2    /* children for a slot: one that is ending, one that takes its place */
#define CLAIMS      8    /* of one kind in one batch: runners beside us want some, too */
#define AFTER_ERROR 1000 /* ms before what failed is tried again: the table, or to start a child */
#define STOP_GRACE  3000 /* ms that a child has at most, when we are told to go at once */
#define LEAVE_AFTER 6000 /* ms after which we go, recorded or not */

/* In one batch `ending` of those that are running give their slots to as many that are claimed. */
struct kind_slots {
    struct runner *runner;
    const struct conf_kind *kind;
    uint32_t running, ending, claiming;
};

struct runner {
    struct role *role;
    struct site site;
    struct watch wake, lifeline, bell, done, deaths;
    struct warm *warm;

    size_t n_kinds, first_kind; /* the kind that may claim first; they take turns */
    struct kind_slots *kinds;
    size_t n_children, room;
    struct child **children;

    enum role_stop stopping;
    int64_t stop_by;  /* when the next, harder way to stop begins */
    int64_t write_at; /* not before: the table failed */
    int64_t claim_at; /* not before: there was no memory or no descriptor to start a child with */
    int64_t looked_at, look_at;
    bool look_for_work;
    bool broken, no_table; /* it must leave, and the table is why */
};

/* ------------------------------------------------------------------- claiming */

static struct kind_slots *slots_of(const struct runner *runner, const struct child *child)
{
    return &runner->kinds[child_kind(child) - runner->role->conf->kinds];
}

/* Ends that the table refuses to take keep their children, which may be more than there are slots:
 * the second bound is that of the room for them. */
static uint32_t free_slots(const struct runner *runner, const struct kind_slots *slots)
{
    uint32_t most = slots->kind->children == 0 ? slots->kind->concurrency : 0;
    uint32_t room = OVERLAP * most - slots->running - slots->claiming;
    uint32_t taken = slots->running - slots->ending + slots->claiming;
    uint32_t left = taken < most ? most - taken : 0;

    return runner->stopping != ROLE_GO_ON ? 0 : left < room ? left : room;
}

static void claimed(void *owner, const struct jobtab_op *op)
{
    struct kind_slots *slots = owner;
    struct runner *runner = slots->runner;

    slots->claiming--;
    if (op->result == JOBTAB_EMPTY || op->result == JOBTAB_SYSTEM || op->result == JOBTAB_BROKEN)
        return; /* nothing to do, or the whole batch failed: batch_done says why */
    if (op->result != JOBTAB_OK) {
        log_error("claiming a job of kind %s: %s", slots->kind->name, op->why);
        return;
    }
    struct child *child = child_new(&runner->site, slots->kind, op->job, &op->token);
    if (child == NULL) {
        log_error("no memory for a job of kind %s", slots->kind->name);
        runner->broken = true; /* it is ours as long as we live */
        return;
    }
    runner->children[runner->n_children++] = child;
    slots->running++;
    runner->look_for_work = true; /* where one was there may be more */
}

static void claim_kind(struct runner *runner, struct kind_slots *slots, uint32_t most)
{
    bool claimable = false;

    if (jobtab_claimable(runner->site.table, slots->kind->name, &claimable) != JOBTAB_OK)
        log_error("looking for jobs of kind %s: %s", slots->kind->name, jobtab_why());
    for (uint32_t i = 0; claimable && i < most && i < CLAIMS; i++) {
        if (!desk_has_room(runner->site.desk, 1, 0)) {
            runner->look_for_work = true;
            return;
        }
        struct jobtab_op *op = desk_add(runner->site.desk, JOBTAB_CLAIM, 0, claimed, slots);
        op->claim.kind = slots->kind->name;
        slots->claiming++;
    }
}

static void claim(struct runner *runner)
{
    runner->look_for_work = false;
    for (size_t i = 0; i < runner->n_kinds; i++) {
        struct kind_slots *slots = &runner->kinds[(runner->first_kind + i) % runner->n_kinds];
        uint32_t most = free_slots(runner, slots);
        if (most > 0)
            claim_kind(runner, slots, most);
    }
    runner->first_kind++;
}

/* One a turn: while one is started nobody else is looked after. What was claimed when we are told
 * to go is handed back. */
static void start_one(struct runner *runner)
{
    for (size_t i = 0; i < runner->n_children; i++) {
        struct child *child = runner->children[i];
        if (!child_waits(child))
            continue;
        if (runner->stopping == ROLE_GO_ON) {
            if (!child_start(child))
                runner->claim_at = monotonic_ms() + AFTER_ERROR;
            return;
        }
        child_stop(child, ENDING_SHUTDOWN, 0);
    }
}

/* -------------------------------------------------------------------- stopping */

static void stop_gently(struct runner *runner, int64_t now)
{
    log_notice("ending when the running jobs have ended");
    runner->stopping = ROLE_QUIT;
    runner->stop_by = now + runner->role->conf->shutdown_timeout;
    warm_quit(runner->warm);
}

static void stop_now(struct runner *runner, int64_t now)
{
    log_notice("stopping; %zu jobs are handed back", runner->n_children);
    runner->stopping = ROLE_TERM;
    runner->stop_by = now + LEAVE_AFTER;
    for (size_t i = 0; i < runner->n_children; i++) {
        int64_t kill_after = child_kind(runner->children[i])->kill_after;
        child_stop(runner->children[i], ENDING_SHUTDOWN,
                   kill_after < STOP_GRACE ? kill_after : STOP_GRACE);
    }
    warm_stop(runner->warm, STOP_GRACE);
}

static void heed_stop(struct runner *runner, int64_t now)
{
    enum role_stop asked = role_stopping(runner->role);

    if (runner->stopping == ROLE_GO_ON && asked == ROLE_QUIT)
        stop_gently(runner, now);
    else if (runner->stopping != ROLE_TERM && asked == ROLE_TERM)
        stop_now(runner, now);
    else if (runner->stopping == ROLE_QUIT && now >= runner->stop_by)
        stop_now(runner, now);
    else if (runner->stopping == ROLE_TERM && now >= runner->stop_by) {
        log_error("the table did not take the end of %zu jobs in time", runner->n_children);
        runner->broken = true;
    }
}

static bool all_ended(const struct runner *runner)
{
    return runner->stopping != ROLE_GO_ON && runner->n_children == 0 && warm_gone(runner->warm) &&
           desk_free(runner->site.desk);
}

/* ------------------------------------------------------------------- the events */

static void rearm(const struct watch *watch)
{
    uint64_t count;

    if (read(watch->fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
        log_error("reading an eventfd: %s", strerror(errno));
}

static void woken(struct watch *watch, uint32_t events)
{
    (void)events;
    rearm(watch); /* what for, heed_stop sees */
}

static void lifeline_cut(struct watch *watch, uint32_t events)
{
    (void)watch, (void)events; /* one shot; heed_stop sees it */
}

static void bell_rang(struct watch *watch, uint32_t events)
{
    struct runner *runner = watch->owner;

    (void)events;
    rearm(watch);
    runner->look_for_work = true;
    if (runner->look_at > runner->looked_at + LOOK_EVERY)
        runner->look_at = runner->looked_at + LOOK_EVERY;
}

/* SIGCHLD says that somebody died, but not reliably who: one signal may stand for several. */
static void somebody_died(struct watch *watch, uint32_t events)
{
    struct runner *runner = watch->owner;
    struct signalfd_siginfo info;

    (void)events;
    if (read(watch->fd, &info, sizeof info) < 0 && errno != EAGAIN && errno != EINTR)
        log_error("reading a signalfd: %s", strerror(errno));
    for (size_t i = 0; i < runner->n_children; i++)
        child_look(runner->children[i]);
    warm_look(runner->warm);
}

static void batch_done(struct watch *watch, uint32_t events)
{
    struct runner *runner = watch->owner;
    struct jobtab_swept swept;
    const char *why;
    int error;

    (void)events;
    rearm(watch);
    if (!desk_collect(runner->site.desk, &error, &why, &swept))
        return;
    warm_swept(runner->warm);
    if (error == JOBTAB_OK)
        return;
    log_error("writing to the table: %s", why);
    if (error == JOBTAB_BROKEN)
        runner->broken = runner->no_table = true;
    runner->write_at = monotonic_ms() + AFTER_ERROR;
    runner->look_for_work = true;
}

/* Cancelled? Gone? Only reads; after a bell, or a heartbeat without one. */
static void look(struct runner *runner, int64_t now)
{
    for (size_t i = 0; i < runner->n_children; i++)
        child_check(runner->children[i]);
    warm_inspect(runner->warm);
    runner->looked_at = now;
    runner->look_at = now + HEARTBEAT;
    runner->look_for_work = true;
}

/* All that this turn has for the table, as one batch. */
static void write_batch(struct runner *runner, int64_t now)
{
    if (!desk_free(runner->site.desk) || now < runner->write_at)
        return;
    warm_offer(runner->warm);
    for (size_t i = 0; i < runner->n_children; i++) {
        if (child_offer(runner->children[i], now)) {
            slots_of(runner, runner->children[i])->ending++;
            runner->look_for_work = true;
        }
    }
    if (runner->look_for_work && now >= runner->claim_at)
        claim(runner);
    for (size_t i = 0; i < runner->n_kinds; i++)
        runner->kinds[i].ending = 0;
    desk_send(runner->site.desk);
}

static void drop_gone(struct runner *runner)
{
    size_t kept = 0;

    for (size_t i = 0; i < runner->n_children; i++) {
        struct child *child = runner->children[i];
        if (!child_gone(child)) {
            runner->children[kept++] = child;
            continue;
        }
        slots_of(runner, child)->running--;
        child_free(child);
        runner->look_for_work = true;
    }
    runner->n_children = kept;
}

static int time_to_wait(const struct runner *runner)
{
    bool may_write = desk_free(runner->site.desk);
    int64_t next = runner->look_at, at = warm_next(runner->warm), now = monotonic_ms();

    next = at < next ? at : next;
    if (runner->stopping != ROLE_GO_ON && runner->stop_by < next)
        next = runner->stop_by;
    if (may_write && runner->write_at > now) {
        may_write = false;
        next = runner->write_at < next ? runner->write_at : next;
    }
    for (size_t i = 0; i < runner->n_children; i++) {
        at = child_next(runner->children[i], may_write);
        next = at < next ? at : next;
    }
    if (runner->look_for_work && may_write)
        next = runner->claim_at < next ? runner->claim_at : next;
    return next <= now ? 0 : next - now > HEARTBEAT ? HEARTBEAT : (int)(next - now);
}

/* -------------------------------------------------------------------- the life */

static int open_site(struct runner *runner)
{
    const struct conf *conf = runner->role->conf;
    struct site *site = &runner->site;
    struct jobtab_stat stat;

    site->run_id = runner->role->run_id;
    site->epoll = -1;
    runner->no_table = true;
    if (role_table_open(runner->role, &site->table) != JOBTAB_OK)
        return -1;
    if (jobtab_stat(site->table, &stat, NULL, 0) != JOBTAB_OK) {
        log_error("table %s: %s", conf->table.dir, jobtab_why());
        return -1;
    }
    runner->no_table = false;
    site->result_max = stat.options.result_max;
    site->log_max = stat.options.log_max;
    site->table_dir = realpath(conf->table.dir, NULL);
    site->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (site->table_dir == NULL || site->epoll < 0) {
        log_error("runner: %s", strerror(errno));
        return -1;
    }
    return 0;
}

static int open_kinds(struct runner *runner)
{
    const struct conf *conf = runner->role->conf;

    runner->n_kinds = conf->n_kinds;
    runner->kinds = calloc(conf->n_kinds + 1, sizeof *runner->kinds);
    if (runner->kinds == NULL)
        return -1;
    for (size_t i = 0; i < conf->n_kinds; i++) {
        runner->kinds[i] = (struct kind_slots){.runner = runner, .kind = &conf->kinds[i]};
        runner->room += conf->kinds[i].children == 0 ? OVERLAP * conf->kinds[i].concurrency : 0;
    }
    runner->children = calloc(runner->room + 1, sizeof *runner->children);
    runner->warm = warm_new(&runner->site, conf);
    return runner->children != NULL && runner->warm != NULL ? 0 : -1;
}

static int open_events(struct runner *runner)
{
    struct site *site = &runner->site;
    int epoll = site->epoll;
    sigset_t death;

    sigemptyset(&death);
    sigaddset(&death, SIGCHLD);
    sigprocmask(SIG_BLOCK, &death, NULL);
    runner->deaths = (struct watch){.fd = signalfd(-1, &death, SFD_NONBLOCK | SFD_CLOEXEC),
                                    .ready = somebody_died,
                                    .owner = runner};
    runner->wake = (struct watch){.fd = runner->role->wake, .ready = woken, .owner = runner};
    runner->lifeline =
        (struct watch){.fd = runner->role->lifeline, .ready = lifeline_cut, .owner = runner};
    runner->bell = (struct watch){.ready = bell_rang, .owner = runner};
    runner->done = (struct watch){.ready = batch_done, .owner = runner};
    site->desk = desk_start(site->table, &runner->done.fd);
    /* Who has no child to spawn has nothing to do at once: warm children claim for themselves. */
    int gap = runner->room > 0 ? 0 : LOOK_EVERY;
    if (site->desk == NULL || bell_thread_start(site->table, gap, &runner->bell.fd) < 0 ||
        watch_add(epoll, &runner->wake, EPOLLIN) < 0 ||
        watch_add(epoll, &runner->lifeline, EPOLLIN | EPOLLONESHOT) < 0 ||
        watch_add(epoll, &runner->bell, EPOLLIN) < 0 ||
        watch_add(epoll, &runner->done, EPOLLIN) < 0 ||
        watch_add(epoll, &runner->deaths, EPOLLIN) < 0)
        return -1;
    return 0;
}

static void turn(struct runner *runner)
{
    int64_t now = monotonic_ms();

    heart_beat();
    heed_stop(runner, now);
    if (now >= runner->look_at)
        look(runner, now);
    for (size_t i = 0; i < runner->n_children; i++)
        child_tick(runner->children[i], now);
    warm_tick(runner->warm, now);
    write_batch(runner, now);
    start_one(runner);
    if (watch_turn(runner->site.epoll, time_to_wait(runner)) < 0) {
        log_error("epoll: %s", strerror(errno));
        runner->broken = true;
    }
    drop_gone(runner);
}

int runner_main(struct role *role)
{
    static struct runner runner; /* what its threads use stays reachable when this returns */

    role_begin(role);
    signal(SIGPIPE, SIG_IGN);
    runner.role = role;
    if (open_site(&runner) < 0)
        return runner.no_table ? ROLE_NO_TABLE : EXIT_FAILURE;
    if (open_kinds(&runner) < 0 || open_events(&runner) < 0) {
        log_error("runner: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    role_ready(role);

    while (!runner.broken && !all_ended(&runner))
        turn(&runner);

    for (size_t i = 0; i < runner.n_children; i++) {
        child_kill(runner.children[i]);
        child_free(runner.children[i]);
    }
    warm_kill(runner.warm);
    warm_free(runner.warm);
    free(runner.children);
    free(runner.kinds);
    /* The table stays open: the threads may be inside a call. The kernel closes it. */
    return runner.no_table ? ROLE_NO_TABLE : runner.broken ? EXIT_FAILURE : EXIT_SUCCESS;
}
