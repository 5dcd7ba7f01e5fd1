/* src/jobtabd/http/route.c, query.c and etag.c: the small readers of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/etag.h"
#include "http/query.h"
#include "http/route.h"

static const struct {
    struct route_pattern pattern;
    int more;
} rows[] = {
    {{ROUTE_GET, "/jobs"}, 0},
    {{ROUTE_GET, "/status/{id}"}, 0},
    {{ROUTE_DELETE, "/status/{id}"}, 0},
    {{ROUTE_POST, "/status/{id}/cancel"}, 0},
};

static enum route_found find(const char *method, const char *path, struct route_match *match)
{
    return route_find(rows, sizeof(rows) / sizeof(rows[0]), sizeof(rows[0]), method, strlen(method),
                      path, strlen(path), match);
}

static void a_path_and_a_method_find_their_row(void **state)
{
    struct route_match match;

    (void)state;
    assert_int_equal(find("GET", "/jobs", &match), ROUTE_FOUND);
    assert_int_equal(match.row, 0);
    assert_null(match.id);
    assert_int_equal(find("DELETE", "/status/x7", &match), ROUTE_FOUND);
    assert_int_equal(match.row, 2);
    assert_int_equal(match.id_size, 2);
    assert_memory_equal(match.id, "x7", 2);
    assert_int_equal(find("POST", "/status/x7/cancel", &match), ROUTE_FOUND);
    assert_int_equal(match.row, 3);
    assert_memory_equal(match.id, "x7", 2);
    assert_int_equal(find("HEAD", "/status/x7", &match), ROUTE_FOUND);
    assert_int_equal(match.row, 1);
}

static void no_other_path_is_known(void **state)
{
    static const char *const paths[] = {
        "/",          "/job",     "/jobs/",          "/jobss",
        "/status",    "/status/", "/status//cancel", "/status/x/cancel/",
        "/status/x/y"};
    struct route_match match;

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(find("GET", paths[i], &match), ROUTE_NO_PATH);
}

static void a_method_that_a_path_does_not_take_is_told_those_it_takes(void **state)
{
    struct route_match match;
    char allow[ROUTE_ALLOW_TEXT];

    (void)state;
    assert_int_equal(find("POST", "/status/x", &match), ROUTE_NO_METHOD);
    route_allow(match.allowed, allow);
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_int_equal(find("get", "/jobs", &match), ROUTE_NO_METHOD);
    route_allow(match.allowed, allow);
    assert_string_equal(allow, "GET, HEAD");
    route_allow((1u << ROUTE_METHODS) - 1, allow); /* the longest text has room */
}

static void a_query_is_read_pair_by_pair(void **state)
{
    static const char text[] = "&state=failed&kind=a%2fb+c&&flag&empty=";
    struct query query;

    (void)state;
    query_begin(&query, text, sizeof(text) - 1);
    assert_int_equal(query_next(&query), 1);
    assert_string_equal(query.name, "state");
    assert_string_equal(query.value, "failed");
    assert_int_equal(query_next(&query), 1);
    assert_string_equal(query.name, "kind");
    assert_string_equal(query.value, "a/b c");
    assert_int_equal(query_next(&query), 1);
    assert_string_equal(query.name, "flag");
    assert_string_equal(query.value, "");
    assert_int_equal(query_next(&query), 1);
    assert_string_equal(query.name, "empty");
    assert_int_equal(query_next(&query), 0);
}

static void bad_query_values_are_refused_by_name(void **state)
{
    char text[QUERY_VALUE_MAX + 32] = "kind=";
    static const char *const bad[] = {"kind=%", "kind=%4", "kind=%zz", "kind=a%00b"};
    struct query query;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        query_begin(&query, bad[i], strlen(bad[i]));
        assert_int_equal(query_next(&query), -1);
        assert_string_equal(query.name, "kind");
        assert_int_equal(query_next(&query), 0);
    }
    memset(text + 5, 'x', QUERY_VALUE_MAX);
    query_begin(&query, text, 5 + QUERY_VALUE_MAX);
    assert_int_equal(query_next(&query), 1);
    text[5 + QUERY_VALUE_MAX] = 'x';
    query_begin(&query, text, 5 + QUERY_VALUE_MAX + 1);
    assert_int_equal(query_next(&query), -1);
}

static void if_none_match_names_versions(void **state)
{
    static const struct {
        const char *value;
        bool matches;
    } cases[] = {
        {"\"4711\"", true},
        {"W/\"4711\"", true},
        {"*", true},
        {"\"1\", \"4711\"", true},
        {"\"1\",W/\"4711\"", true},
        {"\"471\"", false},
        {"\"47110\"", false},
        {"4711", false},
        {"", false},
        {"\"4711", false},
        {"\"1\" x", false},
        {"W/", false},
    };
    char tag[ETAG_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (etag_matches(cases[i].value, strlen(cases[i].value), "\"4711\"") != cases[i].matches)
            fail_msg("%s", cases[i].value);
    assert_int_equal(etag_format(UINT64_MAX, tag), 22);
    assert_string_equal(tag, "\"18446744073709551615\"");
    assert_int_equal(etag_format(0, tag), 3);
    assert_string_equal(tag, "\"0\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_a_method_find_their_row),
        cmocka_unit_test(no_other_path_is_known),
        cmocka_unit_test(a_method_that_a_path_does_not_take_is_told_those_it_takes),
        cmocka_unit_test(a_query_is_read_pair_by_pair),
        cmocka_unit_test(bad_query_values_are_refused_by_name),
        cmocka_unit_test(if_none_match_names_versions),
    };

    return cmocka_run_group_tests_name("http/route", tests, NULL, NULL);
}
