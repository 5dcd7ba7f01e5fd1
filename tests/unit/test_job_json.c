/* test_job_json.c - jobs and submits between the command line and a daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/jobtab/job_json.h"

#include <stdlib.h>
#include <string.h>

static bool decode(const char *text, struct view *view)
{
    json_t *json = json_loads(text, 0, NULL);
    bool decoded;

    assert_non_null(json);
    *view = (struct view){0};
    decoded = job_json_decode(json, view);
    json_decref(json);
    return decoded;
}

static void what_the_library_writes_is_read_back(void **state)
{
    struct jobtab_job job = {
        .kind = "validate",
        .message = "half \"way\"\n",
        .error = "exit code 3",
        .state = JOBTAB_FAILED,
        .reason = JOBTAB_BY_EXIT,
        .priority = -7,
        .progress = 42,
        .attempt = 2,
        .max_attempts = 3,
        .version = (uint64_t)1 << 40,
        .created_at = 1763876400123,
        .run_at = 1763876400124,
        .started_at = 1763876401000,
        .updated_at = 1763876402999,
        .finished_at = 1763876403001,
        .expires_at = 4102444800000,
        .result_format = JOBTAB_JSON,
    };
    char text[4096];
    struct view view;

    (void)state;
    assert_int_equal(jobtab_id_parse("01935b7e-0000-7000-8000-00000000000f", &job.id), JOBTAB_OK);
    job.params_size = 7;
    job.result_size = 3;
    assert_true(jobtab_job_json(&job, "{\"a\":1}", "[2]", text, sizeof text) < sizeof text);
    assert_true(decode(text, &view));
    assert_memory_equal(&view.job.id, &job.id, sizeof job.id);
    assert_string_equal(view.job.kind, job.kind);
    assert_string_equal(view.job.message, job.message);
    assert_string_equal(view.job.error, job.error);
    assert_int_equal(view.job.state, job.state);
    assert_int_equal(view.job.reason, job.reason);
    assert_int_equal(view.job.priority, job.priority);
    assert_int_equal(view.job.progress, job.progress);
    assert_int_equal(view.job.attempt, job.attempt);
    assert_int_equal(view.job.max_attempts, job.max_attempts);
    assert_true(view.job.version == job.version);
    assert_true(view.job.created_at == job.created_at);
    assert_true(view.job.run_at == job.run_at);
    assert_true(view.job.started_at == job.started_at);
    assert_true(view.job.updated_at == job.updated_at);
    assert_true(view.job.finished_at == job.finished_at);
    assert_true(view.job.expires_at == job.expires_at);
    assert_string_equal(view.params, "{\"a\":1}");
    assert_string_equal(view.result, "[2]");
    view_free(&view);
}

#define LEAST                                                                   \
    "\"job_id\": \"01935b7e-0000-7000-8000-000000000000\", \"kind\": \"echo\"," \
    "\"status\": \"pending\", \"version\": 1"

static void members_that_are_null_missing_or_of_a_later_version_do_no_harm(void **state)
{
    struct view view;

    (void)state;
    assert_true(decode("{" LEAST ", \"reason\": null, \"message\": null, \"run_at\": null,"
                       "\"result\": null, \"colour\": [1]}",
                       &view));
    assert_int_equal(view.job.state, JOBTAB_PENDING);
    assert_int_equal(view.job.reason, JOBTAB_NO_REASON);
    assert_string_equal(view.job.message, "");
    assert_true(view.job.run_at == 0);
    assert_null(view.params);
    assert_null(view.result);
    view_free(&view);
    assert_true(decode("{" LEAST ", \"reason\": \"boredom\"}", &view));
    assert_int_equal(view.job.reason, JOBTAB_NO_REASON);
    view_free(&view);
}

static void what_is_no_job_is_refused(void **state)
{
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"job_id\": \"nonsense\", \"kind\": \"echo\", \"status\": \"pending\", \"version\": 1}",
        "{\"job_id\": \"01935b7e-0000-7000-8000-000000000000\", \"kind\": \"echo\","
        " \"status\": \"sleeping\", \"version\": 1}",
        "{\"job_id\": \"01935b7e-0000-7000-8000-000000000000\", \"kind\": \"echo\","
        " \"status\": \"pending\", \"version\": \"1\"}",
        "{" LEAST ", \"progress\": \"20\"}",
        "{" LEAST ", \"created_at\": \"yesterday\"}",
        "{" LEAST ", \"message\": 5}",
    };
    struct view view;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(decode(texts[i], &view));
}

static void text_longer_than_its_field_is_cut(void **state)
{
    char text[2 * JOBTAB_MESSAGE_MAX + 256], message[2 * JOBTAB_MESSAGE_MAX + 1];
    struct view view;

    (void)state;
    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    snprintf(text, sizeof text, "{" LEAST ", \"message\": \"%s\"}", message);
    assert_true(decode(text, &view));
    assert_int_equal(strlen(view.job.message), JOBTAB_MESSAGE_MAX);
    view_free(&view);
}

static void submit_says_only_what_was_given(void **state)
{
    struct jobtab_submit submit = {0};
    char *body = job_json_submit(&submit);

    (void)state;
    assert_string_equal(body, "{\"params\":{}}");
    free(body);
}

static void submit_carries_everything_and_params_as_they_stand(void **state)
{
    struct jobtab_submit submit = {
        .kind = "ec\"ho",
        .params = "{\"n\": 1.50}",
        .params_size = 11,
        .priority = -3,
        .delay = 90000,
        .key = "k",
        .max_attempts = 4,
    };
    char *body = job_json_submit(&submit);

    (void)state;
    assert_string_equal(body, "{\"params\":{\"n\": 1.50},\"kind\":\"ec\\\"ho\",\"priority\":-3,"
                              "\"delay\":\"90s\",\"idempotency_key\":\"k\",\"max_attempts\":4}");
    free(body);
}

static void submit_of_text_that_is_no_utf8_is_refused(void **state)
{
    struct jobtab_submit submit = {.kind = "echo", .key = "\377"};

    (void)state;
    assert_null(job_json_submit(&submit));
}

static void json_is_told_from_what_is_none(void **state)
{
    (void)state;
    assert_null(job_json_fault("{}", 2));
    assert_null(job_json_fault(" [1, \"a\"] ", 10));
    assert_null(job_json_fault("12345678901234567890123", 23));
    assert_non_null(job_json_fault("", 0));
    assert_non_null(job_json_fault("{}, \"kind\": \"x\"", 15)); /* would add a member to the body */
    assert_non_null(job_json_fault("{\"a\":1}\0", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_library_writes_is_read_back),
        cmocka_unit_test(members_that_are_null_missing_or_of_a_later_version_do_no_harm),
        cmocka_unit_test(what_is_no_job_is_refused),
        cmocka_unit_test(text_longer_than_its_field_is_cut),
        cmocka_unit_test(submit_says_only_what_was_given),
        cmocka_unit_test(submit_carries_everything_and_params_as_they_stand),
        cmocka_unit_test(submit_of_text_that_is_no_utf8_is_refused),
        cmocka_unit_test(json_is_told_from_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
