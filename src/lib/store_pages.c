/* store_pages.c - the pages of an LMDB file. See store_pages.h.
 *
 * The layout is that of LMDB 0.9, data version 1, as this machine writes it; a test pins it. A page
 * is a header, then the offsets of its nodes, in the order of their keys, growing upwards; the
 * nodes, packed, growing downwards from its end. A node of a branch has the lowest key of a page
 * below, and its number; one of a leaf has key and value, or the number of the first of the pages
 * with the value. Two meta pages take turns at telling where the two roots are: of the free list
 * (transaction -> pages) and of the catalogue (name -> database).
 */
#include "store_pages.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
enum database_flag { NUMBERS = 8 /* its keys are numbers of this machine */, DATABASE_FLAGS = 0x7e };

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

struct key {
    uint8_t bytes[KEY_LIMIT];
    size_t size;
};

/* One node of a page, as far as it was found to be sound. */
struct entry {
    struct node node;
    const uint8_t *key, *data;
    size_t child; /* of a branch */
};

struct tree {
    const char *name;
    struct database is; /* as it was found */
    struct key last;    /* in order: the next one is above it */
    bool lowest;        /* or equal to it: it was that of a branch */
    unsigned flags, of_entries; /* what it must have, and its entries may have */
    void (*leaf)(struct pages *pages, const struct entry *entry, const uint8_t *value, size_t size);
};

struct named {
    char name[32];
    struct database database;
};

struct pages {
    int fd;
    size_t page_size, next; /* no page has the number `next`, or one above it */
    size_t file_size, txn;
    uint8_t *seen; /* a bit a page */
    uint8_t *room; /* a page for each level of a tree */
    pages_fault_fn *fault;
    void *context;
    uint64_t faults;
    int error;
    struct tree *tree;
    struct named named[MAX_NAMED];
    size_t n_named;
};

static bool __attribute__((format(printf, 3, 4)))
damaged(struct pages *pages, size_t page, const char *format, ...)
{
    char line[256];
    va_list args;

    int n = snprintf(line, sizeof line, "page %zu of `%s`: ", page, pages->tree->name);
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    pages->faults++;
    pages->fault(line, pages->context);
    return false;
}

/* ---------------------------------------------------------------- pages of the file */

