/* lookout.c - see lookout.h. */
#include "config.h"

#include "lookout.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "heart.h"
#include "jobtab.h"
#include "log.h"
#include "monotonic.h"
#include "talk.h"
#include "watch.h"

/* ms, and in four looks: a tracer stops for moments. A fast disk makes a file grow by 75 MB/s
 * meanwhile. */
#define STOPPED_FOR 150
#define FIRST_LOOK  100  /* ms into a call; most are over before */
#define TELL_EVERY  1000 /* ms; the master may have had a reason to leave it alone for now */
#define SUSPECTS    64

struct suspect {
    struct jobtab_holder holder; /* as last seen */
    int64_t stopped_since;       /* monotonic; 0: it is not */
    int64_t active_at;           /* when it last did anything with what it holds */
    int64_t told_at;
    bool seen;
};

struct lookout {
    struct jobtab *table;
    int talk, timer;
    int64_t stall;
    pthread_mutex_t lock; /* of the rest */
    size_t n;
    struct suspect suspects[SUSPECTS];
};

/* Still the same process with the same thing in hand. */
static bool is_same(const struct jobtab_holder *a, const struct jobtab_holder *b)
{
    return a->pid == b->pid && a->start_time == b->start_time && a->what == b->what &&
           a->number == b->number;
}

/* NULL when there are too many. */
static struct suspect *find_or_add(struct lookout *lookout, const struct jobtab_holder *holder,
                                   int64_t now)
{
    for (size_t i = 0; i < lookout->n; i++)
        if (is_same(&lookout->suspects[i].holder, holder))
            return &lookout->suspects[i];
    if (lookout->n == SUSPECTS)
        return NULL;
    struct suspect *added = &lookout->suspects[lookout->n++];
    *added = (struct suspect){.holder = *holder, .active_at = now};
    return added;
}

static void tell(struct lookout *lookout, struct suspect *suspect, int64_t lasted, int64_t now)
{
    struct talk talk;

    if (suspect->told_at && now - suspect->told_at < TELL_EVERY)
        return;
    suspect->told_at = now;
    memset(&talk, 0, sizeof talk); /* the padding goes over the wire, too */
    talk.what = TALK_HOLDER;
    talk.holder = suspect->holder;
    talk.lasted = lasted;
    if (send(lookout->talk, &talk, sizeof talk, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_error("telling the master of process %d: %s", (int)suspect->holder.pid,
                  strerror(errno));
}

/* A process that is traced is stopped for moments and goes on: then it uses the processor. */
static void judge(struct lookout *lookout, struct suspect *suspect,
                  const struct jobtab_holder *holder, int64_t now)
{
    bool active = holder->busy || holder->cpu != suspect->holder.cpu;

    suspect->seen = true;
    suspect->holder = *holder;
    if (active)
        suspect->active_at = now;
    if (active || !holder->stopped)
        suspect->stopped_since = 0;
    else if (!suspect->stopped_since)
        suspect->stopped_since = now;
    if (suspect->stopped_since && now - suspect->stopped_since >= STOPPED_FOR)
        tell(lookout, suspect, now - suspect->stopped_since, now);
    else if (now - suspect->active_at >= lookout->stall)
        tell(lookout, suspect, now - suspect->active_at, now);
}

/* Who was not seen this time has let go, or died. */
static enum lookout_next drop_unseen(struct lookout *lookout)
{
    enum lookout_next next = LOOKOUT_CALM;
    size_t kept = 0;

    for (size_t i = 0; i < lookout->n; i++) {
        struct suspect *suspect = &lookout->suspects[i];
        if (!suspect->seen) {
            next = suspect->told_at ? LOOKOUT_SWEEP : next;
            continue;
        }
        suspect->seen = false;
        lookout->suspects[kept++] = *suspect;
    }
    lookout->n = kept;
    return next == LOOKOUT_CALM && kept > 0 ? LOOKOUT_AGAIN : next;
}

enum lookout_next lookout_look(struct lookout *lookout)
{
    struct jobtab_holder holders[SUSPECTS];
    const pid_t self = getpid();
    size_t n = SUSPECTS;

    if (!lookout->stall)
        return LOOKOUT_CALM;
    pthread_mutex_lock(&lookout->lock);
    int64_t now = monotonic_ms();
    if (jobtab_holders(lookout->table, holders, &n) != JOBTAB_OK) {
        log_error("looking who holds what: %s", jobtab_why());
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct suspect *suspect =
            holders[i].pid != self ? find_or_add(lookout, &holders[i], now) : NULL;
        if (suspect)
            judge(lookout, suspect, &holders[i], now);
    }
    enum lookout_next next = drop_unseen(lookout);
    pthread_mutex_unlock(&lookout->lock);
    return next;
}

/* The process goes on as long as somebody in it looks: the call itself has a heart of its own. */
static void *look_in_its_place(void *argument)
{
    struct lookout *lookout = argument;
    uint64_t fired;

    for (;;) {
        if (read(lookout->timer, &fired, sizeof fired) == (ssize_t)sizeof fired) {
            heart_beat();
            lookout_look(lookout);
        }
    }
    return NULL;
}

struct lookout *lookout_start(struct jobtab *table, int talk, int64_t stall)
{
    struct lookout *lookout = calloc(1, sizeof *lookout);
    sigset_t all, before;
    pthread_t thread;
    int error = ENOMEM;

    if (lookout == NULL)
        goto fail;
    lookout->table = table;
    lookout->talk = talk;
    lookout->stall = stall;
    pthread_mutex_init(&lookout->lock, NULL);
    lookout->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (lookout->timer < 0) {
        error = errno;
        goto fail;
    }
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, look_in_its_place, lookout);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
        return lookout;
    }
    close(lookout->timer);
fail:
    free(lookout);
    errno = error;
    return NULL;
}

/* A timer costs nothing when it does not fire: the thread wakes for long calls only. */
static void set_timer(const struct lookout *lookout, long first, long every)
{
    const struct itimerspec times = {.it_value.tv_nsec = first * 1000000,
                                     .it_interval.tv_nsec = every * 1000000};

    timerfd_settime(lookout->timer, 0, &times, NULL);
}

void lookout_call_begins(struct lookout *lookout)
{
    heart_call_begins();
    set_timer(lookout, FIRST_LOOK, LOOKOUT_SOON);
}

void lookout_call_ends(struct lookout *lookout)
{
    set_timer(lookout, 0, 0);
    heart_call_ends();
}
