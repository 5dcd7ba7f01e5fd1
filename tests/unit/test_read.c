/* test_read.c - reading: parts, lists, stat, JSON, backup; waiting; a commit that fails. */
#include "fixture.h"

#include "clock.h"
#include "store.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

/* ----------------------------------------------------------------------- parts */

static void any_window_of_a_part_can_be_read(void **state)
{
    struct fixture *f = *state;
    static char params[10001];
    struct jobtab_job job;

    memset(params, ' ', sizeof params);
    params[0] = '"';
    for (size_t i = 1; i < sizeof params - 1; i++)
        params[i] = (char)('a' + i % 26);
    params[sizeof params - 1] = '"';
    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .params = params,
                                                              .params_size = sizeof params},
                            &job));
    for (int round = 0; round < 200; round++) {
        uint64_t from = (uint64_t)random() % (sizeof params + 10), offset = from;
        size_t max = (size_t)random() % 9000, size;
        char *bytes;
        assert_ok(jobtab_read(f->table, &job.id, JOBTAB_PARAMS, &offset, max, &bytes, &size));
        if (from < sizeof params) {
            assert_int_equal(offset, from);
            assert_int_equal(size, max < sizeof params - from ? max : sizeof params - from);
            assert_memory_equal(bytes, params + from, size);
        } else {
            assert_int_equal(size, 0);
        }
        assert_int_equal(bytes[size], 0);
        free(bytes);
    }
}

static void a_job_is_found_by_its_key_as_long_as_it_is_there(void **state)
{
    struct fixture *f = *state;
    struct jobtab_id id = {{7}}, untouched = id;
    char long_key[JOBTAB_KEY_MAX + 2];
    struct jobtab_job job, other;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .key = "one"}, &job));
    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .key = "on"}, &other));
    assert_int_equal(jobtab_find(f->table, "o", &id), JOBTAB_NOTFOUND);
    assert_string_equal(jobtab_why(), "no job has the key \"o\"");
    assert_int_equal(jobtab_find(f->table, "", &id), JOBTAB_INVALID);
    memset(long_key, 'x', sizeof long_key);
    long_key[sizeof long_key - 1] = '\0';
    assert_int_equal(jobtab_find(f->table, long_key, &id), JOBTAB_INVALID);
    assert_memory_equal(&id, &untouched, sizeof id);
    assert_ok(jobtab_find(f->table, "one", &id));
    assert_memory_equal(&id, &job.id, sizeof id);
    assert_ok(jobtab_find(f->table, "on", &id));
    assert_memory_equal(&id, &other.id, sizeof id);
    assert_ok(jobtab_delete(f->table, &other.id));
    assert_int_equal(jobtab_find(f->table, "on", &id), JOBTAB_NOTFOUND);
}

static void a_part_that_is_not_there_is_empty(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k");
    uint64_t offset = 0;
    char *bytes;
    size_t size;

    for (int part = JOBTAB_PARAMS; part <= JOBTAB_LOGTEXT; part++) {
        assert_ok(jobtab_read(f->table, &job.id, (enum jobtab_part)part, &offset, 100, &bytes, &size));
        assert_int_equal(size, 0);
        assert_string_equal(bytes, "");
        free(bytes);
    }
    assert_int_equal(jobtab_read(f->table, &job.id, (enum jobtab_part)9, &offset, 1, &bytes, &size),
                     JOBTAB_INVALID);
}

