/* store_layout.h - an LMDB file's pages, as they stand in it, and reading one of them without
 * trust.
 * For those who go through them (store_pages.c, store_careful.c), and no others.
 *
 * The layout is that of LMDB 0.9, data version 1, as this machine writes it; a test pins it. A page
 * is a header, then the offsets of its nodes, in the order of their keys, growing upwards; the
 * nodes, packed, growing downwards from its end. A node of a branch has the lowest key of a page
 * below, and its number; one of a leaf has key and value, or the number of the first of the pages
 * with the value. Two meta pages take turns at telling where the two roots are: of the free list
 * (transaction -> pages) and of the catalogue (name -> database).
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include "store_pages.h"

#define MAGIC     0xBEEFC0DEu
#define VERSION   1
#define METAS     2
#define KEY_LIMIT 511
#define MAX_DEPTH 32
#define MAX_NAMED 32 /* more than a table has */
#define NO_PAGE   SIZE_MAX
#define PAGE_MIN  512u
#define PAGE_MAX  65536u

enum page_flag { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };
enum node_flag { BIG = 1, DATABASE = 2 };
/* A database's; those of the free list have some of the file's beside them. */
enum database_flag {
    NUMBERS = 8, /* its keys are numbers of this machine */
    DATABASE_FLAGS = 0x7e,
};

struct header {
    size_t number;
    uint16_t pad, flags;
    union {
        struct {
            uint16_t lower, upper; /* of the room between offsets and nodes */
        };
        uint32_t pages; /* of a value that has pages of its own */
    };
};

struct node {
    uint32_t low; /* of a value's size, or of a page's number */
    uint16_t flags, key_size;
};

struct database {
    uint32_t pad; /* of the free list: the size of a page */
    uint16_t flags, depth;
    size_t branches, leaves, overflows, entries, root;
};

struct meta {
    uint32_t magic, version;
    size_t address, map_size;
    struct database free, catalogue;
    size_t last_page, txn;
};

struct page_key {
    uint8_t bytes[KEY_LIMIT];
    size_t size;
};

/* One node of a page, as far as it was found to be sound. */
struct entry {
    struct node node;
    const uint8_t *key, *data;
    size_t child; /* of a branch */
};

/* Who goes through the pages of one snapshot, and is told what is wrong with them. */
struct pages {
    int fd;
    size_t page_size, next; /* no page has the number `next`, or one above it */
    size_t file_size, txn;
    const char *in;  /* the tree at hand, for the words */
    pages_fault_fn *fault;
    void *context;
    uint64_t faults;
    int error; /* why the file could not be read */
};

/* Tell that the page is damaged, and why. False. */
bool pages_damaged(struct pages *pages, size_t page, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* In the order of keys, which are bytes: below 0, 0, above. */
int pages_order(const void *a, size_t a_size, const void *b, size_t b_size);

/* There can be `n` pages from `page` on. */
bool pages_within(struct pages *pages, size_t page, size_t n);
/* Bytes of the file, from a page's begin. False at the end of the file, and on an error, which
 * sticks. */
bool pages_bytes(struct pages *pages, size_t page, void *to, size_t size);
/* Its header, and with `size` the whole of it, are in `to`, and are those of such a page. */
bool pages_read(struct pages *pages, size_t page, size_t n, enum page_flag flag, uint8_t *to,
                size_t size);
/* How many nodes the page in `bytes` has; 0: it is damaged. */
size_t pages_nodes(struct pages *pages, size_t page, const uint8_t *bytes);
/* Node `i` of the page in `bytes`; *size becomes what it takes of the page. */
bool pages_node(struct pages *pages, size_t page, const uint8_t *bytes, size_t i,
                struct entry *entry, size_t *size);
/* The nodes, which take so many bytes together, fill their page. */
bool pages_filled(struct pages *pages, size_t page, const uint8_t *bytes, size_t all);
/* The pages that a value of `size` bytes takes. */
size_t pages_of_value(const struct pages *pages, size_t size);

/* Meta page `n`; false when it is not there, or not sound. */
bool pages_read_meta(struct pages *pages, size_t n, struct meta *meta);
/* The meta page of the transaction, from which on its pages are reached; *passed when it is
 * overwritten. */
bool pages_begin(struct pages *pages, struct meta *meta, bool *passed);

#endif
