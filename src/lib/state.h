/* state.h - which state may follow which: the one place that knows. */
#ifndef STATE_H
#define STATE_H

#include "jobtab.h"

/* Move the job to `to`, with `reason`. JOBTAB_FORBIDDEN, naming both states, where the rules do not
 * have that move; the job is then as it was. */
int state_move(struct jobtab_job *job, enum jobtab_state to, enum jobtab_reason reason);

/* Running or cancelling: has an owner, and a record in `running`. */
bool state_owned(enum jobtab_state state);

#endif
