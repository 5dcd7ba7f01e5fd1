/* lookout.h - the keeper's look at who is in the others' way: stopped or hung with a lock of the
 * table or an old snapshot.
 *
 * Born:  by the keeper, once its table is open, with a thread that sleeps.
 * Loop:  the keeper looks at each of its turns. While it is in a call to the table, which may
 *        itself wait for the one who is in the way, the thread looks in its place.
 * Ends:  with the process.
 * Crash: is the keeper's; the next one begins anew.
 */
#ifndef LOOKOUT_H
#define LOOKOUT_H

#include <stdint.h>

struct jobtab;
struct lookout;

/* `talk`: where the master is told of a process to end. `stall`: ms that a process may do nothing
 * with what it holds; 0: nobody is told of at all. NULL with errno. */
struct lookout *lookout_start(struct jobtab *table, int talk, int64_t stall);

enum lookout_next {
    LOOKOUT_CALM,  /* nobody holds anything that others may come to miss */
    LOOKOUT_AGAIN, /* look again LOOKOUT_SOON ms from now */
    LOOKOUT_SWEEP, /* and sweep now: one that the master was told of is gone, its slots are not */
};
#define LOOKOUT_SOON 50
enum lookout_next lookout_look(struct lookout *lookout);

/* Around a call to the table that may wait. */
void lookout_call_begins(struct lookout *lookout);
void lookout_call_ends(struct lookout *lookout);

#endif
