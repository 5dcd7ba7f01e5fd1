/* shared.h - the small file beside the store that all who have the table open map: bell, queue and
 * doubt.
 *
 * Born:  from nothing, by whoever opens the table when nobody else has it open.
 * Life:  words that processes change in each other's sight. Nothing in it is needed to read the
 *        table, and nothing in it is ever the only copy of what was acknowledged.
 * Crash: a process may be killed at any instruction: whoever comes next puts right what it left.
 */
#ifndef SHARED_H
#define SHARED_H

#include "bell.h"
#include "clock.h"
#include "queue.h"
#include "step.h"

enum doubt_state {
    DOUBT_NONE,
    DOUBT_OPEN,    /* to be verified before anything is written */
    DOUBT_DAMAGED, /* it was, and is not sound */
};

/* See doubt.h. All but the state is the leader's. */
struct doubt {
    _Atomic uint32_t state;
    int32_t code;       /* why nothing can be written */
    int64_t refused_at; /* boot clock: when that was last found; 0: nobody has looked */
    char why[JOBTAB_WHY_MAX];
};

struct shared {
    uint32_t magic; /* of this layout; written last */
    uint32_t unused;
    struct boot boot;
    uint64_t device, inode; /* of this file: a copy has another's locks in it */
    struct step step;
    struct bell bell;
    struct queue queue;
    struct doubt doubt;
};

/* Map the file of the table in `dir`, making it anew unless somebody uses it. JOBTAB_SCHEMA when it
 * is used and of another layout. `use` becomes the descriptor that tells others of this use, which
 * the kernel ends with the process. The caller holds the open lock. */
int shared_open(const char *dir, struct shared **shared, int *use);
/* NULL and -1 are fine. */
void shared_close(struct shared *shared, int use);

#endif
