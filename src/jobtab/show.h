/* show.h - text for people: what is untrusted made harmless, durations, aligned tables, a bar. */
#ifndef SHOW_H
#define SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum show_colour { SHOW_PLAIN, SHOW_DIM, SHOW_GREEN, SHOW_YELLOW, SHOW_RED, SHOW_CYAN };

/* A stream and what may be written to it. */
struct show {
    FILE *out;
    bool terminal; /* a person's, which can move its cursor */
    bool colour;
    bool utf8;        /* the person's locale is UTF-8: blocks and ellipses may be used */
    unsigned columns; /* of a terminal; 0: without end */
};

/* setlocale has been called. */
void show_init(struct show *show, FILE *out);
/* Look at the terminal's size again. */
void show_resize(struct show *show);

/* The bytes with control characters, bytes that are no UTF-8 and characters that reorder text
 * written as escapes, so that a terminal shows them and obeys none. With `lines`, newlines and
 * tabs stay. The caller frees it. */
char *show_escaped(const char *bytes, size_t size, bool lines);

/* How many of `size` bytes can be shown now: all but a character cut off at the end. */
size_t show_whole(const char *bytes, size_t size);

/* Columns that escaped text takes. */
unsigned show_width(const char *escaped);

/* At most `columns` of escaped text (0: all), its cut marked. Returns the columns written. */
unsigned show_clipped(const struct show *show, const char *escaped, unsigned columns);

/* `text` in a colour, where colours are on. It is trusted. */
void show_coloured(const struct show *show, enum show_colour colour, const char *text);

#define SHOW_FIGURE 28 /* bytes that hold any figure below */

/* A duration at a glance: "350ms", "3.2s", "42s", "3m12s", "5h03m", "12d4h". */
void show_duration(int64_t ms, char text[SHOW_FIGURE]);
/* "1.5 MiB" */
void show_bytes(uint64_t bytes, char text[SHOW_FIGURE]);
/* "1,234,567" */
void show_count(uint64_t count, char text[SHOW_FIGURE]);

/* ------------------------------------------------------------------ a table */

struct show_column {
    const char *title;
    bool right; /* aligned */
};

/* Rows of cells, aligned when the table ends. The last column takes what room is left. */
struct show_table;

struct show_table *show_table(const struct show *show, const struct show_column *columns, size_t n);
/* The next cell of the row; after n of them the next row begins. `text` is untrusted, copied. */
void show_cell(struct show_table *table, enum show_colour colour, const char *text);
/* Print it and free it. */
void show_table_end(struct show_table *table);

/* -------------------------------------------------------------------- a bar */

/* Draw the bar over the one before: "████░░░░  42%  `aside`  `text`". The first is trusted, the
 * second is not. Only on a terminal; elsewhere nothing. */
void show_bar(struct show *show, unsigned percent, const char *aside, const char *text);
/* The same for a count: how many are done, of how many. */
void show_progress(struct show *show, uint64_t done, uint64_t all, const char *what);
/* Take the bar away. */
void show_bar_end(const struct show *show);

#endif
