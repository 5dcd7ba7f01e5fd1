/* test_pidfile.c - who holds the pid file, and the run id of the master before. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/jobtabd/pidfile.h"

static char directory[] = "/tmp/jobtab-test-pid-XXXXXX";
static char path[64], run[80];

static void write_run(const char *text)
{
    FILE *out = fopen(run, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* An fcntl lock is no obstacle to its own process: another one has to look. */
static pid_t holder_as_others_see_it(void)
{
    int ends[2];
    pid_t holder = -2;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        holder = pidfile_holder(path);
        _exit(write(ends[1], &holder, sizeof holder) < 0);
    }
    assert_int_equal(read(ends[0], &holder, sizeof holder), sizeof holder);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return holder;
}

static void the_holder_is_known_to_others_and_free_after_the_drop(void **state)
{
    char why[256];

    (void)state;
    assert_int_equal(pidfile_holder(path), 0);
    assert_int_equal(pidfile_take(path, why, sizeof why), 0);
    assert_int_equal(holder_as_others_see_it(), getpid());
    pidfile_drop(path);
    assert_int_equal(pidfile_holder(path), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_second_process_is_refused_and_told_by_whom(void **state)
{
    char why[256], expected[256];
    int status;

    (void)state;
    assert_int_equal(pidfile_take(path, why, sizeof why), 0);
    snprintf(expected, sizeof expected, "jobtabd runs already: process %d holds %s", (int)getpid(),
             path);
    pid_t child = fork();
    if (child == 0) {
        _exit(pidfile_take(path, why, sizeof why) == 0 || strcmp(why, expected) != 0);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(holder_as_others_see_it(), getpid());
    pidfile_drop(path);
}

static void a_file_left_behind_is_no_obstacle(void **state)
{
    char why[256];

    (void)state;
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("1\n", out);
    fclose(out);
    assert_int_equal(pidfile_holder(path), 0);
    assert_int_equal(pidfile_take(path, why, sizeof why), 0);
    pidfile_drop(path);
}

static void run_ids_follow_each_other_and_differ(void **state)
{
    char last[RUN_ID_TEXT], first[RUN_ID_TEXT], second[RUN_ID_TEXT];

    (void)state;
    assert_int_equal(pidfile_run_id(path, last, first), 0);
    assert_string_equal(last, "");
    assert_int_equal(strlen(first), RUN_ID_TEXT - 1);
    assert_int_equal(pidfile_run_id(path, last, second), 0);
    assert_string_equal(last, first);
    assert_string_not_equal(second, first);
    unlink(run);
}

static void what_is_no_whole_run_id_is_none(void **state)
{
    static const char *const bad[] = {"", "0", "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdeX"};
    char last[RUN_ID_TEXT], now[RUN_ID_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_run(bad[i]);
        assert_int_equal(pidfile_run_id(path, last, now), 0);
        assert_string_equal(last, "");
    }
    unlink(run);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/pid", directory);
    snprintf(run, sizeof run, "%s.run", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_holder_is_known_to_others_and_free_after_the_drop),
        cmocka_unit_test(a_second_process_is_refused_and_told_by_whom),
        cmocka_unit_test(a_file_left_behind_is_no_obstacle),
        cmocka_unit_test(run_ids_follow_each_other_and_differ),
        cmocka_unit_test(what_is_no_whole_run_id_is_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
