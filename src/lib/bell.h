/* bell.h - how a commit wakes those who wait, in any process: futex words in the shared file.
 *
 * A process may be killed at any instruction: what it leaves behind (a waiter counted that no
 * longer waits) costs a system call, never a wake-up.
 */
#ifndef BELL_H
#define BELL_H

#include "jobtab.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Kinds that have a word of their own; those beyond share the last, and all its waiters wake. */
#define BELL_WORDS 64

struct word {
    _Atomic uint32_t value; /* the futex */
    _Atomic uint32_t waiters;
    char kind[JOBTAB_KIND_MAX + 1];
    _Atomic uint8_t named; /* set after kind is written, never unset */
    char pad[64 - 8 - JOBTAB_KIND_MAX - 2];
};

/* A part of the shared file; all zero to begin with. Words that are written by different events lie
 * in different cache lines. */
struct bell {
    _Atomic uint64_t version;
    _Atomic uint32_t changed; /* futex: counts rings */
    _Atomic uint32_t waiters;
    _Atomic uint32_t naming; /* id of the thread that names a word */
    char pad[44];
    struct word words[BELL_WORDS];
};

/* The newest version that was announced. */
uint64_t bell_version(const struct bell *bell);
/* After a commit: everything up to `version` can be read. Wakes all who wait for a change. */
void bell_ring(struct bell *bell, uint64_t version);
/* After a commit: `n` more jobs of `kind` can be claimed. Wakes as many who wait for them. */
void bell_ring_work(struct bell *bell, const char *kind, uint32_t n);

/* Wait until the newest version is above `seen`, at most until the boot clock shows `deadline` (-1:
 * for ever). False when the time ran out. */
bool bell_wait(struct bell *bell, uint64_t seen, int64_t deadline);

/* The word of a kind, given one if it has none. Its value now; take it before looking for work. */
uint32_t bell_work(struct bell *bell, const char *kind);
enum bell_end { BELL_RANG, BELL_TIME, BELL_SIGNAL };

/* Wait until the word of `kind` is no longer `seen`: it rang, the deadline came, or a signal
 * handler ran. */
enum bell_end bell_wait_work(struct bell *bell, const char *kind, uint32_t seen, int64_t deadline);

#endif
