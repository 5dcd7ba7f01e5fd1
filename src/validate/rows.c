/* rows.c - prices, put in the order of symbol, time, place. */
#include "config.h"

#include "rows.h"

#include "spill.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIME_DIGITS 8
#define DIGITS (TIME_DIGITS + (64 - REPORT_PLACE_BITS + 7) / 8)

static void begin_held(struct rows *rows)
{
    rows->n = 0;
    rows->n_stretches = 1;
    rows->by_time = true;
}

int rows_init(struct rows *rows, size_t max_held, struct fault *fault)
{
    memset(rows, 0, sizeof *rows);
    rows->file = -1;
    rows->max_held = max_held;
    rows->max_runs = max_held < ROWS_RUNS ? max_held : ROWS_RUNS; /* a merge holds a row of each */
    size_t max_merge = rows->max_runs > ROWS_FEW ? rows->max_runs : ROWS_FEW;
    rows->held = malloc(max_held * sizeof *rows->held);
    rows->spare = malloc(max_held * sizeof *rows->spare);
    rows->runs = calloc(max_merge, sizeof *rows->runs);
    rows->merge = calloc(max_merge, sizeof *rows->merge);
    if (rows->held == NULL || rows->spare == NULL || rows->runs == NULL || rows->merge == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    rows_clear(rows);
    return 0;
}

void rows_clear(struct rows *rows)
{
    begin_held(rows);
    rows->n_written = 0;
    rows->n_runs = 0;
    rows->n_merge = 0;
    rows->ready = rows->ready_end = NULL;
}

void rows_free(struct rows *rows)
{
    free(rows->held);
    free(rows->spare);
    free(rows->runs);
    free(rows->merge);
    if (rows->file >= 0)
        close(rows->file);
}

/* Places tell rows with the same symbol and time apart, so no two are equal. */
static inline bool is_before(const struct row *a, const struct row *b)
{
    if ((a->at ^ b->at) >> REPORT_PLACE_BITS != 0)
        return a->at < b->at;
    return a->time != b->time ? a->time < b->time : a->at < b->at;
}

/* ------------------------------------------------------------------- sorting */

static uint8_t digit_of(const struct row *row, int digit)
{
    uint64_t time = (uint64_t)row->time ^ (UINT64_C(1) << 63); /* negative ones below */
    return (uint8_t)(digit < TIME_DIGITS
                         ? time >> (8 * digit)
                         : row->at >> (REPORT_PLACE_BITS + 8 * (digit - TIME_DIGITS)));
}

/* A row with the bits set in which those held differ; a digit without any needs no sorting. */
static struct row differences(const struct rows *rows)
{
    struct row all = {0};
    for (size_t i = 1; i < rows->n; i++) {
        all.time |= rows->held[i].time ^ rows->held[0].time;
        all.at |= rows->held[i].at ^ rows->held[0].at;
    }
    all.time ^= INT64_MIN; /* digit_of takes it off again */
    return all;
}

/* Least significant digit first. It is stable and rows are held in the order of their places, so
 * places need no digits; nor do times that came in order. */
static void sort_held(struct rows *rows)
{
    if (rows->n_stretches == 1)
        return;
    struct row differing = differences(rows);
    for (int digit = rows->by_time ? TIME_DIGITS : 0; digit < DIGITS; digit++) {
        size_t count[256] = {0}, begin = 0;
        if (digit_of(&differing, digit) == 0)
            continue;
        for (size_t i = 0; i < rows->n; i++)
            count[digit_of(&rows->held[i], digit)]++;
        for (int value = 0; value < 256; value++) {
            size_t n = count[value];
            count[value] = begin;
            begin += n;
        }
        for (size_t i = 0; i < rows->n; i++)
            rows->spare[count[digit_of(&rows->held[i], digit)]++] = rows->held[i];
        struct row *sorted = rows->spare;
        rows->spare = rows->held;
        rows->held = sorted;
    }
}

/* ---------------------------------------------------------------------- runs */

static int end_run(struct rows *rows, struct fault *fault)
{
    if (rows->file < 0 && spill_open(&rows->file, fault) != 0)
        return -1;
    sort_held(rows);
    uint64_t offset = rows->n_written;
    if (spill_write(rows->file, rows->held, rows->n * sizeof *rows->held,
                    offset * sizeof *rows->held, fault) != 0)
        return -1;

    if (rows->n_runs > 0 && is_before(&rows->last_written, &rows->held[0])) {
        rows->runs[rows->n_runs - 1].left += rows->n; /* it goes on where that one ended */
    } else {
        if (rows->n_runs == rows->max_runs)
            return fault_set(fault, FAULT_INVALID,
                             "more than %zu rows that are not ordered by symbol and time",
                             rows->max_runs * rows->max_held);
        rows->runs[rows->n_runs++] = (struct rows_run){.offset = offset, .left = rows->n};
    }
    rows->last_written = rows->held[rows->n - 1];
    rows->n_written += rows->n;
    begin_held(rows);
    return 0;
}

int rows_add(struct rows *rows, const struct row *row, struct fault *fault)
{
    if (rows->n == rows->max_held && end_run(rows, fault) != 0)
        return -1;
    if (rows->n == 0) {
        rows->stretches[0] = 0;
    } else {
        const struct row *last = &rows->held[rows->n - 1];
        if (row->time < last->time)
            rows->by_time = false;
        if (is_before(row, last)) {
            if (rows->n_stretches < ROWS_FEW)
                rows->stretches[rows->n_stretches] = rows->n;
            rows->n_stretches++;
        }
    }
    rows->held[rows->n++] = *row;
    return 0;
}

/* -------------------------------------------------------------------- merging */

static int fill(struct rows *rows, struct rows_run *run, struct fault *fault)
{
    size_t wanted = run->left < rows->chunk ? (size_t)run->left : rows->chunk;
    if (spill_read(rows->file, run->buffer, wanted * sizeof *run->buffer,
                   run->offset * sizeof *run->buffer, fault) != 0)
        return -1;
    run->offset += wanted;
    run->left -= wanted;
    run->next = run->buffer;
    run->end = run->buffer + wanted;
    return 0;
}

static void sift_down(struct rows *rows, size_t at)
{
    struct rows_run **heap = rows->merge, *sinking = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= rows->n_merge)
            break;
        if (child + 1 < rows->n_merge && is_before(heap[child + 1]->next, heap[child]->next))
            child++;
        if (is_before(sinking->next, heap[child]->next))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = sinking;
}

