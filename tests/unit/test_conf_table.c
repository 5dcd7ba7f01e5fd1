/* test_conf_table.c - what a configuration may say of a table, the library takes. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/jobtabd/conf.h"
#include "../../src/jobtabd/conf_rows.h"
#include "jobtab.h"

static char directory[] = "/tmp/jobtab-test-bounds-XXXXXX";
static char file[64];

static void fail_on_fault(const char *text, void *context)
{
    (void)context;
    fail_msg("%s", text);
}

static struct conf *load(const char *table_keys, const char *kind_keys)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    fprintf(out, "table \"%s/table\" { %s }\n", directory, table_keys);
    fprintf(out, "kind \"k\" { command = {\"/bin/true\"} table = true %s }\n", kind_keys);
    fclose(out);
    return conf_load(file, fail_on_fault, NULL);
}

static void remove_table(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "open.lock", "shared"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/table/%s", directory, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/table", directory);
    assert_int_equal(rmdir(path), 0);
}

/* Open a new table and submit a job; the job as it was taken. */
static struct jobtab_job submit(const struct conf *conf, const char *what)
{
    const struct jobtab_submit submit = {.kind = "k"};
    struct jobtab *table;
    struct jobtab_job job = {.version = 0};

    int error = conf_open_table(conf, false, &table);
    if (!error) {
        error = jobtab_submit(table, &submit, &job);
    }
    if (error) {
        fail_msg("%s: %s", what, jobtab_why());
    }
    jobtab_close(table);
    remove_table();
    return job;
}

/* Valgrind gives a process less address space than the largest map takes. */
static bool has_address_space(uint64_t size)
{
    void *map = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map != MAP_FAILED && munmap(map, size) == 0;
}

static void every_bound_is_one_that_the_library_takes(void **state)
{
    char number[32], key[80];

    (void)state;
    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        bool of_kind = strcmp(row->section, "kind") == 0;
        if ((!of_kind && strcmp(row->section, "table") != 0) || row->max < 2) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            if (strcmp(row->name, "map_size") == 0 && i && !has_address_space((uint64_t)row->max)) {
                print_message("# no address space for a map_size of its upper bound\n");
                continue;
            }
            conf_number_text(row->type, i ? row->max : row->min, number, sizeof number);
            snprintf(key, sizeof key, "%s = %s", row->name, number);
            struct conf *conf = load(of_kind ? "" : key, of_kind ? key : "");
            submit(conf, key);
            conf_free(conf);
        }
    }
}

static void a_job_gets_the_policy_of_its_kind(void **state)
{
    struct conf *conf = load("", "timeout = 90s max_attempts = 4 backoff = 250ms max_crashes = 5");
    struct jobtab_job job = submit(conf, "policy");

    (void)state;
    assert_int_equal(job.timeout, 90000);
    assert_int_equal(job.max_attempts, 4);
    assert_int_equal(job.backoff, 250);
    assert_int_equal(job.max_crashes, 5);
    conf_free(conf);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) {
        return -1;
    }
    snprintf(file, sizeof file, "%s/c", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bound_is_one_that_the_library_takes),
        cmocka_unit_test(a_job_gets_the_policy_of_its_kind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
