/* reader.h - rows of prices out of the bytes of one CSV source.
 *
 * Bytes go in as they come, in pieces of any size; rows come out one by one with their fields
 * already read. Nothing is kept but the row at hand, so memory does not grow with the source. */
#ifndef READER_H
#define READER_H

#include "plain.h"

#include <csv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READER_COLUMNS 4096       /* more in a header are refused */
#define READER_FIELD_MAX (1 << 20) /* bytes; a longer field is an unclosed quote or no CSV */
#define READER_SYMBOL_MAX 64
#define READER_SHOWN 40
#define READER_ERROR 160

enum reader_column {
    COLUMN_SYMBOL,
    COLUMN_TIME,
    COLUMN_PRICE,
    COLUMN_OPEN,
    COLUMN_HIGH,
    COLUMN_LOW,
    COLUMN_CLOSE,
};
#define READER_KINDS 7

enum reader_state {
    FIELD_EMPTY, /* or not there */
    FIELD_READ,
    FIELD_BAD,
};

struct reader_field {
    enum reader_state state;
    union {
        int64_t time; /* of COLUMN_TIME, nanoseconds */
        double number;
    };
    char shown[READER_SHOWN + 1]; /* the text of a bad one, made printable */
};

struct reader_row {
    uint64_t line; /* where the row begins; the header is line 1 */
    bool same_symbol; /* as the row before; means nothing in the first one */
    size_t symbol_size; /* may be READER_SYMBOL_MAX + 1: it was longer than that */
    char symbol[READER_SYMBOL_MAX + 1];
    struct reader_field fields[READER_KINDS]; /* COLUMN_SYMBOL's is not used */
};

struct reader {
    const char *next, *end; /* what is left of the piece at hand */
    const char *quote, *cr; /* the first of these from next on; end: there is none */
    struct csv_parser csv;
    uint64_t line; /* of the byte that comes next; lines end with LF */
    unsigned bom;  /* bytes of a byte order mark seen at the beginning; 3: past it */
    bool header_read;
    bool has_symbol;
    bool has_bar;
    bool has_row;      /* libcsv gave one */
    bool plain_symbol; /* the row's is what it would be without quotes */
    size_t column;    /* of the field that comes next */
    size_t n_columns; /* up to the last one that is wanted */
    uint8_t kinds[READER_COLUMNS]; /* bits of enum reader_column, by column of the source */
    struct {
        size_t column; /* + 1; 0: not found yet */
        int rank;      /* the lower, the better the header's name */
    } found[READER_KINDS];
    struct plain_day day;
    struct reader_row row;
    char error[READER_ERROR]; /* "" while all is well */
};

/* `symbol` names all rows of a source without a symbol column. */
void reader_init(struct reader *reader, const char *symbol, size_t symbol_size);

/* The next piece of the source, once the last one is used up; it must stay until it is. */
void reader_feed(struct reader *reader, const char *data, size_t size);

enum reader_step {
    READER_ROW,  /* reader->row is one, until the next call */
    READER_MORE, /* the piece is used up */
    READER_FAILED, /* reader->error: the source cannot be read on */
};

enum reader_step reader_next(struct reader *reader);

/* A row with a price above 0 and the symbol of the row before, that has no other column of use. */
struct reader_tick {
    uint64_t line;
    int64_t time;
    double price;
};

/* Behind a row: read the next ones, as far as they are ticks in their plainest form. Returns how
 * many, at most `max`. What stopped it is for reader_next, whose row is gone. */
size_t reader_ticks(struct reader *reader, struct reader_tick *ticks, size_t max);

/* The source is at its end: once, for what is unfinished. READER_MORE: nothing is. */
enum reader_step reader_end(struct reader *reader);

void reader_free(struct reader *reader);

#endif
