/* test_report_line.c - descriptor 3: what counts as a report and what does not. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/jobtabd/report_line.h"

static bool parse(const char *line, struct report *report)
{
    memset(report, 0x55, sizeof *report);
    return report_line_parse(line, strlen(line), report);
}

static void percent_and_message_are_taken(void **state)
{
    struct report report;

    (void)state;
    assert_true(parse("progress 20 Collecting prices...", &report));
    assert_int_equal(report.progress, 20);
    assert_true(report.has_message);
    assert_string_equal(report.message, "Collecting prices...");
    assert_true(parse("progress 0 x", &report));
    assert_int_equal(report.progress, 0);
    assert_true(parse("progress 100", &report));
    assert_int_equal(report.progress, 100);
    assert_false(report.has_message);
    assert_true(parse("progress 7 ", &report));
    assert_false(report.has_message);
    assert_true(parse("progress 007 pr\xc3\xbc" "fe \xe2\x82\xac \xf0\x9f\x98\x80\r", &report));
    assert_int_equal(report.progress, 7);
    assert_string_equal(report.message, "pr\xc3\xbc" "fe \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void anything_else_is_not_understood(void **state)
{
    static const char *const lines[] = {
        "", " ", "progress", "progress ", "progress x", "progress 101", "progress 1000",
        "progress -1", "progress +1", "progress 20.5", "progress 20%", "progress  20",
        "Progress 20", "progress 99999999999999999999", "progress 20\tmessage", " progress 20",
        "progress 4294967316 overflow", "progress 20 bell\a", "progress 20 escape \x1b[2J",
        "progress 20 \xff", "progress 20 \xc3", "progress 20 overlong \xc0\xaf",
        "progress 20 surrogate \xed\xa0\x80", "progress 20 beyond \xf4\x90\x80\x80",
        "progress 20 a\rb",
    };
    struct report report;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (parse(lines[i], &report))
            fail_msg("understood: %s", lines[i]);
        assert_int_equal(report.progress, 0x55555555); /* untouched */
    }
    assert_false(report_line_parse("progress 20 a\0b", 15, &report));
}

static void long_message_is_cut_between_characters(void **state)
{
    char line[REPORT_LINE_MAX] = "progress 5 ";
    struct report report;

    (void)state;
    for (int i = 0; i < 150; i++)
        strcat(line, "\xc3\xbc"); /* 300 bytes of two-byte characters */
    assert_true(parse(line, &report));
    assert_int_equal(strlen(report.message), JOBTAB_MESSAGE_MAX - 1); /* 254: 255 would split one */
    strcat(line, "\xff"); /* what is cut off must be sound, too */
    assert_false(parse(line, &report));
}

struct heard {
    unsigned reports, others;
    struct report last;
    size_t longest;
};

static void hear(const struct report *report, const char *line, size_t size, void *context)
{
    struct heard *heard = context;

    assert_non_null(line);
    heard->longest = size > heard->longest ? size : heard->longest;
    if (report == NULL) {
        heard->others++;
    } else {
        heard->reports++;
        heard->last = *report;
    }
}

static void lines_are_found_however_the_bytes_come(void **state)
{
    static const char stream[] = "progress 1 one\n\nnonsense\nprogress 2 two\nprogress 3";

    (void)state;
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        struct report_lines lines = {0};
        struct heard heard = {0};
        for (size_t at = 0; at < sizeof stream - 1; at += piece) {
            size_t left = sizeof stream - 1 - at;
            report_lines_feed(&lines, stream + at, left < piece ? left : piece, hear, &heard);
        }
        assert_int_equal(heard.reports, 2);
        assert_int_equal(heard.others, 1);
        assert_string_equal(heard.last.message, "two");
        report_lines_end(&lines, hear, &heard);
        assert_int_equal(heard.reports, 3);
        assert_int_equal(heard.last.progress, 3);
        report_lines_end(&lines, hear, &heard); /* nothing is left */
        assert_int_equal(heard.reports + heard.others, 4);
    }
}

static void overlong_line_is_one_misread_line(void **state)
{
    struct report_lines lines = {0};
    struct heard heard = {0};
    size_t size = 1 << 20;
    char *flood = malloc(size);

    (void)state;
    assert_non_null(flood);
    memset(flood, 'x', size);
    memcpy(flood, "progress 1 ", 11);
    report_lines_feed(&lines, flood, size, hear, &heard);
    assert_int_equal(heard.reports + heard.others, 0);
    report_lines_feed(&lines, "\nprogress 2 after\n", 18, hear, &heard);
    assert_int_equal(heard.others, 1);
    assert_int_equal(heard.reports, 1);
    assert_int_equal(heard.longest, REPORT_LINE_MAX);
    assert_string_equal(heard.last.message, "after");
    free(flood);
}

static void line_of_just_the_limit_counts(void **state)
{
    char bytes[REPORT_LINE_MAX + 2] = "progress 9 ";

    (void)state;
    memset(bytes + 11, 'm', REPORT_LINE_MAX - 11);
    for (size_t extra = 0; extra < 2; extra++) {
        struct report_lines lines = {0};
        struct heard heard = {0};
        bytes[REPORT_LINE_MAX] = extra ? 'm' : '\n';
        bytes[REPORT_LINE_MAX + 1] = '\n';
        report_lines_feed(&lines, bytes, REPORT_LINE_MAX + 1 + extra, hear, &heard);
        assert_int_equal(heard.reports, extra ? 0 : 1);
        assert_int_equal(heard.others, extra ? 1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_and_message_are_taken),
        cmocka_unit_test(anything_else_is_not_understood),
        cmocka_unit_test(long_message_is_cut_between_characters),
        cmocka_unit_test(lines_are_found_however_the_bytes_come),
        cmocka_unit_test(overlong_line_is_one_misread_line),
        cmocka_unit_test(line_of_just_the_limit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