static void the_json_of_a_stored_job_is_written_from_the_table(void **state)
{
    static const size_t sizes[] = {2, 80, 500, 4000, 4064, 4065, 9000, 60000};
    static char params[60000], result[60000], text[300000], expected[300000];
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job;
    char *its_params, *its_result;
    uint64_t version;
    size_t length;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(params, ' ', sizeof params);
        memset(result, '\n', sizeof result); /* escaped: two bytes for each */
        params[0] = '1';
        assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .params = params,
                                                                  .params_size = sizes[i]},
                                NULL));
        job = claim(f, "k", &token);
        assert_ok(jobtab_finish(f->table, &job.id, &token,
                                &(struct jobtab_finish){.result = result, .result_size = sizes[i],
                                                        .format = JOBTAB_TEXT}));
        assert_ok(jobtab_get_whole(f->table, &job.id, &job, &its_params, &its_result));
        size_t size = jobtab_job_json(&job, its_params, its_result, expected, sizeof expected);
        assert_true(size < sizeof expected);
        free(its_params);
        assert_ok(jobtab_get_whole(f->table, &job.id, &job, &its_params, NULL));
        assert_memory_equal(its_params, params, sizes[i]);
        free(its_params);
        free(its_result);
        assert_ok(jobtab_get_whole(f->table, &job.id, &job, NULL, &its_result));
        assert_memory_equal(its_result, result, sizes[i]);
        free(its_result);
        assert_ok(jobtab_get_json(f->table, &job.id, text, sizeof text, &length, &version));
        assert_int_equal(length, size);
        assert_string_equal(text, expected);
        assert_true(version == job.version);
        /* too little room: cut, and told how much it takes */
        memset(text, '#', 200);
        assert_ok(jobtab_get_json(f->table, &job.id, text, 100, &length, &version));
        assert_int_equal(length, size);
        assert_int_equal(strlen(text), 99);
        assert_memory_equal(text, expected, 99);
        assert_int_equal(text[100], '#');
        assert_ok(jobtab_version(f->table, &job.id, &version));
        assert_true(version == job.version);
    }
    assert_ok(jobtab_delete(f->table, &job.id));
    assert_int_equal(jobtab_get_json(f->table, &job.id, text, 100, &length, &version),
                     JOBTAB_NOTFOUND);
    assert_int_equal(jobtab_version(f->table, &job.id, &version), JOBTAB_NOTFOUND);
}

static void the_version_of_a_running_job_moves_with_its_reports(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    uint64_t version;

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    for (uint32_t progress = 1; progress < 5; progress++) {
        assert_ok(jobtab_report(f->table, &job.id, &token, progress, NULL));
        assert_ok(jobtab_version(f->table, &job.id, &version));
        assert_true(version == get(f, &job.id).version && version > job.version);
    }
}

/* ----------------------------------------------------------------------- hold */

static int cancel_elsewhere(void *context)
{
    struct fixture *f = context;
    struct jobtab *own;
    struct jobtab_job job;
    size_t n = 1;
    bool more;

    if (jobtab_open(f->dir, NULL, &own) || jobtab_list(own, NULL, &job, &n, NULL, &more))
        return 1;
    int rc = jobtab_cancel(own, &job.id, NULL);
    jobtab_close(own);
    return rc;
}

static void *retry_elsewhere(void *context)
{
    struct fixture *f = context;
    struct jobtab_job job;
    size_t n = 1;
    bool more;

    int rc = jobtab_list(f->table, NULL, &job, &n, NULL, &more);
    return rc || jobtab_retry(f->table, &job.id, NULL) ? context : NULL;
}

static void what_is_held_is_as_new_as_what_is_not(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k");
    pthread_t thread;
    void *failed;

    assert_ok(jobtab_hold(f->table));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(get(f, &job.id).state, JOBTAB_PENDING);
        assert_int_equal(in_child(cancel_elsewhere, f), 0); /* by another process */
        assert_int_equal(get(f, &job.id).state, JOBTAB_CANCELLED);
        assert_int_equal(pthread_create(&thread, NULL, retry_elsewhere, f), 0); /* by a thread */
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        assert_int_equal(get(f, &job.id).state, JOBTAB_PENDING);
        assert_ok(jobtab_cancel(f->table, &job.id, NULL)); /* by the one who holds */
        assert_int_equal(get(f, &job.id).state, JOBTAB_CANCELLED);
        assert_ok(jobtab_retry(f->table, &job.id, NULL));
    }
    jobtab_rest(f->table);
    assert_int_equal(get(f, &job.id).state, JOBTAB_PENDING);
    assert_sound(f);
}

