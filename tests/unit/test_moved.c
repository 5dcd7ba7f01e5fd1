/* test_moved.c - from a row of whatever origin to a job: row.c, mapping.c, moved.c, when.c,
 * base64.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/jobtab/base64.h"
#include "../../src/jobtab/moved.h"
#include "../../src/jobtab/seen.h"
#include "../../src/jobtab/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A job of a line; what it says of itself is freed with it. */
static bool moved(const struct mapping *mapping, const char *line, struct moved *job, char *why)
{
    static const struct mapping none;
    struct row row = {.n = 0};
    bool made = row_add_json(&row, line, strlen(line), why, MOVED_WHY) &&
                moved_make(job, mapping ? mapping : &none, "k", &row, why);

    row_free(&row);
    return made;
}

static void states_of_other_systems_become_ours(void **state)
{
    static const struct {
        const char *theirs;
        enum jobtab_state ours;
    } rows[] = {
        {"pending", JOBTAB_PENDING},        {"QUEUED", JOBTAB_PENDING},
        {"Waiting", JOBTAB_PENDING},        {"delayed", JOBTAB_PENDING}, /* it has no run_at */
        {"processing", JOBTAB_RUNNING},     {"in progress", JOBTAB_RUNNING},
        {"IN-PROGRESS", JOBTAB_RUNNING},    {"started", JOBTAB_RUNNING},
        {"active", JOBTAB_RUNNING},         {"SUCCESS", JOBTAB_COMPLETED},
        {"done", JOBTAB_COMPLETED},         {"finished", JOBTAB_COMPLETED},
        {"error", JOBTAB_FAILED},           {"FAILURE", JOBTAB_FAILED},
        {"revoked", JOBTAB_CANCELLED},      {"canceled", JOBTAB_CANCELLED},
        {"cancelling", JOBTAB_CANCELLING},
    };
    char line[100], why[MOVED_WHY];
    struct moved job;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(line, sizeof line, "{\"state\": \"%s\"}", rows[i].theirs);
        assert_true(moved(NULL, line, &job, why));
        assert_int_equal(job.job.state, rows[i].ours);
        assert_int_equal(job.was_running, rows[i].ours == JOBTAB_RUNNING ||
                                              rows[i].ours == JOBTAB_CANCELLING);
        moved_free(&job);
    }
    assert_false(moved(NULL, "{\"status\": \"frobbed\"}", &job, why));
    assert_non_null(strstr(why, "--map status:frobbed=STATE"));
}

static void a_uuid_of_version_7_is_the_id_and_any_other_name_the_key(void **state)
{
    static const struct {
        const char *id;
        bool kept;
    } rows[] = {
        {"01935b7e-0000-7000-8000-000000000001", true},
        {"01935B7E-0000-7000-8000-00000000000A", true},
        {"7b0f2a52-9c0e-4c1e-8c53-0c1a9d1f6a11", false},
        {"01935b7e-0000-7000-c000-000000000001", false},
        {"order 66", false},
    };
    char line[100], why[MOVED_WHY], text[JOBTAB_ID_TEXT];
    struct moved job;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(line, sizeof line, "{\"job_id\": \"%s\"}", rows[i].id);
        assert_true(moved(NULL, line, &job, why));
        jobtab_id_format(&job.job.id, text);
        assert_int_equal(strcasecmp(text, rows[i].id) == 0, rows[i].kept);
        assert_string_equal(job.job.key, rows[i].kept ? "" : rows[i].id);
        assert_false(job.nameless);
        moved_free(&job);
    }
    assert_false(moved(NULL, "{\"id\": \"a\", \"key\": \"b\"}", &job, why));
    assert_true(moved(NULL, "{\"id\": \"a\", \"key\": \"a\"}", &job, why));
    moved_free(&job);
    assert_true(moved(NULL, "{\"id\": \"01935b7e-0000-7000-8000-000000000001\", \"key\": \"b\"}",
                      &job, why));
    assert_string_equal(job.job.key, "b");
    moved_free(&job);
    assert_true(moved(NULL, "{}", &job, why));
    assert_true(job.nameless);
    moved_free(&job);
}

