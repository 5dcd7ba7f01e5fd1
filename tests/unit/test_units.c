/* test_units.c - durations and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "units.h"

static void durations_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0", 0},        {"0s", 0},         {"1", 1000},
        {"1.5", 1500},   {"250ms", 250},    {"90s", 90000},
        {"10m", 600000}, {"24h", 86400000}, {"2d", 172800000},
        {"0.001", 1},    {"1.5h", 5400000}, {"10M", 600000},
        {"3MS", 3},      {"0.250s", 250},   {"36600d", 3162240000000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -1;
        assert_int_equal(units_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "-1",
        "-1s",
        "+1s",
        "s",
        "1 s",
        "1s ",
        "1w",
        "1.s",
        ".5s",
        "1..5",
        "0.0001",
        "0.5ms",
        "1e3",
        "inf",
        "0x10",
        "36601d",
        "99999999999999999999",
        "99999999999999999d",
        "1h30m",
        "1.0000000001",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = 77;
        assert_int_equal(units_duration(bad[i], &ms), -1);
        assert_int_equal(ms, 77);
    }
}

static void sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"64k", 65536},
        {"64K", 65536},
        {"1m", 1048576},
        {"2g", 2147483648},
        {"18446744073709551615", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 1;
        assert_int_equal(units_size(good[i].text, &bytes), 0);
        assert_true(bytes == good[i].bytes);
    }
}

static void what_is_no_size_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "k", "-1", "1.5k", "1kb", "1 k", "1t", "18446744073709551616", "18446744073709551615k",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes = 77;
        assert_int_equal(units_size(bad[i], &bytes), -1);
        assert_true(bytes == 77);
    }
}

static void text_of_a_value_reads_back_as_it(void **state)
{
    static const int64_t durations[] = {0, 1, 999, 1000, 1500, 60000, 61000, 3600000, 86400000};
    static const uint64_t sizes[] = {0, 1, 1023, 1024, 1025, 1u << 20, 3u << 30, UINT64_MAX};
    char text[32];

    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        int64_t ms = -1;
        units_duration_text(durations[i], text, sizeof text);
        assert_int_equal(units_duration(text, &ms), 0);
        assert_int_equal(ms, durations[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t bytes = 1;
        units_size_text(sizes[i], text, sizeof text);
        assert_int_equal(units_size(text, &bytes), 0);
        assert_true(bytes == sizes[i]);
    }
}

static void text_takes_the_largest_unit(void **state)
{
    char text[32];

    (void)state;
    units_duration_text(86400000, text, sizeof text);
    assert_string_equal(text, "1d");
    units_duration_text(90000, text, sizeof text);
    assert_string_equal(text, "90s");
    units_duration_text(1500, text, sizeof text);
    assert_string_equal(text, "1500ms");
    units_size_text(65536, text, sizeof text);
    assert_string_equal(text, "64k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(text_of_a_value_reads_back_as_it),
        cmocka_unit_test(text_takes_the_largest_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
