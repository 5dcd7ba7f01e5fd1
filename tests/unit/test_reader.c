/* The reader of CSV sources: rows, lines, corners, and that pieces make no difference. */
#include "config.h"

#include "reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What came out, as text: "line symbol time price" and a bar, one row a line. */
struct seen {
    char text[1 << 16];
    size_t size;
    char error[READER_ERROR];
};

static void see_field(struct seen *seen, const struct reader_field *field, bool is_time)
{
    char value[64];
    if (field->state == FIELD_READ && is_time)
        snprintf(value, sizeof value, "%lld", (long long)field->time);
    else if (field->state == FIELD_READ)
        snprintf(value, sizeof value, "%.17g", field->number);
    else
        snprintf(value, sizeof value, "%s%s", field->state == FIELD_BAD ? "?" : "-",
                 field->state == FIELD_BAD ? field->shown : "");
    seen->size += (size_t)snprintf(seen->text + seen->size, sizeof seen->text - seen->size, " %s",
                                   value);
}

static void see(struct seen *seen, const struct reader_row *row)
{
    seen->size += (size_t)snprintf(seen->text + seen->size, sizeof seen->text - seen->size,
                                   "%llu [%.*s]", (unsigned long long)row->line,
                                   (int)row->symbol_size, row->symbol);
    see_field(seen, &row->fields[COLUMN_TIME], true);
    see_field(seen, &row->fields[COLUMN_PRICE], false);
    if (row->fields[COLUMN_OPEN].state != FIELD_EMPTY)
        for (int kind = COLUMN_OPEN; kind <= COLUMN_CLOSE; kind++)
            see_field(seen, &row->fields[kind], false);
    assert_true(seen->size + 512 < sizeof seen->text);
    seen->text[seen->size++] = '\n';
    seen->text[seen->size] = '\0';
}

/* The rows that follow one, as far as they are ticks. */
static void see_ticks(struct seen *seen, struct reader *reader)
{
    struct reader_row row = reader->row;
    struct reader_tick tick;
    while (reader_ticks(reader, &tick, 1) == 1) {
        row.line = tick.line;
        row.fields[COLUMN_TIME] = (struct reader_field){.state = FIELD_READ, .time = tick.time};
        row.fields[COLUMN_PRICE] = (struct reader_field){.state = FIELD_READ, .number = tick.price};
        see(seen, &row);
    }
}

/* In pieces of `piece` bytes; all at once, it takes ticks as such. */
static void read_in(struct seen *seen, const char *data, size_t size, size_t piece)
{
    struct reader reader;
    enum reader_step step = READER_MORE;
    char symbol[READER_SYMBOL_MAX + 1] = "";
    size_t symbol_size = SIZE_MAX, at = 0;
    memset(seen, 0, sizeof *seen);
    reader_init(&reader, "file", 4);
    while (step != READER_FAILED && at <= size) {
        step = reader_next(&reader);
        if (step == READER_MORE && at < size) {
            size_t part = size - at < piece ? size - at : piece;
            reader_feed(&reader, data + at, part);
            at += part;
        } else if (step == READER_MORE) {
            step = reader_end(&reader);
            at = size + 1;
        }
        if (step != READER_ROW)
            continue;
        const struct reader_row *row = &reader.row;
        if (symbol_size != SIZE_MAX)
            assert_int_equal(row->same_symbol, row->symbol_size == symbol_size &&
                                                   memcmp(row->symbol, symbol, symbol_size) == 0);
        symbol_size = row->symbol_size;
        memcpy(symbol, row->symbol, symbol_size);
        see(seen, row);
        if (piece >= size)
            see_ticks(seen, &reader);
    }
    assert_int_equal(step == READER_FAILED, reader.error[0] != '\0');
    strcpy(seen->error, reader.error);
    reader_free(&reader);
}

static void expect(const char *data, const char *text)
{
    struct seen *seen = malloc(sizeof *seen);
    for (size_t piece = 1; piece < 8; piece += 2) {
        read_in(seen, data, strlen(data), piece);
        assert_string_equal(seen->error, "");
        assert_string_equal(seen->text, text);
    }
    read_in(seen, data, strlen(data), SIZE_MAX / 2);
    assert_string_equal(seen->error, "");
    assert_string_equal(seen->text, text);
    free(seen);
}