/* Within a read of verify's: each sees the newest, and what verify stands on stays. */
static void submit_and_get(uint64_t done, uint64_t all, void *context)
{
    struct fixture *f = context;
    struct jobtab_job job = submit(f, "inner");

    (void)done;
    (void)all;
    assert_true(get(f, &job.id).version == job.version);
}

static void a_callback_may_read_and_write_within_what_is_held(void **state)
{
    struct fixture *f = *state;
    uint64_t records, faults;

    for (int i = 0; i < 100; i++)
        submit(f, "k");
    assert_ok(jobtab_hold(f->table));
    assert_ok(jobtab_verify(f->table, NULL, submit_and_get, f, &records, &faults));
    assert_true(faults == 0 && records >= 100);
    jobtab_rest(f->table);
    assert_sound(f);
}

static int open_lock_file(const struct fixture *f)
{
    char path[80];

    snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Readers' slots of LMDB's lock file that pin a snapshot: a commit's number and a pid. The caller
 * closes the file last of all: with that go the locks by which others know that we live. */
static int snapshots(int lock_file)
{
    struct {
        uint64_t commit;
        int32_t pid;
        char rest[52];
    } slots[10];
    int n = 0;

    assert_int_equal(pread(lock_file, slots, sizeof slots, 128), sizeof slots);
    for (int i = 0; i < 10; i++)
        n += slots[i].pid && slots[i].commit != UINT64_MAX;
    return n;
}

static void held_reads_share_a_snapshot_until_there_is_a_newer_one(void **state)
{
    struct fixture *f = *state;
    struct store_txn *first, *txn, *inner;
    const struct slice key = {"a", 1};
    struct slice value;
    struct store *store;

    assert_ok(store_open(f->dir, 1 << 20, 10, false, &store));
    int lock = open_lock_file(f);
    assert_ok(store_hold(store));
    assert_int_equal(snapshots(lock), 0); /* before the first read */
    assert_ok(store_read(store, &first));
    store_end(first);
    assert_int_equal(snapshots(lock), 1);
    assert_ok(store_read(store, &txn));
    assert_ptr_equal(txn, first);
    assert_ok(store_read(store, &inner));
    assert_ptr_not_equal(inner, first);
    assert_int_equal(snapshots(lock), 2);
    store_end(inner);
    store_end(txn);
    assert_ok(store_write(store, &txn));
    assert_int_equal(snapshots(lock), 0); /* who writes holds nothing meanwhile */
    store_put(txn, STORE_META, key, key);
    assert_ok(store_commit(txn));
    assert_ok(store_read(store, &txn));
    assert_true(store_get(txn, STORE_META, key, &value));
    store_rest(store); /* while a read goes on: at its end */
    assert_true(store_get(txn, STORE_META, key, &value));
    assert_int_equal(snapshots(lock), 1);
    store_end(txn);
    assert_int_equal(snapshots(lock), 0);
    store_close(store, false);
    close(lock);
}

static int hold_in_child(void *context)
{
    struct fixture *f = context;
    struct jobtab *inherited = f->table;
    struct jobtab_job job;
    size_t n = 1;
    bool more;

    if (jobtab_hold(inherited) != JOBTAB_FORKED)
        return 1;
    jobtab_rest(inherited);
    jobtab_close(inherited);
    if (jobtab_open(f->dir, NULL, &f->table) || jobtab_hold(f->table) ||
        jobtab_list(f->table, NULL, &job, &n, NULL, &more))
        return 2;
    jobtab_close(f->table); /* while it is held */
    return n == 1 ? 0 : 3;
}

static void a_child_does_not_hold_what_its_parent_holds(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k");
    int lock = open_lock_file(f);

    assert_ok(jobtab_hold(f->table));
    assert_true(get(f, &job.id).version == job.version);
    assert_int_equal(snapshots(lock), 1);
    assert_int_equal(in_child(hold_in_child, f), 0);
    assert_int_equal(snapshots(lock), 1);
    assert_true(get(f, &job.id).version == job.version);
    jobtab_rest(f->table);
    assert_int_equal(snapshots(lock), 0);
    assert_sound(f);
    close(lock);
}

static void a_thread_holds_one_table(void **state)
{
    struct fixture *f = *state;
    struct jobtab *other;
    char dir[80];

    snprintf(dir, sizeof dir, "%s/other", f->dir);
    assert_ok(jobtab_open(dir, NULL, &other));
    assert_ok(jobtab_hold(f->table));
    assert_ok(jobtab_hold(f->table));
    assert_int_equal(jobtab_hold(other), JOBTAB_BUSY);
    jobtab_rest(other);
    jobtab_rest(f->table);
    assert_ok(jobtab_hold(other));
    jobtab_close(other);
    assert_ok(jobtab_hold(f->table));
    jobtab_rest(f->table);
}

/* ------------------------------------------------------------------------ lists */

/* Collect a whole list, `page` jobs at a time. */
static size_t list_all(struct fixture *f, struct jobtab_filter filter, size_t page,
                       struct jobtab_job *all, size_t max)
{
    bool more = true;
    size_t n = 0;

    while (more) {
        size_t got = page < max - n ? page : max - n;
        if (!got)
            break;
        assert_ok(jobtab_list(f->table, &filter, all + n, &got, &filter.after, &more));
        filter.after_set = true;
        n += got;
    }
    return n;
}

static void lists_go_newest_first_by_page_and_filter(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job jobs[20], all[40];
    struct jobtab_token token;

    for (int i = 0; i < 20; i++)
        jobs[i] = submit(f, i % 2 ? "odd" : "even");
    for (int i = 0; i < 3; i++)
        claim(f, "odd", &token); /* jobs 1, 3, 5 */
    assert_ok(jobtab_cancel(f->table, &jobs[3].id, NULL));
    for (size_t page = 1; page < 25; page += 3) {
        assert_int_equal(list_all(f, (struct jobtab_filter){.kind = NULL}, page, all, 40), 20);
        for (int i = 0; i < 20; i++)
            assert_memory_equal(&all[i].id, &jobs[19 - i].id, sizeof all[i].id);
        assert_int_equal(list_all(f, (struct jobtab_filter){.oldest_first = true}, page, all, 40),
                         20);
        for (int i = 0; i < 20; i++)
            assert_memory_equal(&all[i].id, &jobs[i].id, sizeof all[i].id);
        assert_int_equal(list_all(f, (struct jobtab_filter){.kind = "even"}, page, all, 40), 10);
        assert_int_equal(
            list_all(f, (struct jobtab_filter){.states = JOBTAB_STATE_BIT(JOBTAB_RUNNING)}, page,
                     all, 40),
            2);
        assert_memory_equal(&all[0].id, &jobs[5].id, sizeof all[0].id);
        assert_int_equal(all[0].owner.pid, getpid());
        assert_int_equal(
            list_all(f, (struct jobtab_filter){.states = JOBTAB_STATE_BIT(JOBTAB_RUNNING) |
                                                         JOBTAB_STATE_BIT(JOBTAB_CANCELLING),
                                               .oldest_first = true},
                     page, all, 40),
            3);
        assert_int_equal(
            list_all(f, (struct jobtab_filter){.states = JOBTAB_STATE_BIT(JOBTAB_PENDING),
                                               .kind = "odd"}, page, all, 40),
            7);
    }
    size_t none = 0;
    bool more;
    assert_int_equal(jobtab_list(f->table, NULL, all, &none, NULL, &more), JOBTAB_INVALID);
}

static void a_page_looks_at_a_bounded_number_of_records(void **state)
{
    struct fixture *f = *state;
    static struct jobtab_op ops[JOBTAB_APPLY_MAX];
    struct jobtab_job job;
    struct jobtab_filter filter = {.kind = "rare"};
    bool more;
    int pages = 0;
    size_t n = 1;

    submit(f, "rare");
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < JOBTAB_APPLY_MAX; i++)
            ops[i] = (struct jobtab_op){.verb = JOBTAB_SUBMIT, .submit = {.kind = "common"}};
        assert_ok(jobtab_apply(f->table, ops, JOBTAB_APPLY_MAX));
    }
    do {
        n = 1;
        assert_ok(jobtab_list(f->table, &filter, &job, &n, &filter.after, &more));
        filter.after_set = true;
        pages++;
    } while (!n && more);
    assert_int_equal(n, 1);
    assert_string_equal(job.kind, "rare");
    assert_int_equal(pages, 2); /* 24,577 records at 20,000 a page */
}

