/* test_show.c - what the command line shows to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/jobtab/show.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* What `draw` writes to a stream of the given kind. The caller frees it. */
#define DRAWN(show_text, with, draw)                        \
    do {                                                    \
        size_t drawn_size;                                  \
        struct show show = with;                            \
        show_text = NULL;                                   \
        show.out = open_memstream(&show_text, &drawn_size); \
        assert_non_null(show.out);                          \
        draw;                                               \
        fclose(show.out);                                   \
    } while (0)

static const struct show plain = {.utf8 = true};
static const struct show narrow = {.utf8 = true, .columns = 24};
static const struct show coloured = {.utf8 = true, .columns = 80, .colour = true};

static void assert_escaped(const char *bytes, bool lines, const char *expected)
{
    char *escaped = show_escaped(bytes, strlen(bytes), lines);

    assert_string_equal(escaped, expected);
    free(escaped);
}

static void terminal_controls_are_shown_and_not_obeyed(void **state)
{
    (void)state;
    assert_escaped("\033[2J\033]0;title\007", false, "\\x1b[2J\\x1b]0;title\\x07");
    assert_escaped("a\177b\302\233c", false, "a\\x7fb\\x9bc"); /* DEL, and CSI as one character */
    assert_escaped("one\r\n\ttwo", false, "one\\r\\n\\ttwo");
}

static void log_keeps_its_lines_but_no_carriage_return(void **state)
{
    (void)state;
    assert_escaped("one\n\ttwo\r\033[A", true, "one\n\ttwo\\r\\x1b[A");
}

static void characters_that_reorder_text_are_shown(void **state)
{
    (void)state;
    assert_escaped("a\u202eb", false, "a\\u202eb");
    assert_escaped("a\u2066b", false, "a\\u2066b");
    assert_escaped("a\u2028b", false, "a\\u2028b");
}

static void utf8_stays_and_what_is_none_is_shown(void **state)
{
    (void)state;
    assert_escaped("Preise prüfen… 価格 🙂", false, "Preise prüfen… 価格 🙂");
    assert_escaped("\377", false, "\\xff");
    assert_escaped("\300\257", false, "\\xc0\\xaf");                   /* overlong */
    assert_escaped("\355\240\200", false, "\\xed\\xa0\\x80");          /* a surrogate */
    assert_escaped("a\342\202", false, "a\\xe2\\x82");                 /* cut off */
    assert_escaped("\364\220\200\200", false, "\\xf4\\x90\\x80\\x80"); /* beyond the last */
}

static void escaping_holds_bytes_beyond_a_nul(void **state)
{
    char *escaped = show_escaped("a\0b", 3, false);

    (void)state;
    assert_string_equal(escaped, "a\\x00b");
    free(escaped);
}

static void character_cut_at_the_end_waits_for_its_rest(void **state)
{
    (void)state;
    assert_int_equal(show_whole("abc", 3), 3);
    assert_int_equal(show_whole("", 0), 0);
    assert_int_equal(show_whole("ab\342\202", 4), 2);
    assert_int_equal(show_whole("ab\342\202\254", 5), 5);
    assert_int_equal(show_whole("ab\360\237\231", 5), 2);
    assert_int_equal(show_whole("\302", 1), 0);
    assert_int_equal(show_whole("\200\200\200\200", 4), 4); /* none at all: nothing to wait for */
    assert_int_equal(show_whole("a\377", 2), 2);
}

static void width_counts_columns_and_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(show_width(""), 0);
    assert_int_equal(show_width("prüfen…"), 7);
    assert_int_equal(show_width("価格"), 4);
}

static void clipping_marks_the_cut_and_splits_no_character(void **state)
{
    struct show ascii = plain;
    char *text;

    (void)state;
    ascii.utf8 = false;
    DRAWN(text, plain, assert_int_equal(show_clipped(&show, "prices", 6), 6));
    assert_string_equal(text, "prices");
    free(text);
    DRAWN(text, plain, assert_int_equal(show_clipped(&show, "prices", 5), 5));
    assert_string_equal(text, "pric…");
    free(text);
    DRAWN(text, ascii, assert_int_equal(show_clipped(&show, "prices", 5), 5));
    assert_string_equal(text, "pr...");
    free(text);
    DRAWN(text, plain,
          assert_int_equal(show_clipped(&show, "価格価格", 4), 3)); /* 価 and the mark */
    assert_string_equal(text, "価…");
    free(text);
    DRAWN(text, plain, assert_int_equal(show_clipped(&show, "prices", 0), 6));
    assert_string_equal(text, "prices");
    free(text);
}

