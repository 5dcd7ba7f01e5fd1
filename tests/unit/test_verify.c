/* test_verify.c - the control of every oracle that ends in assert_sound: each kind of damage, done to a
 * sound table beneath the library, is found. */
#include "fixture.h"

#include "edit.h"
#include "keys.h"
#include "record.h"
#include "store.h"

/* A table with a job in every state, params, results, logs and keys, closed. */
static int make_table(void **state)
{
    if (fixture_open(state))
        return -1;
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_submit plain = {.kind = "k", .params = "[1,2,3]", .params_size = 7};

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .key = "K"}, NULL));
    struct jobtab_job job = claim(f, "k", &token);
    assert_ok(jobtab_log(f->table, &job.id, &token, "log", 3));
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.result = "1", .result_size = 1,
                                                    .format = JOBTAB_JSON}));
    assert_ok(jobtab_submit(f->table, &plain, NULL));
    claim(f, "k", &token);
    assert_ok(jobtab_submit(f->table, &plain, NULL));
    plain.delay = 100000;
    assert_ok(jobtab_submit(f->table, &plain, NULL));
    assert_sound(f);
    jobtab_close(f->table);
    f->table = NULL;
    return 0;
}

/* What one row does to the table beneath. */
struct damage {
    const char *name;
    enum store_db db;
    enum { DROP_FIRST, ADD, CHANGE_BYTE, REPLACE, ADD_CHUNK /* of the result */ } what;
    size_t at;                       /* byte to change */
    const char *key;                 /* to add, or the entry of `meta` to take */
    size_t key_size;
    const char *value;
    size_t value_size;
    const char *says; /* in some fault */
};

#define NOBODY "0123456789abcdef" /* the id of no job */

static const struct damage damages[] = {
    {"a pending entry is gone", STORE_PENDING, DROP_FIRST, 0, 0, 0, 0, 0, "no entry in `pending`"},
    {"a scheduled entry is gone", STORE_SCHEDULED, DROP_FIRST, 0, 0, 0, 0, 0,
     "no entry in `scheduled`"},
    {"a running entry is gone", STORE_RUNNING, DROP_FIRST, 0, 0, 0, 0, 0, "not in `running`"},
    {"a done entry is gone", STORE_DONE, DROP_FIRST, 0, 0, 0, 0, 0, "no entry in `done`"},
    {"a key is gone", STORE_KEYS, DROP_FIRST, 0, 0, 0, 0, 0, "no entry in `keys`"},
    {"a chunk is gone", STORE_PAYLOAD, DROP_FIRST, 0, 0, 0, 0, 0, "is missing"},
    {"a job is gone", STORE_JOBS, DROP_FIRST, 0, 0, 0, 0, 0, "no such job"},
    {"the count is gone", STORE_META, DROP_FIRST, 0, "count:k", 7, 0, 0, "no count"},
    {"a stray pending entry", STORE_PENDING, ADD, 0, "k\0dxxxxxxxx", 11, NOBODY, 16, "`pending`"},
    {"a stray scheduled entry", STORE_SCHEDULED, ADD, 0, "xxxxxxxx" NOBODY, 24, "", 0,
     "`scheduled`"},
    {"a stray running entry", STORE_RUNNING, ADD, 0, NOBODY, 16, "x", 1, "`running`"},
    {"a stray done entry", STORE_DONE, ADD, 0, "xxxxxxxx" NOBODY, 24, "", 0, "`done`"},
    {"a stray key", STORE_KEYS, ADD, 0, "stray", 5, NOBODY, 16, "`keys`"},
    {"a stray chunk", STORE_PAYLOAD, ADD, 0, NOBODY "\1\0\0\0\0", 21, "x", 1, "`payload`"},
    {"a job with a key that is no id", STORE_JOBS, ADD, 0, "short", 5, "x", 1, "key of `jobs`"},
    {"a record that is no image", STORE_JOBS, ADD, 0, NOBODY, 16, "x", 1, "no tpl image"},
    {"a change is gone", STORE_CHANGES, DROP_FIRST, 0, "\0\0\0\0\0\0\0\2", 8, 0, 0,
     "`changes` goes from"},
    {"a change beyond the sequence", STORE_CHANGES, ADD, 0, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
     NOBODY "\1", 17, "`changes`"},
    {"a change of no state", STORE_CHANGES, ADD, 0, "\0\0\0\0\0\0\0\1", 8, NOBODY "\x7", 17,
     "damaged"},
    {"a run that overlaps", STORE_CHANGES, ADD, 0, "\0\0\0\0\0\0\0\2", 8,
     NOBODY "\1" NOBODY "\1", 34, "`changes` goes from"},
    {"a change without state", STORE_CHANGES, ADD, 0, "\0\0\0\0\0\0\0\1", 8, "x", 1, "damaged"},
    {"a stray count", STORE_META, ADD, 0, "count:zz", 8, "x", 1, "counts 2 kinds"},
    {"a damaged policy", STORE_META, ADD, 0, "policy:zz", 9, "x", 1, "policy of kind zz"},
    {"a damaged count", STORE_META, REPLACE, 0, "count:k", 7, "x", 1, "its count"},
    {"damaged totals", STORE_META, REPLACE, 0, "totals", 6, "x", 1, "the totals"},
    {"damaged settings", STORE_META, REPLACE, 0, "settings", 8, "x", 1, "the settings"},
    {"a job in another state", STORE_JOBS, CHANGE_BYTE, 37, 0, 0, 0, 0, "count by state"},
    {"a damaged record", STORE_JOBS, CHANGE_BYTE, 32, 0, 0, 0, 0, "damaged image"},
    {"a result in two places", STORE_JOBS, ADD_CHUNK, 0, 0, 0, 0, 0, "which is in its record"},
    {"a damaged running record", STORE_RUNNING, CHANGE_BYTE, 5, 0, 0, 0, 0, "image says"},
    {"a pending entry for another job", STORE_PENDING, CHANGE_BYTE, 15, 0, 0, 0, 0, "pending"},
    {"a short chunk", STORE_PAYLOAD, REPLACE, 0, 0, 0, "", 0, "bytes"},
};

