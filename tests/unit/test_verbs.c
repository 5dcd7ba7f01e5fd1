/* test_verbs.c - what operations do to a job: submit.c, work.c, control.c, end.c, apply.c. */
#include "fixture.h"

#include "clock.h"

#include <time.h>

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

/* ---------------------------------------------------------------------- submit */

static void a_submitted_job_is_pending_with_the_defaults(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k");

    assert_int_equal(job.state, JOBTAB_PENDING);
    assert_int_equal(job.max_attempts, 1);
    assert_int_equal(job.max_crashes, 3);
    assert_int_equal(job.backoff, 1000);
    assert_int_equal(job.version, 1);
    assert_int_equal(job.attempt, 0);
    assert_true(job.created_at > 0 && job.updated_at == job.created_at);
    struct jobtab_job read = get(f, &job.id);
    assert_memory_equal(&job.id, &read.id, sizeof job.id);
    assert_string_equal(read.kind, "k");
    assert_sound(f);
}

static void ids_and_versions_grow_in_the_order_of_commits(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job last = submit(f, "k");

    for (int i = 0; i < 50; i++) {
        struct jobtab_job job = submit(f, "k");
        assert_true(memcmp(&job.id, &last.id, sizeof job.id) > 0);
        assert_true(job.version > last.version);
        last = job;
    }
}

static void a_bad_submit_names_what_is_wrong_and_does_nothing(void **state)
{
    struct fixture *f = *state;
    char long_key[JOBTAB_KEY_MAX + 2];
    char big[70000];
    const struct {
        struct jobtab_submit submit;
        int error;
        const char *field;
    } rows[] = {
        {{.kind = NULL}, JOBTAB_INVALID, "kind"},
        {{.kind = ""}, JOBTAB_INVALID, "kind"},
        {{.kind = "a b"}, JOBTAB_INVALID, "kind"},
        {{.kind = "a/b"}, JOBTAB_INVALID, "kind"},
        {{.kind = "123456789012345678901234567890123"}, JOBTAB_INVALID, "kind"},
        {{.kind = "k", .priority = 101}, JOBTAB_INVALID, "priority"},
        {{.kind = "k", .priority = -101}, JOBTAB_INVALID, "priority"},
        {{.kind = "k", .delay = -1}, JOBTAB_INVALID, "delay"},
        {{.kind = "k", .backoff = -1}, JOBTAB_INVALID, "backoff"},
        {{.kind = "k", .timeout = -1}, JOBTAB_INVALID, "timeout"},
        {{.kind = "k", .key = ""}, JOBTAB_INVALID, "idempotency_key"},
        {{.kind = "k", .key = long_key}, JOBTAB_INVALID, "idempotency_key"},
        {{.kind = "k", .params = "{", .params_size = 1}, JOBTAB_INVALID, "params"},
        {{.kind = "k", .params = "{}x", .params_size = 3}, JOBTAB_INVALID, "params"},
        {{.kind = "k", .params = "\"\xff\"", .params_size = 3}, JOBTAB_INVALID, "params"},
        {{.kind = "k", .params = "{}\0x", .params_size = 4}, JOBTAB_INVALID, "params"},
        {{.kind = "k", .params = big, .params_size = sizeof big}, JOBTAB_TOOBIG, "params"},
    };
    struct jobtab_stat stat;

    memset(long_key, 'x', sizeof long_key);
    long_key[sizeof long_key - 1] = '\0';
    memset(big, ' ', sizeof big);
    big[0] = '1';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jobtab_job job = {.version = 99};
        assert_int_equal(jobtab_submit(f->table, &rows[i].submit, &job), rows[i].error);
        assert_memory_equal(jobtab_why(), rows[i].field, strlen(rows[i].field));
        assert_int_equal(job.version, 99);
    }
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, 0);
    assert_int_equal(stat.version, 0);
}

static void the_same_key_gives_the_same_job_or_a_conflict(void **state)
{
    struct fixture *f = *state;
    struct jobtab_submit request = {.kind = "k", .params = "[1]", .params_size = 3, .key = "K"};
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT, .submit = request};
    struct jobtab_job first;

    assert_ok(jobtab_submit(f->table, &request, &first));
    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_ok(op.result);
    assert_true(op.repeated);
    assert_memory_equal(&op.id, &first.id, sizeof first.id);
    request.params = "[2]";
    assert_int_equal(jobtab_submit(f->table, &request, NULL), JOBTAB_CONFLICT);
    /* within one transaction, too */
    struct jobtab_op twice[2] = {{.verb = JOBTAB_SUBMIT, .submit = {.kind = "k", .key = "L"}},
                                 {.verb = JOBTAB_SUBMIT, .submit = {.kind = "k", .key = "L"}}};
    assert_ok(jobtab_apply(f->table, twice, 2));
    assert_false(twice[0].repeated);
    assert_true(twice[1].repeated);
    assert_memory_equal(&twice[0].id, &twice[1].id, sizeof first.id);
    /* free again with the job */
    assert_ok(jobtab_delete(f->table, &first.id));
    assert_ok(jobtab_submit(f->table, &request, NULL));
    assert_sound(f);
}