static void what_has_no_other_place_goes_into_params(void **state)
{
    static const struct {
        const char *line, *params;
    } rows[] = {
        {"{}", NULL},
        {"{\"params\": {\"a\": 1}}", "{\"a\": 1}"},
        {"{\"params\": null, \"n\": 1}", "{\"n\":1}"},
        {"{\"params\": { }, \"n\": 1, \"m\": [2]}", "{\"n\":1,\"m\":[2]}"},
        {"{\"params\": {\"a\": \"}\"} , \"n\": \"x\\ny\"}", "{\"a\": \"}\",\"n\":\"x\\ny\"}"},
        {"{\"a \\\"b\\\"\": true}", "{\"a \\\"b\\\"\":true}"},
        {"{\"none\": null, \"done\": true, \"version\": 7}", NULL},
        {"{\"params\": [1]}", "[1]"},
    };
    char why[MOVED_WHY];
    struct moved job;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(moved(NULL, rows[i].line, &job, why));
        if (rows[i].params)
            assert_string_equal(job.params, rows[i].params);
        else
            assert_null(job.params);
        assert_int_equal(job.params_size, rows[i].params ? strlen(rows[i].params) : 0);
        moved_free(&job);
    }
    assert_false(moved(NULL, "{\"params\": [1], \"n\": 1}", &job, why));
    assert_non_null(strstr(why, "'n' has no place"));
}

static void results_keep_their_format(void **state)
{
    static const struct {
        const char *line;
        enum jobtab_format format;
        const char *bytes;
        size_t size;
    } rows[] = {
        {"\"result\": {\"x\": 1.50}", JOBTAB_JSON, "{\"x\": 1.50}", 11},
        {"\"result\": \"x\"", JOBTAB_JSON, "\"x\"", 3},
        {"\"result\": null", JOBTAB_NONE, "", 0},
        {"\"result\": null, \"result_format\": \"json\"", JOBTAB_JSON, "null", 4},
        {"\"result\": \"a\\u0000\\u00e9\", \"result_format\": \"text\"", JOBTAB_TEXT,
         "a\0\xc3\xa9", 4},
        {"\"result\": null, \"result_base64\": \"/wA=\"", JOBTAB_BYTES, "\xff\0", 2},
        {"\"result_base64\": \"/w==\", \"result_format\": \"text\"", JOBTAB_TEXT, "\xff", 1},
    };
    char line[200], why[MOVED_WHY];
    struct moved job;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(line, sizeof line, "{\"status\": \"done\", %s}", rows[i].line);
        assert_true(moved(NULL, line, &job, why));
        assert_int_equal(job.job.result_format, rows[i].format);
        assert_int_equal(job.result_size, rows[i].size);
        if (rows[i].size)
            assert_memory_equal(job.result, rows[i].bytes, rows[i].size);
        moved_free(&job);
    }
}

