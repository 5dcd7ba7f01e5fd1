/* test_step.c - steps of the wall clock are told from a clock that is slewed, and expiry lags by
 * them. */
#include "fixture.h"

#include "step.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define RETENTION (24 * HOUR)
#define WALL (1700000000 * SECOND)

static void a_step_is_told_once_with_its_size(void **state)
{
    struct step step = {.distance = 0};

    (void)state;
    assert_int_equal(step_look(&step, WALL, HOUR, RETENTION), 0); /* the first look */
    assert_int_equal(step_look(&step, WALL + SECOND, HOUR + SECOND, RETENTION), 0);
    assert_int_equal(step_look(&step, WALL + HOUR, HOUR + SECOND, RETENTION), HOUR - SECOND);
    assert_int_equal(step_look(&step, WALL + HOUR, HOUR + SECOND, RETENTION), 0);
    assert_int_equal(step_look(&step, WALL, HOUR + SECOND, RETENTION), -HOUR);
    assert_int_equal(step_look(&step, WALL, HOUR + SECOND, RETENTION), 0);
}

static void a_clock_that_is_slewed_is_not_stepped_however_far_it_comes(void **state)
{
    struct step step = {.distance = 0};
    int64_t wall = WALL, boot = HOUR;

    (void)state;
    for (int i = 0; i < 100; i++, wall += 2 * SECOND, boot += SECOND)
        assert_int_equal(step_look(&step, wall, boot, RETENTION), 0);
    assert_int_equal(step_lag(&step, wall, boot), 0);
}

static void expiry_lags_by_steps_forward_for_one_retention(void **state)
{
    struct step step = {.distance = 0};

    (void)state;
    step_look(&step, WALL, HOUR, RETENTION);
    step_look(&step, WALL + HOUR, HOUR, RETENTION);
    assert_int_equal(step_lag(&step, WALL + HOUR, HOUR), HOUR);
    step_look(&step, WALL + 5 * HOUR, 2 * HOUR, RETENTION); /* three more, an hour later */
    assert_int_equal(step_lag(&step, WALL + 5 * HOUR, 2 * HOUR), 4 * HOUR);
    int64_t wall = WALL + 5 * HOUR + RETENTION, boot = 2 * HOUR + RETENTION;
    assert_int_equal(step_lag(&step, wall - 1, boot - 1), 4 * HOUR);
    assert_int_equal(step_lag(&step, wall, boot), 0);
}

static void a_step_forward_that_is_taken_back_leaves_no_lag(void **state)
{
    struct step step = {.distance = 0};

    (void)state;
    step_look(&step, WALL, HOUR, RETENTION);
    step_look(&step, WALL + HOUR, HOUR, RETENTION);
    step_look(&step, WALL, HOUR, RETENTION);
    assert_int_equal(step_lag(&step, WALL, HOUR), 0);
    step_look(&step, WALL - 2 * HOUR, HOUR, RETENTION); /* finished jobs are kept longer, no more */
    assert_int_equal(step_lag(&step, WALL - 2 * HOUR, HOUR), 0);
}

/* Of two who look at once, one may be anywhere in it when the other looks, or have read the clocks
 * before. */
static void nobody_misses_a_step_that_another_is_about_to_tell(void **state)
{
    struct step step = {.distance = 0};

    (void)state;
    step_look(&step, WALL, HOUR, RETENTION);
    step.until = HOUR + RETENTION; /* the other has come so far */
    step_look(&step, WALL + HOUR, HOUR, RETENTION);
    assert_int_equal(step_lag(&step, WALL + HOUR, HOUR), HOUR);
    step_look(&step, WALL, HOUR, RETENTION); /* read before the step, looked at after it */
    assert_int_equal(step_lag(&step, WALL, HOUR), 0);
    step_look(&step, WALL + HOUR, HOUR, RETENTION);
    assert_int_equal(step_lag(&step, WALL + HOUR, HOUR), HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_told_once_with_its_size),
        cmocka_unit_test(a_clock_that_is_slewed_is_not_stepped_however_far_it_comes),
        cmocka_unit_test(expiry_lags_by_steps_forward_for_one_retention),
        cmocka_unit_test(a_step_forward_that_is_taken_back_leaves_no_lag),
        cmocka_unit_test(nobody_misses_a_step_that_another_is_about_to_tell),
    };
    return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
