/* reader.c - rows of prices out of the bytes of one CSV source.
 *
 * libcsv knows quotes. Most lines have none, and those are split right where they lie, which is
 * many times as fast: a line behind the header that begins a row, ends within the piece at hand,
 * is no longer than a field may be, and holds neither a quote nor a stray CR. All else is given to
 * libcsv. In a split line a field of the usual shape (plain.h) is read in one go with its end;
 * others have their end looked for first. Lines that are no more than the next time and price of a
 * symbol are read many at once (reader_ticks). Fuzzing and a test hold all this against libcsv. */
#include "config.h"

#include "reader.h"

#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KIND_BIT(kind) ((uint8_t)(1u << (kind)))

/* What a column may be called, any case. Of several for the same kind the first here counts. */
static const struct {
    const char *name;
    enum reader_column kind;
} names[] = {
    {"symbol", COLUMN_SYMBOL},  {"timestamp", COLUMN_TIME}, {"time", COLUMN_TIME},
    {"date", COLUMN_TIME},      {"price", COLUMN_PRICE},    {"close", COLUMN_PRICE},
    {"last", COLUMN_PRICE},     {"open", COLUMN_OPEN},      {"high", COLUMN_HIGH},
    {"low", COLUMN_LOW},        {"close", COLUMN_CLOSE},
};
#define N_NAMES (sizeof names / sizeof names[0])

/* The source cannot be read on; the first reason stays. */
static void refuse(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void refuse(struct reader *reader, const char *format, ...)
{
    if (reader->error[0] != '\0')
        return;
    int n = snprintf(reader->error, sizeof reader->error, "line %llu: ",
                     (unsigned long long)reader->row.line);
    va_list args;
    va_start(args, format);
    vsnprintf(reader->error + n, sizeof reader->error - (size_t)n, format, args);
    va_end(args);
}

static void row_begin(struct reader *reader)
{
    reader->column = 0;
    reader->row.line = reader->line;
    reader->row.same_symbol = true;
    for (int kind = 0; kind < READER_KINDS; kind++)
        reader->row.fields[kind].state = FIELD_EMPTY;
}

void reader_init(struct reader *reader, const char *symbol, size_t symbol_size)
{
    memset(reader, 0, sizeof *reader);
    reader->line = 1;
    if (symbol_size > READER_SYMBOL_MAX)
        symbol_size = READER_SYMBOL_MAX + 1;
    reader->row.symbol_size = symbol_size;
    memcpy(reader->row.symbol, symbol, symbol_size);
    csv_init(&reader->csv, 0);
    csv_set_blk_size(&reader->csv, 16384);
    row_begin(reader);
}

void reader_free(struct reader *reader)
{
    csv_free(&reader->csv);
}

/* ------------------------------------------------------------------- header */

static void header_field(struct reader *reader, const char *text, size_t size)
{
    size_t column = reader->column;
    if (column >= READER_COLUMNS) {
        refuse(reader, "more than %d columns", READER_COLUMNS);
        return;
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strlen(names[i].name) != size || strncasecmp(names[i].name, text, size) != 0)
            continue;
        enum reader_column kind = names[i].kind;
        size_t before = reader->found[kind].column;
        if (before != 0 && reader->found[kind].rank == (int)i)
            refuse(reader, "columns %zu and %zu are both called %s", before, column + 1,
                   names[i].name);
        if (before != 0 && reader->found[kind].rank < (int)i)
            continue;
        reader->found[kind].column = column + 1;
        reader->found[kind].rank = (int)i;
    }
}

static void header_end(struct reader *reader)
{
    const char *missing = NULL;
    if (reader->found[COLUMN_TIME].column == 0)
        missing = "time column (timestamp, time or date)";
    else if (reader->found[COLUMN_PRICE].column == 0)
        missing = "price column (price, close or last)";
    if (missing != NULL)
        refuse(reader, "the header has no %s", missing);

    for (int kind = 0; kind < READER_KINDS; kind++) {
        size_t column = reader->found[kind].column;
        if (column != 0 && kind >= COLUMN_OPEN)
            reader->has_bar = true;
        if (column != 0)
            reader->kinds[column - 1] |= KIND_BIT(kind);
        if (column > reader->n_columns)
            reader->n_columns = column;
    }
    reader->has_symbol = reader->found[COLUMN_SYMBOL].column != 0;
    reader->header_read = true;
}

/* ------------------------------------------------------------------- fields */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void take_symbol(struct reader *reader, const char *text, size_t size)
{
    struct reader_row *row = &reader->row;
    if (size > READER_SYMBOL_MAX)
        size = READER_SYMBOL_MAX + 1;
    row->same_symbol = size == row->symbol_size && memcmp(text, row->symbol, size) == 0;
    if (row->same_symbol)
        return;
    row->symbol_size = size;
    memcpy(row->symbol, text, size);
    reader->plain_symbol = size > 0 && size <= READER_SYMBOL_MAX && !is_blank(text[0]) &&
                           !is_blank(text[size - 1]) && memchr(text, ',', size) == NULL;
}

