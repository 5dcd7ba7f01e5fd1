/* steps.c - the steps of one symbol, and their median and median absolute deviation.
 *
 * A double's bits, with the sign folded in, order as the number does. So when there are more steps
 * than scratch has room for, one pass counts the values by their 16 highest bits; the wanted rank
 * lies in one of these buckets, and a next pass looks only there, 16 bits deeper. */
#include "config.h"

#include "steps.h"

#include "spill.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NARROW_BITS 16
#define BUCKETS (1u << NARROW_BITS)

#define SAMPLE 255
#define SAMPLE_MARGIN 24 /* three standard deviations of a median's place in the sample */
#define GUESS_FROM 1000  /* with fewer steps it is not worth it */

void steps_clear(struct steps *steps)
{
    steps->n_held = 0;
    steps->total = 0;
}

void steps_init(struct steps *steps, bool (*go_on)(void *context), void *context)
{
    *steps = (struct steps){.file = -1, .go_on = go_on, .context = context};
}

void steps_memory(struct steps *steps, void *memory, size_t size)
{
    steps->max_held = size / (sizeof *steps->held + sizeof *steps->scratch);
    steps->max_scratch = steps->max_held;
    steps->held = memory;
    steps->scratch = (double *)(steps->held + steps->max_held);
    steps_clear(steps);
}

void steps_free(struct steps *steps)
{
    free(steps->count);
    if (steps->file >= 0)
        close(steps->file);
}

int steps_spill(struct steps *steps, struct fault *fault)
{
    if (steps->file < 0 && spill_open(&steps->file, fault) != 0)
        return -1;
    if (spill_write(steps->file, steps->held, steps->n_held * sizeof *steps->held,
                    (steps->total - steps->n_held) * sizeof *steps->held, fault) != 0)
        return -1;
    steps->n_held = 0;
    return 0;
}

/* What is in the file is read over what is held, so all that is held goes there first. */
int steps_block(struct steps *steps, uint64_t *offset, size_t *n, struct fault *fault)
{
    if (steps->total <= steps->max_held) { /* never spilled */
        *n = *offset == 0 ? steps->n_held : 0;
        *offset = steps->total;
        return 0;
    }
    if (steps->n_held > 0 && steps_spill(steps, fault) != 0)
        return -1;
    if (!steps->go_on(steps->context))
        return fault_set(fault, FAULT_STOPPED, "stopped");
    uint64_t left = steps->total - *offset;
    *n = left < steps->max_held ? (size_t)left : steps->max_held;
    if (*n > 0 && spill_read(steps->file, steps->held, *n * sizeof *steps->held,
                             *offset * sizeof *steps->held, fault) != 0)
        return -1;
    *offset += *n;
    return 0;
}

/* ------------------------------------------------------------------ selection */

/* What a median is wanted of: the changes themselves, or their distance from a centre. */
struct measure {
    bool distance;
    double centre;
};

static double measured(const struct measure *measure, const struct step *step)
{
    return measure->distance ? fabs(step->change - measure->centre) : step->change;
}

