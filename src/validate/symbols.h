/* symbols.h - the symbols seen so far, each under a number, with what rules need to know of it.
 *
 * The only thing held in memory that grows with the input, so it has a bound: SYMBOLS_MAX symbols
 * take at most 25 MB. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOLS_MAX 200000

struct symbol {
    uint64_t violations;
    uint64_t newest_place;     /* of the newest row in `source` */
    int64_t newest, last_time; /* in `source`: the greatest, and the last row's */
    uint32_t source;           /* number + 1 of the source that had it last */
    uint32_t name;             /* where it begins in the names */
    uint32_t size : 31;        /* of the name */
    bool judged : 1;           /* no more rows of it are expected */
};

struct symbols {
    struct symbol *all;
    uint32_t n;
    uint32_t latest; /* found by the last lookup */
    char *names;     /* one behind the other, each with a NUL */
    size_t names_size;
    uint32_t *slots; /* open addressing; number + 1, 0 is free */
};

/* 0, or -1 with errno. Memory is touched only as symbols come. */
int symbols_init(struct symbols *symbols);
void symbols_free(struct symbols *symbols);

enum { SYMBOLS_UNUSABLE = -1, SYMBOLS_FULL = -2 };

/* The number of a symbol, a new one if it is new. SYMBOLS_UNUSABLE when it is empty, too long,
 * no UTF-8 or holds control characters; SYMBOLS_FULL. */
int32_t symbols_number(struct symbols *symbols, const char *text, size_t size);

const char *symbols_name(const struct symbols *symbols, uint32_t number);

#endif