static void a_policy_of_the_table_fills_what_a_submit_leaves_out(void **state)
{
    struct fixture *f = *state;
    const struct jobtab_policy policy = {
        .kind = "k", .max_attempts = 7, .max_crashes = 5, .backoff = 250, .timeout = 9000};

    fixture_reopen(f, &(struct jobtab_options){.policies = &policy, .n_policies = 1});
    fixture_reopen(f, NULL); /* it stays without being given again */
    struct jobtab_job job = submit(f, "k");
    assert_int_equal(job.max_attempts, 7);
    assert_int_equal(job.max_crashes, 5);
    assert_int_equal(job.backoff, 250);
    assert_int_equal(job.timeout, 9000);
    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .max_attempts = 2},
                            &job));
    assert_int_equal(job.max_attempts, 2);
    assert_int_equal(submit(f, "other").max_attempts, 1);
}

static void a_full_table_evicts_the_oldest_finished_then_refuses(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job jobs[4];
    struct jobtab_token token;
    struct jobtab_stat stat;

    fixture_reopen(f, &(struct jobtab_options){.max_jobs = 3});
    for (int i = 0; i < 3; i++)
        jobs[i] = submit(f, "k");
    assert_int_equal(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k"}, NULL),
                     JOBTAB_FULL);
    /* a full table still claims, finishes and cancels */
    claim(f, "k", &token);
    assert_ok(finish(f, &jobs[0].id, &token, JOBTAB_SUCCEEDED));
    assert_ok(jobtab_cancel(f->table, &jobs[1].id, NULL));
    jobs[3] = submit(f, "k");
    assert_int_equal(jobtab_get(f->table, &jobs[0].id, &jobs[0]), JOBTAB_NOTFOUND);
    assert_int_equal(get(f, &jobs[1].id).state, JOBTAB_CANCELLED);
    submit(f, "k");
    assert_int_equal(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k"}, NULL),
                     JOBTAB_FULL);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.evicted, 2);
    assert_int_equal(stat.jobs, 3);
    assert_sound(f);
}

static void a_map_near_its_end_refuses_submits_and_still_finishes(void **state)
{
    struct fixture *f = *state;
    static char params[60000];
    struct jobtab_job job, first = {.version = 0};
    struct jobtab_token token;
    int rc, n = 0;

    fixture_reopen(f, &(struct jobtab_options){.map_size = 4 << 20, .high_water = 50});
    memset(params, ' ', sizeof params);
    params[0] = '0';
    do {
        rc = jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .params = params,
                                                             .params_size = sizeof params}, &job);
        if (!n++)
            first = job;
    } while (rc == JOBTAB_OK && n < 1000);
    assert_int_equal(rc, JOBTAB_FULL);
    assert_non_null(strstr(jobtab_why(), "map_size"));
    claim(f, "k", &token);
    assert_ok(finish(f, &first.id, &token, JOBTAB_SUCCEEDED));
    assert_ok(jobtab_cancel(f->table, &job.id, NULL));
    /* the finished ones are evicted, and there is room again */
    for (n = 0; n < 10 && rc; n++)
        rc = jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k"}, NULL);
    assert_ok(rc);
    assert_int_equal(jobtab_get(f->table, &first.id, &job), JOBTAB_NOTFOUND);
    assert_sound(f);
}

static void a_map_near_its_end_evicts_no_more_than_a_submit_needs(void **state)
{
    struct fixture *f = *state;
    static char params[60000];
    const struct jobtab_submit large = {.kind = "k", .params = params, .params_size = sizeof params};
    struct jobtab_job job;
    struct jobtab_stat stat;
    int n = 0;

    fixture_reopen(f, &(struct jobtab_options){.map_size = 4 << 20, .high_water = 50});
    memset(params, ' ', sizeof params);
    params[0] = '0';
    do {
        assert_ok(jobtab_submit(f->table, &large, &job));
        assert_ok(jobtab_cancel(f->table, &job.id, NULL));
        assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    } while (!stat.evicted && ++n < 1000);
    assert_in_range(n, 20, 50); /* half of the map, at 15 pages and some more each */
    /* one comes, one goes: its pages are those that the last one freed */
    for (int i = 0; i < 40; i++) {
        assert_ok(jobtab_submit(f->table, &large, &job));
        assert_ok(jobtab_cancel(f->table, &job.id, NULL));
    }
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_in_range(stat.evicted, 39, 43);
    assert_in_range(stat.map_used, 3 << 19, 5 << 19);
    assert_sound(f);
}

static void what_is_deleted_is_not_in_use(void **state)
{
    struct fixture *f = *state;
    static char params[60000];
    struct jobtab_job jobs[30];
    struct jobtab_stat empty, full, after;

    memset(params, ' ', sizeof params);
    params[0] = '0';
    assert_ok(jobtab_stat(f->table, &empty, NULL, 0));
    for (int i = 0; i < 30; i++)
        assert_ok(jobtab_submit(f->table,
                                &(struct jobtab_submit){.kind = "k", .params = params,
                                                        .params_size = sizeof params},
                                &jobs[i]));
    assert_ok(jobtab_stat(f->table, &full, NULL, 0));
    assert_true(full.map_used > empty.map_used + 30 * sizeof params);
    for (int i = 0; i < 30; i++)
        assert_ok(jobtab_delete(f->table, &jobs[i].id));
    assert_ok(jobtab_stat(f->table, &after, NULL, 0));
    assert_true(after.map_used < empty.map_used + 16 * 4096); /* the feed and the list of free pages */
    assert_sound(f);
}

