/* rows.h - the prices that are judged beside each other, put in the order of symbol, time, place.
 *
 * Rows are gathered in memory. A few stretches that came ordered - one of each source, say - are
 * merged where they lie; what came otherwise is sorted. When memory is full what is held is written
 * as a run to a temporary file, and at the end the runs are merged. Rows that all come ordered make
 * one run. Memory: two buffers of max_held rows. */
#ifndef ROWS_H
#define ROWS_H

#include "fault.h"
#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROWS_HELD 400000
#define ROWS_RUNS 4096 /* so a limit of 1.6 billion rows to those that come in any order */
#define ROWS_FEW 16 /* that many are merged without a heap; more stretches are sorted */
#define ROWS_MERGED 256

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

/* Ordered rows: a stretch of what is held, or a run in the file. */
struct rows_run {
    const struct row *next, *end; /* in memory */
    struct row *buffer;           /* of a run: what is read of it goes there */
    uint64_t offset, left;        /* of a run: the rest in the file, in rows */
};

struct rows {
    struct row *held, *spare; /* spare is free for others from rows_sort to rows_clear */
    size_t max_held, n;
    size_t stretches[ROWS_FEW]; /* where those held begin */
    size_t n_stretches;               /* may be more than there is room for */
    bool by_time;                     /* what is held came ordered by time */
    int file;                         /* -1: none was needed yet */
    struct rows_run *runs;
    size_t max_runs, n_runs; /* of the file */
    uint64_t n_written;      /* rows in it */
    struct row last_written;
    size_t chunk;            /* rows read at once of a run */
    struct rows_run **merge; /* what is merged; of many a heap, the lowest row on top */
    size_t n_merge;
    size_t turn;    /* of few: whose rows of the key are looked for */
    struct row key; /* the symbol and time at hand */
    const struct row *ready, *ready_end; /* in order, for rows_next */
    struct row merged[ROWS_MERGED];
};

static inline uint64_t rows_total(const struct rows *rows)
{
    return rows->n_written + rows->n;
}

/* Each returns 0, or -1 with *fault. */
/* `max_held` rows in memory, in each of two buffers; ROWS_HELD but in tests. */
int rows_init(struct rows *rows, size_t max_held, struct fault *fault);
/* Rows come in the order of their places. */
int rows_add(struct rows *rows, const struct row *row, struct fault *fault);
/* The same for a row that follows the last one added: of its symbol, and no earlier in time. */
static inline int rows_follow(struct rows *rows, const struct row *row, struct fault *fault)
{
    if (rows->n == 0 || rows->n == rows->max_held)
        return rows_add(rows, row, fault);
    rows->held[rows->n++] = *row;
    return 0;
}
/* No more will be added: make ready to read. */
int rows_sort(struct rows *rows, struct fault *fault);
/* Make the next rows ready. */
int rows_more(struct rows *rows, struct fault *fault);
/* The next in order, valid until the next call; NULL at the end. */
static inline int rows_next(struct rows *rows, const struct row **row, struct fault *fault)
{
    if (rows->ready == rows->ready_end && rows_more(rows, fault) != 0)
        return -1;
    *row = rows->ready != rows->ready_end ? rows->ready++ : NULL;
    return 0;
}
/* Begin again with none. */
void rows_clear(struct rows *rows);
void rows_free(struct rows *rows);

#endif
