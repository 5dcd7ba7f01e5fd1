/* store_careful.c - see store_careful.h. Each search begins at the root anew, so that there is no
 * place in a tree to be lost: what comes after an entry is the first above its key. */
#include "store_careful.h"

#include "error.h"
#include "store_layout.h"
#include "store_lmdb.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct careful {
    int fd;
    pages_fault_fn *fault;
    void *context;
    pthread_mutex_t lock; /* of the rest: views may be of several threads */
    size_t *told;         /* pages that are known to be damaged, also such as there are not */
    size_t n_told, room;
};

/* What was given, until the end of the view. */
struct given {
    struct given *next;
    uint8_t bytes[];
};

struct careful_view {
    struct careful *careful;
    struct pages pages;
    uint8_t *room; /* a page for each of so many levels */
    unsigned levels;
    struct database catalogue;
    struct {
        struct database says;
        bool known;
    } dbs[STORE_DBS];
    struct given *given;
};

/* A search: where it is, and what for. */
struct search {
    const struct database *tree;
    struct slice key;
    enum careful_place place;
    unsigned of_entries; /* flags that they may have */
    struct slice *found, *value;
};

/* ------------------------------------------------------------------ damaged pages */

struct careful *careful_new(int fd, pages_fault_fn *fault, void *context)
{
    struct careful *careful = calloc(1, sizeof *careful);

    if (!careful)
        return NULL;
    *careful = (struct careful){.fd = fd, .fault = fault, .context = context};
    pthread_mutex_init(&careful->lock, NULL);
    return careful;
}

void careful_free(struct careful *careful)
{
    if (!careful)
        return;
    pthread_mutex_destroy(&careful->lock);
    free(careful->told);
    free(careful);
}