/* ------------------------------------------------------------------------- stat */

static void stat_counts_by_state_and_kind(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat stat;
    struct jobtab_kind_count kinds[1];
    struct jobtab_token token;
    struct jobtab_job first = submit(f, "a");

    submit(f, "b");
    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "b", .delay = 100000}, NULL));
    submit(f, "a");
    claim(f, "b", &token);
    assert_ok(jobtab_stat(f->table, &stat, kinds, 1));
    assert_int_equal(stat.jobs, 4);
    assert_int_equal(stat.n_kinds, 2);
    assert_string_equal(kinds[0].kind, "a");
    assert_int_equal(kinds[0].states[JOBTAB_PENDING], 2);
    assert_int_equal(stat.states[JOBTAB_SCHEDULED], 1);
    assert_int_equal(stat.states[JOBTAB_RUNNING], 1);
    assert_int_equal(stat.owners, 1);
    assert_int_equal(stat.submitted, 4);
    assert_int_equal(stat.claimed, 1);
    assert_int_equal(stat.oldest_pending, first.updated_at);
    assert_true(stat.map_used > 0 && stat.map_used < stat.map_size);
    assert_int_equal(stat.map_size, 1 << 30);
    assert_true(stat.readers >= 1);
}

/* ------------------------------------------------------------------------- JSON */

