/* feed.h - one source being read: its rows one by one, each judged by the rules that need no other
 * row. */
#ifndef FEED_H
#define FEED_H

#include "fault.h"
#include "reader.h"
#include "report.h"
#include "rows.h"
#include "symbols.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEED_TICKS 128 /* taken at once */

/* What all feeds of a validation share. */
struct feed_common {
    struct symbols *symbols;
    struct report *report;
    uint64_t n_rows, bytes_read;
    /* Asked whenever bytes were read; false: stop. */
    bool (*go_on)(void *context);
    void *context;
};

struct feed {
    struct feed_common *common;
    const char *path;
    size_t source; /* its number */
    int file;
    bool ended;
    int32_t symbol; /* of the row before, as symbols_number has it */
    bool has_row;   /* feed_next found one */
    struct row row; /* that */
    char *buffer;
    size_t buffer_size;
    struct reader reader;
    struct reader_tick ticks[FEED_TICKS];
};

/* Open `path` beneath the folder `root`. 0, or -1 with *fault; feed_close in either case. */
int feed_open(struct feed *feed, struct feed_common *common, int root, const char *path,
              size_t source, char *buffer, size_t buffer_size, struct fault *fault);

/* Go on to the next row with symbol and time, or to the end. 0, or -1 with *fault. */
int feed_next(struct feed *feed, struct fault *fault);

/* Give the row found, and all that follow it with the same symbol, to `rows`, judged by their order
 * in time; go on to the first with another symbol, or to the end. 0, or -1 with *fault. */
int feed_take(struct feed *feed, struct rows *rows, struct fault *fault);

void feed_close(struct feed *feed);

#endif