static void row_field(struct reader *reader, enum reader_column kind, const char *text, size_t size)
{
    struct reader_field *field = &reader->row.fields[kind];
    if (kind == COLUMN_SYMBOL) {
        take_symbol(reader, text, size);
        return;
    }
    if (size == 0)
        return;
    int bad = kind == COLUMN_TIME ? scan_time(text, size, &field->time)
                                  : scan_number(text, size, &field->number);
    field->state = bad ? FIELD_BAD : FIELD_READ;
    if (bad)
        fault_printable(field->shown, sizeof field->shown, text, size);
}

static void take_field(struct reader *reader, const char *text, size_t size)
{
    if (size > READER_FIELD_MAX)
        refuse(reader, "a field of over %d bytes", READER_FIELD_MAX);
    if (!reader->header_read) {
        header_field(reader, text, size);
    } else if (reader->column < reader->n_columns) {
        for (unsigned kinds = reader->kinds[reader->column]; kinds != 0; kinds &= kinds - 1)
            row_field(reader, (enum reader_column)__builtin_ctz(kinds), text, size);
    }
    reader->column++;
}

/* A row without that column has no symbol. */
static void row_end(struct reader *reader)
{
    if (reader->column < reader->found[COLUMN_SYMBOL].column)
        take_symbol(reader, "", 0);
}

/* ------------------------------------------------------------------- libcsv */

/* libcsv keeps these numbers of its states to itself. A test would notice if they changed. */
enum { LIBCSV_BETWEEN_ROWS = 0, LIBCSV_IN_FIELD = 2 };

static bool in_row(const struct reader *reader)
{
    return reader->csv.pstate != LIBCSV_BETWEEN_ROWS;
}

static void libcsv_field(void *text, size_t size, void *reader)
{
    take_field(reader, text, size);
}

static void libcsv_row(int end, void *context)
{
    struct reader *reader = context;
    (void)end;
    if (reader->error[0] != '\0')
        return;
    reader->has_row = reader->header_read;
    if (reader->header_read) {
        row_end(reader);
    } else {
        header_end(reader);
        row_begin(reader);
    }
}

/* At most one row: the text ends with the first CR or LF in it, which alone can end one. */
static void give_libcsv(struct reader *reader, const char *text, size_t size)
{
    if (csv_parse(&reader->csv, text, size, libcsv_field, libcsv_row, reader) != size)
        refuse(reader, "%s", csv_strerror(csv_error(&reader->csv)));
    else if (reader->csv.entry_pos > READER_FIELD_MAX)
        refuse(reader, "a field of over %d bytes", READER_FIELD_MAX);
}

/* -------------------------------------------------------------------- lines */

static const char *find(const char *from, const char *end, char byte)
{
    const char *found = memchr(from, byte, (size_t)(end - from));
    return found != NULL ? found : end;
}

static inline uint64_t load(const char *text, size_t size)
{
    uint64_t bytes = 0;
    memcpy(&bytes, text, size);
    return bytes;
}

/* memcmp, without the call: two loads that overlap cover most symbols. */
static inline bool equal(const char *a, const char *b, size_t size)
{
    if (size < 4 || size > 16)
        return memcmp(a, b, size) == 0;
    if (size < 8)
        return load(a, 4) == load(b, 4) && load(a + size - 4, 4) == load(b + size - 4, 4);
    return load(a, 8) == load(b, 8) && load(a + size - 8, 8) == load(b + size - 8, 8);
}

/* The symbol of the row before. */
static inline const char *same_symbol(const struct reader *reader, const char *text,
                                      const char *end)
{
    size_t size = reader->row.symbol_size;
    if (!reader->plain_symbol || size > (size_t)(end - text) ||
        !equal(text, reader->row.symbol, size))
        return NULL;
    text += size;
    return text == end || *text == ',' ? text : NULL;
}

/* Read a field of the usual shape. Returns its end; NULL: it has another, and nothing is done. */
static const char *plain_field(struct reader *reader, unsigned kinds, const char *text,
                               const char *end)
{
    struct reader_row *row = &reader->row;
    const char *behind;
    if (kinds == KIND_BIT(COLUMN_SYMBOL))
        return same_symbol(reader, text, end);
    if (kinds == KIND_BIT(COLUMN_TIME)) {
        struct reader_field *field = &row->fields[COLUMN_TIME];
        behind = plain_time(text, end, &reader->day, &field->time);
        if (behind != NULL)
            field->state = FIELD_READ;
        return behind;
    }
    double number;
    if (kinds == 0 || (behind = plain_number(text, end, &number)) == NULL)
        return NULL;
    for (; kinds != 0; kinds &= kinds - 1) {
        struct reader_field *field = &row->fields[__builtin_ctz(kinds)];
        field->state = FIELD_READ;
        field->number = number;
    }
    return behind;
}

