/* test_log.c - the lines of the error log. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/jobtabd/log.h"

static char file[] = "/tmp/jobtab-test-log-XXXXXX";

/* What stands in the file behind the time, from `write` on. */
static char *line(void)
{
    static char text[8192];
    FILE *in = fopen(file, "r");

    assert_non_null(in);
    size_t size = fread(text, 1, sizeof text - 1, in);
    text[size] = '\0';
    fclose(in);
    assert_int_equal(truncate(file, 0), 0);
    assert_true(size > 25);
    assert_int_equal(text[23], 'Z');
    assert_int_equal(text[24], ' ');
    return text + 25;
}

static void a_line_names_level_role_process_and_job(void **state)
{
    char expected[128];

    (void)state;
    log_role("runner 3");
    log_write(LOG_LEVEL_WARN, "01935b7e", "it took %d s", 7);
    snprintf(expected, sizeof expected, "warn runner 3[%d] job 01935b7e: it took 7 s\n",
             (int)getpid());
    assert_string_equal(line(), expected);
    log_info("plain");
    snprintf(expected, sizeof expected, "info runner 3[%d]: plain\n", (int)getpid());
    assert_string_equal(line(), expected);
}

static void what_a_job_says_cannot_forge_a_line(void **state)
{
    (void)state;
    log_notice("%s", "first\n2026 error master[1]: second\r\x1b[31m");
    char *text = line();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_null(strchr(text, '\r'));
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "first?2026 error"));
}

static void a_line_that_is_too_long_is_cut_and_ends(void **state)
{
    char *many = malloc(100001);

    (void)state;
    assert_non_null(many);
    memset(many, 'x', 100000);
    many[100000] = '\0';
    log_error("%s", many);
    free(many);
    char *text = line();
    assert_true(strlen(text) < 2048);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void a_target_that_cannot_be_opened_leaves_the_old_one(void **state)
{
    (void)state;
    assert_int_equal(log_open("/nowhere/log"), -1);
    log_info("still here");
    assert_non_null(strstr(line(), "still here"));
}

static void off_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(log_open("off"), 0);
    assert_int_equal(log_fd(), -1);
    log_error("into the void");
    assert_int_equal(log_open(file), 0);
    log_info("back");
    assert_null(strstr(line(), "void"));
}

static int set_up(void **state)
{
    int fd = mkstemp(file);

    (void)state;
    if (fd < 0) {
        return -1;
    }
    close(fd);
    return log_open(file);
}

static int tear_down(void **state)
{
    (void)state;
    log_open("stderr");
    return unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_level_role_process_and_job),
        cmocka_unit_test(what_a_job_says_cannot_forge_a_line),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_ends),
        cmocka_unit_test(a_target_that_cannot_be_opened_leaves_the_old_one),
        cmocka_unit_test(off_writes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