/* False at the end of the file, and on an error, which sticks. */
static bool read_at(struct pages *pages, size_t page, void *to, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(pages->fd, (char *)to + done, size - done,
                          (off_t)(page * pages->page_size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            pages->error = fail_errno(JOBTAB_SYSTEM, errno, "cannot read page %zu", page);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* `n` pages are in use, from `page` on: by nobody else, then. */
static bool take(struct pages *pages, size_t page, size_t n)
{
    if (page < METAS || page >= pages->next || n > pages->next - page)
        return damaged(pages, page, "there is no such page, they end at %zu", pages->next - 1);
    for (size_t at = page; at < page + n; at++) {
        if (pages->seen[at / 8] & 1u << at % 8)
            return damaged(pages, at, "it is in use already, or free");
        pages->seen[at / 8] |= (uint8_t)(1u << at % 8);
    }
    return true;
}

/* Its header, and with `size` the whole of it, are in `to`, and are those of such a page. */
static bool read_page(struct pages *pages, size_t page, size_t n, enum page_flag flag, uint8_t *to,
                      size_t size)
{
    struct header header;

    if (!take(pages, page, n))
        return false;
    if (page + n > pages->file_size / pages->page_size || !read_at(pages, page, to, size))
        return pages->error ? false : damaged(pages, page, "it is beyond the end of the file");
    memcpy(&header, to, sizeof header);
    if (header.number != page)
        return damaged(pages, page, "it says that it is page %zu", header.number);
    if (header.flags != flag)
        return damaged(pages, page, "its flags are %#x, not %#x", header.flags, flag);
    if (flag == OVERFLOW && header.pages != n)
        return damaged(pages, page, "it says that it is %u pages, not %zu", header.pages, n);
    return true;
}

/* ------------------------------------------------------------------------ nodes */

static int compare(const struct tree *tree, const uint8_t *key, size_t size)
{
    const struct key *last = &tree->last;

    if (tree->flags & NUMBERS && size == sizeof(size_t) && last->size == sizeof(size_t)) {
        size_t a, b;
        memcpy(&a, key, sizeof a);
        memcpy(&b, last->bytes, sizeof b);
        return (a > b) - (a < b);
    }
    int order = memcmp(key, last->bytes, size < last->size ? size : last->size);
    return order ? order : (size > last->size) - (size < last->size);
}

static bool in_order(struct tree *tree, const uint8_t *key, size_t size, bool lowest)
{
    int order = compare(tree, key, size);

    if (order < 0 || (order == 0 && tree->last.size && !tree->lowest))
        return false;
    memcpy(tree->last.bytes, key, size);
    tree->last.size = size;
    tree->lowest = lowest;
    return true;
}

/* Node `i` of the page in `bytes`; *size becomes what it takes of the page. */
static bool read_node(struct pages *pages, size_t page, const uint8_t *bytes, size_t i,
                      struct entry *entry, size_t *size)
{
    struct header header;
    uint16_t offset;

    memcpy(&header, bytes, sizeof header);
    memcpy(&offset, bytes + sizeof header + i * sizeof offset, sizeof offset);
    if (offset < header.upper || offset % 2 || offset + sizeof entry->node > pages->page_size)
        return damaged(pages, page, "entry %zu begins at byte %u", i, offset);
    size_t left = pages->page_size - offset - sizeof entry->node;
    memcpy(&entry->node, bytes + offset, sizeof entry->node);
    size_t key_size = entry->node.key_size, data = 0;
    entry->key = bytes + offset + sizeof entry->node;
    if (header.flags == LEAF)
        data = entry->node.flags & BIG ? sizeof(size_t) : entry->node.low;
    else
        entry->child = sizeof(size_t) > 4 ? (size_t)entry->node.flags << 16 << 16 | entry->node.low
                                          : entry->node.low;
    if (key_size > KEY_LIMIT || key_size > left || data > left - key_size)
        return damaged(pages, page, "entry %zu is %zu bytes of key and %zu of value", i, key_size,
                       data);
    entry->data = entry->key + key_size;
    *size = (sizeof entry->node + key_size + data + 1) & ~(size_t)1;
    return true;
}

/* A value that has pages of its own: read only if somebody looks at it. */
static bool check_big(struct pages *pages, size_t page, size_t i, const struct entry *entry)
{
    struct tree *tree = pages->tree;
    size_t at, size = entry->node.low;
    size_t n = (sizeof(struct header) - 1 + size) / pages->page_size + 1;

    memcpy(&at, entry->data, sizeof at);
    tree->is.overflows += n;
    if (n > pages->next)
        return damaged(pages, page, "entry %zu has a value of %zu bytes", i, size);
    size_t look = tree->leaf ? n * pages->page_size : sizeof(struct header);
    uint8_t *value = malloc(look);
    if (!value) {
        pages->error = fail(JOBTAB_SYSTEM, "out of memory");
        return false;
    }
    bool sound = read_page(pages, at, n, OVERFLOW, value, look);
    if (sound && tree->leaf)
        tree->leaf(pages, entry, value + sizeof(struct header), size);
    free(value);
    return sound;
}

static bool check_leaf(struct pages *pages, size_t page, size_t i, const struct entry *entry)
{
    struct tree *tree = pages->tree;

    if (!entry->node.key_size || !in_order(tree, entry->key, entry->node.key_size, false))
        return damaged(pages, page, "the key of entry %zu is not above the one before", i);
    if (entry->node.flags & ~tree->of_entries)
        return damaged(pages, page, "entry %zu has flags %#x", i, entry->node.flags);
    tree->is.entries++;
    if (entry->node.flags & BIG)
        return check_big(pages, page, i, entry);
    if (tree->leaf)
        tree->leaf(pages, entry, entry->data, entry->node.low);
    return true;
}

/* ------------------------------------------------------------------------ trees */

static void walk(struct pages *pages, size_t page, unsigned level, unsigned depth);

/* The nodes of a page: what each says, and that together they fill it. */
static bool check_nodes(struct pages *pages, size_t page, const uint8_t *bytes, unsigned level,
                        unsigned depth)
{
    struct header header;
    size_t size = 0, all = 0;

    memcpy(&header, bytes, sizeof header);
    if (header.lower < sizeof header || header.lower > header.upper ||
        header.upper > pages->page_size || header.lower % 2)
        return damaged(pages, page, "its room is from %u to %u", header.lower, header.upper);
    size_t n = (header.lower - sizeof header) / 2;
    if (n == 0 || (header.flags == BRANCH && n == 1))
        return damaged(pages, page, "it has %zu entries", n);
    for (size_t i = 0; i < n && !pages->error; i++) {
        struct entry entry;

        if (!read_node(pages, page, bytes, i, &entry, &size))
            return false;
        all += size;
        if (header.flags == LEAF) {
            if (!check_leaf(pages, page, i, &entry))
                return false;
            continue;
        }
        /* the first has the key of the page above, whatever its own says */
        if (i && !in_order(pages->tree, entry.key, entry.node.key_size, true))
            return damaged(pages, page, "the key of entry %zu is not above those before", i);
        walk(pages, entry.child, level + 1, depth);
    }
    if (all != pages->page_size - header.upper)
        return damaged(pages, page, "its entries are of %zu bytes, and take %zu", all,
                       pages->page_size - header.upper);
    return true;
}

static void walk(struct pages *pages, size_t page, unsigned level, unsigned depth)
{
    uint8_t *bytes = pages->room + level * pages->page_size;
    bool leaf = level + 1 == depth;

    if (leaf)
        pages->tree->is.leaves++;
    else
        pages->tree->is.branches++;
    if (read_page(pages, page, 1, leaf ? LEAF : BRANCH, bytes, pages->page_size))
        check_nodes(pages, page, bytes, level, depth);
}

static void check_tree(struct pages *pages, struct tree *tree, const struct database *says)
{
    struct database *is = &tree->is;
    uint64_t before = pages->faults;

    pages->tree = tree;
    if ((says->root == NO_PAGE) != (says->depth == 0) || says->depth > MAX_DEPTH ||
        (says->flags & DATABASE_FLAGS) != tree->flags) {
        damaged(pages, says->root, "it is the root of a tree of depth %u with flags %#x",
                says->depth, says->flags);
        return;
    }
    if (says->root != NO_PAGE)
        walk(pages, says->root, 0, says->depth);
    if (pages->faults == before && !pages->error &&
        (is->branches != says->branches || is->leaves != says->leaves ||
         is->overflows != says->overflows || is->entries != says->entries))
        damaged(pages, says->root,
                "its tree has %zu, %zu and %zu pages and %zu entries, "
                "and says %zu, %zu and %zu, %zu",
                is->branches, is->leaves, is->overflows, is->entries, says->branches, says->leaves,
                says->overflows, says->entries);
}

/* ---------------------------------------------------- the free list, the catalogue */

static void note_free(struct pages *pages, const struct entry *entry, const uint8_t *value,
                      size_t size)
{
    size_t n, txn = 0, page, last = NO_PAGE;

    if (entry->node.key_size == sizeof txn)
        memcpy(&txn, entry->key, sizeof txn);
    if (!txn || txn > pages->txn || size < sizeof n) {
        damaged(pages, 0, "an entry is of transaction %zu and %zu bytes", txn, size);
        return;
    }
    memcpy(&n, value, sizeof n);
    if (n > size / sizeof page - 1) {
        damaged(pages, 0, "transaction %zu freed %zu pages, in %zu bytes", txn, n, size);
        return;
    }
    for (size_t i = 1; i <= n; i++, last = page) {
        memcpy(&page, value + i * sizeof page, sizeof page);
        if (page >= last) {
            damaged(pages, page, "transaction %zu freed it, and is not in order", txn);
            return;
        }
        if (!take(pages, page, 1))
            return;
    }
}

static void note_database(struct pages *pages, const struct entry *entry, const uint8_t *value,
                          size_t size)
{
    struct named *named = &pages->named[pages->n_named];

    if (entry->node.flags != DATABASE || size != sizeof named->database ||
        entry->node.key_size >= sizeof named->name || pages->n_named == MAX_NAMED) {
        damaged(pages, 0, "`%.*s` is no database", (int)entry->node.key_size,
                (const char *)entry->key);
        return;
    }
    memcpy(named->name, entry->key, entry->node.key_size);
    named->name[entry->node.key_size] = '\0';
    memcpy(&named->database, value, sizeof named->database);
    pages->n_named++;
}

static bool among(const char *name, const char *const *only)
{
    for (; *only; only++)
        if (strcmp(name, *only) == 0)
            return true;
    return false;
}

/* What is neither in use nor free is lost for ever. */
static void check_lost(struct pages *pages)
{
    size_t lost = 0, first = 0;

    for (size_t page = METAS; page < pages->next; page++) {
        if (pages->seen[page / 8] & 1u << page % 8)
            continue;
        if (!lost++)
            first = page;
    }
    if (lost)
        damaged(pages, first, "it is neither in use nor free, with %zu others", lost - 1);
}

static void check_all(struct pages *pages, const struct meta *meta, const char *const *only)
{
    struct tree catalogue = {.name = "catalogue", .of_entries = DATABASE, .leaf = note_database};
    struct tree list = {
        .name = "free list", .flags = NUMBERS, .of_entries = BIG, .leaf = note_free};

    check_tree(pages, &catalogue, &meta->catalogue);
    for (size_t i = 0; i < pages->n_named && !pages->error; i++) {
        struct tree tree = {.name = pages->named[i].name, .of_entries = BIG};
        if (!only || among(tree.name, only))
            check_tree(pages, &tree, &pages->named[i].database);
    }
    if (only || pages->error)
        return;
    check_tree(pages, &list, &meta->free);
    if (!pages->faults)
        check_lost(pages);
}

/* ------------------------------------------------------------------------- metas */

static bool sound_meta(const struct header *header, const struct meta *meta)
{
    uint32_t size = meta->free.pad;

    return header->flags == META && meta->magic == MAGIC && meta->version == VERSION &&
           size >= PAGE_MIN && size <= PAGE_MAX && !(size & (size - 1));
}

/* Meta page `n`; false when it is not there, or not sound. */
static bool read_meta(struct pages *pages, size_t n, struct meta *meta)
{
    uint8_t bytes[sizeof(struct header) + sizeof *meta];
    struct header header;

    if (!read_at(pages, n, bytes, sizeof bytes))
        return false;
    memcpy(&header, bytes, sizeof header);
    memcpy(meta, bytes + sizeof header, sizeof *meta);
    return sound_meta(&header, meta);
}

int pages_check_head(const char *path)
{
    struct pages pages = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct meta first, second;
    off_t size = 0;

    if (pages.fd < 0)
        return errno == ENOENT ? JOBTAB_OK
                               : fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", path);
    size = lseek(pages.fd, 0, SEEK_END);
    bool sound = size == 0 || read_meta(&pages, 0, &first);
    if (sound && size) {
        pages.page_size = first.free.pad;
        sound = read_meta(&pages, 1, &second) && second.free.pad == first.free.pad;
    }
    close(pages.fd);
    if (pages.error)
        return pages.error;
    return sound ? JOBTAB_OK : fail(JOBTAB_DAMAGED, "%s: its first pages are damaged", path);
}

/* The meta page of the transaction; *passed when it is overwritten. */
static bool find_meta(struct pages *pages, struct meta *meta, bool *passed)
{
    struct tree metas = {.name = "meta"};

    pages->tree = &metas;
    for (size_t n = 0; n < METAS; n++) {
        if (!read_meta(pages, n, meta))
            return pages->error ? false : damaged(pages, n, "it is no meta page");
        pages->page_size = meta->free.pad;
        if (meta->txn == pages->txn)
            return true;
    }
    *passed = true;
    return false;
}

/* Pages that were in use and became free within one commit are never written: the file may end
 * before the last of them, but not by much. */
#define UNWRITTEN 65536

static void check_file(struct pages *pages, const struct meta *meta, const char *const *only)
{
    size_t written = pages->file_size / pages->page_size;
    struct tree metas = {.name = "meta"};

    pages->tree = &metas;
    pages->next = meta->last_page + 1;
    if (pages->next < METAS || pages->next > written + UNWRITTEN) {
        damaged(pages, meta->last_page, "it is said to be the last; the file ends at %zu", written);
        pages->next = written;
    }
    pages->seen = calloc(pages->next / 8 + 1, 1);
    pages->room = malloc(MAX_DEPTH * pages->page_size);
    if (pages->seen && pages->room)
        check_all(pages, meta, only);
    else
        pages->error = fail(JOBTAB_SYSTEM, "out of memory");
    free(pages->seen);
    free(pages->room);
}

int pages_check(int fd, size_t txn, const char *const *only, pages_fault_fn *fault, void *context,
                uint64_t *faults, bool *passed)
{
    struct pages *pages = calloc(1, sizeof *pages);
    struct meta meta;

    *passed = false;
    if (!pages)
        return fail(JOBTAB_SYSTEM, "out of memory");
    *pages = (struct pages){.fd = fd, .fault = fault, .context = context, .txn = txn};
    if (find_meta(pages, &meta, passed)) {
        pages->file_size = (size_t)lseek(fd, 0, SEEK_END);
        check_file(pages, &meta, only);
    }
    *faults = pages->faults;
    int rc = pages->error ? pages->error : *faults ? JOBTAB_DAMAGED : JOBTAB_OK;
    free(pages);
    return rc;
}
