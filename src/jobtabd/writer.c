/* writer.c - the worker's table thread.
 * Born:  by the worker, after its fork, with all signals blocked.
 * Loop:  take all that waits, one jobtab_apply, hand back.
 * Ends:  when it was told to and nothing waits.
 * Crash: is the worker's. Nobody was answered for what was not committed.
 *
 * A table that is broken (a commit failed with its outcome unknown) stays so for this process:
 * whatever waits is then refused without trying.
 */
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "heart.h"

/* One transaction. Larger ones gain little and make everyone in them wait. */
#define BATCH_CALLS 1024
#define BATCH_BYTES (4u << 20)

struct queue {
    struct writer_call *first, **end;
    size_t calls, bytes;
};

struct writer {
    struct jobtab *table;
    writer_done_fn *done;
    void *context;
    pthread_t thread;
    struct queue put;      /* of the loop alone, until it flushes */
    pthread_mutex_t mutex; /* of the rest */
    pthread_cond_t work, ended;
    struct queue queue;
    size_t waiting, bytes; /* put, queued or being applied */
    bool stop, gone;
    struct jobtab_op ops[BATCH_CALLS]; /* of the thread alone */
};

static void queue_clear(struct queue *queue)
{
    *queue = (struct queue){.end = &queue->first};
}

static void queue_add(struct queue *queue, struct writer_call *call)
{
    call->next = NULL;
    *queue->end = call;
    queue->end = &call->next;
    queue->calls++;
    queue->bytes += call->bytes;
}

static void queue_join(struct queue *queue, struct queue *more)
{
    if (more->first == NULL)
        return;
    *queue->end = more->first;
    queue->end = more->end;
    queue->calls += more->calls;
    queue->bytes += more->bytes;
    queue_clear(more);
}

/* Move as much as one transaction takes. */
static void queue_split(struct queue *queue, struct queue *batch)
{
    queue_clear(batch);
    while (queue->first != NULL && batch->calls < BATCH_CALLS && batch->bytes < BATCH_BYTES) {
        struct writer_call *call = queue->first;
        queue->first = call->next;
        queue->calls--;
        queue->bytes -= call->bytes;
        queue_add(batch, call);
    }
    if (queue->first == NULL)
        queue_clear(queue);
}

static bool apply(struct writer *writer, struct queue *batch, bool broken)
{
    size_t n = 0;

    if (broken) {
        for (struct writer_call *call = batch->first; call != NULL; call = call->next)
            call->op.result = JOBTAB_BROKEN;
        return true;
    }
    for (struct writer_call *call = batch->first; call != NULL; call = call->next)
        writer->ops[n++] = call->op;
    heart_call_begins();
    broken = jobtab_apply(writer->table, writer->ops, n) == JOBTAB_BROKEN;
    heart_call_ends();
    n = 0;
    for (struct writer_call *call = batch->first; call != NULL; call = call->next)
        call->op = writer->ops[n++];
    return broken;
}

static void *run(void *argument)
{
    struct writer *writer = argument;
    struct queue batch;
    bool broken = false;

    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        while (writer->queue.first == NULL && !writer->stop)
            pthread_cond_wait(&writer->work, &writer->mutex);
        if (writer->queue.first == NULL)
            break;
        queue_split(&writer->queue, &batch);
        pthread_mutex_unlock(&writer->mutex);

        size_t calls = batch.calls, bytes = batch.bytes;
        broken = apply(writer, &batch, broken);
        writer->done(batch.first, writer->context);

        pthread_mutex_lock(&writer->mutex);
        writer->waiting -= calls;
        writer->bytes -= bytes;
    }
    writer->gone = true;
    pthread_cond_signal(&writer->ended);
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

struct writer *writer_start(struct jobtab *table, writer_done_fn *done, void *context)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    pthread_condattr_t monotonic;
    sigset_t all, before;

    if (writer == NULL)
        return NULL;
    writer->table = table;
    writer->done = done;
    writer->context = context;
    queue_clear(&writer->put);
    queue_clear(&writer->queue);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, NULL);
    pthread_cond_init(&writer->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        free(writer);
        errno = error;
        return NULL;
    }
    return writer;
}

bool writer_put(struct writer *writer, struct writer_call *call)
{
    bool room;

    pthread_mutex_lock(&writer->mutex);
    room = writer->waiting < WRITER_CALLS_MAX && writer->bytes + call->bytes <= WRITER_BYTES_MAX;
    if (room) {
        writer->waiting++;
        writer->bytes += call->bytes;
    }
    pthread_mutex_unlock(&writer->mutex);
    if (room)
        queue_add(&writer->put, call);
    return room;
}

void writer_flush(struct writer *writer)
{
    if (writer->put.first == NULL)
        return;
    pthread_mutex_lock(&writer->mutex);
    queue_join(&writer->queue, &writer->put);
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->mutex);
}

bool writer_stop(struct writer *writer, int64_t timeout)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout / 1000);
    until.tv_nsec += (long)(timeout % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&writer->mutex);
    queue_join(&writer->queue, &writer->put);
    writer->stop = true;
    pthread_cond_signal(&writer->work);
    while (!writer->gone && error == 0)
        error = pthread_cond_timedwait(&writer->ended, &writer->mutex, &until);
    bool gone = writer->gone;
    pthread_mutex_unlock(&writer->mutex);
    if (!gone)
        return false;
    pthread_join(writer->thread, NULL);
    pthread_mutex_destroy(&writer->mutex);
    pthread_cond_destroy(&writer->work);
    pthread_cond_destroy(&writer->ended);
    free(writer);
    return true;
}