static void expect_error(const char *data, const char *error)
{
    struct seen *seen = malloc(sizeof *seen);
    for (size_t piece = 1; piece < 2000; piece += 999) {
        read_in(seen, data, strlen(data), piece);
        assert_string_equal(seen->error, error);
    }
    free(seen);
}

static void columns_stand_in_any_order_and_case(void **state)
{
    (void)state;
    expect("price,Note,SYMBOL,Time\n2.5,x,AA,1\n", "2 [AA] 1000000000 2.5\n");
    expect("\"Date\" ,\" volume\",\tlast ,symbol\n1,9,2,AA\n", "2 [AA] 1000000000 2\n");
}

static void the_better_name_of_a_column_counts(void **state)
{
    (void)state;
    expect("last,close,price,date,time,timestamp\n1,2,3,4,5,6\n", "2 [file] 6000000000 3\n");
    expect("last,close,date,time\n1,2,4,5\n", "2 [file] 5000000000 2\n");
}

static void a_bar_is_read_with_its_row(void **state)
{
    (void)state;
    expect("time,open,high,low,close\n1,2,3,1,2.5\n", "2 [file] 1000000000 2.5 2 3 1 2.5\n");
}

static void quotes_are_taken_off(void **state)
{
    (void)state;
    expect("symbol,time,price\n\"A,A\",\"1\",\"2\"\n\"B\"\"B\",1,2\n\" C \",1,2\n",
           "2 [A,A] 1000000000 2\n3 [B\"B] 1000000000 2\n4 [ C ] 1000000000 2\n");
}

static void blanks_around_a_field_do_not_count(void **state)
{
    (void)state;
    expect("symbol,time,price\n  A A\t, 1 ,\t2  \n", "2 [A A] 1000000000 2\n");
}

static void the_symbol_of_the_row_before_is_not_mistaken(void **state)
{
    (void)state;
    expect("symbol,time,price\n\" C \",1,2\n C ,1,2\nC,1,2\nCC,1,2\n",
           "2 [ C ] 1000000000 2\n3 [C] 1000000000 2\n4 [C] 1000000000 2\n5 [CC] 1000000000 2\n");
    expect("symbol,time,price\n\",\",1,2\n,,\nA,1,2\n\nA\n",
           "2 [,] 1000000000 2\n3 [] - -\n4 [A] 1000000000 2\n6 [A] - -\n");
    expect("time,symbol,price\n1,A,2\n1\n1,A\n",
           "2 [A] 1000000000 2\n3 [] 1000000000 -\n4 [A] 1000000000 -\n");
}

static void lines_may_end_with_crlf_or_not_at_all(void **state)
{
    (void)state;
    expect("time,price\r\n1,2\r\n3,4", "2 [file] 1000000000 2\n3 [file] 3000000000 4\n");
    expect("time,price\n1,2\r", "2 [file] 1000000000 2\n");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    expect("\xef\xbb\xbftime,price\n1,2\n", "2 [file] 1000000000 2\n");
    expect("\xef\xbb\xbf\"time\",price\n1,2\n", "2 [file] 1000000000 2\n");
    expect_error("\xef\xbbtime,price\n1,2\n",
                 "line 1: the header has no time column (timestamp, time or date)");
}

static void blank_lines_count_but_are_no_rows(void **state)
{
    (void)state;
    expect("\n \t\ntime,price\n\n1,2\n\r\n  \n3,4\n\n",
           "5 [file] 1000000000 2\n8 [file] 3000000000 4\n");
}

static void a_row_is_named_by_the_line_it_begins_in(void **state)
{
    (void)state;
    expect("note,time,price\n\"a\nb\r\n\",1,2\nx,3,4\n\n\"\n\",5,6\n",
           "2 [file] 1000000000 2\n5 [file] 3000000000 4\n7 [file] 5000000000 6\n");
}

