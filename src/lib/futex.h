/* futex.h - waiting on a word of memory that processes share, and waking those who wait. */
#ifndef FUTEX_H
#define FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

enum futex_end { FUTEX_WOKEN, FUTEX_TIME, FUTEX_SIGNAL };

/* Wait while the word is `seen`, at most `timeout` nanoseconds (-1: for ever). FUTEX_WOKEN says
 * only that it is time to look again; FUTEX_SIGNAL that a signal handler ran. */
enum futex_end futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t timeout);
void futex_wake(_Atomic uint32_t *word, uint32_t n);

#endif
