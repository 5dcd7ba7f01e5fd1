/* end.h - how an attempt ends: what a job becomes, by its state, its attempts and its crashes. */
#ifndef END_H
#define END_H

#include "edit.h"

/* Finish, as the owner says. Writes the job, and its result if it has ended for good. */
int end_finish(struct edit *edit, const struct record *old, struct record *record,
               const struct hot *hot, const struct jobtab_finish *finish);
/* The owner is gone, and nobody can say how far it came. */
int end_lost(struct edit *edit, const struct record *old, struct record *record,
             const struct hot *hot);
/* The owner hands it back: no attempt counted, and its old place in the queue. */
int end_release(struct edit *edit, const struct record *old, struct record *record,
                const struct hot *hot);
/* Into a final state, from any that may: stamps, expiry, totals. */
int end_for_good(struct edit *edit, const struct record *old, struct record *record,
                 enum jobtab_state state, enum jobtab_reason reason);

#endif