static void the_json_of_a_job_is_that_of_the_interface(void **state)
{
    static const char *const members[] = {
        "job_id", "kind", "status", "reason", "done", "progress", "message", "version", "attempt",
        "max_attempts", "priority", "created_at", "run_at", "started_at", "updated_at",
        "finished_at", "expires_at", "params", "result", "error"};
    struct jobtab_job job = {.kind = "validate",
                             .message = "quote \" back \\ line \n euro \xe2\x82\xac bad \xff\xc3 \x01",
                             .state = JOBTAB_COMPLETED,
                             .priority = -3,
                             .progress = 100,
                             .version = UINT64_C(18446744073709551615),
                             .created_at = 1795413600000,
                             .params_size = 8,
                             .result_size = 5,
                             .result_format = JOBTAB_TEXT};
    char text[4096], small[32];
    json_error_t error;

    (void)state;
    size_t n = jobtab_job_json(&job, "{\"a\":\n1}", "plain", text, sizeof text);
    assert_int_equal(n, strlen(text));
    assert_null(strchr(text, '\n'));
    /* jansson has no unsigned: the largest version is checked as text */
    assert_non_null(strstr(text, "\"version\":18446744073709551615,"));
    job.version = 7;
    n = jobtab_job_json(&job, "{\"a\":\n1}", "plain", text, sizeof text);
    json_t *json = json_loads(text, 0, &error);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), sizeof members / sizeof *members);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_non_null(json_object_get(json, members[i]));
    assert_string_equal(json_string_value(json_object_get(json, "message")),
                        "quote \" back \\ line \n euro \xe2\x82\xac bad \xef\xbf\xbd\xef\xbf\xbd \x01");
    assert_string_equal(json_string_value(json_object_get(json, "result")), "plain");
    assert_true(json_is_true(json_object_get(json, "done")));
    assert_true(json_is_null(json_object_get(json, "reason")));
    assert_int_equal(json_integer_value(json_object_get(json, "priority")), -3);
    assert_string_equal(json_string_value(json_object_get(json, "created_at")),
                        "2026-11-23T06:00:00.000Z");
    json_decref(json);
    /* as snprintf: the length needed, whatever fits */
    assert_int_equal(jobtab_job_json(&job, "{\"a\":\n1}", "plain", small, sizeof small), n);
    assert_memory_equal(small, text, sizeof small - 1);
    assert_int_equal(small[sizeof small - 1], 0);
    assert_int_equal(jobtab_job_json(&job, "{\"a\":\n1}", "plain", NULL, 0), n);
    job.result_format = JOBTAB_BYTES; /* no text: fetched from /result */
    jobtab_job_json(&job, NULL, "plain", text, sizeof text);
    assert_non_null(strstr(text, "\"result\":null"));
    assert_null(strstr(text, "\"params\""));
}