/* Where the page stands among those that were told, or would. */
static size_t place_of(const struct careful *careful, size_t page)
{
    size_t low = 0, high = careful->n_told;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (careful->told[middle] < page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_told(struct careful *careful, size_t page)
{
    pthread_mutex_lock(&careful->lock);
    size_t place = place_of(careful, page);
    bool told = place < careful->n_told && careful->told[place] == page;
    pthread_mutex_unlock(&careful->lock);
    return told;
}

/* From now on it is gone around without a word; without memory for that it is told again. */
static void note_told(struct careful *careful, size_t page)
{
    pthread_mutex_lock(&careful->lock);
    size_t place = place_of(careful, page), n = careful->n_told;
    if (n == careful->room) {
        size_t room = n ? 2 * n : 16;
        size_t *told = realloc(careful->told, room * sizeof *told);
        if (told) {
            careful->told = told;
            careful->room = room;
        }
    }
    if (n < careful->room) {
        memmove(careful->told + place + 1, careful->told + place,
                (n - place) * sizeof *careful->told);
        careful->told[place] = page;
        careful->n_told++;
    }
    pthread_mutex_unlock(&careful->lock);
}

/* ------------------------------------------------------------------------- pages */

static int compare(struct slice a, struct slice b)
{
    return pages_order(a.data, a.size, b.data, b.size);
}

static struct slice key_of(const struct entry *entry)
{
    return (struct slice){.data = entry->key, .size = entry->node.key_size};
}

/* Its nodes are whole, in order, and within what the page above has for it: [from, to), a `to`
 * without data being above all. */
static bool sound_nodes(struct pages *pages, size_t page, const uint8_t *bytes, bool leaf,
                        unsigned of_entries, struct slice from, struct slice to)
{
    size_t n = pages_nodes(pages, page, bytes), size = 0, all = 0;
    struct slice last = from;
    struct entry entry;

    for (size_t i = 0; i < n; i++) {
        if (!pages_node(pages, page, bytes, i, &entry, &size))
            return false;
        all += size;
        if (!leaf && i == 0)
            continue; /* it has the key of the page above, whatever its own says */
        struct slice key = key_of(&entry);
        int order = compare(key, last);
        bool above = order > 0 || (order == 0 && leaf && i == 0 && from.size);
        if (!key.size || !above || (to.data && compare(key, to) >= 0))
            return pages_damaged(pages, page, "the key of entry %zu is out of order", i);
        if (leaf && entry.node.flags & ~of_entries)
            return pages_damaged(pages, page, "entry %zu has flags %#x", i, entry.node.flags);
        last = key;
    }
    return n && pages_filled(pages, page, bytes, all);
}

static bool sound_page(struct careful_view *view, const struct search *search, size_t page,
                       unsigned level, struct slice from, struct slice to)
{
    struct pages *pages = &view->pages;
    uint8_t *bytes = view->room + level * pages->page_size;
    bool leaf = level + 1 == search->tree->depth;

    if (is_told(view->careful, page))
        return false;
    bool sound = pages_read(pages, page, 1, leaf ? LEAF : BRANCH, bytes, pages->page_size) &&
                 sound_nodes(pages, page, bytes, leaf, search->of_entries, from, to);
    if (!sound && !pages->error)
        note_told(view->careful, page);
    return sound;
}

/* ----------------------------------------------------------------------- entries */

static void *give(struct careful_view *view, size_t size)
{
    struct given *given = malloc(sizeof *given + size);

    if (!given) {
        view->pages.error = fail(JOBTAB_SYSTEM, "out of memory");
        return NULL;
    }
    given->next = view->given;
    view->given = given;
    return given->bytes;
}

/* A value that has pages of its own. */
static bool read_big(struct careful_view *view, const struct entry *entry, uint8_t *to)
{
    struct pages *pages = &view->pages;
    size_t page, size = entry->node.low, n = pages_of_value(pages, size);

    memcpy(&page, entry->data, sizeof page);
    if (is_told(view->careful, page))
        return false;
    uint8_t *bytes = malloc(n * pages->page_size);
    if (!bytes) {
        pages->error = fail(JOBTAB_SYSTEM, "out of memory");
        return false;
    }
    bool sound = pages_read(pages, page, n, OVERFLOW, bytes, n * pages->page_size);
    if (sound)
        memcpy(to, bytes + sizeof(struct header), size);
    else if (!pages->error)
        note_told(view->careful, page);
    free(bytes);
    return sound;
}

/* A value that cannot be: told of as the fault of the page in which it is said to begin. */
static bool too_large(struct careful_view *view, const struct entry *entry)
{
    size_t page;

    memcpy(&page, entry->data, sizeof page);
    if (!is_told(view->careful, page)) {
        pages_damaged(&view->pages, page, "a value of %u bytes is said to begin there",
                      entry->node.low);
        note_told(view->careful, page);
    }
    return false;
}

/* Copy it: its page's place is taken by the next one. */
static bool take(struct careful_view *view, const struct search *search, const struct entry *entry)
{
    size_t key_size = entry->node.key_size, size = entry->node.low;

    if (entry->node.flags & BIG && size > view->pages.file_size)
        return too_large(view, entry);
    uint8_t *bytes = give(view, key_size + size);
    if (!bytes)
        return false;
    memcpy(bytes, entry->key, key_size);
    if (entry->node.flags & BIG) {
        if (!read_big(view, entry, bytes + key_size))
            return false;
    } else {
        memcpy(bytes + key_size, entry->data, size);
    }
    *search->found = (struct slice){.data = bytes, .size = key_size};
    *search->value = (struct slice){.data = bytes + key_size, .size = size};
    return true;
}

static bool wanted(const struct search *search, struct slice key)
{
    int order = search->key.size                 ? compare(key, search->key)
                : search->place == CAREFUL_BELOW ? -1
                                                 : 1;

    if (search->place == CAREFUL_AT)
        return order == 0;
    if (search->place == CAREFUL_FROM)
        return order >= 0;
    return search->place == CAREFUL_ABOVE ? order > 0 : order < 0;
}

/* Nothing that is wanted is in [from, to). */
static bool is_beside(const struct search *search, struct slice from, struct slice to)
{
    if (!search->key.size)
        return false;
    if (search->place == CAREFUL_BELOW)
        return compare(from, search->key) >= 0;
    return (to.data && compare(to, search->key) <= 0) ||
           (search->place == CAREFUL_AT && compare(from, search->key) > 0);
}

/* Node `i` of a page that was found sound. */
static struct entry sound_entry(struct careful_view *view, size_t page, const uint8_t *bytes,
                                size_t i)
{
    struct entry entry = {0};
    size_t size;

    pages_node(&view->pages, page, bytes, i, &entry, &size);
    return entry;
}

static bool find(struct careful_view *view, const struct search *search, size_t page,
                 unsigned level, struct slice from, struct slice to);

/* In the page below node `i` of this one, which is `entry`. */
static bool find_below(struct careful_view *view, const struct search *search, size_t page,
                       unsigned level, size_t i, size_t n, const struct entry *entry,
                       struct slice from, struct slice to)
{
    const uint8_t *bytes = view->room + level * view->pages.page_size;
    struct entry next = {0};

    if (i + 1 < n)
        next = sound_entry(view, page, bytes, i + 1);
    struct slice begin = i ? key_of(entry) : from, end = i + 1 < n ? key_of(&next) : to;
    return !is_beside(search, begin, end) &&
           find(view, search, entry->child, level + 1, begin, end);
}

/* Nearest first: the first that is wanted, or the last that is below. */
static bool find(struct careful_view *view, const struct search *search, size_t page,
                 unsigned level, struct slice from, struct slice to)
{
    const uint8_t *bytes = view->room + level * view->pages.page_size;
    bool leaf = level + 1 == search->tree->depth, found = false;

    if (!sound_page(view, search, page, level, from, to))
        return false;
    size_t n = pages_nodes(&view->pages, page, bytes);
    for (size_t k = 0; k < n && !found && !view->pages.error; k++) {
        size_t i = search->place == CAREFUL_BELOW ? n - 1 - k : k;
        struct entry entry = sound_entry(view, page, bytes, i);
        if (leaf)
            found = wanted(search, key_of(&entry)) && take(view, search, &entry);
        else
            found = find_below(view, search, page, level, i, n, &entry, from, to);
    }
    return found;
}

static int find_in(struct careful_view *view, const struct search *search)
{
    static const struct slice lowest = {.data = "", .size = 0}, highest = {0};

    const struct database *tree = search->tree;

    view->pages.error = JOBTAB_OK;
    if (tree->root == NO_PAGE || !tree->depth || tree->depth > MAX_DEPTH)
        return JOBTAB_NOTFOUND;
    if (tree->depth > view->levels) {
        free(view->room);
        view->levels = tree->depth;
        view->room = malloc(view->levels * view->pages.page_size);
        if (!view->room) {
            view->levels = 0;
            return fail(JOBTAB_SYSTEM, "out of memory");
        }
    }
    if (find(view, search, tree->root, 0, lowest, highest))
        return JOBTAB_OK;
    return view->pages.error ? view->pages.error : JOBTAB_NOTFOUND;
}

/* ------------------------------------------------------------------------- views */

/* What the catalogue says of a database, once it is asked for; one that it does not tell of is
 * empty. */
static int find_database(struct careful_view *view, enum store_db db)
{
    struct database *database = &view->dbs[db].says;
    struct slice key = {.data = store_names[db], .size = strlen(store_names[db])}, found, value;
    const struct search search = {.tree = &view->catalogue, .key = key, .place = CAREFUL_AT,
                                  .of_entries = DATABASE, .found = &found, .value = &value};

    if (view->dbs[db].known)
        return JOBTAB_OK;
    view->pages.in = "catalogue";
    int rc = find_in(view, &search);
    if (rc && rc != JOBTAB_NOTFOUND)
        return rc;
    if (!rc && value.size == sizeof *database)
        memcpy(database, value.data, sizeof *database);
    view->dbs[db].known = true;
    return JOBTAB_OK;
}

int careful_find(struct careful_view *view, enum store_db db, struct slice key,
                 enum careful_place place, struct slice *found, struct slice *value)
{
    const struct search search = {.tree = &view->dbs[db].says, .key = key, .place = place,
                                  .of_entries = BIG, .found = found, .value = value};

    int rc = find_database(view, db);
    if (rc)
        return rc;
    view->pages.in = store_names[db];
    return find_in(view, &search);
}

int careful_begin(struct careful *careful, size_t txn, struct careful_view **result, bool *passed)
{
    struct careful_view *view = calloc(1, sizeof *view);
    struct meta meta;

    *passed = false;
    if (!view)
        return fail(JOBTAB_SYSTEM, "out of memory");
    view->careful = careful;
    view->pages = (struct pages){
        .fd = careful->fd, .fault = careful->fault, .context = careful->context, .txn = txn};
    int rc = JOBTAB_OK;
    if (!pages_begin(&view->pages, &meta, passed))
        rc = view->pages.error ? view->pages.error
             : *passed         ? JOBTAB_OK
                               : fail(JOBTAB_DAMAGED, "its first pages are damaged");
    if (rc || *passed) {
        careful_end(view);
        return rc;
    }
    view->pages.next = meta.last_page + 1;
    view->catalogue = meta.catalogue;
    *result = view;
    return JOBTAB_OK;
}

void careful_end(struct careful_view *view)
{
    if (!view)
        return;
    while (view->given) {
        struct given *given = view->given;
        view->given = given->next;
        free(given);
    }
    free(view->room);
    free(view);
}
