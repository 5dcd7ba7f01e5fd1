/* test_restore.c - jobs put into a table as they were: restore.c. */
#include "fixture.h"

#include <pthread.h>
#include <time.h>

#define DAY (INT64_C(86400) * 1000)

static struct jobtab_id id_of(int64_t instant, uint8_t last)
{
    struct jobtab_id id = {{[6] = 0x70, [8] = 0x80, [15] = last}};

    for (int i = 5; i >= 0; i--, instant >>= 8)
        id.bytes[i] = (uint8_t)instant;
    return id;
}

/* A job of a minute ago; what a test is about, it sets. */
static struct jobtab_job old_job(enum jobtab_state state, uint8_t last)
{
    int64_t then = jobtab_now() - 60000;
    struct jobtab_job job = {.id = id_of(then, last),
                             .kind = "k",
                             .state = state,
                             .created_at = then,
                             .updated_at = then + 5000};

    if (state == JOBTAB_SCHEDULED)
        job.run_at = then + DAY;
    if (jobtab_state_done(state)) {
        job.started_at = then + 1000;
        job.finished_at = then + 5000;
        job.expires_at = then + DAY;
    }
    return job;
}

/* Field by field: what lies between them is nobody's. */
static void assert_same(const struct jobtab_job *a, const struct jobtab_job *b)
{
    static const struct {
        size_t offset, size;
    } numbers[] = {
#define NUMBER(field)                                                                             \
    {offsetof(struct jobtab_job, field), sizeof((struct jobtab_job *)0)->field}
        NUMBER(id),          NUMBER(state),       NUMBER(reason),       NUMBER(priority),
        NUMBER(progress),    NUMBER(attempt),     NUMBER(max_attempts), NUMBER(crashes),
        NUMBER(max_crashes), NUMBER(version),     NUMBER(backoff),      NUMBER(timeout),
        NUMBER(created_at),  NUMBER(run_at),      NUMBER(started_at),   NUMBER(updated_at),
        NUMBER(finished_at), NUMBER(expires_at),  NUMBER(params_size),  NUMBER(result_size),
        NUMBER(log_begin),   NUMBER(log_end),     NUMBER(result_format), NUMBER(owner.pid),
#undef NUMBER
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_memory_equal((const char *)a + numbers[i].offset,
                            (const char *)b + numbers[i].offset, numbers[i].size);
    assert_string_equal(a->kind, b->kind);
    assert_string_equal(a->key, b->key);
    assert_string_equal(a->message, b->message);
    assert_string_equal(a->error, b->error);
}

static int restore(struct fixture *f, const struct jobtab_job *job, struct jobtab_job *left)
{
    return jobtab_restore(f->table, &(struct jobtab_restore){.job = job}, left);
}

static void a_job_comes_back_as_it_was_with_a_new_version(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = old_job(JOBTAB_FAILED, 1), got;
    static char log[5000];
    char *params, *result, *bytes;
    uint64_t offset = 0;
    size_t size;

    submit(f, "other");
    strcpy(job.key, "order 66");
    strcpy(job.message, "half way");
    strcpy(job.error, "exit 3");
    job.reason = JOBTAB_BY_EXIT;
    job.priority = -7;
    job.progress = 50;
    job.attempt = job.max_attempts = 3;
    job.crashes = 1;
    job.max_crashes = 9;
    job.backoff = 250;
    job.timeout = 9000;
    job.version = 4711;
    job.owner.pid = 1;
    job.result_format = JOBTAB_BYTES;
    memset(log, 'l', sizeof log);
    struct jobtab_restore whole = {.job = &job, .params = "[1]", .params_size = 3, .result = "\0r",
                                   .result_size = 2, .log = log, .log_size = sizeof log};
    assert_ok(jobtab_restore(f->table, &whole, &got));
    assert_memory_equal(&got.id, &job.id, sizeof job.id);
    assert_ok(jobtab_get_whole(f->table, &job.id, &got, &params, &result));
    assert_int_equal(got.version, 2);
    assert_int_equal(got.owner.pid, 0);
    assert_string_equal(params, "[1]");
    assert_memory_equal(result, "\0r", 2);
    assert_ok(jobtab_read(f->table, &job.id, JOBTAB_LOGTEXT, &offset, SIZE_MAX, &bytes, &size));
    assert_int_equal(size, sizeof log);
    assert_memory_equal(bytes, log, size);
    job.version = got.version;
    job.owner.pid = 0;
    job.params_size = 3;
    job.result_size = 2;
    job.log_end = sizeof log;
    assert_same(&got, &job);
    free(params);
    free(result);
    free(bytes);
    assert_sound(f);
}

static void each_state_comes_back_as_one_that_needs_no_owner(void **state)
{
    static const enum jobtab_state becomes[JOBTAB_STATES] = {
        [JOBTAB_SCHEDULED] = JOBTAB_SCHEDULED, [JOBTAB_PENDING] = JOBTAB_PENDING,
        [JOBTAB_RUNNING] = JOBTAB_PENDING,     [JOBTAB_CANCELLING] = JOBTAB_CANCELLED,
        [JOBTAB_COMPLETED] = JOBTAB_COMPLETED, [JOBTAB_FAILED] = JOBTAB_FAILED,
        [JOBTAB_CANCELLED] = JOBTAB_CANCELLED,
    };
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_stat stat;

    for (unsigned i = 0; i < JOBTAB_STATES; i++) {
        struct jobtab_job got, job = old_job((enum jobtab_state)i, (uint8_t)i);
        assert_ok(restore(f, &job, &got));
        assert_int_equal(got.state, becomes[i]);
    }
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, JOBTAB_STATES);
    assert_int_equal(stat.states[JOBTAB_PENDING], 2);
    assert_int_equal(stat.submitted + stat.completed + stat.failed + stat.cancelled, 0);
    assert_int_equal(claim(f, "k", &token).id.bytes[15], JOBTAB_PENDING);
    assert_int_equal(claim(f, "k", &token).id.bytes[15], JOBTAB_RUNNING);
    assert_sound(f);
}

