/* test_id.c - ids and tokens. */
#include "fixture.h"

#include "id.h"

static void ids_grow_whatever_the_clock_does(void **state)
{
    struct jobtab_id last = {{0}};
    const int64_t clock[] = {1000, 1000, 1000, 5000, 4000, 10, 0, -7, 5000, 5001};

    (void)state;
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < sizeof clock / sizeof *clock; i++) {
            struct jobtab_id id = id_next(&last, clock[i]);
            assert_true(memcmp(&id, &last, sizeof id) > 0);
            assert_int_equal(id.bytes[6] >> 4, 7); /* version */
            assert_int_equal(id.bytes[8] >> 6, 2); /* variant */
            last = id;
        }
    }
}

static void a_full_counter_carries_into_the_time(void **state)
{
    struct jobtab_id last, id;

    (void)state;
    assert_ok(jobtab_id_parse("00000000-03e8-7fff-bfff-ffffffffffff", &last));
    id = id_next(&last, 1000);
    assert_true(memcmp(&id, &last, sizeof id) > 0);
    assert_int_equal(id.bytes[5], 0xe9);
    assert_int_equal(id.bytes[6] >> 4, 7);
    assert_int_equal(id.bytes[8] >> 6, 2);
}

static void an_id_carries_the_time_it_was_made(void **state)
{
    struct jobtab_id id = id_next(&(struct jobtab_id){{0}}, 0x01935b7e1234);
    char text[JOBTAB_ID_TEXT];

    (void)state;
    jobtab_id_format(&id, text);
    assert_memory_equal(text, "01935b7e-1234-7", 15);
}

static void text_and_id_go_both_ways(void **state)
{
    const char *text = "01935b7e-89ab-7def-8123-456789abcdef";
    char back[JOBTAB_ID_TEXT];
    struct jobtab_id id, upper;

    (void)state;
    assert_ok(jobtab_id_parse(text, &id));
    jobtab_id_format(&id, back);
    assert_string_equal(back, text);
    assert_ok(jobtab_id_parse("01935B7E-89AB-7DEF-8123-456789ABCDEF", &upper));
    assert_memory_equal(&id, &upper, sizeof id);
}

static void what_is_no_uuid_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "x", "01935b7e-89ab-7def-8123-456789abcde", "01935b7e-89ab-7def-8123-456789abcdef0",
        "01935b7e89ab-7def-8123-456789abcdef-", "01935b7g-89ab-7def-8123-456789abcdef",
        "01935b7e-89ab-7def-8123-456789abcde\n", "{1935b7e-89ab-7def-8123-456789abcdef",
    };
    struct jobtab_id id = {{9}};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(jobtab_id_parse(bad[i], &id), JOBTAB_INVALID);
    assert_int_equal(id.bytes[0], 9);
}

static void tokens_go_both_ways_and_bad_ones_are_refused(void **state)
{
    static const char *const bad[] = {"", "1", "1-", "-0123456789abcdef", "1-0123456789abcde",
                                      "1-0123456789abcdef0", "x-0123456789abcdef",
                                      "4294967296-0123456789abcdef"};
    struct jobtab_token token = {.attempt = UINT32_MAX, .secret = 0xfedcba9876543210}, back;
    char text[JOBTAB_TOKEN_TEXT];

    (void)state;
    jobtab_token_format(&token, text);
    assert_string_equal(text, "4294967295-fedcba9876543210");
    assert_ok(jobtab_token_parse(text, &back));
    assert_int_equal(back.attempt, token.attempt);
    assert_true(back.secret == token.secret);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(jobtab_token_parse(bad[i], &back), JOBTAB_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_grow_whatever_the_clock_does),
        cmocka_unit_test(a_full_counter_carries_into_the_time),
        cmocka_unit_test(an_id_carries_the_time_it_was_made),
        cmocka_unit_test(text_and_id_go_both_ways),
        cmocka_unit_test(what_is_no_uuid_is_refused),
        cmocka_unit_test(tokens_go_both_ways_and_bad_ones_are_refused),
    };
    return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
