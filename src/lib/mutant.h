/* mutant.h - deliberate faults, one at a time, that the tests' oracles must catch.
 *
 * Only in the tests' own copy of the library (libmutant.la, -DJOBTAB_MUTANTS), where the
 * environment names the fault: JOBTAB_MUTANT=early-answer. What is installed has none of this in
 * it.
 */
#ifndef MUTANT_H
#define MUTANT_H

#include <stdbool.h>

enum mutant {
    MUTANT_EARLY_ANSWER,   /* others in a shared commit are answered before it is made */
    MUTANT_EARLY_BELL,     /* the bell is rung before the commit */
    MUTANT_NO_SYNC,        /* a commit is not flushed to disk */
    MUTANT_NO_FENCING,     /* a token is not looked at */
    MUTANT_NO_BATCH_CHECK, /* what a dead leader had committed is done once more */
    MUTANT_NO_INDEX,       /* a changed job stays in the index of its old state */
    MUTANT_IGNORE_ERROR,   /* a commit that failed is acknowledged */
    MUTANT_STALE_READS,    /* a held snapshot is not renewed */
    MUTANT_NO_STICKING,    /* a cursor that gets no memory looks like an empty database */
    MUTANT_LATE_WITHDRAWAL, /* who cannot begin to lead stays in the line while it gives up the lead */
    MUTANT_NO_OPEN_LOCK,   /* openers do not wait for each other */
    MUTANT_PID_ALONE,      /* an owner lives while anybody has its pid */
    MUTANT_NAMESAKE,       /* a slot left by a process that had our pid is taken for ours */
    MUTANT_OTHER_BOOT,     /* owners and leases of another boot are believed */
    MUTANTS
};

#ifdef JOBTAB_MUTANTS
bool mutant(enum mutant which);
#else
static inline bool mutant(enum mutant which)
{
    (void)which;
    return false;
}
#endif

#endif
