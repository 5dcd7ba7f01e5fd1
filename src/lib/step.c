/* step.c - see step.h. */
#include "step.h"

int64_t step_look(struct step *step, int64_t wall, int64_t boot, int64_t retention)
{
    int64_t distance = wall - boot, before = atomic_load(&step->distance);
    int64_t by = before ? distance - before : 0;

    /* Before the new distance is to be seen: who sees it knows by this that there was a step. */
    if (by >= STEP_LEAST)
        atomic_store(&step->until, boot + retention);
    else if (boot >= atomic_load(&step->until))
        atomic_store(&step->base, distance);
    if (before == distance || !atomic_compare_exchange_strong(&step->distance, &before, distance))
        return 0; /* somebody else looked at the same moment */
    return by >= STEP_LEAST || by <= -STEP_LEAST ? by : 0;
}

int64_t step_lag(const struct step *step, int64_t wall, int64_t boot)
{
    int64_t lag = wall - boot - atomic_load(&step->base);

    return boot < atomic_load(&step->until) && lag > 0 ? lag : 0;
}
