/* lead.h - a call's way to its commit: shared with whoever waits at the same time. */
#ifndef LEAD_H
#define LEAD_H

#include "edit.h"

/* Take the lead, do the work, and commit it together with what others have queued meanwhile. Done a
 * second time from the start when one of those spoiled the transaction. */
typedef int lead_work_fn(struct edit *edit, void *context);
int lead_work(struct jobtab *table, lead_work_fn *work, void *context);

/* Have the operations applied that have no result yet, here or by another process; durable on
 * return. An error is of the transaction, and nothing was done. */
int lead_apply(struct jobtab *table, struct jobtab_op *ops, size_t n);

#endif
