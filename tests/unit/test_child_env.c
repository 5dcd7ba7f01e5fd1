/* test_child_env.c - a child's environment is what the contract promises and nothing else. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../../src/jobtabd/child_env.h"

static char *from[] = {"PATH=/bin",       "SECRET=x",       "LANG=C.UTF-8",  "PATHS=no",
                       "LD_PRELOAD=x.so", "TMPDIR=/tmp/of", "JOBTAB_TOKEN=", "NOTIFY_SOCKET=/run/n",
                       NULL};

/* The vectors must hold the same strings, in any order. */
static void assert_same(char **env, const char *const *wanted)
{
    size_t n = 0, m = 0;

    assert_non_null(env);
    while (env[n] != NULL)
        n++;
    for (; wanted[m] != NULL; m++) {
        size_t i = 0;
        while (i < n && strcmp(env[i], wanted[m]) != 0)
            i++;
        if (i == n)
            fail_msg("missing: %s", wanted[m]);
    }
    for (size_t i = 0; n != m && i < n; i++)
        print_message("has %s\n", env[i]);
    assert_int_equal(n, m);
    child_env_free(env);
}

static void one_job_child_knows_its_job(void **state)
{
    struct child_env facts = {.kind = "report", .owner = "run", .job_id = "id", .attempt = 2};

    (void)state;
    assert_same(child_env_make(&facts, from),
                (const char *const[]){"JOBTAB_KIND=report", "JOBTAB_OWNER=run", "JOBTAB_JOB_ID=id",
                                      "JOBTAB_ATTEMPT=2", "JOBTAB_REPORT_FD=3", "PATH=/bin",
                                      "LANG=C.UTF-8", "TMPDIR=/tmp/of", NULL});
}

static void table_child_gets_table_and_token(void **state)
{
    struct child_env facts = {.kind = "v", .owner = "run", .table = "/t", .input_root = "/in",
                              .job_id = "id", .attempt = 1, .token = "1-ff"};

    (void)state;
    assert_same(child_env_make(&facts, (char *[]){NULL}),
                (const char *const[]){"JOBTAB_KIND=v", "JOBTAB_OWNER=run", "JOBTAB_TABLE=/t",
                                      "JOBTAB_INPUT_ROOT=/in", "JOBTAB_JOB_ID=id",
                                      "JOBTAB_ATTEMPT=1", "JOBTAB_REPORT_FD=3",
                                      "JOBTAB_TOKEN=1-ff", NULL});
}

static void warm_child_gets_no_job(void **state)
{
    struct child_env facts = {.kind = "v", .owner = "run", .table = "/t", .attempt = 7};

    (void)state;
    assert_same(child_env_make(&facts, (char *[]){"TZ=UTC", "HOME=/root", NULL}),
                (const char *const[]){"JOBTAB_KIND=v", "JOBTAB_OWNER=run", "JOBTAB_TABLE=/t",
                                      "TZ=UTC", "HOME=/root", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_job_child_knows_its_job),
        cmocka_unit_test(table_child_gets_table_and_token),
        cmocka_unit_test(warm_child_gets_no_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