static void the_attempt_of_a_running_job_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job got, job = old_job(JOBTAB_RUNNING, 1);

    job.attempt = job.max_attempts = 2;
    job.progress = 30;
    job.started_at = job.created_at;
    strcpy(job.message, "Collecting");
    assert_ok(restore(f, &job, &got));
    assert_int_equal(got.attempt, 1);
    assert_int_equal(got.progress, 0);
    assert_int_equal(got.started_at, 0);
    assert_string_equal(got.message, "");
    assert_sound(f);
}

/* Older than what is there, between, and newest: then a new job still goes behind them all. */
static void ids_of_any_age_find_their_place(void **state)
{
    struct fixture *f = *state;
    struct jobtab_filter oldest = {.oldest_first = true};
    struct jobtab_job jobs[8], last = {.kind = ""};
    struct jobtab_id cursor;
    size_t n = 8;
    bool more;

    submit(f, "k");
    for (int days = -2; days <= 1; days++) {
        struct jobtab_job job = old_job(JOBTAB_PENDING, 3);
        job.id = id_of(job.created_at + days * DAY, 3);
        assert_ok(restore(f, &job, NULL));
    }
    struct jobtab_job newest = submit(f, "k");
    assert_ok(jobtab_list(f->table, &oldest, jobs, &n, &cursor, &more));
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; last = jobs[i++])
        assert_true(memcmp(&jobs[i].id, &last.id, sizeof last.id) > 0);
    assert_memory_equal(&jobs[n - 1].id, &newest.id, sizeof newest.id);
    assert_sound(f);
}

static void without_an_id_a_job_gets_one_of_its_age(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job got[2], job = old_job(JOBTAB_COMPLETED, 0);
    struct jobtab_job now = submit(f, "k");

    memset(&job.id, 0, sizeof job.id);
    assert_ok(restore(f, &job, &got[0]));
    assert_ok(restore(f, &job, &got[1]));
    assert_int_not_equal(memcmp(&got[0].id, &got[1].id, sizeof got[0].id), 0);
    assert_memory_equal(got[0].id.bytes, id_of(job.created_at, 0).bytes, 6);
    assert_true(memcmp(&got[0].id, &now.id, sizeof now.id) < 0);
    job.created_at = jobtab_now() + 30 * DAY; /* a clock that is wrong does not push ids ahead */
    assert_ok(restore(f, &job, &got[0]));
    assert_true(memcmp(got[0].id.bytes, id_of(jobtab_now() + 1, 0).bytes, 6) <= 0);
    assert_sound(f);
}

