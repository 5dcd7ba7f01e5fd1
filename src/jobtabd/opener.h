/* opener.h - opening the table beside the event loop. An attempt waits for whoever else opens it,
 * and for a disk that takes its time to fail: on a thread of its own, so that clients are told
 * meanwhile.
 *
 * Born:  opener_begin, one thread for one attempt.
 * Ends:  when the attempt does; opener_end takes what came of it. A worker that leaves meanwhile
 *        takes it along.
 * Crash: is the worker's; an open that is killed leaves the table sound.
 */
#ifndef OPENER_H
#define OPENER_H

#include <pthread.h>
#include <stdbool.h>

#include "jobtab.h"
#include "role.h"

struct opener {
    const struct role *role;
    int over; /* an eventfd: rung when the attempt is over */
    bool busy;
    pthread_t thread;
    int error;
    struct jobtab *table;
    char why[JOBTAB_WHY_MAX];
};

/* -1 with errno. */
int opener_make(struct opener *opener, const struct role *role);
/* Begin an attempt; none goes on. -1 with errno. */
int opener_begin(struct opener *opener);
/* After `over` was rung: what jobtab_open returned, then *table or opener->why. */
int opener_end(struct opener *opener, struct jobtab **table);

#endif
