/* bell.h - how a commit wakes those who wait, in any process: futex words in a small shared file.
 *
 * Nothing here is needed to read the table, and all of it is made anew at the first open after a
 * boot. A process may be killed at any instruction: what it leaves behind (a waiter counted that no
 * longer waits, a writer's mark) costs a system call, never a wake-up.
 */
#ifndef BELL_H
#define BELL_H

#include "turn.h"

#include <stdbool.h>
#include <stdint.h>

struct bell;

/* Map the bell of the table in `dir`, making it if there is none or it is of an earlier boot. The
 * caller holds the open lock. */
int bell_open(const char *dir, uint64_t version, struct bell **bell);
void bell_close(struct bell *bell);

/* Whose turn it is to write. */
struct turn *bell_turn(struct bell *bell);

/* The newest version that was announced. */
uint64_t bell_version(const struct bell *bell);
/* After a commit: everything up to `version` can be read. Wakes all who wait for a change. */
void bell_ring(struct bell *bell, uint64_t version);
/* After a commit: `n` more jobs of `kind` can be claimed. Wakes as many who wait for them. */
void bell_ring_work(struct bell *bell, const char *kind, uint32_t n);

/* Wait until the newest version is above `seen`, at most until the boot clock shows `deadline` (-1: for
 * ever). False when the time ran out. */
bool bell_wait(struct bell *bell, uint64_t seen, int64_t deadline);

/* The word of a kind, given one if it has none. Its value now; take it before looking for work. */
uint32_t bell_work(struct bell *bell, const char *kind);
enum bell_end { BELL_RANG, BELL_TIME, BELL_SIGNAL };

/* Wait until the word of `kind` is no longer `seen`: it rang, the deadline came, or a signal handler
 * ran. */
enum bell_end bell_wait_work(struct bell *bell, const char *kind, uint32_t seen, int64_t deadline);

#endif