static void what_is_there_already_is_told_from_what_is_in_the_way(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job keyed = old_job(JOBTAB_COMPLETED, 1), again = keyed, other = keyed;

    strcpy(keyed.key, "K");
    strcpy(other.key, "K");
    other.id.bytes[15] = 2;
    struct jobtab_job foreign = keyed;
    memset(&foreign.id, 0, sizeof foreign.id);
    struct jobtab_op ops[] = {
        {.verb = JOBTAB_RESTORE, .restore = {.job = &keyed}},
        {.verb = JOBTAB_RESTORE, .restore = {.job = &again}},
        {.verb = JOBTAB_RESTORE, .restore = {.job = &foreign}},
        {.verb = JOBTAB_RESTORE, .restore = {.job = &other}},
    };
    assert_ok(jobtab_apply(f->table, ops, 4));
    assert_ok(ops[0].result);
    for (int i = 1; i < 4; i++)
        assert_int_equal(ops[i].result, JOBTAB_CONFLICT);
    assert_true(ops[1].repeated);
    assert_true(ops[2].repeated);
    assert_false(ops[3].repeated);
    assert_sound(f);
}

static void a_restored_key_gives_its_job_to_any_submit(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job got, job = old_job(JOBTAB_COMPLETED, 1);
    struct jobtab_submit request = {.kind = "other", .key = "K", .priority = 5};

    strcpy(job.key, "K");
    assert_ok(restore(f, &job, NULL));
    assert_ok(jobtab_submit(f->table, &request, &got));
    assert_memory_equal(&got.id, &job.id, sizeof job.id);
    assert_int_equal(got.state, JOBTAB_COMPLETED);
    assert_ok(jobtab_delete(f->table, &job.id));
    assert_ok(jobtab_submit(f->table, &request, &got));
    assert_int_equal(got.state, JOBTAB_PENDING);
    assert_sound(f);
}

static void what_is_left_out_is_filled_in(void **state)
{
    const struct jobtab_policy policy = {
        .kind = "k", .max_attempts = 7, .max_crashes = 5, .backoff = 250, .timeout = 9000};
    struct fixture *f = *state;
    struct jobtab_job got, job = {.kind = "k", .state = JOBTAB_COMPLETED};
    int64_t now = jobtab_now();

    fixture_reopen(f, &(struct jobtab_options){.retention = DAY, .policies = &policy,
                                               .n_policies = 1});
    assert_ok(restore(f, &job, &got));
    assert_true(got.created_at >= now && got.updated_at == got.created_at);
    assert_int_equal(got.finished_at, got.created_at);
    assert_int_equal(got.expires_at, got.finished_at + DAY);
    assert_int_equal(got.max_attempts, 7);
    assert_int_equal(got.max_crashes, 5);
    assert_int_equal(got.backoff, 250);
    assert_int_equal(got.timeout, 9000);
    job.updated_at = 1234567;
    assert_ok(restore(f, &job, &got));
    assert_int_equal(got.finished_at, 1234567);
    assert_int_equal(got.updated_at, 1234567);
    assert_int_equal(got.progress, 100);
    assert_int_equal(got.attempt, 1);
    assert_int_equal(got.started_at, got.created_at);
    job = (struct jobtab_job){.kind = "k", .attempt = 9, .crashes = 9, .state = JOBTAB_PENDING};
    assert_ok(restore(f, &job, &got));
    assert_int_equal(got.attempt, 6);
    assert_int_equal(got.crashes, 4);
    job.state = JOBTAB_FAILED;
    assert_ok(restore(f, &job, &got));
    assert_int_equal(got.max_attempts, 9);
    assert_int_equal(got.crashes, 5);
    job.state = JOBTAB_CANCELLED;
    assert_ok(restore(f, &job, &got));
    assert_int_equal(got.reason, JOBTAB_BY_CANCEL);
    assert_sound(f);
}

static void a_full_table_refuses_and_evicts_nothing(void **state)
{
    struct fixture *f = *state;

    fixture_reopen(f, &(struct jobtab_options){.max_jobs = 3});
    for (uint8_t i = 0; i < 5; i++) {
        struct jobtab_job job = old_job(JOBTAB_COMPLETED, i);
        assert_int_equal(restore(f, &job, NULL), i < 3 ? JOBTAB_OK : JOBTAB_FULL);
    }
    struct jobtab_stat stat;
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, 3);
    assert_int_equal(stat.evicted, 0);
    assert_sound(f);
}

static void what_is_wrong_is_named_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat stat;
    static char big[70000];
    struct jobtab_job done = old_job(JOBTAB_COMPLETED, 1);