/* ----------------------------------------------------------------------- backup */

static void a_backup_opens_as_a_table_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct jobtab *copy;
    struct jobtab_job job = submit(f, "k");
    uint64_t records, faults;
    char dir[128];

    snprintf(dir, sizeof dir, "%s/backup", f->dir);
    assert_ok(jobtab_backup(f->table, dir));
    assert_int_equal(jobtab_backup(f->table, dir), JOBTAB_INVALID); /* not over another */
    assert_ok(jobtab_open(dir, &(struct jobtab_options){.must_exist = true}, &copy));
    assert_ok(jobtab_get(copy, &job.id, &job));
    assert_ok(jobtab_verify(copy, NULL, NULL, NULL, &records, &faults));
    assert_int_equal(faults, 0);
    assert_ok(jobtab_submit(copy, &(struct jobtab_submit){.kind = "k"}, NULL));
    jobtab_close(copy);
}

/* ---------------------------------------------------------------------- waiting */

struct waiter {
    struct fixture *f;
    uint64_t seen;
    int rc;
};

static void *wait_for_change(void *context)
{
    struct waiter *waiter = context;

    waiter->rc = jobtab_wait(waiter->f->table, &waiter->seen, 20000);
    return NULL;
}

static void a_commit_wakes_who_waits_for_a_change(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter = {.f = f};
    pthread_t thread;
    uint64_t seen = 0;

    assert_int_equal(jobtab_wait(f->table, &seen, 10), JOBTAB_TIMEOUT);
    assert_int_equal(seen, 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_change, &waiter), 0);
    int64_t begin = clock_boot();
    struct jobtab_job job = submit(f, "k");
    pthread_join(thread, NULL);
    assert_ok(waiter.rc);
    assert_int_equal(waiter.seen, job.version);
    assert_true(clock_boot() - begin < 10000);
    seen = 0;
    assert_ok(jobtab_wait(f->table, &seen, 0)); /* it has changed already */
}

static int delete_it(struct fixture *f, const struct jobtab_id *id)
{
    return jobtab_delete(f->table, id);
}

static int let_it_expire(struct fixture *f, const struct jobtab_id *id)
{
    struct jobtab_swept swept;
    struct jobtab_job job;

    do {
        assert_ok(jobtab_sweep(f->table, 10, &swept));
    } while (jobtab_get(f->table, id, &job) == JOBTAB_OK);
    return swept.expired == 1 ? JOBTAB_OK : -1;
}

static int evict_it(struct fixture *f, const struct jobtab_id *id)
{
    (void)id;
    /* Of another kind, and it takes the only place there is: its own change comes after. */
    return jobtab_submit(f->table, &(struct jobtab_submit){.kind = "other"}, NULL);
}

