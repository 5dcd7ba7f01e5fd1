/* batch.h - what the last commit did for others, kept with it: why nothing is done twice.
 *
 * A leader that is killed between its commit and its last answer leaves callers that wait for what
 * is done already. So the commit holds, beside what it changed, a record of the requests in it:
 * their tickets, and what cannot be read again (new ids and tokens). Whoever leads next posts the
 * answers from there, and applies only what is not in it. One record is enough: nobody commits the
 * next batch before the answers of this one are posted.
 */
#ifndef BATCH_H
#define BATCH_H

#include "edit.h"
#include "queue.h"

#define BATCH_MAX 16384 /* bytes */

struct batch {
    char bytes[BATCH_MAX];
    size_t size;
    uint32_t slots;
};

/* Whether there is room for the answers of one slot more. */
bool batch_has_room(const struct batch *batch, const struct slot *slot);
/* The slot's operations were applied, and these are their answers. */
void batch_add(struct batch *batch, const struct slot *slot, const struct jobtab_op *ops);
/* Into the transaction, if there is anything. */
void batch_put(struct edit *edit, const struct batch *batch, uint64_t epoch);

/* Is what batch_put left sound? JOBTAB_DAMAGED, JOBTAB_SCHEMA. */
int batch_check(struct slice image);

/* The leader before died: make sure that all it committed is on disk, and post the answers it owed.
 * The edit has just begun. */
int batch_heal(struct edit *edit, struct queue *queue);

#endif
