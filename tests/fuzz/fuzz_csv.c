/* fuzz_csv.c - a source of prices, in pieces of any size.
 *
 * The first two bytes of the input are the size of the pieces. Whole lines take the reader's own
 * ways, pieces of lines libcsv's: both must give the same rows.
 */
#include "fuzz.h"

#include "reader.h"

struct seen {
    uint64_t rows, sum;
};

static void see(struct seen *seen, const struct reader_row *row)
{
    uint64_t sum = fuzz_mix(seen->sum, row->line);

    if (seen->rows++ > 0)
        sum = fuzz_mix(sum, row->same_symbol);
    HOLDS(row->symbol_size <= READER_SYMBOL_MAX + 1);
    sum = fuzz_sum(sum, row->symbol, row->symbol_size);
    for (int kind = COLUMN_TIME; kind < READER_KINDS; kind++) {
        const struct reader_field *field = &row->fields[kind];
        sum = fuzz_mix(sum, field->state);
        if (field->state == FIELD_READ)
            sum = fuzz_mix(sum, (uint64_t)field->time); /* or the bits of the number */
        if (field->state == FIELD_BAD) {
            size_t length = strnlen(field->shown, sizeof field->shown);
            HOLDS(length <= READER_SHOWN);
            sum = fuzz_sum(sum, field->shown, length);
        }
    }
    seen->sum = sum;
}

/* The rows that follow one, as far as reader_ticks takes them. */
static void see_ticks(struct seen *seen, struct reader *reader)
{
    struct reader_tick ticks[3];
    struct reader_row row = reader->row;
    size_t n;

    do {
        n = reader_ticks(reader, ticks, 3);
        for (size_t i = 0; i < n; i++) {
            HOLDS(ticks[i].price > 0);
            row.line = ticks[i].line;
            row.same_symbol = true;
            row.fields[COLUMN_TIME].state = row.fields[COLUMN_PRICE].state = FIELD_READ;
            row.fields[COLUMN_TIME].time = ticks[i].time;
            row.fields[COLUMN_PRICE].number = ticks[i].price;
            see(seen, &row);
        }
    } while (n == 3);
}

static int read_in_pieces(const char *bytes, size_t size, size_t piece, bool ticks,
                          struct seen *seen)
{
    static struct reader reader;
    enum reader_step step = READER_MORE;

    *seen = (struct seen){0};
    reader_init(&reader, "ACME", 4);
    for (size_t at = 0; at < size && step != READER_FAILED; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        char *copy = fuzz_bytes(bytes + at, part);
        reader_feed(&reader, copy, part);
        while ((step = reader_next(&reader)) == READER_ROW) {
            see(seen, &reader.row);
            if (ticks)
                see_ticks(seen, &reader);
        }
        free(copy);
    }
    if (step != READER_FAILED && (step = reader_end(&reader)) == READER_ROW)
        see(seen, &reader.row);
    HOLDS((step == READER_FAILED) == (reader.error[0] != '\0'));
    HOLDS(strnlen(reader.error, sizeof reader.error) < sizeof reader.error);
    reader_free(&reader);
    return step == READER_FAILED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, pieces;

    if (size < 3)
        return 0;
    const char *bytes = (const char *)data + 2;
    size_t piece = (size_t)data[0] + (size_t)(data[1] & 3) * 256 + 1;
    int failed = read_in_pieces(bytes, size - 2, size - 2, true, &whole);
    HOLDS(read_in_pieces(bytes, size - 2, piece, false, &pieces) == failed);
    HOLDS(whole.rows == pieces.rows);
    HOLDS(whole.sum == pieces.sum);
    return 0;
}
