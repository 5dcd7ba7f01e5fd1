/* parcel.h - operations as bytes: how they travel to the process that leads. */
#ifndef PARCEL_H
#define PARCEL_H

#include "queue.h"

/* Bytes that the operations take which have no result yet, and their number. */
size_t parcel_size(const struct jobtab_op *ops, size_t n, size_t *left);
/* Write them into the slot's request, which has the room. */
void parcel_pack(struct queue *queue, const struct slot *slot, const struct jobtab_op *ops, size_t n);
/* Read slot->n operations back. Their texts stay in the slot. False when the bytes are not
 * sound. */
bool parcel_unpack(struct queue *queue, const struct slot *slot, struct jobtab_op *ops);

/* Have the operation put its job, if it gives one, into the answer. */
void parcel_expect(struct jobtab_op *op, struct answer *answer);
/* What the leader found, into the answer, and back into the operation. */
void parcel_answer(const struct jobtab_op *op, struct answer *answer);
void parcel_accept(const struct answer *answer, struct jobtab_op *op);

#endif
