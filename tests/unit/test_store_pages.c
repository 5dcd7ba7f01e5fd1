/* test_store_pages.c - each thing that a page can say and must not, said by one page of a sound
 * file, is found and named. LMDB, which might die of it, is not asked. */
#include "fixture.h"

#include "store_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

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

static struct {
    unsigned char *data;
    size_t size, meta; /* offset of the newer meta page's fields */
    uint64_t txn;
} sound;

static uint64_t load(const unsigned char *data, size_t at, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, data + at, size); /* of a little-endian machine: see main */
    return value;
}

/* A file with a tree of two levels, values with pages of their own, free pages. */
static int make_file(void **state)
{
    static char text[9000];
    struct fixture *f;
    static struct jobtab_op deletes[150];
    struct jobtab_job job;
    struct stat file;
    char path[96];

    (void)state;
    if (fixture_open((void **)&f))
        return -1;
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    for (int i = 0; i < 200; i++) {
        assert_ok(jobtab_submit(f->table,
                                &(struct jobtab_submit){.kind = "k", .params = text,
                                                        .params_size = sizeof text},
                                &job));
        if (i < 150)
            deletes[i] = (struct jobtab_op){.verb = JOBTAB_DELETE, .id = job.id};
    }
    /* so many pages that their list has pages of its own */
    assert_ok(jobtab_apply(f->table, deletes, 150));
    submit(f, "k");
    assert_sound(f);
    jobtab_close(f->table);
    f->table = NULL;
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    sound.size = (size_t)file.st_size;
    sound.data = malloc(sound.size);
    assert_int_equal(read(fd, sound.data, sound.size), (ssize_t)sound.size);
    close(fd);
    uint64_t first = load(sound.data, META + TXN, 8), second = load(sound.data, PAGE + META + TXN, 8);
    sound.meta = (first > second ? 0 : PAGE) + META;
    sound.txn = first > second ? first : second;
    return fixture_close((void **)&f);
}

static int free_file(void **state)
{
    (void)state;
    free(sound.data);
    return 0;
}

/* ----------------------------------------------------------------------- where */

static size_t root_of(size_t database)
{
    return (size_t)load(sound.data, database + ROOT, 8) * PAGE;
}

static size_t entry_of(size_t page, size_t i)
{
    return page + (size_t)load(sound.data, page + FIRST + 2 * i, 2);
}

/* The description of a database, in the catalogue's one page. */
static size_t database_of(const char *name)
{
    size_t page = root_of(sound.meta + NAMED);

    for (size_t i = 0;; i++) {
        size_t entry = entry_of(page, i), size = (size_t)load(sound.data, entry + KEY_SIZE, 2);
        if (size == strlen(name) && memcmp(sound.data + entry + KEY, name, size) == 0)
            return entry + KEY + size;
    }
}

/* The leaf under a root, `nth` from the left. */
static size_t leaf_of(const char *name, size_t nth)
{
    size_t page = root_of(database_of(name));

    while (load(sound.data, page + PAGE_FLAGS, 2) == 1) {
        page = (size_t)load(sound.data, entry_of(page, nth), 4) * PAGE;
        nth = 0;
    }
    return page;
}

/* The last entry of the free list whose pages stand in it, or have pages of their own. */
static size_t free_entry(bool big)
{
    size_t page = root_of(sound.meta + FREE), n = ((size_t)load(sound.data, page + LOWER, 2) - 16) / 2;

    while (n-- > 0)
        if ((load(sound.data, entry_of(page, n) + ENTRY_FLAGS, 2) == 1) == big)
            return entry_of(page, n);
    fail_msg("the free list has no such entry");
    return 0;
}

static size_t value_of(size_t page, size_t i)
{
    size_t entry = entry_of(page, i);

    return entry + KEY + (size_t)load(sound.data, entry + KEY_SIZE, 2);
}

/* ------------------------------------------------------------------------ check */

struct told {
    const char *wanted;
    bool said;
    char first[256];
};

static void note(const char *line, void *context)
{
    struct told *told = context;

    if (!told->first[0])
        snprintf(told->first, sizeof told->first, "%s", line);
    told->said |= strstr(line, told->wanted) != NULL;
}

