/* desk.c - the thread behind desk.h. Between desk_send and desk_collect the batch belongs to the
 * thread, otherwise to the loop; `state`, under the lock, says whose it is. */
#include "config.h"

#include "desk.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "heart.h"

#define SWEEP_BUDGET 256 /* jobs in one transaction */

enum desk_state { FILLING, SENT, DONE };

struct desk {
    struct jobtab *table;
    int done; /* eventfd */
    pthread_mutex_t lock;
    pthread_cond_t sent;
    enum desk_state state;

    size_t n, bytes;
    struct jobtab_op ops[DESK_OPS];
    struct jobtab_job jobs[DESK_OPS];
    struct {
        desk_answer_fn *answer;
        void *owner;
    } askers[DESK_OPS];
    bool sweep;
    struct jobtab_swept swept;
    int error;
    char why[JOBTAB_WHY_MAX];
};

static void set_state(struct desk *desk, enum desk_state state)
{
    pthread_mutex_lock(&desk->lock);
    desk->state = state;
    pthread_cond_signal(&desk->sent);
    pthread_mutex_unlock(&desk->lock);
}

static enum desk_state get_state(const struct desk *desk)
{
    struct desk *locked = (struct desk *)desk;

    pthread_mutex_lock(&locked->lock);
    enum desk_state state = locked->state;
    pthread_mutex_unlock(&locked->lock);
    return state;
}

static int sweep_all(struct desk *desk)
{
    struct jobtab_swept part;
    int error;

    do {
        error = jobtab_sweep(desk->table, SWEEP_BUDGET, &part);
        if (error == JOBTAB_OK) {
            desk->swept.lost += part.lost;
            desk->swept.timed_out += part.timed_out;
            desk->swept.cancelled += part.cancelled;
        }
    } while (error == JOBTAB_OK && part.more);
    return error;
}

static void *serve(void *argument)
{
    struct desk *desk = argument;

    for (;;) {
        pthread_mutex_lock(&desk->lock);
        while (desk->state != SENT)
            pthread_cond_wait(&desk->sent, &desk->lock);
        pthread_mutex_unlock(&desk->lock);

        desk->error = JOBTAB_OK;
        heart_call_begins();
        if (desk->sweep)
            desk->error = sweep_all(desk);
        /* A failed sweep does not keep the operations from being tried: the answers tell. */
        if (desk->n > 0 && desk->error != JOBTAB_BROKEN)
            desk->error = jobtab_apply(desk->table, desk->ops, desk->n);
        heart_call_ends();
        for (size_t i = 0; desk->error == JOBTAB_BROKEN && i < desk->n; i++)
            desk->ops[i].result = JOBTAB_BROKEN;
        strncpy(desk->why, desk->error != JOBTAB_OK ? jobtab_why() : "", sizeof desk->why - 1);
        set_state(desk, DONE);
        eventfd_write(desk->done, 1);
    }
    return NULL;
}

struct desk *desk_start(struct jobtab *table, int *fd)
{
    struct desk *desk = calloc(1, sizeof *desk);
    sigset_t all, before;
    pthread_t thread;
    int error = ENOMEM;

    if (desk == NULL)
        goto fail;
    desk->table = table;
    desk->done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (desk->done < 0) {
        error = errno;
        goto fail;
    }
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->sent, NULL);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, serve, desk);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
        *fd = desk->done;
        return desk;
    }
    close(desk->done);
fail:
    free(desk);
    errno = error;
    return NULL;
}

bool desk_free(const struct desk *desk)
{
    return get_state(desk) == FILLING;
}

bool desk_has_room(const struct desk *desk, size_t ops, size_t bytes)
{
    return desk->n + ops <= DESK_OPS && (desk->bytes == 0 || desk->bytes + bytes <= DESK_BYTES);
}

struct jobtab_op *desk_add(struct desk *desk, enum jobtab_verb verb, size_t bytes,
                           desk_answer_fn *answer, void *owner)
{
    struct jobtab_op *op = &desk->ops[desk->n];

    *op = (struct jobtab_op){.verb = verb};
    if (verb == JOBTAB_CLAIM || verb == JOBTAB_FINISH)
        op->job = &desk->jobs[desk->n];
    desk->bytes += bytes;
    desk->askers[desk->n].answer = answer;
    desk->askers[desk->n].owner = owner;
    desk->n++;
    return op;
}

void desk_sweep(struct desk *desk)
{
    desk->sweep = true;
}

void desk_send(struct desk *desk)
{
    if (desk->n > 0 || desk->sweep)
        set_state(desk, SENT);
}

bool desk_collect(struct desk *desk, int *error, const char **why, struct jobtab_swept *swept)
{
    if (get_state(desk) != DONE)
        return false;
    /* Answers may look at the desk but not fill it: it is free when all were given. */
    for (size_t i = 0; i < desk->n; i++)
        desk->askers[i].answer(desk->askers[i].owner, &desk->ops[i]);
    *error = desk->error;
    *why = desk->why;
    *swept = desk->swept;
    desk->n = desk->bytes = 0;
    desk->sweep = false;
    desk->swept = (struct jobtab_swept){0};
    set_state(desk, FILLING);
    return true;
}
