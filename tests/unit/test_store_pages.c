/* test_store_pages.c - each thing that a page can say and must not, said by one page of a sound
 * file, is found and named. LMDB, which might die of it, is not asked. */
#include "pagefile.h"

#include "store_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>

/* The last entry of the free list whose pages stand in it, or have pages of their own. */
static size_t free_entry(bool big)
{
    size_t page = root_of(sound.meta + FREE), n = entries_of(page);

    while (n-- > 0)
        if ((load(sound.data, entry_of(page, n) + ENTRY_FLAGS, 2) == 1) == big)
            return entry_of(page, n);
    fail_msg("the free list has no such entry");
    return 0;
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

static int check(int fd, uint64_t txn, struct told *told, uint64_t *faults, bool *passed)
{
    int rc = pages_check(fd, (size_t)txn, NULL, note, told, faults, passed);

    close(fd);
    return rc;
}

/* What has these changes is damaged, and `says` is among what is said of it. */
static void assert_all_told(const struct change *changes, size_t n, const char *says)
{
    struct told told = {.wanted = says};
    uint64_t faults = 0;
    bool passed;

    int rc = check(pagefile_with(changes, n), sound.txn, &told, &faults, &passed);
    if (rc != JOBTAB_DAMAGED || !told.said)
        print_error("\"%s\" not said; first: %s\n", says, told.first);
    assert_int_equal(rc, JOBTAB_DAMAGED);
    assert_true(told.said && !passed && faults > 0);
}

static void assert_told(size_t at, size_t size, uint64_t value, const char *says)
{
    assert_all_told(&(struct change){at, size, value}, 1, says);
}

static void a_sound_file_has_no_fault(void **state)
{
    struct told told = {.wanted = ""};
    uint64_t faults;
    bool passed;

    (void)state;
    assert_ok(check(pagefile_with(NULL, 0), sound.txn, &told, &faults, &passed));
    assert_int_equal(faults, 0);
    assert_false(passed);
    assert_ok(check(pagefile_with(NULL, 0), sound.txn - 2, &told, &faults, &passed));
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
    size_t first = entry_of(leaf, 0), second = entry_of(leaf, 1), child = entry_of(branch, 1);
    size_t big = value_of(leaf_of("payload", 0), 0);

    (void)state;
    assert_told((size_t)load(sound.data, big, 8) * PAGE + NUMBER, 8, 9, "it says that it is page 9");
    assert_told((size_t)load(sound.data, big, 8) * PAGE + LOWER, 4, 2, "it says that it is 2 pages");
    assert_told(entry_of(leaf_of("payload", 0), 0) + LOW, 4, 5000, "it says that it is 1 pages, not 2");
    assert_told(entry_of(leaf_of("payload", 0), 0) + LOW, 4, UINT32_MAX, "entry 0 has a value of");
    assert_told(big, 8, 1, "page 1 of `payload`: there is no such page");
    assert_all_told((struct change[]){{big, 8, load(sound.data, sound.meta + LAST, 8)},
                                      {entry_of(leaf_of("payload", 0), 0) + LOW, 4, 5000}},
                    2, "there is no such page, they end at"); /* of two */
    assert_told(second + KEY_SIZE, 2, 600, "entry 1 is 600 bytes of key");
    assert_told(outermost_of(leaf) + KEY_SIZE, 2, 500, "is 500 bytes of key");
    assert_told(second + KEY_SIZE, 2, 0, "the key of entry 1 is not above");
    assert_told(second + LOW, 4, 70000, "and 70000 of value");
    assert_told(second + ENTRY_FLAGS, 2, 4, "entry 1 has flags 0x4");
    assert_told(second + KEY, 8, 0, "the key of entry 1 is not above the one before");
    assert_told(second + KEY, 8, UINT64_MAX, "the key of entry 2 is not above the one before");
    assert_told(child + KEY, 8, 0, "the key of entry 1 is not above those before");
    assert_told(child + KEY, 8, UINT64_MAX, "is not above");
    assert_told(child + LOW, 4, leaf / PAGE, "it is in use already, or free");
    assert_told(child + ENTRY_FLAGS, 2, 1, "there is no such page");
    assert_all_told((struct change[]){{second + KEY, 8, load(sound.data, first + KEY, 8)},
                                      {second + KEY + 8, 8, load(sound.data, first + KEY + 8, 8)}},
                    2, "the key of entry 1 is not above the one before");
    /* what comes behind a page that is missed may have any key */
    assert_all_told((struct change[]){{entry_of(branch, 0) + LOW, 4, 1}, {child + KEY_SIZE, 2, 0}}, 2,
                    "page 1 of `jobs`: there is no such page");
    assert_told(database_of("jobs") + BRANCHES, 8, 7, "entries, and says 7, ");
    assert_told(database_of("jobs") + LEAVES, 8, 1, "entries, and says 1, 1 and 0");
    assert_told(database_of("jobs") - 4, 4, 0, "is not above the one before"); /* its name */
    assert_told(database_of("jobs") - 4, 4, UINT32_MAX, "is not above the one before");
}

static void what_the_catalogue_says_is_checked(void **state)
{
    size_t jobs = database_of("jobs") - strlen("jobs") - KEY, page = root_of(sound.meta + NAMED);
    size_t innermost = page + (size_t)load(sound.data, page + UPPER, 2);
    struct told told = {.wanted = "` is no database"};
    struct fixture *f;
    uint64_t faults;
    bool passed;
    MDB_env *env;
    MDB_txn *txn;
    int fd;

    (void)state;
    assert_told(jobs + ENTRY_FLAGS, 2, 0, "`jobs` is no database");
    assert_told(jobs + LOW, 4, 40, "`jobs` is no database");
    assert_told(innermost + KEY_SIZE, 2, 32, "` is no database");

    /* More than a table has. */
    assert_int_equal(fixture_directory((void **)&f), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 33), 0);
    assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    for (int i = 0; i < 33; i++) {
        char name[8];
        MDB_dbi db;
        snprintf(name, sizeof name, "db-%d", i);
        assert_int_equal(mdb_dbi_open(txn, name, MDB_CREATE, &db), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(mdb_env_get_fd(env, &fd), 0);
    assert_int_equal(check(dup(fd), 1, &told, &faults, &passed), JOBTAB_DAMAGED);
    assert_true(told.said && faults == 1);
    mdb_env_close(env);
    assert_int_equal(fixture_close((void **)&f), 0);
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
    assert_told(entry_of(root_of(sound.meta + FREE), 0) + KEY_SIZE, 2, 6,
                "an entry is of transaction 0");
    assert_told(entry + KEY, 8, sound.txn + 1, "an entry is of transaction");
    assert_told(entry + LOW, 4, 0, "and 0 bytes");
    assert_told(list, 8, 1000, "freed 1000 pages, in");
    assert_told(list + 8, 8, leaf_of("jobs", 0) / PAGE, "it is in use already, or free");
    assert_told(list + 8, 8, UINT64_MAX, "freed it, and is not in order");
    assert_told(list, 8, 0, "it is neither in use nor free");
}

/* The file's first bytes. */
static int cut_file(size_t size)
{
    int fd = pagefile_with(NULL, 0);

    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void a_file_that_ends_too_early_is_named(void **state)
{
    struct told told = {.wanted = "it is beyond the end of the file"};
    uint64_t faults;
    bool passed;

    (void)state;
    assert_int_equal(check(cut_file(sound.size / 2), sound.txn, &told, &faults, &passed),
                     JOBTAB_DAMAGED);
    assert_true(told.said);
    assert_int_equal(check(cut_file(100), sound.txn, &told, &faults, &passed), JOBTAB_DAMAGED);
    assert_int_equal(pages_check(-1, 1, NULL, note, &told, &faults, &passed), JOBTAB_SYSTEM);
    assert_false(passed);
}

static void a_call_that_fails_is_no_damage(void **state)
{
    static const struct {
        const char *call;
        int error, rc;
    } calls[] = {{"pread", EIO, JOBTAB_SYSTEM},
                 {"pread", EINTR, JOBTAB_OK},
                 {"malloc", ENOMEM, JOBTAB_SYSTEM},
                 {"calloc", ENOMEM, JOBTAB_SYSTEM}};
    int step = (int)slowed(1), fd = pagefile_with(NULL, 0);
    struct told told = {.wanted = ""};
    uint64_t faults = 0;
    bool passed;

    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int failed = 0;
        for (int after = 0;; after += after < 8 ? 1 : step, failed++) {
            refuse(calls[i].call, after, calls[i].error);
            int rc = pages_check(fd, (size_t)sound.txn, NULL, note, &told, &faults, &passed);
            if (!was_refused())
                break;
            assert_int_equal(rc, calls[i].rc);
        }
        assert_true(failed >= 2);
    }
    if (told.said)
        print_error("told: %s\n", told.first);
    assert_true(!told.said && !faults);
    close(fd);
}

static void a_head_that_lmdb_would_believe_is_refused_before(void **state)
{
    struct fixture *f;
    char path[96];

    (void)state;
    assert_int_equal(fixture_directory((void **)&f), 0);
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    assert_ok(pages_check_head(path)); /* none there */
    for (int i = 0; i < 5; i++) {
        unsigned char head[2 * PAGE];
        size_t size = i == 1 ? 0 : i == 2 ? PAGE + 20 : sizeof head;

        memcpy(head, sound.data, sizeof head);
        if (i == 3) /* LMDB divides by it */
            memset(head + META + FREE, 0, 4);
        if (i == 4) /* the one says 4096, the other 8192 */
            memcpy(head + PAGE + META + FREE, &(uint32_t){8192}, 4);
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
        cmocka_unit_test(what_the_catalogue_says_is_checked),
        cmocka_unit_test(the_free_list_is_checked),
        cmocka_unit_test(a_file_that_ends_too_early_is_named),
        cmocka_unit_test(a_call_that_fails_is_no_damage),
        cmocka_unit_test(a_head_that_lmdb_would_believe_is_refused_before),
    };

    if (!pagefile_is_known())
        return 77;
    return cmocka_run_group_tests_name("store_pages", tests, pagefile_make, pagefile_free);
}