/* ----------------------------------------------------------------------- claim */

static void claims_go_by_priority_then_by_age(void **state)
{
    struct fixture *f = *state;
    const int32_t priorities[] = {0, -100, 5, 0, 100, 5};
    const int order[] = {4, 2, 5, 0, 3, 1};
    struct jobtab_job jobs[6];
    struct jobtab_token token;

    for (int i = 0; i < 6; i++)
        assert_ok(jobtab_submit(
            f->table, &(struct jobtab_submit){.kind = "k", .priority = priorities[i]}, &jobs[i]));
    submit(f, "kk"); /* a kind whose name begins alike is another kind */
    for (int i = 0; i < 6; i++) {
        struct jobtab_job job = claim(f, "k", &token);
        assert_memory_equal(&job.id, &jobs[order[i]].id, sizeof job.id);
        assert_int_equal(job.state, JOBTAB_RUNNING);
        assert_int_equal(job.attempt, 1);
        assert_int_equal(job.owner.pid, getpid());
        assert_true(job.started_at > 0);
    }
    assert_int_equal(jobtab_claim(f->table, "k", &token, NULL), JOBTAB_EMPTY);
    assert_sound(f);
}

static void a_late_report_of_an_earlier_attempt_is_refused(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token old, new;
    struct jobtab_job job = submit(f, "k");

    claim(f, "k", &old);
    assert_ok(jobtab_release(f->table, &job.id, &old));
    assert_int_equal(jobtab_report(f->table, &job.id, &old, 50, "late"), JOBTAB_STALE);
    claim(f, "k", &new);
    assert_int_equal(old.attempt, new.attempt); /* the random bits tell them apart */
    assert_int_equal(jobtab_report(f->table, &job.id, &old, 50, "late"), JOBTAB_STALE);
    assert_int_equal(jobtab_log(f->table, &job.id, &old, "late", 4), JOBTAB_STALE);
    assert_int_equal(jobtab_renew(f->table, &job.id, &old, 1000), JOBTAB_STALE);
    assert_int_equal(jobtab_release(f->table, &job.id, &old), JOBTAB_STALE);
    assert_int_equal(finish(f, &job.id, &old, JOBTAB_SUCCEEDED), JOBTAB_STALE);
    job = get(f, &job.id);
    assert_int_equal(job.state, JOBTAB_RUNNING);
    assert_int_equal(job.progress, 0);
    assert_string_equal(job.message, "");
    assert_ok(finish(f, &job.id, &new, JOBTAB_SUCCEEDED));
    assert_int_equal(finish(f, &job.id, &new, JOBTAB_SUCCEEDED), JOBTAB_STALE);
    assert_sound(f);
}

static void a_pending_job_is_taken_by_its_id_and_once(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job first = submit(f, "k"), second = submit(f, "k"), job;
    struct jobtab_token token, other = {.attempt = 7, .secret = 8};

    assert_ok(jobtab_take(f->table, &second.id, &token, &job)); /* before its turn */
    assert_memory_equal(&job.id, &second.id, sizeof job.id);
    assert_int_equal(job.state, JOBTAB_RUNNING);
    assert_int_equal(job.attempt, 1);
    assert_int_equal(job.owner.pid, getpid());
    assert_int_equal(jobtab_take(f->table, &second.id, &other, NULL), JOBTAB_FORBIDDEN);
    assert_string_equal(jobtab_why(), "a running job cannot become running");
    assert_int_equal(other.secret, 8);
    job = claim(f, "k", &other);
    assert_memory_equal(&job.id, &first.id, sizeof job.id);
    assert_int_equal(jobtab_claim(f->table, "k", &other, NULL), JOBTAB_EMPTY);
    assert_ok(jobtab_report(f->table, &second.id, &token, 5, NULL));
    assert_ok(finish(f, &second.id, &token, JOBTAB_SUCCEEDED));
    assert_int_equal(jobtab_take(f->table, &second.id, &other, NULL), JOBTAB_FORBIDDEN);
    assert_ok(jobtab_delete(f->table, &second.id));
    assert_int_equal(jobtab_take(f->table, &second.id, &other, NULL), JOBTAB_NOTFOUND);
    assert_sound(f);
}

static void a_job_that_waits_for_its_time_cannot_be_taken(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .delay = 60000}, &job));
    assert_int_equal(jobtab_take(f->table, &job.id, &token, NULL), JOBTAB_FORBIDDEN);
    assert_int_equal(get(f, &job.id).attempt, 0);
    assert_sound(f);
}

