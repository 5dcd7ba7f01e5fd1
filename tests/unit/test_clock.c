/* test_clock.c - clocks, process identity, time as text. */
#include "fixture.h"

#include "clock.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void times_are_written_as_rfc_3339(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951826307089, "2000-02-29T12:11:47.089Z"},
        {1795413600000, "2026-11-23T06:00:00.000Z"},
        {INT64_C(-2203891200001), "1900-02-28T23:59:59.999Z"},
        {INT64_C(-2203891200000), "1900-03-01T00:00:00.000Z"},
        {INT64_C(4107542399000), "2100-02-28T23:59:59.000Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z"},
    };
    char text[JOBTAB_TIME_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        jobtab_time_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
    jobtab_time_format(INT64_MAX, text); /* damaged records hold anything */
    assert_int_equal(strlen(text), JOBTAB_TIME_TEXT - 1);
}

static void days_are_those_of_the_c_library(void **state)
{
    char text[JOBTAB_TIME_TEXT], expected[64];

    (void)state;
    /* Every day of 400 years, and a little beyond. */
    for (time_t day = -200 * 366; day < 250 * 366; day++) {
        time_t seconds = day * 86400 + 4711;
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.007Z", &tm) > 0);
        jobtab_time_format(seconds * 1000 + 7, text);
        assert_string_equal(text, expected);
    }
}

static void this_process_lives_since_one_instant(void **state)
{
    (void)state;
    assert_true(process_start(getpid()) != 0);
    assert_true(process_start(getpid()) == process_start(getpid()));
    assert_true(process_start(1) != process_start(getpid()));
}

static int self_is_getpid(void *depth)
{
    int *left = depth;

    if (process_self() != getpid() || process_self() != getpid())
        return 1;
    return --*left > 0 ? in_child(self_is_getpid, left) : 0;
}

static void a_child_is_itself_whoever_its_parent(void **state)
{
    int generations = 3, status;

    (void)state;
    assert_int_equal(self_is_getpid(&generations), 0);
    /* Past the C library and its handlers, as a runtime of another language may fork. */
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(process_self() == getpid() ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(process_self() == getpid());
}

static void the_dead_have_no_start_even_before_they_are_reaped(void **state)
{
    siginfo_t info;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(process_start(pid) == 0); /* a zombie */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(process_start(pid) == 0); /* nobody */
}

static int named_like_a_trap(void *context)
{
    (void)context;
    prctl(PR_SET_NAME, "a) Z 1 (b");
    return process_start(getpid()) != 0 ? 0 : 1;
}

static void a_process_name_with_parentheses_confuses_nobody(void **state)
{
    (void)state;
    assert_int_equal(in_child(named_like_a_trap, NULL), 0);
}

static void a_boot_has_one_id(void **state)
{
    struct boot a = clock_boot_id(), b = clock_boot_id(), other = {a.high, a.low ^ 1};

    (void)state;
    assert_true(a.high || a.low);
    assert_true(boot_same(&a, &b));
    assert_false(boot_same(&a, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339),
        cmocka_unit_test(days_are_those_of_the_c_library),
        cmocka_unit_test(this_process_lives_since_one_instant),
        cmocka_unit_test(a_child_is_itself_whoever_its_parent),
        cmocka_unit_test(the_dead_have_no_start_even_before_they_are_reaped),
        cmocka_unit_test(a_process_name_with_parentheses_confuses_nobody),
        cmocka_unit_test(a_boot_has_one_id),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
