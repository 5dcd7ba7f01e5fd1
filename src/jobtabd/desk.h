/* desk.h - the runner's table thread: one batch of operations at a time, applied in one
 * transaction while the loop goes on. Other writers and the disk may keep a batch waiting for as
 * long as they like; pipes, deadlines and signals never wait for it.
 *
 * The loop fills a batch while the desk is free, sends it, and is woken when it is done. What the
 * operations point to must stay until their answers were given. Unlike the worker's writer.h there
 * is no queue: what waits, waits with its job, where newer reports still replace older ones.
 */
#ifndef DESK_H
#define DESK_H

#include "jobtab.h"

#define DESK_OPS   256        /* in one batch */
#define DESK_BYTES (2u << 20) /* of results and log in one batch; one operation may exceed it */

struct desk;

/* The answer to one operation: op->result and so on are set. */
typedef void desk_answer_fn(void *owner, const struct jobtab_op *op);

/* Starts the thread; lasts as long as the process. *fd becomes readable when a batch is done.
 * NULL with errno. */
struct desk *desk_start(struct jobtab *table, int *fd);

/* True while no batch is under way. Only then may the three calls below be made. */
bool desk_free(const struct desk *desk);

/* Room for `ops` more operations that carry `bytes`? */
bool desk_has_room(const struct desk *desk, size_t ops, size_t bytes);
/* An operation at the end of the batch, to be filled in; `bytes` are what it carries. Needs
 * room. A claim and a finish have op->job set already. */
struct jobtab_op *desk_add(struct desk *desk, enum jobtab_verb verb, size_t bytes,
                           desk_answer_fn *answer, void *owner);
/* Sweep before the operations: a process died and is still a zombie. */
void desk_sweep(struct desk *desk);
/* Hand the batch to the thread, if there is anything in it. */
void desk_send(struct desk *desk);

/* After *fd was readable. When the batch is done: calls the answers, empties it, and returns true
 * with the transaction's own result in *error and why it failed in *why. */
bool desk_collect(struct desk *desk, int *error, const char **why, struct jobtab_swept *swept);

#endif
