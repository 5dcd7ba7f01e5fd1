/* writer.h - the worker's table thread: it waits for the disk and for other writers, so that the
 * event loop never does. Knows no HTTP and no event loop.
 *
 * The loop puts operations, as many as one turn brings, and hands them over with one
 * writer_flush. The thread takes all that wait, applies them in one transaction, and gives them
 * back by calling `done` on its own thread. What arrives meanwhile shares the next transaction.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobtab.h"

/* At most this much waits; more is refused. */
#define WRITER_CALLS_MAX 4096
#define WRITER_BYTES_MAX (64u << 20)

struct writer_call {
    struct jobtab_op op; /* with its result, once done. What it points to lives until then */
    size_t bytes;        /* how much memory it holds, for the bound */
    struct writer_call *next;
};

struct writer;

/* On the table thread: these have been applied, or refused all alike. The list is the callee's. */
typedef void writer_done_fn(struct writer_call *calls, void *context);

/* NULL with errno when the thread cannot be made. */
struct writer *writer_start(struct jobtab *table, writer_done_fn *done, void *context);

/* Queue an operation. False when the bound is reached: the call stays the caller's. Only from the
 * thread that made the writer, as the next one. */
bool writer_put(struct writer *writer, struct writer_call *call);
/* Hand what has been put to the thread. Cheap when there is nothing. */
void writer_flush(struct writer *writer);

/* Apply what waits, then end the thread and free the writer. Returns false, and frees nothing,
 * when that takes longer than `timeout` ms: then leave the process with _exit. */
bool writer_stop(struct writer *writer, int64_t timeout);

#endif
