/* src/jobtabd/http/body.c: what may stand in a request body, and what is said of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/body.h"

enum { NAME, COUNT, WAIT, PARAMS, FIELDS };
static const struct body_field fields[FIELDS] = {
    [NAME] = {"name", BODY_STRING, 0, 8},
    [COUNT] = {"count", BODY_WHOLE, -100, 100},
    [WAIT] = {"wait", BODY_DURATION, 0, 0},
    [PARAMS] = {"params", BODY_OBJECT, 0, 0},
};

static struct body_value values[FIELDS];
static struct body_fault fault;

/* In memory of exactly its size, so that a sanitizer sees a read beyond it. */
static char *copy;
static struct body *read_body(const char *text)
{
    size_t size = strlen(text);

    free(copy);
    copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    return body_read(copy, size, fields, FIELDS, values, &fault);
}

static int free_copy(void **state)
{
    (void)state;
    free(copy);
    return 0;
}

static void every_member_is_optional(void **state)
{
    static const char *const texts[] = {"", "  \n", "{}", " {\t} ", "{\"name\": null}"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct body *body = read_body(texts[i]);
        assert_non_null(body);
        for (int field = 0; field < FIELDS; field++)
            assert_false(values[field].given);
        body_free(body);
    }
}

static void members_become_values(void **state)
{
    struct body *body = read_body("{\"wait\":\"90s\", \"count\": -7, \"name\": \"a\\u0062c\"}");

    (void)state;
    assert_non_null(body);
    assert_true(values[NAME].given);
    assert_string_equal(values[NAME].text, "abc");
    assert_int_equal(values[COUNT].number, -7);
    assert_int_equal(values[WAIT].number, 90000);
    body_free(body);
    body = read_body("{\"wait\": 1.5, \"count\": 1e2}");
    assert_non_null(body);
    assert_int_equal(values[WAIT].number, 1500);
    assert_int_equal(values[COUNT].number, 100);
    body_free(body);
}

/* Whatever a parser would make of 1.10 or 36893488147419103232, the job gets what was sent. */
static void an_object_keeps_its_bytes(void **state)
{
    static const char *const objects[] = {
        "{}",
        "{\"a\":1.10,\"b\":36893488147419103232}",
        "{ \"a\" : [1, {\"x\":\"}]\\\"\"}, \"{\"] , \"b\":{}}",
        "{\"u\": \"\\u0000\\u00e9\\\\\"}",
    };
    static const char *const around[][2] = {
        {"{\"params\":", "}"},
        {" { \"name\" : \"par}\\\"\" , \"count\":3,\n\"params\" :\t", " , \"wait\": 1 } "},
        {"{\"p\\u0061rams\":", "}"},
        {"{\"name\":null,\"wait\":\"1s\",\"params\":", ",\"count\":1}"},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        for (size_t j = 0; j < sizeof(around) / sizeof(around[0]); j++) {
            strcpy(stpcpy(stpcpy(text, around[j][0]), objects[i]), around[j][1]);
            struct body *body = read_body(text);
            assert_non_null(body);
            assert_true(values[PARAMS].given);
            assert_int_equal(values[PARAMS].size, strlen(objects[i]));
            assert_memory_equal(values[PARAMS].text, objects[i], values[PARAMS].size);
            body_free(body);
        }
    }
}

static void what_is_not_json_is_a_400_with_its_position(void **state)
{
    static const char *const texts[] = {
        "{", "nonsense", "{\"name\": }", "{}x", "{\"name\": \"\xff\"}", "{'name': 1}"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_null(read_body(texts[i]));
        assert_int_equal(fault.status, 400);
        assert_non_null(strstr(fault.detail, " expected at line 1, column "));
        assert_string_equal(fault.field, "");
    }
}

static void what_is_not_asked_for_is_a_422_naming_the_field(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"[]", ""},
        {"\"x\"", ""},
        {"17", ""},
        {"{\"nmae\": 1}", "nmae"},
        {"{\"name\": 1}", "name"},
        {"{\"name\": \"nine long\"}", "name"},
        {"{\"name\": \"a\\nb\"}", "name"},
        {"{\"name\": \"a\\u0000b\"}", "name"},
        {"{\"count\": \"1\"}", "count"},
        {"{\"count\": 1.5}", "count"},
        {"{\"count\": 101}", "count"},
        {"{\"count\": -101}", "count"},
        {"{\"count\": 1e300}", "count"},
        {"{\"count\": 1e400}", "count"},
        {"{\"count\": [1]}", "count"},
        {"{\"na\\u006de\": 1, \"name\": \"b\"}", "name"},
        {"{\"wait\": -1}", "wait"},
        {"{\"wait\": 1e12}", "wait"},
        {"{\"wait\": \"soon\"}", "wait"},
        {"{\"wait\": \"1s\\u0000\"}", "wait"},
        {"{\"wait\": []}", "wait"},
        {"{\"params\": []}", "params"},
        {"{\"params\": \"{}\"}", "params"},
        {"{\"name\": \"a\", \"name\": \"b\"}", "name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_body(cases[i].text) != NULL)
            fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(fault.status, 422);
        assert_string_equal(fault.field, cases[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_optional),
        cmocka_unit_test(members_become_values),
        cmocka_unit_test(an_object_keeps_its_bytes),
        cmocka_unit_test(what_is_not_json_is_a_400_with_its_position),
        cmocka_unit_test(what_is_not_asked_for_is_a_422_naming_the_field),
    };

    return cmocka_run_group_tests_name("http/body", tests, NULL, free_copy);
}