#define BAD(...) {.kind = "k", __VA_ARGS__} /* scheduled, unless it says otherwise */
    const struct {
        struct jobtab_job job;
        int error;
        const char *field;
    } rows[] = {
        {{.kind = ""}, JOBTAB_INVALID, "kind"},
        {{.kind = "a b"}, JOBTAB_INVALID, "kind"},
        {BAD(.state = (enum jobtab_state)JOBTAB_STATES), JOBTAB_INVALID, "status"},
        {BAD(.reason = (enum jobtab_reason)JOBTAB_REASONS), JOBTAB_INVALID, "reason"},
        {BAD(.progress = 101), JOBTAB_INVALID, "progress"},
        {BAD(.priority = 101), JOBTAB_INVALID, "priority"},
        {BAD(.priority = -101), JOBTAB_INVALID, "priority"},
        {BAD(.backoff = -1), JOBTAB_INVALID, "backoff"},
        {BAD(.timeout = -1), JOBTAB_INVALID, "timeout"},
        {BAD(.created_at = -1), JOBTAB_INVALID, "created_at"},
        {BAD(.finished_at = INT64_C(253402300800000)), JOBTAB_INVALID, "finished_at"},
        {BAD(.run_at = 0), JOBTAB_INVALID, "run_at"},
        {BAD(.run_at = 1, .timeout = INT64_MAX), JOBTAB_INVALID, "timeout"},
        {{.kind = "k", .state = JOBTAB_COMPLETED, .error = "e"}, JOBTAB_INVALID, "error"},
        {BAD(.run_at = 1, .id = {{1, [6] = 0x40, [8] = 0x80}}), JOBTAB_INVALID, "job id"},
        {BAD(.run_at = 1, .id = {{1, [6] = 0x70, [8] = 0x10}}), JOBTAB_INVALID, "job id"},
        {BAD(.run_at = 1, .id = id_of(jobtab_now() + 2 * DAY, 0)), JOBTAB_INVALID, "job id"},
    };
    const struct {
        struct jobtab_restore restore;
        int error;
        const char *field;
    } parts[] = {
        {{.params = "{", .params_size = 1}, JOBTAB_INVALID, "params"},
        {{.params = big, .params_size = sizeof big}, JOBTAB_TOOBIG, "params"},
        {{.result = "x", .result_size = 1}, JOBTAB_INVALID, "result_format"},
        {{.params_size = 1}, JOBTAB_INVALID, "params, result, log"},
        {{.log_size = 1}, JOBTAB_INVALID, "params, result, log"},
    };

    memset(big, ' ', sizeof big);
    big[0] = '1';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jobtab_job left = {.version = 99};
        assert_int_equal(restore(f, &rows[i].job, &left), rows[i].error);
        assert_memory_equal(jobtab_why(), rows[i].field, strlen(rows[i].field));
        assert_int_equal(left.version, 99);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct jobtab_restore bad = parts[i].restore;
        bad.job = &done;
        assert_int_equal(jobtab_restore(f->table, &bad, NULL), parts[i].error);
        assert_memory_equal(jobtab_why(), parts[i].field, strlen(parts[i].field));
    }
    struct jobtab_job unended[3] = {old_job(JOBTAB_PENDING, 1), done, done};
    unended[0].result_format = unended[1].result_format = JOBTAB_JSON;
    memset(unended[2].message, 'x', sizeof unended[2].message);
    struct jobtab_restore result = {.job = unended, .result = "[]", .result_size = 2};
    assert_int_equal(jobtab_restore(f->table, &result, NULL), JOBTAB_INVALID);
    result = (struct jobtab_restore){.job = unended + 1, .result = "[", .result_size = 1};
    assert_int_equal(jobtab_restore(f->table, &result, NULL), JOBTAB_INVALID);
    assert_int_equal(restore(f, unended + 2, NULL), JOBTAB_TOOBIG);
    assert_int_equal(jobtab_restore(f->table, &(struct jobtab_restore){.job = NULL}, NULL),
                     JOBTAB_INVALID);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, 0);
    assert_int_equal(stat.version, 0);
}