static void columns_are_taken_by_their_type(void **state)
{
    static const struct mapping none;
    struct row row = {.id = "7", .expires_at = jobtab_now() + 5000};
    char why[MOVED_WHY];
    struct moved job;

    (void)state;
    row_add(&row, "status", VALUE_TEXT, "done", 4);
    row_add(&row, "params", VALUE_TEXT, "7", 1);
    row_add(&row, "result", VALUE_TEXT, "plain", 5);
    row_add(&row, "message", VALUE_TEXT, "", 0);
    assert_true(moved_make(&job, &none, "k", &row, why));
    assert_string_equal(job.job.key, "7");
    assert_int_equal(job.job.expires_at, row.expires_at);
    assert_string_equal(job.params, "7");
    assert_int_equal(job.job.result_format, JOBTAB_TEXT);
    moved_free(&job);
    row_clear(&row);
    row_add(&row, "tall", VALUE_TEXT, "7", 1); /* what looks like a number and is a text stays one */
    row_add(&row, "wide", VALUE_TEXT, "{\"a\":1}", 7);
    row_add(&row, "deep", VALUE_JSON, "7", 1);
    row_add(&row, "result", VALUE_BYTES, "\0", 1);
    assert_true(moved_make(&job, &none, "k", &row, why));
    assert_string_equal(job.params, "{\"tall\":\"7\",\"wide\":{\"a\":1},\"deep\":7}");
    assert_int_equal(job.job.result_format, JOBTAB_BYTES);
    moved_free(&job);
    row_clear(&row);
    row_add(&row, "params", VALUE_TEXT, " \n{\"a\": 1}\t", 11); /* space around a document is none of it */
    row_add(&row, "wide", VALUE_TEXT, " [1] ", 5);
    assert_true(moved_make(&job, &none, "k", &row, why));
    assert_string_equal(job.params, "{\"a\": 1,\"wide\":[1]}");
    moved_free(&job);
    row_clear(&row);
    row_add(&row, "params", VALUE_TEXT, "  7 ", 4);
    assert_true(moved_make(&job, &none, "k", &row, why));
    assert_string_equal(job.params, "7");
    assert_int_equal(job.params_size, 1);
    moved_free(&job);
    row_clear(&row);
    row_add(&row, "message", VALUE_TEXT, "\xff", 1);
    assert_false(moved_make(&job, &none, "k", &row, why));
    assert_non_null(strstr(why, "message"));
    row_clear(&row);
    row_add(&row, "blob", VALUE_BYTES, "\xff", 1);
    assert_false(moved_make(&job, &none, "k", &row, why));
    assert_non_null(strstr(why, "blob"));
    row_free(&row);
}

static void rules_name_fields_and_values(void **state)
{
    struct mapping mapping = {.n = 0};
    char why[MOVED_WHY];
    struct moved job;

    (void)state;
    assert_true(mapping_add(&mapping, "id=ref,status=phase"));
    assert_true(mapping_add(&mapping, "status:parked=pending"));
    assert_true(moved(&mapping, "{\"ref\": 1, \"phase\": \"Parked\", \"status\": 3}", &job, why));
    assert_string_equal(job.job.key, "1");
    assert_int_equal(job.job.state, JOBTAB_PENDING);
    assert_string_equal(job.params, "{\"status\":3}"); /* its usual name is nobody's now */
    moved_free(&job);
    static const char *const bad[] = {"", ",", "id", "id=", "=x", "colour=x", "status:=x",
                                      "status:a="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(mapping_add(&mapping, bad[i]));
    while (mapping.n < MAPPING_MAX)
        assert_true(mapping_add(&mapping, "id=x"));
    assert_false(mapping_add(&mapping, "id=x"));
    mapping_free(&mapping);
}

static void bad_values_name_their_field(void **state)
{
    static const struct {
        const char *line, *field;
    } rows[] = {
        {"{\"kind\": \"123456789012345678901234567890123\"}", "kind: "},
        {"{\"kind\": [1]}", NULL},
        {"{\"message\": \"a\\u0000b\"}", "message: "},
        {"{\"progress\": \"many\"}", "progress: "},
        {"{\"progress\": -1}", "progress: "},
        {"{\"attempt\": 1e99}", "attempt: "},
        {"{\"created_at\": \"noon\"}", "created_at: "},
        {"{\"timeout\": \"long\"}", "timeout: "},
        {"{\"reason\": \"bad luck\"}", "reason: "},
        {"{\"result_format\": \"xml\"}", "result_format: "},
        {"{\"result_base64\": \"*\"}", "result_base64: "},
        {"{\"log_base64\": \"a\"}", "log_base64: "},
    };
    char why[MOVED_WHY];
    struct moved job;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].field) { /* the library says what is wrong with it */
            assert_true(moved(NULL, rows[i].line, &job, why));
            moved_free(&job);
            continue;
        }
        assert_false(moved(NULL, rows[i].line, &job, why));
        assert_memory_equal(why, rows[i].field, strlen(rows[i].field));
    }
}

