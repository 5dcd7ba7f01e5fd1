/* store_pages.c - going through all pages of an LMDB file. See store_pages.h, and store_layout.h
 * for what is in them. */
#include "store_layout.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check;

struct tree {
    const char *name;
    struct database is; /* as it was found */
    struct page_key last;    /* in order: the next one is above it */
    bool lowest;        /* or equal to it: it was that of a branch */
    unsigned flags, of_entries; /* what it must have, and its entries may have */
    void (*leaf)(struct check *check, const struct entry *entry, const uint8_t *value, size_t size);
};

struct named {
    char name[32];
    struct database database;
};

/* Everything that is looked at, and used by nobody else. */
struct check {
    struct pages pages;
    uint8_t *seen; /* a bit a page */
    uint8_t *room; /* a page for each level of a tree */
    struct tree *tree;
    struct named named[MAX_NAMED];
    size_t n_named;
};

/* `n` pages are in use, from `page` on: by nobody else, then. */
static bool take(struct check *check, size_t page, size_t n)
{
    if (!pages_within(&check->pages, page, n))
        return false;
    for (size_t at = page; at < page + n; at++) {
        if (check->seen[at / 8] & 1u << at % 8)
            return pages_damaged(&check->pages, at, "it is in use already, or free");
        check->seen[at / 8] |= (uint8_t)(1u << at % 8);
    }
    return true;
}

/* ------------------------------------------------------------------------ nodes */

