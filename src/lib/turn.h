/* turn.h - whose turn it is to write, among all threads and processes that have the table open.
 *
 * A robust mutex in shared memory can lose a wake-up for ever, LMDB's own included. Unlocking
 * clears the word, "others wait" with it, and wakes one sleeper, who is to set that again. When the
 * sleeper is killed first (or the one who unlocks, before it wakes), and somebody who never slept
 * takes the lock meanwhile, neither the kernel nor the new holder knows of the other sleepers: they
 * sleep while the lock is free, until two happen to want it at once. The kernel mends this only
 * while nobody has the lock. So nobody sleeps for longer than a slice here, and in LMDB's mutex
 * nobody sleeps at all but threads of the process whose turn it is.
 */
#ifndef TURN_H
#define TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* In memory that is shared by all and outlives them. */
struct turn {
    pthread_mutex_t mutex;
};

void turn_make(struct turn *turn);

/* Take the turn if it is free; or wait for it no longer than a slice, 20 ms. `died` when the one
 * before died in it: what it did is to be put right. False: somebody else has it. */
bool turn_try(struct turn *turn, bool *died);
bool turn_wait(struct turn *turn, bool *died);
void turn_give(struct turn *turn);

/* The thread whose turn it is, as the kernel numbers it; 0: nobody's. True at every instruction: no
 * word beside the lock is. */
int32_t turn_holder(const struct turn *turn);

#endif
