/* round.h - what rounds of processes that are killed stand on. */
#ifndef ROUND_H
#define ROUND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Of all processes of a round, in memory that they share: the first fault is kept. */
#define WORDS_MAX 400
struct fault {
    _Atomic bool is;
    char words[WORDS_MAX];
};

void fault_note(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory that the processes which are started from now on share. Exits when there is none. */
void *round_share(size_t size);

/* Start a process that does this, and dies with us. Exits when it cannot. */
pid_t round_start(void (*body)(int number), int number);

int64_t round_clock(void);        /* ms */
int64_t round_slowed(int64_t ms); /* as JOBTAB_TEST_SLOW has it */
void round_nap(long us);
void round_remove(const char *dir); /* and all that is in it */

#endif
