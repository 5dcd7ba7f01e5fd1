/* pagefile.h - a sound table's file in memory, where things stand in it, and calls that fail: for
 * tests of those who read pages without trust. The layout is that of store_layout.h, by numbers of
 * its own, on a little-endian machine of 64 bits. */
#ifndef PAGEFILE_H
#define PAGEFILE_H

#include "fixture.h"

#define PAGE   4096
#define HEADER 16
#define META   HEADER /* where its fields begin */
#define FREE   24     /* of a meta page's fields: the two databases, then the numbers */
#define NAMED  72
#define LAST   120
#define TXN    128

/* Within a database's description. */
enum { FLAGS = 4, DEPTH = 6, BRANCHES = 8, LEAVES = 16, OVERFLOWS = 24, ENTRIES = 32, ROOT = 40 };
/* Within a page, and within an entry of one. */
enum { NUMBER = 0, PAGE_FLAGS = 10, LOWER = 12, UPPER = 14, FIRST = 16 };
enum { LOW = 0, ENTRY_FLAGS = 4, KEY_SIZE = 6, KEY = 8 };

/* Trees of one level and of two, values with pages of their own, free pages. */
struct pagefile {
    unsigned char *data;
    size_t size, meta; /* offset of the newer meta page's fields */
    uint64_t txn;
};
extern struct pagefile sound;

/* cmocka's setup and teardown of a group. */
int pagefile_make(void **state);
int pagefile_free(void **state);
/* Whether the numbers above are those of this machine. */
bool pagefile_is_known(void);

uint64_t load(const unsigned char *data, size_t at, size_t size);

/* Offsets into it. */
size_t root_of(size_t database);
size_t entry_of(size_t page, size_t i);
size_t value_of(size_t page, size_t i);
size_t entries_of(size_t page);
/* The entry that stands last in the page, next to its end. */
size_t outermost_of(size_t page);
/* The description of a database, in the catalogue's one page. */
size_t database_of(const char *name);
/* The leaf under a root, `nth` from the left. */
size_t leaf_of(const char *name, size_t nth);

/* `size` bytes at `at` become `value`. */
struct change {
    size_t at, size;
    uint64_t value;
};
/* A file without a name with these changes; close it. */
int pagefile_with(const struct change *changes, size_t n);

/* The call (pread, malloc, calloc, realloc) fails once, after so many more of it; with an errno. The
 * linker puts ours before the real ones: --wrap in local.mk. */
void refuse(const char *call, int after, int error);
/* Whether it was asked for; from here on none fails. */
bool was_refused(void);

#endif