static void a_job_taken_for_a_lease_is_a_remote_owners(void **state)
{
    struct fixture *f = *state;
    struct jobtab_op op = {.verb = JOBTAB_TAKE, .id = submit(f, "k").id, .lease = -1};

    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_int_equal(op.result, JOBTAB_INVALID);
    op.lease = 5000;
    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_ok(op.result);
    assert_int_equal(get(f, &op.id).owner.pid, 0);
    assert_ok(jobtab_renew(f->table, &op.id, &op.token, 9000));
}

/* One commit, in which nobody else can be faster. */
static void a_job_can_be_taken_as_it_is_submitted(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job;
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT,
                           .submit = {.kind = "k", .params = "[1]", .params_size = 3, .take = true},
                           .job = &job};

    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_ok(op.result);
    assert_int_equal(job.state, JOBTAB_RUNNING);
    assert_int_equal(job.version, 2); /* it was pending, too */
    assert_int_equal(job.params_size, 3);
    assert_ok(jobtab_report(f->table, &op.id, &op.token, 5, NULL));
    assert_ok(finish(f, &op.id, &op.token, JOBTAB_SUCCEEDED));
    assert_int_equal(jobtab_submit(f->table, &op.submit, NULL), JOBTAB_INVALID);
    op.submit.delay = 1;
    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_int_equal(op.result, JOBTAB_INVALID);
    assert_memory_equal(op.why, "delay", 5);
    assert_sound(f);
}

static void a_repeated_submit_takes_the_job_only_if_it_still_waits(void **state)
{
    struct fixture *f = *state;
    struct jobtab_submit request = {.kind = "k", .key = "K"};
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT, .token = {.attempt = 9, .secret = 9}};

    assert_ok(jobtab_submit(f->table, &request, NULL));
    op.submit = request;
    op.submit.take = true;
    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_ok(op.result);
    assert_true(op.repeated);
    assert_ok(jobtab_report(f->table, &op.id, &op.token, 5, NULL));
    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_ok(op.result);
    assert_int_equal(op.token.attempt, 0);
    assert_int_equal(op.token.secret, 0);
    assert_int_equal(get(f, &op.id).attempt, 1);
    assert_sound(f);
}

/* --------------------------------------------------------------- while it runs */

static void a_report_is_seen_at_once_and_checked(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    char long_message[JOBTAB_MESSAGE_MAX + 2];

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    uint64_t version = job.version;
    assert_ok(jobtab_report(f->table, &job.id, &token, 20, "Collecting prices..."));
    job = get(f, &job.id);
    assert_int_equal(job.progress, 20);
    assert_string_equal(job.message, "Collecting prices...");
    assert_true(job.version > version);
    assert_ok(jobtab_report(f->table, &job.id, &token, 30, NULL));
    assert_string_equal(get(f, &job.id).message, "Collecting prices...");
    assert_int_equal(jobtab_report(f->table, &job.id, &token, 101, NULL), JOBTAB_INVALID);
    memset(long_message, 'x', sizeof long_message);
    long_message[sizeof long_message - 1] = '\0';
    assert_int_equal(jobtab_report(f->table, &job.id, &token, 1, long_message), JOBTAB_TOOBIG);
    assert_int_equal(get(f, &job.id).progress, 30);
    assert_sound(f);
}

static void a_log_keeps_its_newest_bytes_at_their_offsets(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    static char all[300000];
    size_t written = 0;
    uint64_t offset = 0;
    char *bytes;
    size_t size;

    fixture_reopen(f, &(struct jobtab_options){.log_max = 20000});
    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)('a' + i * 7 % 26);
    while (written < sizeof all) {
        size_t n = 1 + (size_t)random() % 9000;
        if (n > sizeof all - written)
            n = sizeof all - written;
        assert_ok(jobtab_log(f->table, &job.id, &token, all + written, n));
        written += n;
        job = get(f, &job.id);
        assert_int_equal(job.log_end, written);
        assert_true(job.log_end - job.log_begin <= 20000);
        assert_true(job.log_begin == 0 || job.log_end - job.log_begin > 20000 - 4064);
    }
    assert_ok(finish(f, &job.id, &token, JOBTAB_SUCCEEDED));
    assert_ok(jobtab_read(f->table, &job.id, JOBTAB_LOGTEXT, &offset, SIZE_MAX - 1, &bytes, &size));
    job = get(f, &job.id);
    assert_int_equal(offset, job.log_begin);
    assert_int_equal(size, job.log_end - job.log_begin);
    assert_memory_equal(bytes, all + offset, size);
    free(bytes);
    offset = written - 5; /* as `log -f` reads on */
    assert_ok(jobtab_read(f->table, &job.id, JOBTAB_LOGTEXT, &offset, 3, &bytes, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, all + written - 5, 3);
    free(bytes);
    assert_sound(f);
}

static void a_lease_is_renewed_only_where_there_is_one(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_op op = {.verb = JOBTAB_CLAIM, .claim = {.kind = "k", .lease = 5000}};

    submit(f, "k");
    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    assert_int_equal(jobtab_renew(f->table, &job.id, &token, 1000), JOBTAB_INVALID);
    assert_ok(jobtab_apply(f->table, &op, 1));
    assert_ok(op.result);
    assert_int_equal(get(f, &op.id).owner.pid, 0);
    assert_ok(jobtab_renew(f->table, &op.id, &op.token, 1000));
    assert_int_equal(jobtab_renew(f->table, &op.id, &op.token, 0), JOBTAB_INVALID);
    assert_int_equal(jobtab_renew(f->table, &op.id, &op.token, INT64_MAX), JOBTAB_INVALID);
}

