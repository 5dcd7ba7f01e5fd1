/* pending.h - the queues in `pending`: one for each kind and priority, in claim order. What a claim
 * would take is asked here by all: by claims, by those who wait for work, and by who tells of it.
 *
 * An entry whose job cannot be claimed (its record is damaged or gone, or the entry is not its own)
 * is passed over: it is left where it is, for verify to name.
 */
#ifndef PENDING_H
#define PENDING_H

#include "table.h"

/* Entries that are passed over at most: who claims holds the writer's lock. */
#define PENDING_PASSED 1000

/* The first that can be claimed among those whose keys begin with `prefix`. Of the first that was
 * passed over to get there `passed` says which job it is and why; "" when none was. Both may be
 * NULL. False when there is none to claim, or the transaction has failed. */
bool pending_first(struct store_txn *txn, const struct key *prefix, struct record *record,
                   char passed[JOBTAB_WHY_MAX]);

/* Which job is passed over, and why: the words of the last failure. An id of zeros is none. */
void pending_tell(char passed[JOBTAB_WHY_MAX], const struct jobtab_id *id);

/* Whether that is the job's own entry. */
bool pending_owns(const struct record *record, struct slice key);

/* The queue after `queue`, which becomes what its keys begin with; size 0: before the first. False
 * at the end. */
bool pending_next_queue(struct store_txn *txn, struct key *queue);

#endif
