/* src/jobtabd/http/guard.c: requests that have two readings are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/guard.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In memory of exactly its size, so that a sanitizer sees a read beyond it. */
static char *exact(const char *text, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    return copy;
}

static const char *head(const char *text, bool http11)
{
    char *copy = exact(text, strlen(text));
    const char *wrong = guard_head(copy, strlen(text), http11);

    free(copy);
    return wrong;
}

static const char *path(const char *text)
{
    char *copy = exact(text, strlen(text));
    const char *wrong = guard_path(copy, strlen(text));

    free(copy);
    return wrong;
}

static void a_plain_head_is_sound(void **state)
{
    (void)state;
    assert_null(head("GET / HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n", true));
    assert_null(head("\r\nGET / HTTP/1.1\nhost: a\n\n", true));
    assert_null(head("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", true));
    assert_null(head("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", true));
    assert_null(head("GET / HTTP/1.0\r\n\r\n", false));
}

static void a_head_with_two_readings_is_refused(void **state)
{
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\naccept: */*\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: x\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\naccept: a,\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\naccept: a,\r\n\tb\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++)
        assert_non_null(head(heads[i], true));
    assert_non_null(
        head("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", false));
}

static void a_body_is_not_taken_for_headers(void **state)
{
    (void)state;
    assert_null(head("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhost: b\r\n", true));
}

static void paths_that_can_be_read_two_ways_are_refused(void **state)
{
    static const char *const bad[] = {"",       "status", "*",   "http://a/", "/a%00b", "/a%2Fb",
                                      "/a%2fb", "/a%5cb", "/a%", "/a%4",      "/%zz",   "/%4?41"};
    static const char *const good[] = {"/", "/a%20b", "/a?b=%2F%00%", "/%41"};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (path(bad[i]) == NULL)
            fail_msg("accepted: %s", bad[i]);
    for (size_t i = 0; i < COUNT(good); i++)
        if (path(good[i]) != NULL)
            fail_msg("refused: %s", good[i]);
}

static void hosts_are_addresses_localhost_or_names_of_ours(void **state)
{
    static const char *const names[] = {"build7", NULL};
    static const char *const good[] = {"localhost",  "LocalHost:80", "127.0.0.1:8080", "10.1.2.3",
                                       "[::1]:8080", "[::1]",        "a.localhost",    "build7:1",
                                       "BUILD7",     "127.0.0.1:"};
    static const char *const bad[] = {"",
                                      ":80",
                                      "evil.example",
                                      "evil.example:8080",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "[::1",
                                      "[::1]x",
                                      "127.0.0.1:80a",
                                      "build77",
                                      "localhost@evil.example",
                                      ".localhost"};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!guard_host(good[i], strlen(good[i]), names))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (guard_host(bad[i], strlen(bad[i]), names))
            fail_msg("accepted: %s", bad[i]);
    assert_false(guard_host("build7", 6, NULL));
}

static void an_origin_must_be_the_host_asked(void **state)
{
    static const struct {
        const char *origin, *host;
        bool same;
    } cases[] = {
        {"http://127.0.0.1:8080", "127.0.0.1:8080", true},
        {"http://localhost", "localhost:80", true},
        {"https://localhost", "localhost", true},
        {"HTTP://LOCALHOST:81", "localhost:81", true},
        {"http://[::1]:8080", "[::1]:8080", true},
        {"http://127.0.0.1:8081", "127.0.0.1:8080", false},
        {"http://localhost:8080", "127.0.0.1:8080", false},
        {"http://evil.example", "127.0.0.1:8080", false},
        {"null", "127.0.0.1:8080", false},
        {"", "127.0.0.1:8080", false},
        {"http://", "127.0.0.1:8080", false},
        {"file://127.0.0.1:8080", "127.0.0.1:8080", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (guard_origin(cases[i].origin, strlen(cases[i].origin), cases[i].host,
                         strlen(cases[i].host)) != cases[i].same)
            fail_msg("%s for %s", cases[i].origin, cases[i].host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_head_is_sound),
        cmocka_unit_test(a_head_with_two_readings_is_refused),
        cmocka_unit_test(a_body_is_not_taken_for_headers),
        cmocka_unit_test(paths_that_can_be_read_two_ways_are_refused),
        cmocka_unit_test(hosts_are_addresses_localhost_or_names_of_ours),
        cmocka_unit_test(an_origin_must_be_the_host_asked),
    };

    return cmocka_run_group_tests_name("http/guard", tests, NULL, NULL);
}
