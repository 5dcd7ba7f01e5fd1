/* state.c - the state machine, as data. */
#include "state.h"

#include "error.h"

#include <string.h>

#define TO(state) JOBTAB_STATE_BIT(JOBTAB_##state)

static const struct {
    const char *name;
    bool done, owned;
    unsigned may_become;
} states[JOBTAB_STATES] = {
    /* delayed, or in its back-off; due: pending */
    [JOBTAB_SCHEDULED] = {"scheduled", false, false, TO(PENDING) | TO(CANCELLED)},
    [JOBTAB_PENDING] = {"pending", false, false, TO(RUNNING) | TO(CANCELLED)},
    /* scheduled: another attempt after a back-off; pending: handed back, or its owner was lost */
    [JOBTAB_RUNNING] = {"running", false, true,
                        TO(COMPLETED) | TO(FAILED) | TO(SCHEDULED) | TO(PENDING) | TO(CANCELLING)},
    /* completed: the child won */
    [JOBTAB_CANCELLING] = {"cancelling", false, true, TO(CANCELLED) | TO(COMPLETED)},
    [JOBTAB_COMPLETED] = {"completed", true, false, 0},
    /* pending: an operator's retry */
    [JOBTAB_FAILED] = {"failed", true, false, TO(PENDING)},
    [JOBTAB_CANCELLED] = {"cancelled", true, false, TO(PENDING)},
};

static const char *const reasons[JOBTAB_REASONS] = {
    [JOBTAB_NO_REASON] = "",       [JOBTAB_BY_EXIT] = "exit",
    [JOBTAB_BY_SIGNAL] = "signal", [JOBTAB_BY_TIMEOUT] = "timeout",
    [JOBTAB_BY_OOM] = "oom",       [JOBTAB_BY_SPAWN] = "spawn",
    [JOBTAB_BY_OWNER_LOST] = "owner_lost", [JOBTAB_BY_EXPIRED] = "expired",
    [JOBTAB_BY_CANCEL] = "cancelled", [JOBTAB_BY_INVALID] = "invalid",
};

int state_move(struct jobtab_job *job, enum jobtab_state to, enum jobtab_reason reason)
{
    if (!(states[job->state].may_become & JOBTAB_STATE_BIT(to)))
        return fail(JOBTAB_FORBIDDEN, "a %s job cannot become %s", states[job->state].name,
                    states[to].name);
    job->state = to;
    job->reason = reason;
    return JOBTAB_OK;
}

bool state_owned(enum jobtab_state state)
{
    return states[state].owned;
}

bool jobtab_state_done(enum jobtab_state state)
{
    return (unsigned)state < JOBTAB_STATES && states[state].done;
}

const char *jobtab_state_name(enum jobtab_state state)
{
    return (unsigned)state < JOBTAB_STATES ? states[state].name : NULL;
}

const char *jobtab_reason_name(enum jobtab_reason reason)
{
    return (unsigned)reason < JOBTAB_REASONS ? reasons[reason] : NULL;
}

int jobtab_state_parse(const char *name, enum jobtab_state *state)
{
    for (unsigned i = 0; i < JOBTAB_STATES; i++) {
        if (strcmp(name, states[i].name) == 0) {
            *state = (enum jobtab_state)i;
            return JOBTAB_OK;
        }
    }
    return fail(JOBTAB_INVALID, "state: there is no \"%.20s\"", name);
}
