/* rows.h - the prices of all sources, put in the order of symbol, time, place.
 *
 * Rows are gathered in memory; when that is full they are sorted and written as a run to a
 * temporary file, and at the end the runs are merged. Rows that come ordered by symbol and time
 * make one run and are not sorted at all. Memory: two buffers of max_held rows. */
#ifndef ROWS_H
#define ROWS_H

#include "fault.h"
#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROWS_HELD 400000
#define ROWS_RUNS 4096 /* so a limit of 1.6 billion rows to those that come in any order */

struct row {
    uint64_t at; /* symbol << REPORT_PLACE_BITS | place */
    int64_t time;
    double price; /* not above 0: the row has none that can be used */
};

static inline uint32_t row_symbol(const struct row *row)
{
    return (uint32_t)(row->at >> REPORT_PLACE_BITS);
}

static inline report_place row_place(const struct row *row)
{
    return row->at & ((UINT64_C(1) << REPORT_PLACE_BITS) - 1);
}

struct rows_run {
    uint64_t offset, left; /* in the file, in rows */
    struct row *buffer;    /* of the merge: what has been read of it */
    size_t n, next;
};

struct rows {
    struct row *held, *spare; /* spare is free for others after rows_sort */
    size_t max_held, n;
    size_t next; /* of those held, when there is no file */
    uint64_t total;
    bool by_time, by_symbol; /* what is held came ordered: by time; by symbol, then time */
    int file;                /* -1: all is in memory */
    struct rows_run *runs;
    size_t max_runs, n_runs;
    struct row last_written;
    uint32_t *heap; /* runs, the one with the lowest row on top */
    size_t n_heap;
    size_t chunk;   /* rows read at once of a run */
    bool moved;     /* the top run's row was handed out */
};

/* Each returns 0, or -1 with *fault. */
/* `max_held` rows in memory, in each of two buffers; ROWS_HELD but in tests. */
int rows_init(struct rows *rows, size_t max_held, struct fault *fault);
int rows_add(struct rows *rows, const struct row *row, struct fault *fault);
/* No more will be added: make ready to read. */
int rows_sort(struct rows *rows, struct fault *fault);
/* The next in order, valid until the next call; NULL at the end. */
int rows_next(struct rows *rows, const struct row **row, struct fault *fault);
void rows_free(struct rows *rows);

#endif