/* ------------------------------------------------------------------- how it ends */

static void success_keeps_the_result_and_the_log(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    char *params, *result;

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    assert_ok(jobtab_log(f->table, &job.id, &token, "line\n", 5));
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.outcome = JOBTAB_SUCCEEDED,
                                                    .message = "done",
                                                    .result = "{\"a\":1}",
                                                    .result_size = 7,
                                                    .format = JOBTAB_JSON}));
    assert_ok(jobtab_get_whole(f->table, &job.id, &job, &params, &result));
    assert_int_equal(job.state, JOBTAB_COMPLETED);
    assert_int_equal(job.progress, 100);
    assert_string_equal(job.message, "done");
    assert_string_equal(result, "{\"a\":1}");
    assert_string_equal(params, "");
    assert_int_equal(job.log_end, 5);
    assert_int_equal(job.expires_at, job.finished_at + 24 * 3600 * 1000);
    assert_int_equal(job.owner.pid, 0);
    free(params);
    free(result);
    assert_sound(f);
}

static void a_result_that_is_no_json_or_too_big_is_refused_and_the_job_runs_on(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    static char big[(1 << 20) + 1];

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    assert_int_equal(jobtab_finish(f->table, &job.id, &token,
                                   &(struct jobtab_finish){.result = "{]",
                                                           .result_size = 2,
                                                           .format = JOBTAB_JSON}),
                     JOBTAB_INVALID);
    assert_string_equal(jobtab_why(), "result: not JSON, byte 1: a string expected");
    assert_int_equal(jobtab_finish(f->table, &job.id, &token,
                                   &(struct jobtab_finish){.result = big,
                                                           .result_size = sizeof big,
                                                           .format = JOBTAB_BYTES}),
                     JOBTAB_TOOBIG);
    assert_int_equal(get(f, &job.id).state, JOBTAB_RUNNING);
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.result = big,
                                                    .result_size = sizeof big - 1,
                                                    .format = JOBTAB_BYTES}));
    assert_sound(f);
}

static void failures_are_tried_again_with_a_growing_random_delay(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job;
    struct jobtab_swept swept;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .max_attempts = 4,
                                                              .backoff = 40}, &job));
    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        while (jobtab_claim(f->table, "k", &token, &job) == JOBTAB_EMPTY) {
            usleep(1000);
            assert_ok(jobtab_sweep(f->table, 10, &swept));
        }
        assert_int_equal(job.attempt, attempt);
        assert_int_equal(job.reason, JOBTAB_NO_REASON);
        assert_ok(finish(f, &job.id, &token, JOBTAB_TRY_AGAIN));
        job = get(f, &job.id);
        assert_int_equal(job.reason, JOBTAB_BY_EXIT);
        assert_string_equal(job.error, "exit code 1");
        if (attempt < 4) {
            int64_t full = 40 << (attempt - 1), delay = job.run_at - job.updated_at;
            assert_int_equal(job.state, JOBTAB_SCHEDULED);
            assert_true(delay <= full && delay >= full / 2);
        }
    }
    assert_int_equal(job.state, JOBTAB_FAILED);
    assert_int_equal(job.attempt, 4);
    assert_sound(f);
}

static void giving_up_leaves_no_attempt(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .max_attempts = 9},
                            NULL));
    job = claim(f, "k", &token);
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.outcome = JOBTAB_GIVE_UP,
                                                    .reason = JOBTAB_BY_INVALID,
                                                    .error = "no such file: x.csv"}));
    job = get(f, &job.id);
    assert_int_equal(job.state, JOBTAB_FAILED);
    assert_int_equal(job.reason, JOBTAB_BY_INVALID);
    assert_string_equal(job.error, "no such file: x.csv");
}

static void a_long_error_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    char error[400];

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    memset(error, 'x', sizeof error);
    memcpy(error + 254, "\xe2\x82\xac", 3); /* a euro sign across the limit */
    error[sizeof error - 1] = '\0';
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.outcome = JOBTAB_GIVE_UP, .error = error}));
    assert_int_equal(strlen(get(f, &job.id).error), 254);
}

static void a_job_handed_back_keeps_its_place_and_its_attempts(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job first = submit(f, "k"), job;

    submit(f, "k");
    claim(f, "k", &token);
    assert_ok(jobtab_report(f->table, &first.id, &token, 50, "half"));
    assert_ok(finish(f, &first.id, &token, JOBTAB_STOPPED));
    job = get(f, &first.id);
    assert_int_equal(job.state, JOBTAB_PENDING);
    assert_int_equal(job.attempt, 0);
    assert_int_equal(job.crashes, 0);
    assert_int_equal(job.progress, 0);
    job = claim(f, "k", &token);
    assert_memory_equal(&job.id, &first.id, sizeof job.id);
    assert_sound(f);
}

