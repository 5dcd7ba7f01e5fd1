/* test_store_careful.c - what stands on sound pages is found from either end, whatever other pages
 * say; each damaged page is told of once, and a call that fails is not taken for one. */
#include "pagefile.h"

#include "store_careful.h"

#include <errno.h>

#define JOBS   51
#define VALUES 150 /* parts of params, of which */
#define BIG    100 /* have pages of their own */
#define MOST   200

/* One reader of one file. */
struct reader {
    int fd;
    struct careful *careful;
    struct careful_view *view;
    unsigned told;
    char last[256]; /* that was told */
};

static const struct slice none = {.size = 0};

static void note(const char *line, void *context)
{
    struct reader *reader = context;

    reader->told++;
    snprintf(reader->last, sizeof reader->last, "%s", line);
}

static struct reader *open_reader(const struct change *changes, size_t n)
{
    struct reader *reader = calloc(1, sizeof *reader);
    bool passed;

    assert_non_null(reader);
    reader->fd = pagefile_with(changes, n);
    reader->careful = careful_new(reader->fd, note, reader);
    assert_non_null(reader->careful);
    assert_ok(careful_begin(reader->careful, (size_t)sound.txn, &reader->view, &passed));
    assert_false(passed);
    return reader;
}

static void close_reader(struct reader *reader)
{
    careful_end(reader->view);
    careful_free(reader->careful);
    close(reader->fd);
    free(reader);
}

static int find(struct reader *reader, enum store_db db, struct slice key, enum careful_place place,
                struct slice *found)
{
    struct slice value;

    return careful_find(reader->view, db, key, place, found, &value);
}

/* All keys of a database, from below or from above. */
static size_t keys_of(struct reader *reader, enum store_db db, enum careful_place place,
                      struct slice keys[MOST])
{
    size_t n = 0;

    while (find(reader, db, n ? keys[n - 1] : none, place, &keys[n]) == JOBTAB_OK)
        assert_true(++n < MOST);
    return n;
}

static bool same(struct slice a, struct slice b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static size_t jobs_found(struct reader *reader)
{
    struct slice keys[MOST];

    return keys_of(reader, STORE_JOBS, CAREFUL_ABOVE, keys);
}

static void every_entry_is_found_from_either_end_and_by_its_key(void **state)
{
    static const enum store_db dbs[] = {STORE_JOBS, STORE_PAYLOAD};
    struct reader *reader = open_reader(NULL, 0);
    struct slice up[MOST], down[MOST], found;

    (void)state;
    for (size_t d = 0; d < 2; d++) {
        enum store_db db = dbs[d];
        size_t n = keys_of(reader, db, CAREFUL_ABOVE, up);
        assert_int_equal(n, db == STORE_JOBS ? JOBS : VALUES);
        assert_int_equal(keys_of(reader, db, CAREFUL_BELOW, down), n);
        for (size_t i = 0; i < n; i++) {
            struct slice shorter = {.data = up[i].data, .size = up[i].size - 1};
            assert_true(same(up[i], down[n - 1 - i]));
            assert_ok(find(reader, db, up[i], CAREFUL_AT, &found));
            assert_true(same(found, up[i]));
            assert_ok(find(reader, db, up[i], CAREFUL_FROM, &found));
            assert_true(same(found, up[i]));
            assert_int_equal(find(reader, db, shorter, CAREFUL_AT, &found), JOBTAB_NOTFOUND);
        }
    }
    assert_int_equal(find(reader, STORE_RUNNING, none, CAREFUL_FROM, &found), JOBTAB_NOTFOUND);
    assert_int_equal(reader->told, 0);
    close_reader(reader);
}

static void what_the_catalogue_does_not_tell_of_is_empty(void **state)
{
    size_t jobs = database_of("jobs"), name = jobs - strlen("jobs");
    const struct change changes[] = {
        {jobs + DEPTH, 2, 0},          {jobs + DEPTH, 2, 33},     {jobs + ROOT, 8, UINT64_MAX},
        {name + 3, 1, 't'},            {name - KEY + LOW, 4, 47}, /* 48 it is */
        {sound.meta + NAMED + ROOT, 8, UINT64_MAX},
    };
    struct slice found;

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct reader *reader = open_reader(&changes[i], 1);
        assert_int_equal(find(reader, STORE_JOBS, none, CAREFUL_FROM, &found), JOBTAB_NOTFOUND);
        assert_int_equal(find(reader, STORE_JOBS, none, CAREFUL_BELOW, &found), JOBTAB_NOTFOUND);
        assert_int_equal(reader->told, 0);
        close_reader(reader);
    }
}

