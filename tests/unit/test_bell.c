/* test_bell.c - versions that only grow, a bell of another boot, a kind's word. */
#include "fixture.h"

#include "bell.h"
#include "clock.h"

#include <fcntl.h>

static struct bell *open_bell(struct fixture *f, uint64_t version)
{
    struct bell *bell;

    assert_ok(bell_open(f->dir, version, &bell));
    return bell;
}

static void versions_only_grow(void **state)
{
    struct bell *bell = open_bell(*state, 5);

    bell_ring(bell, 9);
    bell_ring(bell, 7);
    assert_int_equal(bell_version(bell), 9);
    bell_close(bell);
    bell = open_bell(*state, 3); /* an opener whose snapshot is older */
    assert_int_equal(bell_version(bell), 9);
    assert_true(bell_wait(bell, 8, clock_boot() + 5000));
    assert_false(bell_wait(bell, 9, clock_boot() + 5));
    bell_close(bell);
}

static void a_bell_of_another_boot_is_made_anew(void **state)
{
    struct fixture *f = *state;
    struct bell *bell = open_bell(f, 5);
    uint8_t other[16] = "another boot id";
    char path[128];

    bell_ring(bell, 1000);
    bell_close(bell);
    snprintf(path, sizeof path, "%s/bell", f->dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, other, sizeof other, 8), sizeof other);
    close(fd);
    bell = open_bell(f, 5);
    assert_int_equal(bell_version(bell), 5);
    bell_close(bell);
}

static int name_a_word(void *context)
{
    bell_work(context, "theirs");
    return 0;
}

static void a_kind_has_one_word_in_all_processes(void **state)
{
    struct bell *bell = open_bell(*state, 0);

    assert_int_equal(in_child(name_a_word, bell), 0);
    uint32_t before = bell_work(bell, "theirs"), other = bell_work(bell, "ours");
    bell_ring_work(bell, "theirs", 1);
    assert_int_not_equal(bell_work(bell, "theirs"), before);
    assert_int_equal(bell_work(bell, "ours"), other);
    bell_ring_work(bell, "nobody waits for this", 1);
    assert_int_equal(bell_wait_work(bell, "ours", other, clock_boot() + 5), BELL_TIME);
    assert_int_equal(bell_wait_work(bell, "theirs", before, clock_boot() + 5000), BELL_RANG);
    bell_close(bell);
}

int main(void)
{
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_directory, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(versions_only_grow),
        WITH_DIRECTORY(a_bell_of_another_boot_is_made_anew),
        WITH_DIRECTORY(a_kind_has_one_word_in_all_processes),
    };
    return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