static void a_check_says_the_same_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job jobs[3] = {old_job(JOBTAB_PENDING, 1), old_job(JOBTAB_PENDING, 2)};
    struct jobtab_stat before, after;

    assert_ok(restore(f, &jobs[0], NULL));
    jobs[2] = jobs[1];
    jobs[2].progress = 500;
    assert_ok(jobtab_stat(f->table, &before, NULL, 0));
    for (int check = 1; check >= 0; check--) {
        struct jobtab_op ops[3];
        for (int i = 0; i < 3; i++)
            ops[i] = (struct jobtab_op){.verb = JOBTAB_RESTORE,
                                        .restore = {.job = &jobs[i], .check_only = check}};
        assert_ok(jobtab_apply(f->table, ops, 3));
        assert_int_equal(ops[0].result, JOBTAB_CONFLICT);
        assert_true(ops[0].repeated);
        assert_ok(ops[1].result);
        assert_int_equal(ops[2].result, JOBTAB_INVALID);
        assert_ok(jobtab_stat(f->table, &after, NULL, 0));
        assert_int_equal(after.jobs, before.jobs + !check);
        assert_int_equal(after.version, before.version + !check);
    }
    assert_sound(f);
}

static void a_wait_wakes_for_a_restored_job(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = old_job(JOBTAB_PENDING, 1);
    uint64_t seen = 0;

    assert_ok(restore(f, &job, NULL));
    assert_ok(jobtab_wait(f->table, &seen, slowed(1000)));
    assert_int_equal(seen, 1);
    assert_ok(jobtab_wait_work(f->table, "k", slowed(1000)));
}

/* ------------------------------------------------------------------- at random */

#define THREADS 6
#define EACH    60

struct mover {
    struct fixture *f;
    uint8_t number;
    unsigned seed;
    int restored;
};

/* Small ones travel in a slot and share a commit, large ones wait for the lead. */
static void *move_some(void *context)
{
    static char bytes[20000];
    struct mover *mover = context;

    for (int i = 0; i < EACH; i++) {
        struct jobtab_job got,
            job = old_job((enum jobtab_state)((unsigned)rand_r(&mover->seed) % JOBTAB_STATES),
                          (uint8_t)i);
        job.id.bytes[14] = mover->number;
        job.id.bytes[4] = (uint8_t)rand_r(&mover->seed);
        job.result_format = JOBTAB_BYTES;
        struct jobtab_op op = {.verb = JOBTAB_RESTORE, .job = &got, .restore = {.job = &job}};
        if (rand_r(&mover->seed) % 2) {
            op.restore.log = bytes;
            op.restore.log_size = (size_t)rand_r(&mover->seed) % sizeof bytes;
        }
        if (jobtab_state_done(job.state)) {
            op.restore.result = bytes;
            op.restore.result_size = (size_t)rand_r(&mover->seed) % 1500;
        }
        if (!jobtab_apply(mover->f->table, &op, 1) && !op.result &&
            !memcmp(&op.id, &job.id, sizeof job.id) && !memcmp(&got.id, &job.id, sizeof job.id) &&
            got.log_end == op.restore.log_size && got.result_size == op.restore.result_size)
            mover->restored++;
    }
    return NULL;
}

static void many_that_restore_at_once_share_commits_and_lose_nothing(void **state)
{
    struct fixture *f = *state;
    const char *given = getenv("JOBTAB_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    struct mover movers[THREADS];
    pthread_t threads[THREADS];
    struct jobtab_stat stat;

    print_message("# JOBTAB_SEED=%u\n", seed);
    for (uint8_t i = 0; i < THREADS; i++) {
        movers[i] = (struct mover){.f = f, .number = i, .seed = seed + i};
        assert_int_equal(pthread_create(&threads[i], NULL, move_some, &movers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(movers[i].restored, EACH);
    }
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, THREADS * EACH);
    assert_sound(f);
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_TABLE(a_job_comes_back_as_it_was_with_a_new_version),
        WITH_TABLE(each_state_comes_back_as_one_that_needs_no_owner),
        WITH_TABLE(the_attempt_of_a_running_job_does_not_count),
        WITH_TABLE(ids_of_any_age_find_their_place),
        WITH_TABLE(without_an_id_a_job_gets_one_of_its_age),
        WITH_TABLE(what_is_there_already_is_told_from_what_is_in_the_way),
        WITH_TABLE(a_restored_key_gives_its_job_to_any_submit),
        WITH_TABLE(what_is_left_out_is_filled_in),
        WITH_TABLE(a_full_table_refuses_and_evicts_nothing),
        WITH_TABLE(what_is_wrong_is_named_and_writes_nothing),
        WITH_TABLE(a_check_says_the_same_and_writes_nothing),
        WITH_TABLE(a_wait_wakes_for_a_restored_job),
        WITH_TABLE(many_that_restore_at_once_share_commits_and_lose_nothing),
    };
    return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
