/* test_text.c - UTF-8 or not, and how to show either on one line. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../../src/jobtabd/text.h"

static const char *const sound[] = {
    "", "plain", "\n\t", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
    "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
};
static const char *const broken[] = {
    "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
    "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff", "a\xe2(\xa1",
    "\xf0\x9f\x98(",
};

static void utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        if (!text_is_utf8(sound[i], strlen(sound[i])))
            fail_msg("sound %zu is refused", i);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (text_is_utf8(broken[i], strlen(broken[i])))
            fail_msg("broken %zu is taken", i);
    assert_false(text_is_utf8("a\0b", 3));
}

static void one_line_shows_text_and_marks_the_rest(void **state)
{
    char line[32];

    (void)state;
    text_one_line(line, sizeof line, "a\tb\nc\x1b[1m\xff\xc3\xbc", 12);
    assert_string_equal(line, "a b?c?[1m?\xc3\xbc");
    text_one_line(line, sizeof line, "a\0b", 3);
    assert_string_equal(line, "a?b");
    text_one_line(line, sizeof line, "", 0);
    assert_string_equal(line, "");
}

static void one_line_is_cut_between_characters(void **state)
{
    char line[5];

    (void)state;
    text_one_line(line, sizeof line, "abc\xc3\xbc", 5);
    assert_string_equal(line, "abc");
    text_one_line(line, sizeof line, "ab\xc3\xbcx", 5);
    assert_string_equal(line, "ab\xc3\xbc");
    text_one_line(line, 1, "abc", 3);
    assert_string_equal(line, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_told_from_what_is_not),
        cmocka_unit_test(one_line_shows_text_and_marks_the_rest),
        cmocka_unit_test(one_line_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
