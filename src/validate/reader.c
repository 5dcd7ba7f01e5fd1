/* reader.c - rows of prices out of the bytes of one CSV source.
 *
 * libcsv knows quotes. Most lines have none, and those are split right where they lie, which is
 * several times as fast: a line that begins a row, ends within the piece at hand and holds
 * neither a quote nor a stray CR. A test holds the one against the other. */
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
    if (reader->has_symbol)
        reader->row.symbol_size = 0;
    for (int kind = 0; kind < READER_KINDS; kind++)
        reader->row.fields[kind].state = FIELD_EMPTY;
}

void reader_init(struct reader *reader, const char *symbol, size_t symbol_size,
                 reader_row_fn *emit, void *context)
{
    memset(reader, 0, sizeof *reader);
    reader->emit = emit;
    reader->context = context;
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

    for (int kind = 0; kind < READER_KINDS; kind++)
        if (reader->found[kind].column != 0)
            reader->kinds[reader->found[kind].column - 1] |= KIND_BIT(kind);
    reader->has_symbol = reader->found[COLUMN_SYMBOL].column != 0;
    reader->header_read = true;
}

/* --------------------------------------------------------------------- rows */

static void row_field(struct reader *reader, enum reader_column kind, const char *text, size_t size)
{
    struct reader_row *row = &reader->row;
    if (kind == COLUMN_SYMBOL) {
        row->symbol_size = size > READER_SYMBOL_MAX ? READER_SYMBOL_MAX + 1 : size;
        memcpy(row->symbol, text, row->symbol_size);
        return;
    }
    struct reader_field *field = &row->fields[kind];
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
    } else if (reader->column < READER_COLUMNS && reader->kinds[reader->column] != 0) {
        for (unsigned kinds = reader->kinds[reader->column]; kinds != 0; kinds &= kinds - 1)
            row_field(reader, (enum reader_column)__builtin_ctz(kinds), text, size);
    }
    reader->column++;
}

static void take_row(struct reader *reader)
{
    if (reader->error[0] == '\0') {
        if (!reader->header_read)
            header_end(reader);
        else
            reader->emit(&reader->row, reader->context);
    }
    row_begin(reader);
}

static void libcsv_field(void *text, size_t size, void *reader)
{
    take_field(reader, text, size);
}

static void libcsv_row(int end, void *reader)
{
    (void)end;
    take_row(reader);
}

/* libcsv keeps these numbers of its states to itself. A test would notice if they changed. */
enum { LIBCSV_BETWEEN_ROWS = 0, LIBCSV_IN_FIELD = 2 };

static bool in_row(const struct reader *reader)
{
    return reader->csv.pstate != LIBCSV_BETWEEN_ROWS;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Take a whole line as a row. False, with no field taken for good, when libcsv has to. */
static bool split_line(struct reader *reader, const char *text, size_t size)
{
    const char *p = text, *end = text + size;
    if (size > 0 && end[-1] == '\r')
        end--;
    while (p < end && is_blank(*p))
        p++;
    if (p == end)
        return true;
    for (;;) {
        while (p < end && is_blank(*p))
            p++;
        const char *first = p;
        while (p < end && *p != ',' && *p != '"' && *p != '\r')
            p++;
        if (p < end && *p != ',') {
            row_begin(reader);
            return false;
        }
        const char *last = p;
        while (last > first && is_blank(last[-1]))
            last--;
        take_field(reader, first, (size_t)(last - first));
        if (p == end)
            break;
        p++;
    }
    take_row(reader);
    return true;
}

static void give_libcsv(struct reader *reader, const char *text, size_t size)
{
    if (csv_parse(&reader->csv, text, size, libcsv_field, libcsv_row, reader) != size)
        refuse(reader, "%s", csv_strerror(csv_error(&reader->csv)));
    else if (reader->csv.entry_pos > READER_FIELD_MAX)
        refuse(reader, "a field of over %d bytes", READER_FIELD_MAX);
}

static int take_lines(struct reader *reader, const char *data, size_t size)
{
    const char *p = data, *end = data + size;
    while (p < end && reader->error[0] == '\0') {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *next = lf != NULL ? lf + 1 : end;
        bool begins = !in_row(reader);
        if (begins)
            row_begin(reader);
        if (!begins || lf == NULL || !reader->header_read ||
            !split_line(reader, p, (size_t)(lf - p)))
            give_libcsv(reader, p, (size_t)(next - p));
        if (lf != NULL)
            reader->line++;
        p = next;
    }
    return reader->error[0] == '\0' ? 0 : -1;
}

int reader_feed(struct reader *reader, const char *data, size_t size)
{
    static const char bom[3] = "\xef\xbb\xbf";
    while (reader->bom < 3 && size > 0) {
        if (*data != bom[reader->bom]) { /* none: what looked like one is the first field's */
            size_t seen = reader->bom;
            reader->bom = 3;
            if (take_lines(reader, bom, seen) != 0)
                return -1;
            break;
        }
        reader->bom++;
        data++;
        size--;
    }
    return take_lines(reader, data, size);
}

int reader_end(struct reader *reader)
{
    if (reader->error[0] != '\0')
        return -1;
    if (reader->csv.quoted && reader->csv.pstate == LIBCSV_IN_FIELD)
        refuse(reader, "a quoted field has no end");
    else
        csv_fini(&reader->csv, libcsv_field, libcsv_row, reader);
    if (!reader->header_read)
        refuse(reader, "empty: a header is missing");
    return reader->error[0] == '\0' ? 0 : -1;
}
