/* Numbers and times: what is read, and that nothing else is. */
#include "config.h"

#include "plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void numbers_are_the_nearest_double(void **state)
{
    static const char *const texts[] = {
        "0", "1", "-1", "+3", "1.5", ".5", "5.", "1e5", "1E-5", "1e+5", "0.1", "123.456", "1e22",
        "1e23", "9007199254740993", "9007199254740992e22", "0.000000000000000000000000001",
        "179769313486231570000e289", "4.9e-324", "1e400", "-1e400", "1e-400", "1e99999999999",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827021181583404541015625",
        "00000000000000000000000000000001.50", "2.2250738585072011e-308",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        double value = -7, wanted = strtod(texts[i], NULL);
        assert_int_equal(scan_number(texts[i], strlen(texts[i]), &value), 0);
        assert_memory_equal(&value, &wanted, sizeof value);
    }
}

static void random_decimals_equal_strtod(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%ld", random() % 1000000000);
        if (random() % 4 == 0)
            n += snprintf(text + n, sizeof text - (size_t)n, "%ld", random());
        if (random() % 2 == 0)
            n += snprintf(text + n, sizeof text - (size_t)n, ".%0*ld", (int)(random() % 10) + 1,
                          random() % 1000);
        if (random() % 3 == 0)
            n += snprintf(text + n, sizeof text - (size_t)n, "e%ld", random() % 80 - 40);
        double value, wanted = strtod(text, NULL);
        assert_int_equal(scan_number(text, (size_t)n, &value), 0);
        if (memcmp(&value, &wanted, sizeof value) != 0)
            fail_msg("%s: %.17g, not %.17g", text, value, wanted);
    }
}

static void what_is_no_decimal_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "-", "+", ".", "-.", "e5", "1e", "1e+", "1e5.0", "1.2.3", "1,5", "1 2", " 1", "1 ",
        "0x10", "inf", "nan", "infinity", "1_000", "--1", "1-", "$5", "1f", "\xd9\xa1",
    };
    char endless[200];
    double value = -7;
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (scan_number(texts[i], strlen(texts[i]), &value) != -1)
            fail_msg("\"%s\" was read as %g", texts[i], value);
    memset(endless, '1', sizeof endless);
    assert_int_equal(scan_number(endless, 128, &value), 0);
    assert_int_equal(scan_number(endless, 129, &value), -1);
    assert_int_equal(scan_number("1\0002", 3, &value), -1);
}

