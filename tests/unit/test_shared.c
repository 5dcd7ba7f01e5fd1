/* test_shared.c - the shared file: one for all processes, made anew for the first, never under a
 * user. */
#include "fixture.h"

#include "shared.h"

#include <fcntl.h>

static int ring(void *context)
{
    struct shared *shared;
    int use;

    if (shared_open(context, &shared, &use) != JOBTAB_OK)
        return 1;
    bell_ring(&shared->bell, 1000);
    shared_close(shared, use);
    return 0;
}

static void all_processes_have_the_same_file(void **state)
{
    struct fixture *f = *state;
    struct shared *shared;
    int use;

    assert_ok(shared_open(f->dir, &shared, &use));
    assert_int_equal(in_child(ring, f->dir), 0);
    assert_int_equal(bell_version(&shared->bell), 1000);
    shared_close(shared, use);
}

/* Overwrite some of the file's beginning. */
static void spoil(struct fixture *f, const void *bytes, size_t size, off_t at)
{
    char path[128];

    snprintf(path, sizeof path, "%s/shared", f->dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, size, at), size);
    close(fd);
}

static void a_file_of_another_boot_is_made_anew(void **state)
{
    struct fixture *f = *state;
    struct shared *shared;
    int use;

    assert_ok(shared_open(f->dir, &shared, &use));
    bell_ring(&shared->bell, 1000);
    uint64_t epoch = shared->queue.epoch;
    shared_close(shared, use);
    spoil(f, "another boot id", 16, offsetof(struct shared, boot));
    assert_ok(shared_open(f->dir, &shared, &use));
    assert_int_equal(bell_version(&shared->bell), 0);
    assert_true(shared->queue.epoch != epoch);
    shared_close(shared, use);
}

/* As a file system leaves it that was cut off, repaired and mounted again: of some moment of its
 * last use. */
static void a_file_that_nobody_uses_is_made_anew(void **state)
{
    static const int32_t held_by_one = 1;
    struct fixture *f = *state;
    struct shared *shared;
    bool died;
    int use;

    assert_ok(shared_open(f->dir, &shared, &use));
    uint64_t epoch = shared->queue.epoch;
    shared_close(shared, use);
    spoil(f, &held_by_one, sizeof held_by_one,
          offsetof(struct shared, queue.turn.mutex.__data.__lock));
    assert_ok(shared_open(f->dir, &shared, &use));
    assert_true(shared->queue.epoch != epoch);
    assert_true(turn_try(&shared->queue.turn, &died));
    turn_give(&shared->queue.turn);
    shared_close(shared, use);
}

static void a_file_of_another_layout_is_left_alone_while_somebody_uses_it(void **state)
{
    struct fixture *f = *state;
    struct shared *shared, *refused;
    int use, other;

    assert_ok(shared_open(f->dir, &shared, &use));
    bell_ring(&shared->bell, 1000);
    spoil(f, "JTB?", 4, offsetof(struct shared, magic));
    assert_int_equal(shared_open(f->dir, &refused, &other), JOBTAB_SCHEMA);
    assert_non_null(strstr(jobtab_why(), "another version"));
    assert_int_equal(bell_version(&shared->bell), 1000);
    shared_close(shared, use);
    assert_ok(shared_open(f->dir, &shared, &use));
    assert_int_equal(bell_version(&shared->bell), 0);
    shared_close(shared, use);
}

int main(void)
{
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_directory, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(all_processes_have_the_same_file),
        WITH_DIRECTORY(a_file_of_another_boot_is_made_anew),
        WITH_DIRECTORY(a_file_that_nobody_uses_is_made_anew),
        WITH_DIRECTORY(a_file_of_another_layout_is_left_alone_while_somebody_uses_it),
    };
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
