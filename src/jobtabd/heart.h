/* heart.h - how the master sees that a role goes on: two words for each, in memory that both share.
 *
 * Born:  mapped by the master for a crew, before it forks; zero.
 * Life:  written by one role, by its loop and by the thread that calls the table; read by the
 * master.
 * Crash: what a role that died has left is set to zero before the next one has the place.
 */
#ifndef HEART_H
#define HEART_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct heart {
    _Atomic int64_t turn; /* monotonic ms: the loop was last seen to turn; 0: it has not begun */
    _Atomic int64_t call; /* monotonic ms: when the call to the table began that goes on; 0: none does */
};

/* `n` hearts, NULL with errno. */
struct heart *hearts_new(size_t n);
void hearts_free(struct heart *hearts, size_t n);
void heart_clear(struct heart *heart);

/* In a role: this one is its own from now on. Without one the rest does nothing that anybody
 * sees. */
void heart_use(struct heart *heart);
void heart_beat(void);
/* Around a call to the table that may wait for others or for the disk. Of one thread. */
void heart_call_begins(void);
void heart_call_ends(void);

#endif
