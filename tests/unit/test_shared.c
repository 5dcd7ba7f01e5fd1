/* test_shared.c - the shared file: one for all processes, made anew after a boot. */
#include "fixture.h"

#include "shared.h"

#include <fcntl.h>

static int ring(void *context)
{
    struct shared *shared;

    if (shared_open(context, &shared) != JOBTAB_OK)
        return 1;
    bell_ring(&shared->bell, 1000);
    shared_close(shared);
    return 0;
}

static void all_processes_have_the_same_file(void **state)
{
    struct fixture *f = *state;
    struct shared *shared;

    assert_ok(shared_open(f->dir, &shared));
    assert_int_equal(in_child(ring, f->dir), 0);
    assert_int_equal(bell_version(&shared->bell), 1000);
    shared_close(shared);
}

static void a_file_of_another_boot_is_made_anew(void **state)
{
    struct fixture *f = *state;
    uint8_t other[16] = "another boot id";
    struct shared *shared;
    char path[128];

    assert_ok(shared_open(f->dir, &shared));
    bell_ring(&shared->bell, 1000);
    uint64_t epoch = shared->queue.epoch;
    shared_close(shared);
    snprintf(path, sizeof path, "%s/shared", f->dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, other, sizeof other, 8), sizeof other);
    close(fd);
    assert_ok(shared_open(f->dir, &shared));
    assert_int_equal(bell_version(&shared->bell), 0);
    assert_true(shared->queue.epoch != epoch);
    shared_close(shared);
}

int main(void)
{
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_directory, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(all_processes_have_the_same_file),
        WITH_DIRECTORY(a_file_of_another_boot_is_made_anew),
    };
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