static void a_stop_past_the_deadline_counts_as_a_time_out(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .timeout = 1}, NULL));
    job = claim(f, "k", &token);
    for (int64_t begin = clock_boot(); clock_boot() < begin + 2;)
        usleep(500);
    assert_ok(finish(f, &job.id, &token, JOBTAB_STOPPED));
    job = get(f, &job.id);
    assert_int_equal(job.state, JOBTAB_FAILED);
    assert_int_equal(job.reason, JOBTAB_BY_TIMEOUT);
}

/* ------------------------------------------------------------------- from outside */

static void a_job_without_owner_is_cancelled_at_once(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job pending = submit(f, "k"), scheduled;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .delay = 100000},
                            &scheduled));
    assert_int_equal(scheduled.state, JOBTAB_SCHEDULED);
    assert_ok(jobtab_cancel(f->table, &pending.id, &pending));
    assert_ok(jobtab_cancel(f->table, &scheduled.id, &scheduled));
    assert_int_equal(pending.state, JOBTAB_CANCELLED);
    assert_int_equal(scheduled.state, JOBTAB_CANCELLED);
    assert_int_equal(pending.reason, JOBTAB_BY_CANCEL);
    assert_int_equal(jobtab_cancel(f->table, &pending.id, NULL), JOBTAB_FORBIDDEN);
    assert_sound(f);
}

static void a_running_job_is_told_to_stop_and_may_still_win(void **state)
{
    struct fixture *f = *state;
    const struct {
        enum jobtab_outcome outcome;
        enum jobtab_state end;
    } rows[] = {{JOBTAB_SUCCEEDED, JOBTAB_COMPLETED},
                {JOBTAB_TRY_AGAIN, JOBTAB_CANCELLED},
                {JOBTAB_GIVE_UP, JOBTAB_CANCELLED},
                {JOBTAB_STOPPED, JOBTAB_CANCELLED}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jobtab_token token;
        struct jobtab_job job = submit(f, "k");
        claim(f, "k", &token);
        assert_ok(jobtab_cancel(f->table, &job.id, &job));
        assert_int_equal(job.state, JOBTAB_CANCELLING);
        assert_ok(jobtab_cancel(f->table, &job.id, NULL)); /* twice is no error */
        assert_int_equal(jobtab_report(f->table, &job.id, &token, 10, "so far"), JOBTAB_STOP);
        assert_string_equal(get(f, &job.id).message, "so far");
        assert_int_equal(jobtab_delete(f->table, &job.id), JOBTAB_FORBIDDEN);
        assert_ok(finish(f, &job.id, &token, rows[i].outcome));
        assert_int_equal(get(f, &job.id).state, rows[i].end);
    }
    assert_sound(f);
}

static void retry_starts_a_failed_or_cancelled_job_over(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job = submit(f, "k");

    assert_int_equal(jobtab_retry(f->table, &job.id, NULL), JOBTAB_FORBIDDEN);
    claim(f, "k", &token);
    assert_int_equal(jobtab_retry(f->table, &job.id, NULL), JOBTAB_FORBIDDEN);
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.outcome = JOBTAB_GIVE_UP, .error = "no",
                                                    .result = "x", .result_size = 1,
                                                    .format = JOBTAB_TEXT}));
    assert_int_equal(get(f, &job.id).result_size, 1);
    assert_ok(jobtab_retry(f->table, &job.id, &job));
    assert_int_equal(job.state, JOBTAB_PENDING);
    assert_int_equal(job.attempt, 0);
    assert_int_equal(job.result_size, 0);
    assert_string_equal(job.error, "");
    assert_int_equal(job.finished_at, 0);
    claim(f, "k", &token);
    assert_ok(finish(f, &job.id, &token, JOBTAB_SUCCEEDED));
    assert_int_equal(jobtab_retry(f->table, &job.id, NULL), JOBTAB_FORBIDDEN);
    assert_sound(f);
}

static void a_deleted_job_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job;
    struct jobtab_stat stat;
    static char params[20000];

    memset(params, ' ', sizeof params);
    params[0] = '1';
    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .key = "K",
                                                              .params = params,
                                                              .params_size = sizeof params},
                            &job));
    assert_ok(jobtab_delete(f->table, &job.id));
    assert_int_equal(jobtab_delete(f->table, &job.id), JOBTAB_NOTFOUND);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.jobs, 0);
    assert_int_equal(stat.n_kinds, 0);
    assert_sound(f);
}

/* ------------------------------------------------------------------------- apply */