static void duration_is_short_at_every_size(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0ms"},
        {0, "0ms"},
        {999, "999ms"},
        {1000, "1.0s"},
        {9999, "9.9s"},
        {10000, "10s"},
        {59999, "59s"},
        {60000, "1m00s"},
        {3599999, "59m59s"},
        {3600000, "1h00m"},
        {86399999, "23h59m"},
        {86400000, "1d0h"},
        {INT64_MAX, "106751991167d7h"},
    };
    char text[SHOW_FIGURE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        show_duration(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void bytes_never_read_1024_of_a_unit(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {(1 << 20) - 1, "1.0 MiB"},
        {1 << 30, "1.0 GiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    char text[SHOW_FIGURE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        show_bytes(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void count_groups_thousands(void **state)
{
    char text[SHOW_FIGURE];

    (void)state;
    show_count(0, text);
    assert_string_equal(text, "0");
    show_count(999, text);
    assert_string_equal(text, "999");
    show_count(1000, text);
    assert_string_equal(text, "1,000");
    show_count(UINT64_MAX, text);
    assert_string_equal(text, "18,446,744,073,709,551,615");
}

static const struct show_column columns[] = {{"KIND", false}, {"DONE", true}, {"MESSAGE", false}};

static void fill(struct show *show)
{
    struct show_table *table = show_table(show, columns, 3);

    show_cell(table, SHOW_PLAIN, "validate");
    show_cell(table, SHOW_PLAIN, "7%");
    show_cell(table, SHOW_GREEN, "Collecting prices");
    show_cell(table, SHOW_PLAIN, "é");
    show_cell(table, SHOW_PLAIN, "100%");
    show_cell(table, SHOW_PLAIN, "a\nb");
    show_table_end(table);
}

static void columns_are_aligned_and_cells_are_one_line(void **state)
{
    char *text;

    (void)state;
    DRAWN(text, plain, fill(&show));
    assert_string_equal(text, "KIND      DONE  MESSAGE\n"
                              "validate    7%  Collecting prices\n"
                              "é         100%  a\\nb\n");
    free(text);
}

static void last_column_is_cut_at_the_edge_of_the_terminal(void **state)
{
    char *text;

    (void)state;
    DRAWN(text, narrow, fill(&show));
    assert_string_equal(text, "KIND      DONE  MESSAGE\n"
                              "validate    7%  Collect…\n"
                              "é         100%  a\\nb\n");
    free(text);
}

static void colour_is_round_the_text_and_only_where_it_is_on(void **state)
{
    char *text;

    (void)state;
    DRAWN(text, coloured, fill(&show));
    assert_non_null(strstr(text, "\033[32mCollecting prices\033[0m\n"));
    free(text);
    DRAWN(text, plain, fill(&show));
    assert_null(strchr(text, '\033'));
    free(text);
}

static void table_without_rows_has_its_titles(void **state)
{
    char *text;

    (void)state;
    DRAWN(text, plain, show_table_end(show_table(&show, columns, 3)));
    assert_string_equal(text, "KIND  DONE  MESSAGE\n");
    free(text);
}

static void bar_is_not_drawn_where_no_person_looks(void **state)
{
    char *text;

    (void)state;
    DRAWN(text, plain, show_bar(&show, 50, "running", "message"); show_bar_end(&show));
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terminal_controls_are_shown_and_not_obeyed),
        cmocka_unit_test(log_keeps_its_lines_but_no_carriage_return),
        cmocka_unit_test(characters_that_reorder_text_are_shown),
        cmocka_unit_test(utf8_stays_and_what_is_none_is_shown),
        cmocka_unit_test(escaping_holds_bytes_beyond_a_nul),
        cmocka_unit_test(character_cut_at_the_end_waits_for_its_rest),
        cmocka_unit_test(width_counts_columns_and_not_bytes),
        cmocka_unit_test(clipping_marks_the_cut_and_splits_no_character),
        cmocka_unit_test(duration_is_short_at_every_size),
        cmocka_unit_test(bytes_never_read_1024_of_a_unit),
        cmocka_unit_test(count_groups_thousands),
        cmocka_unit_test(columns_are_aligned_and_cells_are_one_line),
        cmocka_unit_test(last_column_is_cut_at_the_edge_of_the_terminal),
        cmocka_unit_test(colour_is_round_the_text_and_only_where_it_is_on),
        cmocka_unit_test(table_without_rows_has_its_titles),
        cmocka_unit_test(bar_is_not_drawn_where_no_person_looks),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
