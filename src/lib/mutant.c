/* mutant.c - which fault the environment asks for. In the tests' copy of the library alone. */
#include "mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[MUTANTS] = {
    [MUTANT_EARLY_ANSWER] = "early-answer",     [MUTANT_EARLY_BELL] = "early-bell",
    [MUTANT_NO_SYNC] = "no-sync",               [MUTANT_NO_FENCING] = "no-fencing",
    [MUTANT_NO_BATCH_CHECK] = "no-batch-check", [MUTANT_NO_INDEX] = "no-index",
    [MUTANT_IGNORE_ERROR] = "ignore-error",     [MUTANT_STALE_READS] = "stale-reads",
    [MUTANT_NO_STICKING] = "no-sticking",       [MUTANT_LATE_WITHDRAWAL] = "late-withdrawal",
    [MUTANT_NO_OPEN_LOCK] = "no-open-lock",     [MUTANT_PID_ALONE] = "pid-alone",
    [MUTANT_NAMESAKE] = "namesake",             [MUTANT_OTHER_BOOT] = "other-boot",
};

/* A name that is none would make a control that passes for the wrong reason. */
static int chosen(void)
{
    const char *name = getenv("JOBTAB_MUTANT");

    for (int i = 0; name && *name && i < MUTANTS; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    if (name && *name) {
        fprintf(stderr, "JOBTAB_MUTANT=%s: there is no such fault\n", name);
        abort();
    }
    return MUTANTS;
}

bool mutant(enum mutant which)
{
    static int one = -1; /* every thread finds the same */

    if (one < 0)
        one = chosen();
    return one == (int)which;
}