static void each_operation_has_its_own_result(void **state)
{
    struct fixture *f = *state;
    struct jobtab_id nobody = {{1}};
    struct jobtab_op ops[5] = {
        {.verb = JOBTAB_SUBMIT, .submit = {.kind = "a"}},
        {.verb = JOBTAB_SUBMIT, .submit = {.kind = "not a kind"}},
        {.verb = JOBTAB_CLAIM, .claim = {.kind = "a"}}, /* sees the first: they go in order */
        {.verb = JOBTAB_CANCEL, .id = nobody},
        {.verb = (enum jobtab_verb)77},
    };
    const int results[5] = {JOBTAB_OK, JOBTAB_INVALID, JOBTAB_OK, JOBTAB_NOTFOUND, JOBTAB_INVALID};

    assert_ok(jobtab_apply(f->table, ops, 5));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ops[i].result, results[i]);
        assert_int_equal(ops[i].why[0] != '\0', results[i] != JOBTAB_OK);
    }
    assert_memory_equal(&ops[0].id, &ops[2].id, sizeof nobody);
    assert_sound(f);
}

/* A warm child's call. The end that is refused keeps nobody from the next job. */
static void one_call_ends_a_job_and_claims_the_next(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job first = submit(f, "k"), second = submit(f, "k");
    struct jobtab_op ops[2] = {
        {.verb = JOBTAB_FINISH, .finish = {.outcome = JOBTAB_SUCCEEDED}},
        {.verb = JOBTAB_CLAIM, .claim = {.kind = "k"}},
    };

    ops[0].id = claim(f, "k", &ops[0].token).id;
    assert_memory_equal(&ops[0].id, &first.id, sizeof first.id);
    assert_ok(jobtab_apply(f->table, ops, 2));
    assert_ok(ops[0].result);
    assert_ok(ops[1].result);
    assert_memory_equal(&ops[1].id, &second.id, sizeof second.id);
    assert_int_equal(get(f, &first.id).state, JOBTAB_COMPLETED);
    assert_int_equal(get(f, &second.id).state, JOBTAB_RUNNING);

    struct jobtab_job third = submit(f, "k");
    assert_ok(jobtab_apply(f->table, ops, 2)); /* the first job again: it is over */
    assert_int_equal(ops[0].result, JOBTAB_STALE);
    assert_ok(ops[1].result);
    assert_memory_equal(&ops[1].id, &third.id, sizeof third.id);
    ops[0].id = ops[1].id;
    ops[0].token = ops[1].token;
    assert_ok(jobtab_apply(f->table, ops, 2));
    assert_ok(ops[0].result);
    assert_int_equal(ops[1].result, JOBTAB_EMPTY);
    assert_sound(f);
}

static void too_many_operations_are_refused_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct jobtab_op *ops = calloc(JOBTAB_APPLY_MAX + 1, sizeof *ops);

    for (int i = 0; i <= JOBTAB_APPLY_MAX; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_SUBMIT, .submit = {.kind = "k"}};
    assert_int_equal(jobtab_apply(f->table, ops, JOBTAB_APPLY_MAX + 1), JOBTAB_INVALID);
    assert_int_equal(ops[17].result, JOBTAB_INVALID);
    assert_ok(jobtab_apply(f->table, ops, JOBTAB_APPLY_MAX));
    assert_ok(ops[JOBTAB_APPLY_MAX - 1].result);
    free(ops);
    assert_sound(f);
}