/* Whoever follows a job is told at once that it is gone, however it went. */
static void a_deletion_is_a_change_that_ends_the_wait(void **state)
{
    static const struct {
        int (*go)(struct fixture *f, const struct jobtab_id *id);
        bool done;
        struct jobtab_options options;
    } ways[] = {
        {delete_it, false, {.max_jobs = 0}},
        {delete_it, true, {.max_jobs = 0}},
        {let_it_expire, true, {.retention = 1}},
        {evict_it, true, {.max_jobs = 1}},
    };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct waiter waiter;
        struct jobtab_job job;
        pthread_t thread;

        assert_int_equal(fixture_directory(state), 0);
        struct fixture *f = *state;
        fixture_reopen(f, &ways[i].options);
        job = submit(f, "k");
        if (ways[i].done)
            assert_ok(jobtab_cancel(f->table, &job.id, &job));
        waiter = (struct waiter){.f = f, .seen = job.version};
        assert_int_equal(pthread_create(&thread, NULL, wait_for_change, &waiter), 0);
        int64_t begin = clock_boot();
        assert_ok(ways[i].go(f, &job.id));
        pthread_join(thread, NULL);
        assert_ok(waiter.rc);
        assert_true(waiter.seen > job.version);
        assert_true(clock_boot() - begin < slowed(10000));
        uint64_t seen = job.version; /* who comes later does not wait for it either */
        assert_ok(jobtab_wait(f->table, &seen, 0));
        assert_int_equal(jobtab_get(f->table, &job.id, &job), JOBTAB_NOTFOUND);
        assert_sound(f);
        assert_int_equal(fixture_close(state), 0);
    }
}

/* The number that a deletion takes is nobody's again, also when it is all that a commit did. */
static void no_version_comes_twice_around_a_deletion(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k"), next;
    uint64_t seen = job.version;

    assert_ok(jobtab_delete(f->table, &job.id));
    assert_ok(jobtab_wait(f->table, &seen, 0));
    jobtab_close(f->table);
    f->table = NULL;
    fixture_reopen(f, NULL);
    next = submit(f, "k");
    assert_true(next.version > seen);
    assert_sound(f);
}

static int wait_in_child(void *context)
{
    struct fixture *f = context;
    struct jobtab *table;
    struct jobtab_token token;

    if (jobtab_open(f->dir, NULL, &table) || jobtab_wait_work(table, "k", 20000))
        return 1;
    return jobtab_claim(table, "k", &token, NULL);
}

static void work_wakes_another_process(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(wait_in_child(f));
        usleep((useconds_t)(random() % 20000)); /* before and after it waits */
        submit(f, "other");
        submit(f, "k");
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(jobtab_wait_work(f->table, "k", 20), JOBTAB_TIMEOUT);
    assert_sound(f);
}

static void more_kinds_than_words_still_wake(void **state)
{
    struct fixture *f = *state;
    char kind[16];

    for (int i = 0; i < 70; i++) {
        snprintf(kind, sizeof kind, "kind%d", i);
        assert_int_equal(jobtab_wait_work(f->table, kind, 1), JOBTAB_TIMEOUT);
    }
    bool claimable;
    submit(f, "kind69");
    assert_ok(jobtab_wait_work(f->table, "kind69", 5000));
    assert_ok(jobtab_claimable(f->table, "kind69", &claimable));
    assert_true(claimable);
    assert_ok(jobtab_claimable(f->table, "kind6", &claimable));
    assert_false(claimable);
}

static void ignore_signal(int signal)
{
    (void)signal;
}

static void *interrupt_soon(void *context)
{
    usleep(50000);
    pthread_kill(*(pthread_t *)context, SIGUSR1);
    return NULL;
}

static void a_signal_ends_the_wait_for_work_early(void **state)
{
    struct fixture *f = *state;
    pthread_t self = pthread_self(), thread;
    struct sigaction action = {.sa_handler = ignore_signal};

    sigaction(SIGUSR1, &action, NULL);
    int64_t begin = clock_boot();
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, &self), 0);
    assert_int_equal(jobtab_wait_work(f->table, "k", 30000), JOBTAB_TIMEOUT);
    assert_true(clock_boot() - begin < 15000);
    pthread_join(thread, NULL);
}

/* ------------------------------------------------------------ a commit that fails */

/* The disk takes no more: the commit's outcome is unknown, and the handle acknowledges nothing from
 * then on, until the table is opened again. */
