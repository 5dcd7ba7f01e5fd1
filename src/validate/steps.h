/* steps.h - the steps of one symbol, and the exact median and median absolute deviation of any
 * number of them: what does not fit in memory goes to a temporary file, and is narrowed down by
 * counting until what is left does. */
#ifndef STEPS_H
#define STEPS_H

#include "fault.h"
#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEPS_MAX 1e300 /* so that two of them can be added */

struct step {
    double change; /* relative to the price before; no more than STEPS_MAX */
    report_place place;
};

struct steps {
    struct step *held;
    size_t n_held, max_held;
    double *scratch; /* what a median is looked for in */
    size_t max_scratch;
    uint64_t *count; /* of the narrowing; made when first needed */
    int file;        /* -1: none yet */
    uint64_t total;  /* the first total - n_held are in the file */
    bool (*go_on)(void *context);
    void *context;
};

/* `go_on` is asked now and then where there is much to do; false ends it with FAULT_STOPPED. */
void steps_init(struct steps *steps, bool (*go_on)(void *context), void *context);
/* Begin, in `memory`, the caller's, of `size` bytes. */
void steps_memory(struct steps *steps, void *memory, size_t size);
void steps_free(struct steps *steps);

/* Each returns 0, or -1 with *fault. */
int steps_spill(struct steps *steps, struct fault *fault);

static inline int steps_add(struct steps *steps, double change, report_place place,
                            struct fault *fault)
{
    if (steps->n_held == steps->max_held && steps_spill(steps, fault) != 0)
        return -1;
    steps->held[steps->n_held++] = (struct step){change, place};
    steps->total++;
    return 0;
}

/* Of n values the median is the middle one, or the mean of the two in the middle. There must be
 * one step at least. */
int steps_median(struct steps *steps, double *median, struct fault *fault);
int steps_mad(struct steps *steps, double median, double *mad, struct fault *fault);

/* The next block of all steps, in `held`: *offset, 0 at first, moves on; *n is 0 at the end. */
int steps_block(struct steps *steps, uint64_t *offset, size_t *n, struct fault *fault);

/* Hand all steps to `each`. */
static inline int steps_each(struct steps *steps,
                             void (*each)(const struct step *step, void *context), void *context,
                             struct fault *fault)
{
    uint64_t offset = 0;
    size_t n;
    do {
        if (steps_block(steps, &offset, &n, fault) != 0)
            return -1;
        for (size_t i = 0; i < n; i++)
            each(&steps->held[i], context);
    } while (n > 0);
    return 0;
}

void steps_clear(struct steps *steps);

#endif