/* Any sequence of verbs leaves a table that verify finds sound. */
static void random_operations_keep_the_table_sound(void **state)
{
    struct fixture *f = *state;
    struct jobtab_id ids[32];
    struct jobtab_token tokens[32];
    size_t n = 0;
    const char *given = getenv("JOBTAB_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

    print_message("# JOBTAB_SEED=%u\n", seed);
    srandom(seed);
    fixture_reopen(f, &(struct jobtab_options){.max_jobs = 40, .log_max = 9000});
    for (int round = 0; round < 300; round++) {
        struct jobtab_op ops[16];
        size_t at[16];
        for (int i = 0; i < 16; i++) {
            static char bytes[9000];
            size_t pick = at[i] = (size_t)random() % 32;
            struct jobtab_op *op = &ops[i];
            memset(bytes, 'x', sizeof bytes);
            *op = (struct jobtab_op){.verb = (enum jobtab_verb)(random() % JOBTAB_VERBS)};
            if (n) {
                op->id = ids[pick % n];
                op->token = tokens[pick % n];
                at[i] = pick % n;
            }
            if (op->verb == JOBTAB_SUBMIT)
                op->submit = (struct jobtab_submit){.kind = random() % 2 ? "a" : "b",
                                                    .priority = (int32_t)(random() % 3),
                                                    .delay = random() % 4 ? 0 : 5,
                                                    .take = random() % 4 == 0,
                                                    .max_attempts = 2,
                                                    .backoff = 1};
            else if (op->verb == JOBTAB_CLAIM)
                op->claim = (struct jobtab_claim){.kind = random() % 2 ? "a" : "b"};
            else if (op->verb == JOBTAB_REPORT)
                op->report = (struct jobtab_report){.progress = (uint32_t)(random() % 101)};
            else if (op->verb == JOBTAB_LOG)
                op->log = (struct jobtab_bytes){bytes, (size_t)random() % sizeof bytes};
            else if (op->verb == JOBTAB_FINISH)
                op->finish = (struct jobtab_finish){
                    .outcome = (enum jobtab_outcome)(random() % 4),
                    .result = bytes,
                    .result_size = (size_t)random() % sizeof bytes,
                    .format = JOBTAB_TEXT};
            else if (op->verb == JOBTAB_RENEW)
                op->lease = 1;
        }
        assert_ok(jobtab_apply(f->table, ops, 16));
        for (int i = 0; i < 16; i++) {
            assert_int_not_equal(ops[i].result, JOBTAB_DAMAGED);
            if (ops[i].result == JOBTAB_OK && ops[i].verb == JOBTAB_SUBMIT) {
                size_t slot = n < 32 ? n++ : at[i];
                ids[slot] = ops[i].id;
                tokens[slot] = ops[i].token;
            } else if (ops[i].result == JOBTAB_OK &&
                       (ops[i].verb == JOBTAB_CLAIM || ops[i].verb == JOBTAB_TAKE)) {
                for (size_t k = 0; k < n; k++)
                    if (memcmp(&ids[k], &ops[i].id, sizeof ids[k]) == 0)
                        tokens[k] = ops[i].token;
            }
        }
        struct jobtab_swept swept;
        if (round % 10 == 0)
            assert_ok(jobtab_sweep(f->table, 100, &swept));
        if (round % 25 == 0)
            assert_sound(f);
    }
    assert_sound(f);
}

/* The clock and one of them together must fit a number. */
static void a_duration_over_a_hundred_years_is_refused(void **state)
{
    struct fixture *f = *state;
    const int64_t least = JOBTAB_DURATION_MAX + 1;
    const struct jobtab_submit submits[] = {
        {.kind = "k", .delay = least},   {.kind = "k", .delay = INT64_MAX},
        {.kind = "k", .backoff = least}, {.kind = "k", .timeout = least},
        {.kind = "k", .delay = -1},
    };

    for (size_t i = 0; i < sizeof submits / sizeof *submits; i++) {
        assert_int_equal(jobtab_submit(f->table, &submits[i], NULL), JOBTAB_INVALID);
        assert_non_null(strstr(jobtab_why(), "over a hundred years"));
    }
    assert_ok(jobtab_submit(
        f->table, &(struct jobtab_submit){.kind = "k", .delay = JOBTAB_DURATION_MAX}, NULL));
    assert_sound(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_duration_over_a_hundred_years_is_refused, fixture_open,
                                        fixture_close),
        WITH_TABLE(a_submitted_job_is_pending_with_the_defaults),
        WITH_TABLE(ids_and_versions_grow_in_the_order_of_commits),
        WITH_TABLE(a_bad_submit_names_what_is_wrong_and_does_nothing),
        WITH_TABLE(the_same_key_gives_the_same_job_or_a_conflict),
        WITH_TABLE(a_policy_of_the_table_fills_what_a_submit_leaves_out),
        WITH_TABLE(a_full_table_evicts_the_oldest_finished_then_refuses),
        cmocka_unit_test_setup_teardown(a_map_near_its_end_refuses_submits_and_still_finishes,
                                        fixture_directory, fixture_close),
        cmocka_unit_test_setup_teardown(a_map_near_its_end_evicts_no_more_than_a_submit_needs,
                                        fixture_directory, fixture_close),
        WITH_TABLE(what_is_deleted_is_not_in_use),
        WITH_TABLE(claims_go_by_priority_then_by_age),
        WITH_TABLE(a_pending_job_is_taken_by_its_id_and_once),
        WITH_TABLE(a_job_that_waits_for_its_time_cannot_be_taken),
        WITH_TABLE(a_job_taken_for_a_lease_is_a_remote_owners),
        WITH_TABLE(a_job_can_be_taken_as_it_is_submitted),
        WITH_TABLE(a_repeated_submit_takes_the_job_only_if_it_still_waits),
        WITH_TABLE(a_late_report_of_an_earlier_attempt_is_refused),
        WITH_TABLE(a_report_is_seen_at_once_and_checked),
        WITH_TABLE(a_log_keeps_its_newest_bytes_at_their_offsets),
        WITH_TABLE(a_lease_is_renewed_only_where_there_is_one),
        WITH_TABLE(success_keeps_the_result_and_the_log),
        WITH_TABLE(a_result_that_is_no_json_or_too_big_is_refused_and_the_job_runs_on),
        WITH_TABLE(failures_are_tried_again_with_a_growing_random_delay),
        WITH_TABLE(giving_up_leaves_no_attempt),
        WITH_TABLE(a_long_error_is_cut_between_characters),
        WITH_TABLE(a_job_handed_back_keeps_its_place_and_its_attempts),
        WITH_TABLE(a_stop_past_the_deadline_counts_as_a_time_out),
        WITH_TABLE(a_job_without_owner_is_cancelled_at_once),
        WITH_TABLE(a_running_job_is_told_to_stop_and_may_still_win),
        WITH_TABLE(retry_starts_a_failed_or_cancelled_job_over),
        WITH_TABLE(a_deleted_job_leaves_nothing_behind),
        WITH_TABLE(each_operation_has_its_own_result),
        WITH_TABLE(one_call_ends_a_job_and_claims_the_next),
        WITH_TABLE(too_many_operations_are_refused_as_a_whole),
        WITH_TABLE(random_operations_keep_the_table_sound),
    };
    return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