static int check(const void *data, size_t size, uint64_t txn, struct told *told, uint64_t *faults,
                 bool *passed)
{
    int fd = memfd_create("table", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    int rc = pages_check(fd, (size_t)txn, NULL, note, told, faults, passed);
    close(fd);
    return rc;
}

/* `size` bytes at `at` become `value`: that is said, and `says` among it. */
static void assert_told(size_t at, size_t size, uint64_t value, const char *says)
{
    struct told told = {.wanted = says};
    unsigned char *copy = malloc(sound.size);
    uint64_t faults = 0;
    bool passed;

    assert_non_null(copy);
    memcpy(copy, sound.data, sound.size);
    memcpy(copy + at, &value, size);
    int rc = check(copy, sound.size, sound.txn, &told, &faults, &passed);
    free(copy);
    if (rc != JOBTAB_DAMAGED || !told.said)
        print_error("\"%s\" not said; first: %s\n", says, told.first);
    assert_int_equal(rc, JOBTAB_DAMAGED);
    assert_true(told.said && !passed && faults > 0);
}

static void a_sound_file_has_no_fault(void **state)
{
    struct told told = {.wanted = ""};
    uint64_t faults;
    bool passed;

    (void)state;
    assert_ok(check(sound.data, sound.size, sound.txn, &told, &faults, &passed));
    assert_int_equal(faults, 0);
    assert_false(passed);
    assert_ok(check(sound.data, sound.size, sound.txn - 2, &told, &faults, &passed));
    assert_true(passed);
    assert_true(load(sound.data, database_of("jobs") + DEPTH, 2) == 2); /* what is used below */
}

static void what_a_meta_page_says_is_checked(void **state)
{
    size_t m = sound.meta;

    (void)state;
    assert_told(META, 4, 0, "page 0 of `meta`: it is no meta page");
    assert_told(META + 4, 4, 2, "it is no meta page");
    assert_told(PAGE_FLAGS, 2, 2, "it is no meta page");
    assert_told(META + FREE, 4, 4000, "it is no meta page");
    assert_told(META + FREE, 4, 131072, "it is no meta page");
    assert_told(META + FREE, 4, 256, "it is no meta page");
    assert_told(m + LAST, 8, 0, "it is said to be the last");
    assert_told(m + LAST, 8, UINT64_MAX / 2, "it is said to be the last");
    assert_told(m + LAST, 8, load(sound.data, m + LAST, 8) + 1, "it is neither in use nor free");
    assert_told(m + NAMED + ROOT, 8, UINT64_MAX, "it is the root of a tree of depth 1");
    assert_told(m + NAMED + DEPTH, 2, 33, "of `catalogue`: it is the root of a tree of depth 33");
    assert_told(m + NAMED + DEPTH, 2, 2, "of `catalogue`: its flags are 0x2, not 0x1");
    assert_told(m + NAMED + FLAGS, 2, 4, "with flags 0x4");
    assert_told(m + NAMED + ENTRIES, 8, 3, "9 entries, and says 0, 1 and 0, 3");
    assert_told(m + NAMED + ROOT, 8, 1, "page 1 of `catalogue`: there is no such page");
    assert_told(m + NAMED + ROOT, 8, 1 << 30, "there is no such page, they end at");
    assert_told(m + FREE + FLAGS, 2, 0, "of `free list`: it is the root");
}

static void what_a_page_says_of_itself_is_checked(void **state)
{
    size_t leaf = leaf_of("jobs", 0), branch = root_of(database_of("jobs"));

    (void)state;
    assert_told(leaf + NUMBER, 8, 7, "of `jobs`: it says that it is page 7");
    assert_told(leaf + PAGE_FLAGS, 2, 1, "its flags are 0x1, not 0x2");
    assert_told(leaf + LOWER, 2, 14, "its room is from 14");
    assert_told(leaf + LOWER, 2, 17, "its room is from 17");
    assert_told(leaf + LOWER, 2, 4000, "its room is from 4000");
    assert_told(leaf + UPPER, 2, 5000, "to 5000");
    assert_told(leaf + LOWER, 2, 16, "it has 0 entries");
    assert_told(branch + LOWER, 2, 18, "it has 1 entries");
    assert_told(leaf + LOWER, 2, load(sound.data, leaf + LOWER, 2) - 2, "its entries are of");
    assert_told(leaf + FIRST, 2, 20, "entry 0 begins at byte 20");
    assert_told(leaf + FIRST, 2, 4095, "entry 0 begins at byte 4095");
    assert_told(leaf + FIRST, 2, 4094, "entry 0 begins at byte 4094");
}

static void what_an_entry_says_is_checked(void **state)
{
    size_t leaf = leaf_of("jobs", 0), branch = root_of(database_of("jobs"));
    size_t second = entry_of(leaf, 1), child = entry_of(branch, 1);
    size_t big = value_of(leaf_of("payload", 0), 0);

    (void)state;
    assert_told((size_t)load(sound.data, big, 8) * PAGE + NUMBER, 8, 9, "it says that it is page 9");
    assert_told((size_t)load(sound.data, big, 8) * PAGE + LOWER, 4, 2, "it says that it is 2 pages");
    assert_told(entry_of(leaf_of("payload", 0), 0) + LOW, 4, 5000, "it says that it is 1 pages, not 2");
    assert_told(entry_of(leaf_of("payload", 0), 0) + LOW, 4, UINT32_MAX, "entry 0 has a value of");
    assert_told(big, 8, 1, "page 1 of `payload`: there is no such page");
    assert_told(second + KEY_SIZE, 2, 600, "entry 1 is 600 bytes of key");
    assert_told(second + KEY_SIZE, 2, 0, "the key of entry 1 is not above");
    assert_told(second + LOW, 4, 70000, "and 70000 of value");
    assert_told(second + ENTRY_FLAGS, 2, 4, "entry 1 has flags 0x4");
    assert_told(second + KEY, 8, 0, "the key of entry 1 is not above the one before");
    assert_told(second + KEY, 8, UINT64_MAX, "the key of entry 2 is not above the one before");
    assert_told(child + KEY, 8, 0, "the key of entry 1 is not above those before");
    assert_told(child + KEY, 8, UINT64_MAX, "is not above");
    assert_told(child + LOW, 4, leaf / PAGE, "it is in use already, or free");
    assert_told(child + ENTRY_FLAGS, 2, 1, "there is no such page");
    assert_told(database_of("jobs") + LEAVES, 8, 1, "entries, and says 1, 1 and 0");
    assert_told(database_of("jobs") - 4, 4, 0, "is not above the one before"); /* its name */
    assert_told(database_of("jobs") - 4, 4, UINT32_MAX, "is not above the one before");
    assert_told(database_of("jobs") - 8 - 4 + ENTRY_FLAGS, 2, 0, "`jobs` is no database");
}

static void the_free_list_is_checked(void **state)
{
    size_t entry = free_entry(false), list = entry + KEY + 8;
    size_t big = free_entry(true), pages = (size_t)load(sound.data, big + KEY + 8, 8) * PAGE;

    (void)state;
    assert_told(pages + HEADER, 8, 100000, "pages, in");
    assert_told(pages + HEADER + 8, 8, 5, "freed it, and is not in order");
    assert_told(pages + LOWER, 4, 2, "of `free list`: it says that it is 2 pages, not 1");
    assert_told(entry_of(root_of(sound.meta + FREE), 0) + KEY, 8, 0, "an entry is of transaction 0");
    assert_told(entry + KEY, 8, sound.txn + 1, "an entry is of transaction");
    assert_told(entry + LOW, 4, 0, "and 0 bytes");
    assert_told(list, 8, 1000, "freed 1000 pages, in");
    assert_told(list + 8, 8, leaf_of("jobs", 0) / PAGE, "it is in use already, or free");
    assert_told(list + 8, 8, UINT64_MAX, "freed it, and is not in order");
    assert_told(list, 8, 0, "it is neither in use nor free");
}

static void a_file_that_ends_too_early_is_named(void **state)
{
    struct told told = {.wanted = "it is beyond the end of the file"};
    uint64_t faults;
    bool passed;

    (void)state;
    assert_int_equal(check(sound.data, sound.size / 2, sound.txn, &told, &faults, &passed),
                     JOBTAB_DAMAGED);
    assert_true(told.said);
    assert_int_equal(check(sound.data, 100, sound.txn, &told, &faults, &passed), JOBTAB_DAMAGED);
    assert_int_equal(pages_check(-1, 1, NULL, note, &told, &faults, &passed), JOBTAB_SYSTEM);
    assert_false(passed);
}

static void a_head_that_lmdb_would_believe_is_refused_before(void **state)
{
    struct fixture *f;
    char path[96];

    (void)state;
    assert_int_equal(fixture_directory((void **)&f), 0);
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    assert_ok(pages_check_head(path)); /* none there */
    for (int i = 0; i < 4; i++) {
        unsigned char head[2 * PAGE];
        size_t size = i == 1 ? 0 : i == 2 ? PAGE + 20 : sizeof head;

        memcpy(head, sound.data, sizeof head);
        if (i == 3) /* LMDB divides by it */
            memset(head + META + FREE, 0, 4);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, head, size), (ssize_t)size);
        close(fd);
        assert_int_equal(pages_check_head(path), i < 2 ? JOBTAB_OK : JOBTAB_DAMAGED);
    }
    assert_int_equal(pages_check_head(f->dir), JOBTAB_SYSTEM); /* no file */
    assert_int_equal(pages_check_head("/dev/null/none"), JOBTAB_SYSTEM);
    assert_int_equal(fixture_close((void **)&f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_has_no_fault),
        cmocka_unit_test(what_a_meta_page_says_is_checked),
        cmocka_unit_test(what_a_page_says_of_itself_is_checked),
        cmocka_unit_test(what_an_entry_says_is_checked),
        cmocka_unit_test(the_free_list_is_checked),
        cmocka_unit_test(a_file_that_ends_too_early_is_named),
        cmocka_unit_test(a_head_that_lmdb_would_believe_is_refused_before),
    };

    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || sizeof(size_t) != 8)
        return 77; /* the places above are those of such a machine */
    return cmocka_run_group_tests_name("store_pages", tests, make_file, free_file);
}