static int open_runs(struct rows *rows, struct fault *fault)
{
    if (rows->n > 0 && end_run(rows, fault) != 0)
        return -1;
    rows->chunk = rows->max_held / rows->n_runs;
    for (size_t i = 0; i < rows->n_runs; i++) {
        rows->runs[i].buffer = rows->held + i * rows->chunk;
        if (fill(rows, &rows->runs[i], fault) != 0)
            return -1;
        rows->merge[rows->n_merge++] = &rows->runs[i];
    }
    return 0;
}

static void open_stretches(struct rows *rows)
{
    if (rows->n_stretches > ROWS_FEW) {
        sort_held(rows);
        rows->n_stretches = 1;
    }
    for (size_t i = 0; i < rows->n_stretches && rows->n > 0; i++) {
        size_t end = i + 1 < rows->n_stretches ? rows->stretches[i + 1] : rows->n;
        rows->runs[i] = (struct rows_run){.next = rows->held + rows->stretches[i],
                                          .end = rows->held + end};
        rows->merge[rows->n_merge++] = &rows->runs[i];
    }
}

int rows_sort(struct rows *rows, struct fault *fault)
{
    if (rows->n_runs == 0)
        open_stretches(rows);
    else if (open_runs(rows, fault) != 0)
        return -1;
    for (size_t at = rows->n_merge > ROWS_FEW ? rows->n_merge : 0; at-- > 0;)
        sift_down(rows, at);
    rows->turn = rows->n_merge;
    return 0;
}

/* Does the run have another row? Its last one read is not needed any more. 1, 0, or -1. */
static inline int has_next(struct rows *rows, struct rows_run *run, struct fault *fault)
{
    if (run->next == run->end && run->left > 0 && fill(rows, run, fault) != 0)
        return -1;
    return run->next != run->end;
}

/* Nothing to merge: what there is in memory of the one run. */
static int more_of_one(struct rows *rows, struct fault *fault)
{
    struct rows_run *run = rows->merge[0];
    if (has_next(rows, run, fault) < 0)
        return -1;
    rows->ready = run->next;
    rows->ready_end = run->next = run->end;
    return 0;
}

/* By symbol and time alone. */
static inline bool is_key_before(const struct row *a, const struct row *b)
{
    return (a->at ^ b->at) >> REPORT_PLACE_BITS != 0 ? a->at < b->at : a->time < b->time;
}

static inline bool is_key(const struct row *a, const struct row *b)
{
    return a->time == b->time && (a->at ^ b->at) >> REPORT_PLACE_BITS == 0;
}

/* The lowest symbol and time that any of them is at. False: all are at their end. */
static bool lowest_key(struct rows *rows)
{
    const struct row *lowest = NULL;
    for (size_t i = 0; i < rows->n_merge; i++) {
        const struct rows_run *run = rows->merge[i];
        if (run->next != run->end && (lowest == NULL || is_key_before(run->next, lowest)))
            lowest = run->next;
    }
    if (lowest != NULL)
        rows->key = *lowest;
    return lowest != NULL;
}

/* Rows of one symbol and time come one run behind the other: they were added in the order of their
 * places, and so are the runs. */
static int more_of_few(struct rows *rows, struct fault *fault)
{
    size_t n = 0, n_merge = rows->n_merge, turn = rows->turn;
    do {
        struct row key = rows->key;
        for (; turn < n_merge; turn++) {
            struct rows_run *run = rows->merge[turn];
            int has;
            while ((has = has_next(rows, run, fault)) > 0 && is_key(run->next, &key)) {
                if (n == ROWS_MERGED)
                    goto out;
                rows->merged[n++] = *run->next++;
            }
            if (has < 0)
                return -1;
        }
        turn = 0;
    } while (lowest_key(rows));
    turn = n_merge;
out:
    rows->turn = turn;
    rows->ready = rows->merged;
    rows->ready_end = rows->merged + n;
    return 0;
}

static int more_of_many(struct rows *rows, struct fault *fault)
{
    size_t n = 0;
    for (; n < ROWS_MERGED && rows->n_merge > 0; n++) {
        struct rows_run *run = rows->merge[0];
        rows->merged[n] = *run->next++;
        int has = has_next(rows, run, fault);
        if (has < 0)
            return -1;
        if (!has)
            rows->merge[0] = rows->merge[--rows->n_merge];
        if (rows->n_merge > 1)
            sift_down(rows, 0);
    }
    rows->ready = rows->merged;
    rows->ready_end = rows->merged + n;
    return 0;
}

int rows_more(struct rows *rows, struct fault *fault)
{
    if (rows->n_merge == 0)
        return 0;
    return rows->n_merge == 1          ? more_of_one(rows, fault)
           : rows->n_merge <= ROWS_FEW ? more_of_few(rows, fault)
                                       : more_of_many(rows, fault);
}