/* Whatever shape it has. */
static const char *any_field(struct reader *reader, const char *text, const char *end)
{
    const char *behind = find(text, end, ','), *last = behind;
    while (text < last && is_blank(*text))
        text++;
    while (last > text && is_blank(last[-1]))
        last--;
    take_field(reader, text, (size_t)(last - text));
    return behind;
}

/* Take a line without quotes as a row. False: it is blank. */
static bool split_line(struct reader *reader, const char *p, const char *end)
{
    const char *first = p;
    while (first < end && is_blank(*first))
        first++;
    if (first == end)
        return false;
    while (reader->column < reader->n_columns) {
        const char *behind = plain_field(reader, reader->kinds[reader->column], p, end);
        if (behind != NULL)
            reader->column++;
        else
            behind = any_field(reader, p, end);
        if (behind == end)
            break;
        p = behind + 1;
    }
    row_end(reader);
    return true;
}

/* Where the line at hand ends, when it can be split where it lies; NULL: libcsv has to. */
static inline const char *plain_line(struct reader *reader, const char *lf)
{
    const char *p = reader->next;
    if (lf == NULL || !reader->header_read || lf - p > READER_FIELD_MAX)
        return NULL;
    if (reader->quote < p)
        reader->quote = find(p, reader->end, '"');
    if (reader->cr < p)
        reader->cr = find(p, reader->end, '\r');
    if (reader->quote < lf || reader->cr + 1 < lf)
        return NULL;
    return reader->cr < lf ? lf - 1 : lf;
}

/* Take the next line, or what there is of it, or its part up to a CR. */
static bool take_line(struct reader *reader)
{
    const char *p = reader->next;
    const char *lf = memchr(p, '\n', (size_t)(reader->end - p));
    const char *end = NULL;
    if (!in_row(reader)) {
        row_begin(reader);
        end = plain_line(reader, lf);
    }
    reader->next = lf != NULL ? lf + 1 : reader->end;
    if (end == NULL) {
        const char *cr = memchr(p, '\r', (size_t)(reader->next - p));
        if (cr != NULL)
            reader->next = cr + 1;
        reader->has_row = false;
        give_libcsv(reader, p, (size_t)(reader->next - p));
    }
    if (reader->next[-1] == '\n')
        reader->line++;
    return end != NULL ? split_line(reader, p, end) : reader->has_row;
}

enum reader_step reader_next(struct reader *reader)
{
    while (reader->next < reader->end) {
        bool has_row = take_line(reader);
        if (reader->error[0] != '\0')
            return READER_FAILED;
        if (has_row)
            return READER_ROW;
    }
    return reader->error[0] == '\0' ? READER_MORE : READER_FAILED;
}

static inline bool is_tick(struct reader *reader, const char *p, const char *end,
                           struct reader_tick *tick)
{
    for (size_t column = 0; column < reader->n_columns; column++, p++) {
        if (column > 0 && p > end)
            return false;
        switch (reader->kinds[column]) {
        case KIND_BIT(COLUMN_SYMBOL):
            p = same_symbol(reader, p, end);
            break;
        case KIND_BIT(COLUMN_TIME):
            p = plain_time(p, end, &reader->day, &tick->time);
            break;
        case KIND_BIT(COLUMN_PRICE):
            p = plain_number(p, end, &tick->price);
            break;
        default:
            p = find(p, end, ',');
        }
        if (p == NULL)
            return false;
    }
    return tick->price > 0;
}

size_t reader_ticks(struct reader *reader, struct reader_tick *ticks, size_t max)
{
    size_t n = 0;
    if (reader->has_bar || in_row(reader))
        return 0;
    for (; n < max && reader->next < reader->end; n++) {
        const char *p = reader->next, *lf = memchr(p, '\n', (size_t)(reader->end - p));
        const char *end = plain_line(reader, lf);
        if (end == NULL || !is_tick(reader, p, end, &ticks[n]))
            break;
        ticks[n].line = reader->line++;
        reader->next = lf + 1;
    }
    return n;
}

void reader_feed(struct reader *reader, const char *data, size_t size)
{
    static const char bom[3] = "\xef\xbb\xbf";
    for (; reader->bom < 3 && size > 0; data++, size--) {
        if (*data != bom[reader->bom]) { /* none: what looked like one is the first field's */
            give_libcsv(reader, bom, reader->bom);
            reader->bom = 3;
            break;
        }
        reader->bom++;
    }
    reader->next = data;
    reader->end = data + size;
    reader->quote = find(data, reader->end, '"');
    reader->cr = find(data, reader->end, '\r');
}

enum reader_step reader_end(struct reader *reader)
{
    if (reader->error[0] != '\0')
        return READER_FAILED;
    reader->has_row = false;
    if (reader->csv.quoted && reader->csv.pstate == LIBCSV_IN_FIELD)
        refuse(reader, "a quoted field has no end");
    else
        csv_fini(&reader->csv, libcsv_field, libcsv_row, reader);
    if (!reader->header_read)
        refuse(reader, "empty: a header is missing");
    if (reader->error[0] != '\0')
        return READER_FAILED;
    return reader->has_row ? READER_ROW : READER_MORE;
}
