/* step.h - steps of the wall clock, seen by comparing it with the boot clock, which is never
 * stepped.
 *
 * Instants in the table (when a job is due, when it expires) are of the wall clock. It may be wrong
 * and be put right, or the other way round, by any amount:
 *
 * - forward: what is due within the step is due at once. Nobody loses by that. Finished jobs would
 *   be deleted early, so expiry lags behind the wall clock by the step, for one retention: by then
 *   all that had ended before the step are gone, each at its time, and none that ended after it is
 *   due;
 * - back: finished jobs are kept longer by the step. Scheduled ones would wait longer by the step,
 *   so they are given their instant anew (sweep.c).
 *
 * Leases and time-outs are of the boot clock and know nothing of all this.
 */
#ifndef STEP_H
#define STEP_H

#include <stdatomic.h>
#include <stdint.h>

/* A change of the distance between the clocks that is no step: a clock that is slewed. ms. */
#define STEP_LEAST 5000

/* A part of the shared file; all zero to begin with. What is stored is the same whoever stores it,
 * and in an order in which nobody who looks meanwhile takes a step for none. */
struct step {
    _Atomic int64_t distance; /* wall clock less boot clock, ms, when last looked at; 0: never */
    _Atomic int64_t base;     /* the same before the steps that expiry lags by */
    _Atomic int64_t until;    /* on the boot clock: it lags so long */
};

/* Look at the clocks: how far the wall clock was stepped since anybody last did, 0 when it was not.
 * Of all who look, one is told of a step. */
int64_t step_look(struct step *step, int64_t wall, int64_t boot, int64_t retention);

/* How much expiry lags behind the wall clock; after step_look. */
int64_t step_lag(const struct step *step, int64_t wall, int64_t boot);

#endif