static int write_beyond_the_limit(void *context)
{
    struct fixture *f = context;
    struct jobtab_job job;
    struct jobtab *table;
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    const struct jobtab_submit wanted = {.kind = "k"};
    if (jobtab_open(f->dir, NULL, &table) || jobtab_submit(table, &wanted, &job))
        return 1;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 8192; /* what is in the file already cannot be written again either */
    setrlimit(RLIMIT_FSIZE, &limit);
    if (jobtab_cancel(table, &job.id, NULL) != JOBTAB_BROKEN)
        return 2;
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (jobtab_cancel(table, &job.id, NULL) != JOBTAB_BROKEN)
        return 3; /* the disk has room again: no matter */
    if (jobtab_get(table, &job.id, &job) != JOBTAB_BROKEN)
        return 4;
    jobtab_close(table);
    if (jobtab_open(f->dir, NULL, &table) || jobtab_cancel(table, &job.id, NULL))
        return 5;
    jobtab_close(table);
    return 0;
}

static void after_a_failed_commit_the_handle_acknowledges_nothing(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat stat;

    assert_int_equal(in_child(write_beyond_the_limit, f), 0);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, 1);
    submit(f, "k"); /* others go on */
    assert_sound(f);
}

static void tell_nothing(const char *fault, void *context)
{
    (void)context;
    fail_msg("a sound table: %s", fault);
}

static void a_careful_reader_of_a_sound_table_reads_all_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct jobtab_submit submit = {.kind = "k"};
    struct jobtab_filter filter = {0};
    struct jobtab_job job, jobs[4];
    struct jobtab_id cursor;
    size_t n = 4;
    bool more;

    for (int i = 0; i < 3; i++)
        assert_ok(jobtab_submit(f->table, &submit, &job));
    assert_ok(jobtab_careful(f->table, tell_nothing, NULL));
    assert_int_equal(jobtab_submit(f->table, &submit, NULL), JOBTAB_FORBIDDEN);
    assert_ok(jobtab_list(f->table, &filter, jobs, &n, &cursor, &more));
    assert_int_equal(n, 3);
    assert_memory_equal(&jobs[0].id, &job.id, sizeof job.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(any_window_of_a_part_can_be_read),
        WITH_TABLE(a_job_is_found_by_its_key_as_long_as_it_is_there),
        WITH_TABLE(a_part_that_is_not_there_is_empty),
        WITH_TABLE(the_json_of_a_stored_job_is_written_from_the_table),
        WITH_TABLE(the_version_of_a_running_job_moves_with_its_reports),
        WITH_TABLE(what_is_held_is_as_new_as_what_is_not),
        WITH_TABLE(a_callback_may_read_and_write_within_what_is_held),
        cmocka_unit_test_setup_teardown(held_reads_share_a_snapshot_until_there_is_a_newer_one,
                                        fixture_directory, fixture_close),
        WITH_TABLE(a_child_does_not_hold_what_its_parent_holds),
        WITH_TABLE(a_thread_holds_one_table),
        WITH_TABLE(lists_go_newest_first_by_page_and_filter),
        WITH_TABLE(a_page_looks_at_a_bounded_number_of_records),
        WITH_TABLE(stat_counts_by_state_and_kind),
        WITH_TABLE(a_careful_reader_of_a_sound_table_reads_all_and_changes_nothing),
        cmocka_unit_test(the_json_of_a_job_is_that_of_the_interface),
        WITH_TABLE(a_backup_opens_as_a_table_of_its_own),
        WITH_TABLE(a_commit_wakes_who_waits_for_a_change),
        WITH_TABLE(no_version_comes_twice_around_a_deletion),
        cmocka_unit_test(a_deletion_is_a_change_that_ends_the_wait),
        WITH_TABLE(work_wakes_another_process),
        WITH_TABLE(more_kinds_than_words_still_wake),
        WITH_TABLE(a_signal_ends_the_wait_for_work_early),
        WITH_TABLE(after_a_failed_commit_the_handle_acknowledges_nothing),
    };
    return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
