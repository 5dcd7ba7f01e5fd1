/* round.h - one telling of the story, in a new table, on a disk that fails at one point of it.
 *
 * What was answered before must be there; the step under fault is done once or never, and so the
 * table says whether it was; an error has words; reads meanwhile show what was there or fail. Once
 * the disk is well again the same process goes on (and opens the table again where it was told to),
 * and so does a neighbour that had the table open all the time; both find a sound table, as does
 * whoever opens it when all have left.
 */
#ifndef ROUND_H
#define ROUND_H

#include "stage.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How a disk fails. */
struct kind {
    const char *name, *what;
    int error;
    bool lasts; /* can do so for ever */
};
#define KINDS 4
extern const struct kind kinds[KINDS];

struct point {
    unsigned step, call, kind;
    uint32_t times; /* calls that fail, in a row */
};

/* On a sound disk, before any round: what each step leaves. False when that alone fails. */
bool round_rehearse(const char *folder);
/* How many calls a step made then. */
uint32_t round_calls(unsigned step);

/* In a process of its own, which ends with 0 when all held, else with a line that tells what did
 * not. `number` chooses whether there is a neighbour and who writes first. *failed is counted up
 * when a call failed. */
void round_play(const char *folder, const struct point *point, unsigned number,
                _Atomic uint32_t *failed) __attribute__((noreturn));

#endif
