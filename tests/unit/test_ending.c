/* test_ending.c - what a child's end means for its job. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "../../src/jobtabd/ending.h"

static void every_end_has_its_outcome(void **state)
{
    static const struct {
        struct ending ending;
        enum jobtab_outcome outcome;
        enum jobtab_reason reason;
        const char *error;
    } rows[] = {
        {{.code = 0, .last_line = "chatter"}, JOBTAB_SUCCEEDED, JOBTAB_NO_REASON, NULL},
        {{.code = 3, .last_line = "no such file"}, JOBTAB_TRY_AGAIN, JOBTAB_BY_EXIT,
         "exit code 3: no such file"},
        {{.code = 3, .last_line = ""}, JOBTAB_TRY_AGAIN, JOBTAB_BY_EXIT, "exit code 3"},
        {{.code = 75, .last_line = ""}, JOBTAB_TRY_AGAIN, JOBTAB_BY_EXIT,
         "exit code 75 (try again)"},
        {{.code = 255, .last_line = ""}, JOBTAB_TRY_AGAIN, JOBTAB_BY_EXIT, "exit code 255"},
        {{.signalled = true, .code = SIGSEGV, .last_line = "x"}, JOBTAB_TRY_AGAIN,
         JOBTAB_BY_SIGNAL, "signal 11 (SEGV): x"},
        {{.signalled = true, .code = SIGKILL, .last_line = ""}, JOBTAB_TRY_AGAIN,
         JOBTAB_BY_SIGNAL, "signal 9 (KILL)"},
        {{.signalled = true, .code = 40, .last_line = ""}, JOBTAB_TRY_AGAIN, JOBTAB_BY_SIGNAL,
         "signal 40 (?)"},
        {{.signalled = true, .code = SIGKILL, .oom = true, .last_line = ""}, JOBTAB_TRY_AGAIN,
         JOBTAB_BY_OOM, "killed by the kernel for memory"},
        {{.not_started = "exec /x: No such file", .last_line = ""}, JOBTAB_TRY_AGAIN,
         JOBTAB_BY_SPAWN, "exec /x: No such file"},
        {{.cause = ENDING_CANCEL, .signalled = true, .code = SIGTERM, .last_line = ""},
         JOBTAB_STOPPED, JOBTAB_NO_REASON, NULL},
        {{.cause = ENDING_CANCEL, .code = 0, .last_line = ""}, JOBTAB_STOPPED, JOBTAB_NO_REASON,
         NULL},
        {{.cause = ENDING_SHUTDOWN, .signalled = true, .code = SIGKILL, .last_line = ""},
         JOBTAB_STOPPED, JOBTAB_NO_REASON, NULL},
        {{.cause = ENDING_STARVED, .last_line = ""}, JOBTAB_STOPPED, JOBTAB_NO_REASON, NULL},
        {{.cause = ENDING_NO_ROOM, .code = 0, .last_line = "x"}, JOBTAB_TRY_AGAIN, JOBTAB_BY_OOM,
         "the runner had no memory for its result"},
        {{.cause = ENDING_TIMEOUT, .code = 0, .timeout = 1500, .last_line = "at row 7"},
         JOBTAB_TRY_AGAIN, JOBTAB_BY_TIMEOUT, "timed out after 1.5 s: at row 7"},
        {{.cause = ENDING_OVERFLOW, .result_max = 1024, .last_line = "x"}, JOBTAB_GIVE_UP,
         JOBTAB_BY_INVALID, "result over 1024 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jobtab_finish finish = {0};
        char error[JOBTAB_MESSAGE_MAX + 1];
        ending_judge(&rows[i].ending, &finish, error);
        if (finish.outcome != rows[i].outcome || finish.reason != rows[i].reason)
            fail_msg("row %zu: outcome %d, reason %d", i, finish.outcome, finish.reason);
        if (rows[i].error == NULL)
            assert_null(finish.error);
        else
            assert_string_equal(finish.error, rows[i].error);
    }
}

static void long_last_line_is_cut(void **state)
{
    char line[400], error[JOBTAB_MESSAGE_MAX + 1];
    struct jobtab_finish finish = {0};
    struct ending ending = {.code = 1, .last_line = line};

    (void)state;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    ending_judge(&ending, &finish, error);
    assert_int_equal(strlen(finish.error), JOBTAB_MESSAGE_MAX);
}

static void output_is_json_text_or_bytes(void **state)
{
    static const struct {
        const char *output, *kept;
        size_t size;
        enum jobtab_format format;
    } rows[] = {
        {"", "", 0, JOBTAB_NONE},
        {"{\"a\": [1, 2]}\n", "{\"a\": [1, 2]}", 14, JOBTAB_JSON},
        {" \r\n42\t", "42", 6, JOBTAB_JSON},
        {"null", "null", 4, JOBTAB_JSON},
        {"123456789012345678901234567890", "123456789012345678901234567890", 30, JOBTAB_JSON},
        {"\"\\u0000\"", "\"\\u0000\"", 8, JOBTAB_JSON},
        {"\"a word\"", "\"a word\"", 8, JOBTAB_JSON},
        {"{} {}", "{} {}", 5, JOBTAB_TEXT},
        {"{\"a\":", "{\"a\":", 5, JOBTAB_TEXT},
        {"two words\n", "two words\n", 10, JOBTAB_TEXT},
        {"\n", "\n", 1, JOBTAB_TEXT},
        {"na\xc3\xafve", "na\xc3\xafve", 6, JOBTAB_TEXT},
        {"na\xefve", "na\xefve", 5, JOBTAB_BYTES},
        {"a\0b", "a", 3, JOBTAB_BYTES},
        {"{}\0x", "{}", 4, JOBTAB_BYTES},
        {"\"\xff\"", "\"\xff\"", 3, JOBTAB_BYTES},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *bytes = rows[i].output;
        size_t size = rows[i].size;
        if (ending_format(&bytes, &size) != rows[i].format)
            fail_msg("row %zu", i);
        assert_memory_equal(bytes, rows[i].kept, strlen(rows[i].kept));
        assert_int_equal(size, rows[i].format == JOBTAB_BYTES ? rows[i].size
                                                              : strlen(rows[i].kept));
    }
}

static void counter_is_found_by_its_whole_name(void **state)
{
    static const char text[] = "pgfault 7\noom_kill_x 1\nxoom_kill 2\noom_kill 5\nlast 9\n";

    (void)state;
    assert_int_equal(ending_counter(text, "oom_kill"), 5);
    assert_int_equal(ending_counter(text, "pgfault"), 7);
    assert_int_equal(ending_counter(text, "last"), 9);
    assert_int_equal(ending_counter(text, "oom"), 0);
    assert_int_equal(ending_counter("", "oom"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_outcome),
        cmocka_unit_test(long_last_line_is_cut),
        cmocka_unit_test(output_is_json_text_or_bytes),
        cmocka_unit_test(counter_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