/* With the changes one page of `jobs` is told of, so, and what else there is is found. */
static void assert_gone_around(const struct change *changes, size_t n, const char *says)
{
    struct reader *reader = open_reader(changes, n);

    for (int twice = 0; twice < 2; twice++) {
        size_t found = jobs_found(reader);
        assert_true(found > 0 && found < JOBS);
        assert_int_equal(reader->told, 1);
        if (!strstr(reader->last, says))
            fail_msg("\"%s\" is not in: %s", says, reader->last);
    }
    close_reader(reader);
}

static void a_damaged_page_is_told_of_once_and_gone_around(void **state)
{
    size_t branch = root_of(database_of("jobs")), leaf = leaf_of("jobs", 1);
    size_t first = entry_of(leaf, 0), second = entry_of(leaf, 1), lowest = entry_of(leaf_of("jobs", 0), 0);

    (void)state;
    assert_gone_around(&(struct change){leaf + NUMBER, 8, 7}, 1, "it says that it is page 7");
    assert_gone_around(&(struct change){second + ENTRY_FLAGS, 2, 4}, 1, "entry 1 has flags 0x4");
    assert_gone_around(&(struct change){second + KEY, 8, 0}, 1, "the key of entry 1 is out of order");
    assert_gone_around(&(struct change){second + KEY, 8, UINT64_MAX}, 1, "is out of order");
    assert_gone_around(&(struct change){first + KEY, 8, 0}, 1, "the key of entry 0 is out of order");
    assert_gone_around((struct change[]){{second + KEY, 8, load(sound.data, first + KEY, 8)},
                                         {second + KEY + 8, 8, load(sound.data, first + KEY + 8, 8)}},
                       2, "the key of entry 1 is out of order");
    assert_gone_around(&(struct change){lowest + KEY_SIZE, 2, 0}, 1,
                       "the key of entry 0 is out of order");
    assert_gone_around(&(struct change){leaf + LOWER, 2, load(sound.data, leaf + LOWER, 2) - 2}, 1,
                       "its entries are of");
    assert_gone_around(&(struct change){outermost_of(leaf) + KEY_SIZE, 2, 500}, 1, "500 bytes of key");
    assert_gone_around(&(struct change){entry_of(branch, 1) + LOW, 4, 1}, 1, "there is no such page");
}

static void below_a_damaged_root_nothing_is_found(void **state)
{
    size_t branch = root_of(database_of("jobs")), n = entries_of(branch);
    size_t last = entry_of(branch, n - 1), before = entry_of(branch, n - 2);
    const struct change keys[] = {{last + KEY, 8, load(sound.data, before + KEY, 8)},
                                  {last + KEY + 8, 8, load(sound.data, before + KEY + 8, 8)}};
    const struct change same_keys[] = {{last + KEY_SIZE, 2, 16}, keys[0], keys[1],
                                       {before + KEY_SIZE, 2, 16}};
    const struct change room = {branch + LOWER, 2, 14};
    struct reader *reader = open_reader(&room, 1);

    (void)state;
    assert_int_equal(jobs_found(reader), 0);
    assert_int_equal(reader->told, 1);
    assert_non_null(strstr(reader->last, "its room is from 14"));
    close_reader(reader);

    assert_true(n > 2); /* the first key of a branch does not count */
    reader = open_reader(same_keys, 4);
    assert_int_equal(jobs_found(reader), 0);
    assert_int_equal(reader->told, 1);
    assert_non_null(strstr(reader->last, "is out of order"));
    close_reader(reader);
}

/* A change for the page of each large value: it says that it is another. */
static size_t damage_values(struct change changes[MOST])
{
    size_t n = 0, root = root_of(database_of("payload"));

    for (size_t i = 0; i < (load(sound.data, root + PAGE_FLAGS, 2) == 1 ? entries_of(root) : 1); i++) {
        size_t leaf = leaf_of("payload", i);
        for (size_t k = 0; k < entries_of(leaf); k++)
            if (load(sound.data, entry_of(leaf, k) + ENTRY_FLAGS, 2) == 1)
                changes[n++] = (struct change){
                    (size_t)load(sound.data, value_of(leaf, k), 8) * PAGE + NUMBER, 8, 3};
    }
    return n;
}

static void a_value_with_a_damaged_page_is_missed(void **state)
{
    size_t first = entry_of(leaf_of("payload", 0), 0);
    struct change changes[MOST];
    struct slice keys[MOST];
    size_t n = damage_values(changes);
    struct reader *reader = open_reader(changes, 1);

    (void)state;
    assert_int_equal(n, BIG);
    assert_int_equal(keys_of(reader, STORE_PAYLOAD, CAREFUL_ABOVE, keys), VALUES - 1);
    assert_int_equal(keys_of(reader, STORE_PAYLOAD, CAREFUL_BELOW, keys), VALUES - 1);
    assert_int_equal(reader->told, 1);
    close_reader(reader);

    reader = open_reader(changes, n); /* more than it has room for at first */
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(keys_of(reader, STORE_PAYLOAD, CAREFUL_BELOW, keys), VALUES - BIG);
        assert_int_equal(reader->told, BIG);
    }
    close_reader(reader);

    reader = open_reader(&(struct change){first + LOW, 4, UINT32_MAX}, 1);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(keys_of(reader, STORE_PAYLOAD, CAREFUL_ABOVE, keys), VALUES - 1);
        assert_int_equal(reader->told, 1);
        assert_non_null(strstr(reader->last, "a value of 4294967295 bytes"));
    }
    close_reader(reader);
}

