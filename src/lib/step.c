/* step.c - see step.h. */
#include "step.h"

static void lag_more(struct step *step, int64_t by, int64_t boot, int64_t retention)
{
    int64_t lag = step_lag(step, boot) + by;

    /* A step forward that is taken back leaves nothing to wait for. */
    atomic_store(&step->lag, lag > 0 ? lag : 0);
    if (by > 0)
        atomic_store(&step->lag_until, boot + retention);
}

int64_t step_look(struct step *step, int64_t wall, int64_t boot, int64_t retention)
{
    int64_t distance = wall - boot, before = atomic_load(&step->distance);

    if (before == distance || !atomic_compare_exchange_strong(&step->distance, &before, distance))
        return 0; /* somebody else looked at the same moment */
    int64_t by = distance - before;
    if (before == 0 || (by < STEP_LEAST && by > -STEP_LEAST))
        return 0;
    lag_more(step, by, boot, retention);
    return by;
}

int64_t step_lag(const struct step *step, int64_t boot)
{
    return boot < atomic_load(&step->lag_until) ? atomic_load(&step->lag) : 0;
}
