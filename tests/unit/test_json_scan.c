/* src/common/json_scan.c: what is JSON, by hand and against a parser; and its members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "json_scan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct json_fault fault;

/* In memory of exactly its size, so that a sanitizer sees a read beyond it. */
static bool scan(const char *text, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    bool sound = json_scan(copy, size, &fault);
    free(copy);
    return sound;
}

static void json_is_json(void **state)
{
    static const char *const good[] = {
        "0",
        "-0",
        "1.5e+10",
        "-12.5E-3",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ ] ",
        "\t{\r\n}",
        "[1,2]",
        "[[],[[]],{}]",
        "{\"a\":1,\"a\":2}",
        "{\"\":{\"b\":[]}}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\\uD83D\\uDE00\"",
        "\"gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80\x7f\"",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!scan(good[i], strlen(good[i])))
            fail_msg("refused: %s", good[i]);
}

static void what_is_none_is_told_where(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } bad[] = {
        {"", 0},
        {"  ", 2},
        {"x", 0},
        {"tru", 3},
        {"truE", 3},
        {"nul", 3},
        {"01", 1},
        {"-", 1},
        {"-a", 1},
        {"1.", 2},
        {".5", 0},
        {"+1", 0},
        {"1e", 2},
        {"1e+", 3},
        {"0x1", 1},
        {"\"", 1},
        {"\"a", 2},
        {"\"\n\"", 1},
        {"\"\\x\"", 2},
        {"\"\\u12g4\"", 5},
        {"\"\\ud800\"", 7},
        {"\"\\udc00\"", 7},
        {"\"\\ud800\\u0041\"", 13},
        {"\"\xff\"", 1},
        {"\"\xc0\x80\"", 1},
        {"\"\xed\xa0\x80\"", 1},
        {"\"\xf4\x90\x80\x80\"", 1},
        {"\"\xe2\x82\"", 1},
        {"\"\xc3", 1},
        {"[", 1},
        {"[1", 2},
        {"[1,", 3},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"[1}", 2},
        {"{", 1},
        {"{\"a\"", 4},
        {"{\"a\":", 5},
        {"{\"a\":1", 6},
        {"{\"a\":1,", 7},
        {"{\"a\":1,}", 7},
        {"{a:1}", 1},
        {"{1:1}", 1},
        {"{\"a\" 1}", 5},
        {"{\"a\":1]", 6},
        {"{}{}", 2},
        {"1 1", 2},
        {"]", 0},
        {"[\"a\":1]", 4},
        {"'a'", 0},
        {"\xef\xbb\xbf{}", 0},
        {"[1]//", 3},
        {"NaN", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (scan(bad[i].text, strlen(bad[i].text)))
            fail_msg("accepted: %s", bad[i].text);
        if (fault.offset != bad[i].offset)
            fail_msg("%s: byte %zu, not %zu", bad[i].text, fault.offset, bad[i].offset);
        assert_non_null(fault.expected);
    }
    assert_false(scan("1\0", 2));
    assert_false(scan("[\0]", 3));
}

static void depth_is_bounded(void **state)
{
    char text[2 * (JSON_SCAN_DEPTH + 1)];

    (void)state;
    for (size_t depth = JSON_SCAN_DEPTH; depth <= JSON_SCAN_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(scan(text, 2 * depth), depth == JSON_SCAN_DEPTH);
    }
    assert_int_equal(fault.offset, JSON_SCAN_DEPTH);
}

/* Sound texts, damaged at random: the parser and the scan must be of one mind. */
static void it_agrees_with_a_parser(void **state)
{
    static const char *const seeds[] = {
        "{\"kind\":\"validate\",\"params\":{\"sources\":[\"a.csv\"],\"n\":-1.5e3},\"priority\":7}",
        "[true,false,null,[],{},\"\\u00e9\\\\\\\"x\",0,10,\"gr\xc3\xbcn\xe2\x82\xac\"]",
        " { \"a\" : [ 1 , { \"b\" : \"\" } ] } ",
    };
    static const char alphabet[] = "{}[]\",:\\ 01-+.eEtrufalsn\x80\xc3\xbc\x01";
    unsigned random = 20261123, accepted = 0;
    char text[128];

    (void)state;
    for (int round = 0; round < 300000; round++) {
        size_t size = strlen(seeds[round % 3]);

        memcpy(text, seeds[round % 3], size);
        for (unsigned edits = 0; edits <= (unsigned)round / 3 % 3; edits++) {
            random = random * 1103515245 + 12345;
            size_t at = (random >> 16) % size;
            random = random * 1103515245 + 12345;
            char byte = alphabet[(random >> 16) % (sizeof(alphabet) - 1)];
            if ((random >> 8) % 3 == 0) {
                memmove(text + at, text + at + 1, --size - at);
            } else if ((random >> 8) % 3 == 1) {
                memmove(text + at + 1, text + at, size++ - at);
                text[at] = byte;
            } else {
                text[at] = byte;
            }
        }
        json_t *json = json_loadb(text, size,
                                  JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
        if (scan(text, size) != (json != NULL))
            fail_msg("%.*s: the parser says %s", (int)size, text, json != NULL ? "yes" : "no");
        accepted += json != NULL;
        json_decref(json);
    }
    assert_in_range(accepted, 10000, 290000); /* it has seen both sides */
}

static void members_come_in_their_order(void **state)
{
    static const char text[] =
        " {\"a\":1 , \"b\\\"}\" : {\"x\":[\"}\",{}]}\n,\"c\":\"\\\\\",\"d\":[ ] , \"e\" : null} ";
    static const char *const expected[][2] = {{"\"a\"", "1"},
                                              {"\"b\\\"}\"", "{\"x\":[\"}\",{}]}"},
                                              {"\"c\"", "\"\\\\\""},
                                              {"\"d\"", "[ ]"},
                                              {"\"e\"", "null"}};
    static const char *const empty[] = {"{}", " { } "};
    struct json_piece name, value;
    const char *at = text;

    (void)state;
    assert_true(scan(text, strlen(text)));
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(json_member(&at, &name, &value));
        assert_int_equal(name.size, strlen(expected[i][0]));
        assert_memory_equal(name.text, expected[i][0], name.size);
        assert_int_equal(value.size, strlen(expected[i][1]));
        assert_memory_equal(value.text, expected[i][1], value.size);
    }
    assert_false(json_member(&at, &name, &value));
    for (size_t i = 0; i < COUNT(empty); i++) {
        at = empty[i];
        assert_false(json_member(&at, &name, &value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_json),
        cmocka_unit_test(what_is_none_is_told_where),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(it_agrees_with_a_parser),
        cmocka_unit_test(members_come_in_their_order),
    };

    return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