static void times_are_read_in_every_form(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds, fraction;
    } times[] = {
        {"2024-01-02", 1704153600, 0},
        {"20240102", 1704153600, 0},
        {"Jan 2 2024", 1704153600, 0},
        {"jan 02 2024", 1704153600, 0},
        {"2024-01-02T09:30", 1704187800, 0},
        {"2024-01-02 09:30:00", 1704187800, 0},
        {"2024-01-02t09:30:00z", 1704187800, 0},
        {"2024-01-02T09:30:00.5Z", 1704187800, 500000000},
        {"2024-01-02T09:30:00.123456789", 1704187800, 123456789},
        {"2024-01-02T10:30:00+01:00", 1704187800, 0},
        {"2024-01-02T10:30:00+0100", 1704187800, 0},
        {"2024-01-02T10:30+01", 1704187800, 0},
        {"2024-01-01T23:30:00.25-10:00", 1704187800, 250000000},
        {"1704187800", 1704187800, 0},
        {"1704187800.5", 1704187800, 500000000},
        {"1704187800123", 1704187800, 123000000},
        {"0", 0, 0},
        {"-1", -1, 0},
        {"-0.5", -1, 500000000},
        {"100000000000", 100000000, 0},
        {"1969-12-31T23:59:59.999999999Z", -1, 999999999},
        {"2000-02-29", 951782400, 0},
        {"1678-01-01", -9214560000, 0},
        {"2261-12-31", 9214560000, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t ns = -7;
        if (scan_time(times[i].text, strlen(times[i].text), &ns) != 0)
            fail_msg("\"%s\" was refused", times[i].text);
        assert_int_equal(ns, times[i].seconds * 1000000000 + times[i].fraction);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {
        "", " ", "now", "2024-1-2", "2024-13-01", "2024-00-01", "2024-02-30", "2023-02-29",
        "1900-02-29", "20230229", "20241301", "2024-01-02T", "2024-01-02T09", "2024-01-02T24:00",
        "2024-01-02T09:60", "2024-01-02T09:30:60", "2024-01-02T09:30:00.", "2024-01-02T09:30:00,5",
        "2024-01-02T09:30:00.1234567890", "2024-01-02T09:30:00+", "2024-01-02T09:30:00+1",
        "2024-01-02T09:30:00+24:00", "2024-01-02T09:30:00+01:60", "2024-01-02T09:30:00Zulu",
        "2024-01-02X09:30", "2024-01-02  09:30", "02/01/2024", "Jan 2", "Jan 2 24", "Jan 2, 2024",
        "Jan 32 2024", "January 2 2024", "Foo 2 2024", "Feb 29 2023", "1e9", "1.7e9", "+1",
        "--1", "-", "1.", "1.1234567890", "1704187800123.5", "9999999999999999",
        "1677-01-01", "2263-01-01",
        "1704187800\n", "99999999999" /* seconds, in the year 5138 */,
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t ns;
        if (scan_time(texts[i], strlen(texts[i]), &ns) != -1)
            fail_msg("\"%s\" was read as %lld", texts[i], (long long)ns);
    }
}

static void every_day_is_the_day_timegm_says(void **state)
{
    (void)state;
    for (int64_t day = -106000; day < 106000; day++) {
        time_t seconds = day * 86400;
        struct tm tm;
        char text[32];
        int64_t ns;
        gmtime_r(&seconds, &tm);
        size_t n = strftime(text, sizeof text, "%Y-%m-%d", &tm);
        assert_int_equal(scan_time(text, n, &ns), 0);
        assert_int_equal(ns, day * 86400 * 1000000000);
    }
}

static void a_time_s_text_is_the_same_time(void **state)
{
    char text[SCAN_TIME_TEXT];
    int64_t ns;
    (void)state;
    scan_time_text(1704187800120000000, text);
    assert_string_equal(text, "2024-01-02T09:30:00.12Z");
    scan_time_text(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
    srandom(2);
    for (int i = 0; i < 10000; i++) {
        int64_t wanted = (random() - (int64_t)1073741824) * 8000000000 + random();
        scan_time_text(wanted, text);
        assert_int_equal(scan_time(text, strlen(text), &ns), 0);
        assert_int_equal(ns, wanted);
    }
}

/* A text of the usual shape, of which some characters are then others. */
static size_t nearly_plain(char *text, size_t room, bool time)
{
    static const char letters[] = "0123456789999:--TtZz .,+e";
    int n = time ? snprintf(text, room, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld%s",
                            random() % 20 == 0 ? random() % 10000 : 2024, random() % 13,
                            random() % 3 + 27, random() % 25, random() % 62, random() % 62,
                            random() % 3 == 0 ? ".5Z" : random() % 2 == 0 ? "Z" : "")
                 : snprintf(text, room, "%ld%s%0*ld", random() % 1000, random() % 4 ? "." : "",
                            (int)(random() % 14), random() % 1000);
    for (long changes = random() % 3; changes > 0; changes--)
        text[random() % n] = letters[(size_t)random() % (sizeof letters - 1)];
    return (size_t)(random() % 4 ? n : random() % n + 1);
}

static void the_short_way_gives_the_same_or_nothing(void **state)
{
    static const char nuls[] = "\0\0\0\0\0\0\0\0\0\0\0" "09:30:00Z\n";
    struct plain_day day = {0};
    int64_t none;
    long plain_times = 0, plain_numbers = 0;
    (void)state;
    assert_null(plain_time(nuls, nuls + sizeof nuls - 2, &day, &none));
    srandom(1);
    for (int i = 0; i < 400000; i++) {
        char text[80];
        bool time = i % 2 == 0;
        size_t size = nearly_plain(text, sizeof text - 1, time);
        text[size] = random() % 2 ? '\n' : ',';
        const char *end = text + size + (text[size] == ',' ? 1 : 0);
        const char *comma = memchr(text, ',', size), *behind;
        *(char *)end = '\n';
        size_t field = comma != NULL ? (size_t)(comma - text) : size;
        int64_t ns = -7, wanted_ns = -8;
        double number = -7, wanted_number = -8;
        behind = time ? plain_time(text, end, &day, &ns)
                      : plain_number(text, end, &number);
        if (behind == NULL)
            continue;
        int bad = time ? scan_time(text, field, &wanted_ns)
                       : scan_number(text, field, &wanted_number);
        if (bad || behind != text + field || (time && ns != wanted_ns) ||
            (!time && memcmp(&number, &wanted_number, sizeof number) != 0))
            fail_msg("\"%.*s\" is not read as it should", (int)field, text);
        *(time ? &plain_times : &plain_numbers) += 1;
    }
    assert_in_range(plain_times, 20000, 200000);
    assert_in_range(plain_numbers, 20000, 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_way_gives_the_same_or_nothing),
        cmocka_unit_test(numbers_are_the_nearest_double),
        cmocka_unit_test(random_decimals_equal_strtod),
        cmocka_unit_test(what_is_no_decimal_is_refused),
        cmocka_unit_test(times_are_read_in_every_form),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(every_day_is_the_day_timegm_says),
        cmocka_unit_test(a_time_s_text_is_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
