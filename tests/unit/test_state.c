/* test_state.c - the state machine: each of the 49 moves is either allowed or refused by name. */
#include "fixture.h"

#include "state.h"

/* Design section 2, written down once more. */
static const struct {
    enum jobtab_state from, to;
} allowed[] = {
    {JOBTAB_SCHEDULED, JOBTAB_PENDING},    {JOBTAB_SCHEDULED, JOBTAB_CANCELLED},
    {JOBTAB_PENDING, JOBTAB_RUNNING},      {JOBTAB_PENDING, JOBTAB_CANCELLED},
    {JOBTAB_RUNNING, JOBTAB_COMPLETED},    {JOBTAB_RUNNING, JOBTAB_FAILED},
    {JOBTAB_RUNNING, JOBTAB_SCHEDULED},    {JOBTAB_RUNNING, JOBTAB_PENDING},
    {JOBTAB_RUNNING, JOBTAB_CANCELLING},   {JOBTAB_CANCELLING, JOBTAB_CANCELLED},
    {JOBTAB_CANCELLING, JOBTAB_COMPLETED}, {JOBTAB_FAILED, JOBTAB_PENDING},
    {JOBTAB_CANCELLED, JOBTAB_PENDING},
};

static bool is_allowed(enum jobtab_state from, enum jobtab_state to)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i].from == from && allowed[i].to == to)
            return true;
    return false;
}

static void only_the_moves_of_the_design_are_allowed(void **state)
{
    (void)state;
    for (unsigned from = 0; from < JOBTAB_STATES; from++) {
        for (unsigned to = 0; to < JOBTAB_STATES; to++) {
            struct jobtab_job job = {.state = from, .reason = JOBTAB_BY_EXIT};
            int rc = state_move(&job, to, JOBTAB_BY_CANCEL);
            if (is_allowed(from, to)) {
                assert_int_equal(rc, JOBTAB_OK);
                assert_int_equal(job.state, to);
                assert_int_equal(job.reason, JOBTAB_BY_CANCEL);
            } else {
                assert_int_equal(rc, JOBTAB_FORBIDDEN);
                assert_non_null(strstr(jobtab_why(), jobtab_state_name(from)));
                assert_non_null(strstr(jobtab_why(), jobtab_state_name(to)));
                assert_int_equal(job.state, from);
                assert_int_equal(job.reason, JOBTAB_BY_EXIT);
            }
        }
    }
}

static void names_go_both_ways(void **state)
{
    enum jobtab_state parsed;

    (void)state;
    for (unsigned i = 0; i < JOBTAB_STATES; i++) {
        assert_ok(jobtab_state_parse(jobtab_state_name(i), &parsed));
        assert_int_equal(parsed, i);
    }
    assert_int_equal(jobtab_state_parse("Pending", &parsed), JOBTAB_INVALID);
    assert_int_equal(jobtab_state_parse("", &parsed), JOBTAB_INVALID);
    assert_null(jobtab_state_name(JOBTAB_STATES));
    assert_null(jobtab_reason_name(JOBTAB_REASONS));
    for (unsigned i = 0; i < JOBTAB_REASONS; i++)
        assert_non_null(jobtab_reason_name(i));
}

static void three_states_are_done_and_two_have_an_owner(void **state)
{
    unsigned done = 0, owned = 0;

    (void)state;
    for (unsigned i = 0; i < JOBTAB_STATES; i++) {
        done += jobtab_state_done(i);
        owned += state_owned(i);
    }
    assert_int_equal(done, 3);
    assert_int_equal(owned, 2);
    assert_false(jobtab_state_done(JOBTAB_STATES));
}

static void every_error_has_a_line(void **state)
{
    (void)state;
    for (int i = 0; i <= JOBTAB_BROKEN; i++)
        assert_string_not_equal(jobtab_strerror(i), "unknown error");
    assert_string_equal(jobtab_strerror(-1), "unknown error");
    assert_string_equal(jobtab_strerror(JOBTAB_BROKEN + 1), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_moves_of_the_design_are_allowed),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(three_states_are_done_and_two_have_an_owner),
        cmocka_unit_test(every_error_has_a_line),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