static void without_memory_to_note_it_a_page_is_told_of_again(void **state)
{
    struct change change = {leaf_of("jobs", 0) + NUMBER, 8, 7};
    struct reader *reader = open_reader(&change, 1);

    (void)state;
    refuse("realloc", 0, ENOMEM);
    size_t found = jobs_found(reader);
    assert_true(was_refused());
    assert_int_equal(reader->told, 1);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(jobs_found(reader), found);
        assert_int_equal(reader->told, 2);
    }
    close_reader(reader);
}

static void a_call_that_fails_is_told_and_takes_no_page_away(void **state)
{
    static const struct {
        const char *call;
        int error, rc;
    } calls[] = {{"pread", EIO, JOBTAB_SYSTEM},
                 {"pread", EINTR, JOBTAB_OK},
                 {"malloc", ENOMEM, JOBTAB_SYSTEM}};
    static const enum store_db dbs[] = {STORE_JOBS, STORE_PAYLOAD};
    struct slice found;

    (void)state;
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
            for (int after = 0;; after++) {
                struct reader *reader = open_reader(NULL, 0);
                refuse(calls[i].call, after, calls[i].error);
                int rc = find(reader, dbs[d], none, CAREFUL_FROM, &found);
                bool failed = was_refused();
                assert_int_equal(rc, failed ? calls[i].rc : JOBTAB_OK);
                assert_ok(find(reader, dbs[d], none, CAREFUL_FROM, &found));
                assert_int_equal(reader->told, 0);
                close_reader(reader);
                if (!failed) {
                    assert_true(after >= 2);
                    break;
                }
            }
}

static int begin(const struct change *changes, size_t n, size_t txn, bool *passed)
{
    struct careful_view *view = NULL;
    struct reader reader = {.fd = pagefile_with(changes, n)};

    reader.careful = careful_new(reader.fd, note, &reader);
    assert_non_null(reader.careful);
    refuse("none", 0, 0);
    int rc = careful_begin(reader.careful, txn, &view, passed);
    if (!rc && !*passed)
        careful_end(view);
    careful_free(reader.careful);
    close(reader.fd);
    return rc;
}

static void a_view_begins_at_a_sound_meta_page_of_its_own_commit(void **state)
{
    const struct change magic = {META, 4, 0};
    struct careful *careful;
    struct careful_view *view;
    bool passed;

    (void)state;
    assert_ok(begin(NULL, 0, (size_t)sound.txn, &passed));
    assert_false(passed);
    assert_ok(begin(NULL, 0, (size_t)sound.txn - 2, &passed)); /* it is overwritten */
    assert_true(passed);
    assert_int_equal(begin(&magic, 1, (size_t)sound.txn, &passed), JOBTAB_DAMAGED);
    assert_false(passed);

    refuse("calloc", 0, ENOMEM);
    assert_null(careful_new(-1, note, NULL));
    assert_true(was_refused());
    careful = careful_new(-1, note, NULL);
    assert_non_null(careful);
    refuse("calloc", 0, ENOMEM);
    assert_int_equal(careful_begin(careful, 1, &view, &passed), JOBTAB_SYSTEM);
    assert_true(was_refused());
    assert_int_equal(careful_begin(careful, 1, &view, &passed), JOBTAB_SYSTEM); /* no file */
    careful_free(careful);
    careful_free(NULL);
    careful_end(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_found_from_either_end_and_by_its_key),
        cmocka_unit_test(what_the_catalogue_does_not_tell_of_is_empty),
        cmocka_unit_test(a_damaged_page_is_told_of_once_and_gone_around),
        cmocka_unit_test(below_a_damaged_root_nothing_is_found),
        cmocka_unit_test(a_value_with_a_damaged_page_is_missed),
        cmocka_unit_test(without_memory_to_note_it_a_page_is_told_of_again),
        cmocka_unit_test(a_call_that_fails_is_told_and_takes_no_page_away),
        cmocka_unit_test(a_view_begins_at_a_sound_meta_page_of_its_own_commit),
    };

    if (!pagefile_is_known())
        return 77;
    return cmocka_run_group_tests_name("store_careful", tests, pagefile_make, pagefile_free);
}