static void missing_and_bad_fields_are_told_apart(void **state)
{
    (void)state;
    expect("symbol,time,price\nA\n,1,2\nB,x,y\x01\xff\nC,1,2,3,4\n\"\"\n",
           "2 [A] - -\n3 [] 1000000000 2\n4 [B] ?x ?y??\n5 [C] 1000000000 2\n6 [] - -\n");
}

static void a_header_that_cannot_do_is_an_error(void **state)
{
    (void)state;
    expect_error("", "line 1: empty: a header is missing");
    expect_error("\n\n", "line 2: empty: a header is missing");
    expect_error("symbol,price\nA,1\n",
                 "line 1: the header has no time column (timestamp, time or date)");
    expect_error("\nsymbol;time;price\nA;1;2\n",
                 "line 2: the header has no time column (timestamp, time or date)");
    expect_error("symbol,time\n", "line 1: the header has no price column (price, close or last)");
    expect_error("time,price,Time\n", "line 1: columns 1 and 3 are both called time");
}

static void an_endless_quote_is_an_error(void **state)
{
    (void)state;
    expect_error("time,price\n1,2\n1,\"2\n3,4\n", "line 3: a quoted field has no end");
}

static void a_field_has_a_limit_however_it_comes(void **state)
{
    struct seen *seen = malloc(sizeof *seen);
    size_t size = READER_FIELD_MAX + 64;
    char *data = malloc(size);
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        for (size_t piece = 65536; piece <= 4 * 1024 * 1024; piece *= 8) {
            memset(data, 'x', size);
            memcpy(data, "time,price,note\n1,2,", 20);
            data[20 + READER_FIELD_MAX + over] = '\n';
            read_in(seen, data, 21 + READER_FIELD_MAX + over, piece);
            assert_string_equal(seen->error,
                                over ? "line 2: a field of over 1048576 bytes" : "");
        }
    }
    free(data);
    free(seen);
}

static void more_columns_than_the_limit_are_an_error(void **state)
{
    size_t size = READER_COLUMNS + 64;
    char *data = calloc(1, size);
    (void)state;
    memset(data, ',', READER_COLUMNS);
    memcpy(data + READER_COLUMNS, "time,price\n", 11);
    expect_error(data, "line 1: more than 4096 columns");
    free(data);
}

/* Byte by byte all lines go through libcsv; in one piece those without quotes do not. */
static void pieces_make_no_difference(void **state)
{
    static const char letters[] = "AB12.,,,\"\"\n\n\n\r \t;x";
    struct seen *whole = malloc(sizeof *whole), *bytes = malloc(sizeof *bytes);
    const char *given = getenv("JOBTAB_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 1;
    (void)state;
    print_message("seed %u (JOBTAB_TEST_SEED)\n", seed);
    srandom(seed);
    for (int i = 0; i < 20000; i++) {
        char data[256] = "symbol,time,price\n";
        size_t size = strlen(data), end = size + (size_t)random() % 80;
        while (size < end)
            data[size++] = letters[(size_t)random() % (sizeof letters - 1)];
        read_in(whole, data, size, size);
        read_in(bytes, data, size, 1);
        assert_string_equal(whole->error, bytes->error);
        if (whole->error[0] == '\0')
            assert_string_equal(whole->text, bytes->text);
    }
    free(whole);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_stand_in_any_order_and_case),
        cmocka_unit_test(the_better_name_of_a_column_counts),
        cmocka_unit_test(a_bar_is_read_with_its_row),
        cmocka_unit_test(quotes_are_taken_off),
        cmocka_unit_test(blanks_around_a_field_do_not_count),
        cmocka_unit_test(the_symbol_of_the_row_before_is_not_mistaken),
        cmocka_unit_test(lines_may_end_with_crlf_or_not_at_all),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(blank_lines_count_but_are_no_rows),
        cmocka_unit_test(a_row_is_named_by_the_line_it_begins_in),
        cmocka_unit_test(missing_and_bad_fields_are_told_apart),
        cmocka_unit_test(a_header_that_cannot_do_is_an_error),
        cmocka_unit_test(an_endless_quote_is_an_error),
        cmocka_unit_test(a_field_has_a_limit_however_it_comes),
        cmocka_unit_test(more_columns_than_the_limit_are_an_error),
        cmocka_unit_test(pieces_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