static void do_damage(struct store *store, const struct damage *damage)
{
    struct store_txn *txn;
    struct slice key, value;
    char k[64], v[4096];

    assert_ok(store_write(store, &txn));
    if (damage->key) {
        key = (struct slice){damage->key, damage->key_size};
    } else {
        struct store_cursor *cursor = store_cursor(txn, damage->db);
        assert_true(store_seek(cursor, (struct slice){0}, &key, &value));
        memcpy(k, key.data, key.size);
        memcpy(v, value.data, value.size);
        key.data = k;
        value.data = v;
        store_cursor_end(cursor);
    }
    switch (damage->what) {
    case DROP_FIRST:
        assert_true(store_delete(txn, damage->db, key));
        break;
    case ADD:
    case REPLACE:
        store_put(txn, damage->db, key, (struct slice){damage->value, damage->value_size});
        break;
    case ADD_CHUNK:
        memcpy(k + key.size, "\2\0\0\0\0", 5);
        key.size += 5;
        store_put(txn, STORE_PAYLOAD, key, (struct slice){"1", 1});
        break;
    case CHANGE_BYTE:
        assert_true(damage->at < value.size);
        v[damage->at] ^= 1;
        store_put(txn, damage->db, key, value);
        break;
    }
    assert_ok(store_commit(txn));
}

struct faults {
    const char *wanted;
    bool said;
    char last[320];
};

static void note_fault(const char *fault, void *context)
{
    struct faults *faults = context;

    faults->said |= strstr(fault, faults->wanted) != NULL;
    snprintf(faults->last, sizeof faults->last, "%s", fault);
    assert_null(strchr(fault, '\n'));
}

static void each_kind_of_damage_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture *f;
        struct store *store;
        uint64_t records, count = 0;
        struct faults faults = {.wanted = damages[i].says};

        assert_int_equal(make_table((void **)&f), 0);
        assert_ok(store_open(f->dir, 0, 10, true, &store));
        do_damage(store, &damages[i]);
        store_close(store, false);
        /* damaged settings are found by the opener: nothing is held back from it */
        int rc = jobtab_open(f->dir, NULL, &f->table);
        if (rc == JOBTAB_OK) {
            assert_ok(jobtab_verify(f->table, note_fault, NULL, &faults, &records, &count));
            if (!count || !faults.said)
                print_error("%s: \"%s\" not said; last: %s\n", damages[i].name, damages[i].says,
                            faults.last);
            assert_true(count > 0);
            assert_true(faults.said);
        } else {
            assert_int_equal(rc, JOBTAB_DAMAGED);
        }
        assert_int_equal(fixture_close((void **)&f), 0);
    }
}

static void count_progress(uint64_t done, uint64_t all, void *context)
{
    assert_true(done <= all);
    ++*(int *)context;
}

static void verify_tells_how_far_it_is(void **state)
{
    struct fixture *f = *state;
    uint64_t records, faults;
    int calls = 0;

    assert_ok(jobtab_open(f->dir, NULL, &f->table));
    assert_ok(jobtab_verify(f->table, NULL, count_progress, &calls, &records, &faults));
    assert_true(calls >= 1);
    assert_true(records > 10);
    assert_int_equal(faults, 0);
}

static void the_feed_keeps_the_newest_changes(void **state)
{
    static struct jobtab_op ops[JOBTAB_APPLY_MAX];
    struct fixture *f = *state;
    struct jobtab_stat stat;
    struct jobtab_token token;
    struct store_txn *txn;
    struct store *store;
    struct slice key, run;

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    for (size_t i = 0; i < JOBTAB_APPLY_MAX; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_REPORT, .id = job.id, .token = token};
    for (size_t done = 0; done < EDIT_CHANGES + 5 * EDIT_TRIM; done += JOBTAB_APPLY_MAX)
        assert_ok(jobtab_apply(f->table, ops, JOBTAB_APPLY_MAX));
    assert_sound(f);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    jobtab_close(f->table);
    f->table = NULL;
    assert_ok(store_open(f->dir, 0, 10, false, &store));
    assert_ok(store_read(store, &txn));
    struct store_cursor *cursor = store_cursor(txn, STORE_CHANGES);
    assert_true(store_seek(cursor, (struct slice){0}, &key, &run));
    uint64_t kept = stat.version - key_version_of(key) + run.size / EDIT_CHANGE;
    store_cursor_end(cursor);
    store_end(txn);
    store_close(store, false);
    assert_true(stat.version > EDIT_CHANGES + 5 * EDIT_TRIM);
    assert_in_range(kept, EDIT_CHANGES, EDIT_CHANGES + EDIT_TRIM + 2 * EDIT_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_damage_is_found),
        cmocka_unit_test_setup_teardown(verify_tells_how_far_it_is, make_table, fixture_close),
        cmocka_unit_test_setup_teardown(the_feed_keeps_the_newest_changes, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
