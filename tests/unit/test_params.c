/* The params of a validation: defaults, every field, and what is refused, by name. */
#include "config.h"

#include "params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct params read_well(const char *text)
{
    struct params params;
    struct fault fault;
    if (params_read(&params, text, strlen(text), &fault) != 0)
        fail_msg("%s: %s", text, fault.text);
    return params;
}

static void all_fields_have_defaults(void **state)
{
    struct params params = read_well("{}");
    (void)state;
    assert_null(params.sources);
    assert_false(params.max_age.on);
    assert_true(params.max_deviation_bps.on && params.max_deviation_bps.value == 100);
    assert_true(params.max_jump_mad.on && params.max_jump_mad.value == 12);
    assert_int_equal(params.min_sources, 1);
    params_free(&params);
}

static void all_fields_are_read(void **state)
{
    struct params params =
        read_well("{\"sources\": [\"b.csv\", \"a/a.csv\"], \"max_age\": \"2d\","
                  " \"max_deviation_bps\": 0.5, \"max_jump_mad\": 3, \"min_sources\": 2}");
    (void)state;
    assert_int_equal(params.n_sources, 2);
    assert_string_equal(params.sources[0], "b.csv");
    assert_string_equal(params.sources[1], "a/a.csv");
    assert_true(params.max_age.on && params.max_age.value == 2 * 86400e3);
    assert_true(params.max_deviation_bps.on && params.max_deviation_bps.value == 0.5);
    assert_true(params.max_jump_mad.on && params.max_jump_mad.value == 3);
    assert_int_equal(params.min_sources, 2);
    params_free(&params);
}

static void null_turns_a_limit_off(void **state)
{
    struct params params =
        read_well("{\"max_age\": null, \"max_deviation_bps\": null, \"max_jump_mad\": null}");
    (void)state;
    assert_false(params.max_age.on || params.max_deviation_bps.on || params.max_jump_mad.on);
    params_free(&params);
}

static void an_age_may_be_a_number_of_seconds(void **state)
{
    struct params params = read_well("{\"max_age\": 1.5}");
    (void)state;
    assert_true(params.max_age.on && params.max_age.value == 1500);
    params_free(&params);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "params: "},
        {"{", "params: "},
        {"[]", "params: must be a JSON object"},
        {"null", "params: '[' or '{' expected"},
        {"{\"max_age\": 1, \"max_age\": 2}", "params: duplicate object key"},
        {"{\"colour\": 1}", "params: colour: there is no such field"},
        {"{\"sources\": \"a.csv\"}", "params: sources: must be an array"},
        {"{\"sources\": null}", "params: sources: must be an array"},
        {"{\"sources\": []}", "params: sources: must be 1 to 4096 file names"},
        {"{\"sources\": [1]}", "params: sources: a file name must be a string"},
        {"{\"sources\": [\"\"]}", "params: sources: a file name must have 1 to 1024 bytes"},
        {"{\"sources\": [\"a\", \"b\", \"a\"]}", "params: sources: a stands there twice"},
        {"{\"max_age\": 0}", "params: max_age: must be a duration"},
        {"{\"max_age\": -1}", "params: max_age: must be a duration"},
        {"{\"max_age\": 1e300}", "params: max_age: must be a duration"},
        {"{\"max_age\": \"\"}", "params: max_age: must be a duration"},
        {"{\"max_age\": \"2 parsecs\"}", "params: max_age: must be a duration"},
        {"{\"max_age\": true}", "params: max_age: must be a duration"},
        {"{\"max_deviation_bps\": 0}", "params: max_deviation_bps: must be a number above 0"},
        {"{\"max_deviation_bps\": \"1\"}", "params: max_deviation_bps: must be a number above 0"},
        {"{\"max_jump_mad\": -12}", "params: max_jump_mad: must be a number above 0"},
        {"{\"max_jump_mad\": []}", "params: max_jump_mad: must be a number above 0"},
        {"{\"min_sources\": 0}", "params: min_sources: must be a whole number from 1 to 4096"},
        {"{\"min_sources\": 1.5}", "params: min_sources: must be a whole number from 1 to 4096"},
        {"{\"min_sources\": 4097}", "params: min_sources: must be a whole number from 1 to 4096"},
        {"{\"min_sources\": null}", "params: min_sources: must be a whole number from 1 to 4096"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct params params;
        struct fault fault = {.kind = FAULT_STOPPED};
        if (params_read(&params, bad[i].text, strlen(bad[i].text), &fault) != -1)
            fail_msg("%s was taken", bad[i].text);
        assert_int_equal(fault.kind, FAULT_INVALID);
        if (strncmp(fault.text, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s: %s, not %s", bad[i].text, fault.text, bad[i].why);
        params_free(&params);
    }
}

static void sources_are_named_once(void **state)
{
    struct params params = read_well("{\"sources\": [\"a.csv\"]}");
    char *more[] = {"b.csv"};
    struct fault fault;
    (void)state;
    assert_int_equal(params_sources(&params, more, 1, &fault), -1);
    assert_string_equal(fault.text, "params: sources: named twice");
    params_free(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_have_defaults),
        cmocka_unit_test(all_fields_are_read),
        cmocka_unit_test(null_turns_a_limit_off),
        cmocka_unit_test(an_age_may_be_a_number_of_seconds),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(sources_are_named_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
