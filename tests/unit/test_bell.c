/* test_bell.c - versions that only grow, words of kinds. */
#include "fixture.h"

#include "clock.h"
#include "shared.h"

static int use;

static struct bell *open_bell(struct fixture *f, struct shared **shared)
{
    assert_ok(shared_open(f->dir, shared, &use));
    return &(*shared)->bell;
}

static void versions_only_grow(void **state)
{
    struct shared *shared;
    struct bell *bell = open_bell(*state, &shared);

    bell_ring(bell, 9);
    bell_ring(bell, 7);
    assert_int_equal(bell_version(bell), 9);
    assert_true(bell_wait(bell, 8, clock_boot() + 5000));
    assert_false(bell_wait(bell, 9, clock_boot() + 5));
    shared_close(shared, use);
}

static int name_a_word(void *context)
{
    bell_work(context, "theirs");
    return 0;
}

static void a_kind_has_one_word_in_all_processes(void **state)
{
    struct shared *shared;
    struct bell *bell = open_bell(*state, &shared);

    assert_int_equal(in_child(name_a_word, bell), 0);
    uint32_t before = bell_work(bell, "theirs"), other = bell_work(bell, "ours");
    bell_ring_work(bell, "theirs", 1);
    assert_int_not_equal(bell_work(bell, "theirs"), before);
    assert_int_equal(bell_work(bell, "ours"), other);
    bell_ring_work(bell, "nobody waits for this", 1);
    assert_int_equal(bell_wait_work(bell, "ours", other, clock_boot() + 5), BELL_TIME);
    assert_int_equal(bell_wait_work(bell, "theirs", before, clock_boot() + 5000), BELL_RANG);
    shared_close(shared, use);
}

int main(void)
{
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_directory, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(versions_only_grow),
        WITH_DIRECTORY(a_kind_has_one_word_in_all_processes),
    };
    return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