static void long_words_are_cut_at_a_character(void **state)
{
    char line[600], why[MOVED_WHY];
    struct moved job;
    int n = snprintf(line, sizeof line, "{\"error\": \"");

    (void)state;
    for (int i = 0; i < 130; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "\xc3\xa9");
    snprintf(line + n, sizeof line - (size_t)n, "\"}");
    assert_true(moved(NULL, line, &job, why));
    assert_true(job.cut);
    assert_int_equal(strlen(job.job.error), 254);
    moved_free(&job);
}

static void times_are_read_as_others_write_them(void **state)
{
    static const struct {
        const char *text;
        int64_t time_ms; /* -1: it is none */
    } rows[] = {
        {"2026-11-23T06:11:02.123Z", 1795414262123},
        {"2026-11-23t06:11:02z", 1795414262000},
        {"2026-11-23 06:11:02", 1795414262000},
        {"2026-11-23 06:11:02.123999", 1795414262123},
        {"2026-11-23T06:11:02,5+01:30", 1795408862500},
        {"2026-11-23T06:11:02-0800", 1795443062000},
        {"2026-11-23T06:11:02+01", 1795410662000},
        {"2026-11-23", 1795392000000},
        {"1795414262", 1795414262000},
        {"1795414262.25", 1795414262250},
        {"1795414262123", 1795414262123},
        {"0", 0},
        {"", -1},
        {"-5", -1},
        {"inf", -1},
        {"1e99", -1},
        {"2026-11-23T", -1},
        {"2026-11-23T06:11", -1},
        {"2026-11-23T06:11:02+1", -1},
        {"2026-11-23T06:11:02Zx", -1},
        {"2026-13-23", -1},
        {"yesterday", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t time_ms = -1;
        assert_int_equal(when_parse(rows[i].text, &time_ms), rows[i].time_ms >= 0);
        assert_int_equal(time_ms, rows[i].time_ms);
    }
}

static void base64_is_that_of_the_rfc(void **state)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""},           {"f", "Zg=="},         {"fo", "Zm8="},        {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "=", "Z===", "Zm9v*g==", "Zm 9v"};
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = base64_encode(rows[i].bytes, strlen(rows[i].bytes));
        assert_string_equal(text, rows[i].text);
        assert_true(base64_decode(text, strlen(text), &size));
        assert_int_equal(size, strlen(rows[i].bytes));
        assert_memory_equal(text, rows[i].bytes, size);
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = strdup(bad[i]);
        assert_false(base64_decode(text, strlen(text), &size));
        free(text);
    }
}

static void a_set_tells_what_was_seen(void **state)
{
    struct seen seen = {.n = 0};
    char name[16];

    (void)state;
    for (int again = 0; again < 2; again++)
        for (int i = 0; i < 5000; i++) {
            snprintf(name, sizeof name, "%d", i);
            assert_int_equal(seen_add(&seen, name), !again);
        }
    assert_int_equal(seen.n, 5000);
    seen_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_of_other_systems_become_ours),
        cmocka_unit_test(a_uuid_of_version_7_is_the_id_and_any_other_name_the_key),
        cmocka_unit_test(what_has_no_other_place_goes_into_params),
        cmocka_unit_test(results_keep_their_format),
        cmocka_unit_test(columns_are_taken_by_their_type),
        cmocka_unit_test(rules_name_fields_and_values),
        cmocka_unit_test(bad_values_name_their_field),
        cmocka_unit_test(long_words_are_cut_at_a_character),
        cmocka_unit_test(times_are_read_as_others_write_them),
        cmocka_unit_test(base64_is_that_of_the_rfc),
        cmocka_unit_test(a_set_tells_what_was_seen),
    };
    return cmocka_run_group_tests_name("moved", tests, NULL, NULL);
}
