/* source.h - where jobs are moved in from: one row after the other.
 *
 * Nothing of what is read is changed there. A source that this build has no library for says so
 * when it is opened.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "row.h"

#include <stdio.h>

enum source_got {
    SOURCE_ROW,
    SOURCE_BAD,    /* this one cannot be read: row->place says which, why says why. Go on */
    SOURCE_END,
    SOURCE_FAILED, /* nor can the others: why */
};

struct source {
    const struct source_verbs *verbs;
    uint64_t done, all; /* how far it is: bytes, keys, rows; all 0: it cannot know */
    char why[256];
};

struct source_verbs {
    enum source_got (*next)(struct source *source, struct row *row);
    void (*close)(struct source *source);
};

/* Each gives a source that is open, or NULL and why. */
struct source *source_lines(const char *path, char *why, size_t size); /* "-" or NULL: stdin */
struct source *source_redis(const char *url, const char *pattern, char *why, size_t size);
struct source *source_sqlite(const char *path, const char *table, char *why, size_t size);

#endif