static int compare(const struct tree *tree, const uint8_t *key, size_t size)
{
    const struct page_key *last = &tree->last;

    if (tree->flags & NUMBERS && size == sizeof(size_t) && last->size == sizeof(size_t)) {
        size_t a, b;
        memcpy(&a, key, sizeof a);
        memcpy(&b, last->bytes, sizeof b);
        return (a > b) - (a < b);
    }
    return pages_order(key, size, last->bytes, last->size);
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

/* A value that has pages of its own: read only if somebody looks at it. */
static bool check_big(struct check *check, size_t page, size_t i, const struct entry *entry)
{
    struct tree *tree = check->tree;
    size_t at, size = entry->node.low;
    size_t n = pages_of_value(&check->pages, size);

    memcpy(&at, entry->data, sizeof at);
    tree->is.overflows += n;
    if (n > check->pages.next)
        return pages_damaged(&check->pages, page, "entry %zu has a value of %zu bytes", i, size);
    size_t look = tree->leaf ? n * check->pages.page_size : sizeof(struct header);
    uint8_t *value = malloc(look);
    if (!value) {
        check->pages.error = fail(JOBTAB_SYSTEM, "out of memory");
        return false;
    }
    bool sound = take(check, at, n) && pages_read(&check->pages, at, n, OVERFLOW, value, look);
    if (sound && tree->leaf)
        tree->leaf(check, entry, value + sizeof(struct header), size);
    free(value);
    return sound;
}

static bool check_leaf(struct check *check, size_t page, size_t i, const struct entry *entry)
{
    struct tree *tree = check->tree;

    if (!entry->node.key_size || !in_order(tree, entry->key, entry->node.key_size, false))
        return pages_damaged(&check->pages, page,
                             "the key of entry %zu is not above the one before", i);
    if (entry->node.flags & ~tree->of_entries)
        return pages_damaged(&check->pages, page, "entry %zu has flags %#x", i, entry->node.flags);
    tree->is.entries++;
    if (entry->node.flags & BIG)
        return check_big(check, page, i, entry);
    if (tree->leaf)
        tree->leaf(check, entry, entry->data, entry->node.low);
    return true;
}

/* ------------------------------------------------------------------------ trees */

static void walk(struct check *check, size_t page, unsigned level, unsigned depth);

/* The nodes of a page: what each says, and that together they fill it. */
static bool check_nodes(struct check *check, size_t page, const uint8_t *bytes, unsigned level,
                        unsigned depth)
{
    size_t size = 0, all = 0, n = pages_nodes(&check->pages, page, bytes);

    if (!n)
        return false;
    for (size_t i = 0; i < n && !check->pages.error; i++) {
        struct entry entry;

        if (!pages_node(&check->pages, page, bytes, i, &entry, &size))
            return false;
        all += size;
        if (level + 1 == depth) {
            if (!check_leaf(check, page, i, &entry))
                return false;
            continue;
        }
        /* the first has the key of the page above, whatever its own says */
        if (i && !in_order(check->tree, entry.key, entry.node.key_size, true))
            return pages_damaged(&check->pages, page,
                                 "the key of entry %zu is not above those before", i);
        walk(check, entry.child, level + 1, depth);
    }
    return !check->pages.error && pages_filled(&check->pages, page, bytes, all);
}

static void walk(struct check *check, size_t page, unsigned level, unsigned depth)
{
    uint8_t *bytes = check->room + level * check->pages.page_size;
    bool leaf = level + 1 == depth;

    if (leaf)
        check->tree->is.leaves++;
    else
        check->tree->is.branches++;
    if (take(check, page, 1) && pages_read(&check->pages, page, 1, leaf ? LEAF : BRANCH, bytes,
                                           check->pages.page_size))
        check_nodes(check, page, bytes, level, depth);
}

static void check_tree(struct check *check, struct tree *tree, const struct database *says)
{
    struct database *is = &tree->is;
    uint64_t before = check->pages.faults;

    check->tree = tree;
    check->pages.in = tree->name;
    if ((says->root == NO_PAGE) != (says->depth == 0) || says->depth > MAX_DEPTH ||
        (says->flags & DATABASE_FLAGS) != tree->flags) {
        pages_damaged(&check->pages, says->root,
                      "it is the root of a tree of depth %u with flags %#x", says->depth,
                      says->flags);
        return;
    }
    if (says->root != NO_PAGE)
        walk(check, says->root, 0, says->depth);
    if (check->pages.faults == before && !check->pages.error &&
        (is->branches != says->branches || is->leaves != says->leaves ||
         is->overflows != says->overflows || is->entries != says->entries))
        pages_damaged(&check->pages, says->root,
                "its tree has %zu, %zu and %zu pages and %zu entries, "
                "and says %zu, %zu and %zu, %zu",
                is->branches, is->leaves, is->overflows, is->entries, says->branches, says->leaves,
                says->overflows, says->entries);
}

/* ---------------------------------------------------- the free list, the catalogue */

static void note_free(struct check *check, const struct entry *entry, const uint8_t *value,
                      size_t size)
{
    size_t n, txn = 0, page, last = NO_PAGE;

    if (entry->node.key_size == sizeof txn)
        memcpy(&txn, entry->key, sizeof txn);
    if (!txn || txn > check->pages.txn || size < sizeof n) {
        pages_damaged(&check->pages, 0, "an entry is of transaction %zu and %zu bytes", txn, size);
        return;
    }
    memcpy(&n, value, sizeof n);
    if (n > size / sizeof page - 1) {
        pages_damaged(&check->pages, 0, "transaction %zu freed %zu pages, in %zu bytes", txn, n,
                      size);
        return;
    }
    for (size_t i = 1; i <= n; i++, last = page) {
        memcpy(&page, value + i * sizeof page, sizeof page);
        if (page >= last) {
            pages_damaged(&check->pages, page, "transaction %zu freed it, and is not in order",
                          txn);
            return;
        }
        if (!take(check, page, 1))
            return;
    }
}

static void note_database(struct check *check, const struct entry *entry, const uint8_t *value,
                          size_t size)
{
    struct named *named = &check->named[check->n_named];

    if (entry->node.flags != DATABASE || size != sizeof named->database ||
        entry->node.key_size >= sizeof named->name || check->n_named == MAX_NAMED) {
        pages_damaged(&check->pages, 0, "`%.*s` is no database", (int)entry->node.key_size,
                (const char *)entry->key);
        return;
    }
    memcpy(named->name, entry->key, entry->node.key_size);
    named->name[entry->node.key_size] = '\0';
    memcpy(&named->database, value, sizeof named->database);
    check->n_named++;
}

static bool among(const char *name, const char *const *only)
{
    for (; *only; only++)
        if (strcmp(name, *only) == 0)
            return true;
    return false;
}

/* What is neither in use nor free is lost for ever. */
static void check_lost(struct check *check)
{
    size_t lost = 0, first = 0;

    for (size_t page = METAS; page < check->pages.next; page++) {
        if (check->seen[page / 8] & 1u << page % 8)
            continue;
        if (!lost++)
            first = page;
    }
    if (lost)
        pages_damaged(&check->pages, first, "it is neither in use nor free, with %zu others",
                      lost - 1);
}

static void check_all(struct check *check, const struct meta *meta, const char *const *only)
{
    struct tree catalogue = {.name = "catalogue", .of_entries = DATABASE, .leaf = note_database};
    struct tree list = {
        .name = "free list", .flags = NUMBERS, .of_entries = BIG, .leaf = note_free};

    check_tree(check, &catalogue, &meta->catalogue);
    for (size_t i = 0; i < check->n_named && !check->pages.error; i++) {
        struct tree tree = {.name = check->named[i].name, .of_entries = BIG};
        if (!only || among(tree.name, only))
            check_tree(check, &tree, &check->named[i].database);
    }
    if (only || check->pages.error)
        return;
    check_tree(check, &list, &meta->free);
    if (!check->pages.faults && !check->pages.error)
        check_lost(check);
}

/* ------------------------------------------------------------------------- metas */

int pages_check_head(const char *path)
{
    struct pages pages = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct meta first, second;
    off_t size = 0;

    if (pages.fd < 0)
        return errno == ENOENT ? JOBTAB_OK
                               : fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", path);
    size = lseek(pages.fd, 0, SEEK_END);
    bool sound = size == 0 || pages_read_meta(&pages, 0, &first);
    if (sound && size) {
        pages.page_size = first.free.pad;
        sound = pages_read_meta(&pages, 1, &second) && second.free.pad == first.free.pad;
    }
    close(pages.fd);
    if (pages.error)
        return pages.error;
    return sound ? JOBTAB_OK : fail(JOBTAB_DAMAGED, "%s: its first pages are damaged", path);
}

/* Pages that were in use and became free within one commit are never written: the file may end
 * before the last of them, but not by much. */
#define UNWRITTEN 65536

static void check_file(struct check *check, const struct meta *meta, const char *const *only)
{
    size_t written = check->pages.file_size / check->pages.page_size;

    check->pages.next = meta->last_page + 1;
    if (check->pages.next < METAS || check->pages.next > written + UNWRITTEN) {
        pages_damaged(&check->pages, meta->last_page,
                      "it is said to be the last; the file ends at %zu", written);
        check->pages.next = written;
    }
    check->seen = calloc(check->pages.next / 8 + 1, 1);
    check->room = malloc(MAX_DEPTH * check->pages.page_size);
    if (check->seen && check->room)
        check_all(check, meta, only);
    else
        check->pages.error = fail(JOBTAB_SYSTEM, "out of memory");
    free(check->seen);
    free(check->room);
}

int pages_check(int fd, size_t txn, const char *const *only, pages_fault_fn *fault, void *context,
                uint64_t *faults, bool *passed)
{
    struct check *check = calloc(1, sizeof *check);
    struct meta meta;

    *passed = false;
    if (!check)
        return fail(JOBTAB_SYSTEM, "out of memory");
    struct pages *pages = &check->pages;
    *pages = (struct pages){.fd = fd, .fault = fault, .context = context, .txn = txn};
    if (pages_begin(pages, &meta, passed))
        check_file(check, &meta, only);
    *faults = pages->faults;
    int rc = pages->error ? pages->error : *faults ? JOBTAB_DAMAGED : JOBTAB_OK;
    free(check);
    return rc;
}