static uint64_t key_of(double value)
{
    uint64_t bits;
    value += 0.0; /* -0 and 0 are one number */
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double value_of(uint64_t key)
{
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The values whose key begins with `prefix`, `shift` bits not looked at; 64 is all values. */
struct range {
    uint64_t prefix, n;
    unsigned shift;
};

static bool in_range(const struct range *range, double value)
{
    return range->shift == 64 || key_of(value) >> range->shift == range->prefix;
}

/* Go from the range to its one part that holds *rank; *rank becomes the rank in there. */
static int narrow(struct steps *steps, const struct measure *measure, struct range *range,
                  uint64_t *rank, struct fault *fault)
{
    if (steps->count == NULL)
        steps->count = malloc(BUCKETS * sizeof *steps->count);
    if (steps->count == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    memset(steps->count, 0, BUCKETS * sizeof *steps->count);

    unsigned shift = range->shift - NARROW_BITS;
    uint64_t offset = 0;
    size_t n;
    do {
        if (steps_block(steps, &offset, &n, fault) != 0)
            return -1;
        for (size_t i = 0; i < n; i++) {
            double value = measured(measure, &steps->held[i]);
            if (in_range(range, value))
                steps->count[key_of(value) >> shift & (BUCKETS - 1)]++;
        }
    } while (n > 0);

    uint64_t bucket = 0;
    for (; *rank >= steps->count[bucket]; bucket++)
        *rank -= steps->count[bucket];
    range->prefix = range->shift == 64 ? bucket : range->prefix << NARROW_BITS | bucket;
    range->shift = shift;
    range->n = steps->count[bucket];
    return 0;
}

/* Put those below the pivot, or those not above it, first, and count them. Without branches: where
 * a step belongs is chance, which no processor guesses. */
static inline size_t partition(double *values, size_t n, double pivot, bool equal_too)
{
    size_t first = 0;
    for (size_t i = 0; i < n; i++) {
        double value = values[i];
        values[i] = values[first];
        values[first] = value;
        first += equal_too ? value <= pivot : value < pivot;
    }
    return first;
}

/* The value that would be values[k] if they were sorted; those that end up before it are not
 * greater. */
static double select_value(double *values, size_t n, size_t k)
{
    while (n > 1) {
        double pivot = values[n / 2];
        size_t less = partition(values, n, pivot, false);
        if (k < less) {
            n = less;
            continue;
        }
        values += less;
        n -= less;
        k -= less;
        size_t equal = partition(values, n, pivot, true);
        if (k < equal)
            return pivot;
        values += equal;
        n -= equal;
        k -= equal;
    }
    return values[0];
}

/* Two values between which that of the rank probably lies: of some that stand far apart, those a
 * little below and above it. */
static void guess(const struct steps *steps, const struct measure *measure, uint64_t rank,
                  double *low, double *high)
{
    double some[SAMPLE];
    size_t apart = steps->n_held / SAMPLE;
    for (size_t i = 0; i < SAMPLE; i++)
        some[i] = measured(measure, &steps->held[i * apart]);
    size_t middle = (size_t)(rank * SAMPLE / steps->n_held);
    if (middle >= SAMPLE_MARGIN)
        *low = select_value(some, SAMPLE, middle - SAMPLE_MARGIN);
    if (middle + SAMPLE_MARGIN < SAMPLE)
        *high = select_value(some, SAMPLE, middle + SAMPLE_MARGIN);
}

/* Put the values from low to high into scratch, and count them and those below. Without branches:
 * a step is here or there by chance. */
static inline size_t gather(const struct steps *steps, const struct measure *measure, double low,
                            double high, size_t *below)
{
    size_t n = 0, less = 0;
    for (size_t i = 0; i < steps->n_held; i++) {
        double value = measured(measure, &steps->held[i]);
        steps->scratch[n] = value;
        bool is_less = value < low;
        less += is_less;
        n += !is_less & (value <= high);
    }
    *below = less;
    return n;
}

/* When all steps are held: scratch gets those among which the rank lies, and the rank before it
 * when there is one. Returns how many; *rank becomes the rank among them. */
static size_t gather_held(struct steps *steps, const struct measure *measure, uint64_t *rank)
{
    double low = -INFINITY, high = INFINITY;
    size_t below, n;
    if (steps->n_held >= GUESS_FROM)
        guess(steps, measure, *rank, &low, &high);
    n = gather(steps, measure, low, high, &below);
    if (below + (*rank > 0) > *rank || *rank - below >= n) /* a wrong guess */
        n = gather(steps, measure, -INFINITY, INFINITY, &below);
    *rank -= below;
    return n;
}

/* When they are not: the same but for the rank before, which may be missing. Nothing is gathered
 * when there are more equal values than scratch has room for; *value is that value then. */
static int gather_all(struct steps *steps, const struct measure *measure, uint64_t *rank,
                      size_t *gathered, double *value, struct fault *fault)
{
    struct range range = {.n = steps->total, .shift = 64};
    uint64_t offset = 0;
    size_t n;
    *gathered = 0;
    while (range.n > steps->max_scratch && range.shift > 0)
        if (narrow(steps, measure, &range, rank, fault) != 0)
            return -1;
    *value = value_of(range.prefix);
    if (range.shift == 0)
        return 0;
    do {
        if (steps_block(steps, &offset, &n, fault) != 0)
            return -1;
        for (size_t i = 0; i < n; i++) {
            double v = measured(measure, &steps->held[i]);
            if (in_range(&range, v))
                steps->scratch[(*gathered)++] = v;
        }
    } while (n > 0);
    return 0;
}

/* The value of a rank, from 0, and of the rank before it; NAN for that when it was not among those
 * that were gathered. */
static int value_at(struct steps *steps, const struct measure *measure, uint64_t rank,
                    double *value, double *before, struct fault *fault)
{
    size_t n;
    if (steps->total <= steps->max_held)
        n = gather_held(steps, measure, &rank);
    else if (gather_all(steps, measure, &rank, &n, value, fault) != 0)
        return -1;
    if (n > 0)
        *value = select_value(steps->scratch, n, (size_t)rank);
    *before = rank == 0 ? NAN : n > 0 ? steps->scratch[0] : *value;
    for (size_t i = 1; n > 0 && i < rank; i++)
        if (steps->scratch[i] > *before)
            *before = steps->scratch[i];
    return 0;
}

static int median_of(struct steps *steps, const struct measure *measure, double *median,
                     struct fault *fault)
{
    double high, low, unused;
    uint64_t middle = steps->total / 2;
    if (value_at(steps, measure, middle, &high, &low, fault) != 0)
        return -1;
    if (steps->total % 2 == 1)
        low = high;
    else if (isnan(low) && value_at(steps, measure, middle - 1, &low, &unused, fault) != 0)
        return -1;
    *median = (low + high) / 2;
    return 0;
}

int steps_median(struct steps *steps, double *median, struct fault *fault)
{
    return median_of(steps, &(struct measure){.distance = false}, median, fault);
}

int steps_mad(struct steps *steps, double median, double *mad, struct fault *fault)
{
    return median_of(steps, &(struct measure){.distance = true, .centre = median}, mad, fault);
}
