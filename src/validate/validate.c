/* validate.c - one price validation, from sources to result.
 *
 * Each source is read once, from beginning to end. What a row says by itself is judged at once;
 * what it says beside others is put aside, sorted, and judged by across.c. */
#include "config.h"

#include "validate.h"

#include "across.h"
#include "reader.h"
#include "report.h"
#include "rows.h"
#include "sources.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_AT_ONCE (256 * 1024)
#define READ_PERCENT 90 /* of the progress; the rest is for what comes after reading */

struct validation {
    const struct params *params;
    const struct progress *progress;
    struct fault *fault;
    bool failed; /* *fault is set: rows are of no interest any more */
    struct report_source *sources;
    size_t n_sources, current;
    struct symbols symbols;
    struct report report;
    struct rows rows;
    uint64_t n_rows, bytes_read, bytes;
    int64_t now;
    char buffer[READ_AT_ONCE];
};

/* Rows without fault are what counts for speed: the functions below keep no text of their own. */
static void violation(struct validation *v, enum rule rule, const struct reader_row *row,
                      int32_t symbol, const char *format, ...)
    __attribute__((cold, format(printf, 5, 6)));

static void violation(struct validation *v, enum rule rule, const struct reader_row *row,
                      int32_t symbol, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report_add_list(&v->report, &v->symbols, rule, v->sources[v->current].base + row->line,
                    symbol < 0 ? REPORT_NO_SYMBOL : (uint32_t)symbol, format, args);
    va_end(args);
}

/* ------------------------------------------------------- rules of a single row */

static int32_t check_symbol(struct validation *v, const struct reader_row *row)
{
    int32_t symbol = symbols_number(&v->symbols, row->symbol, row->symbol_size);
    if (symbol == SYMBOLS_UNUSABLE)
        violation(v, RULE_SYMBOL, row, -1, "%s",
                  row->symbol_size == 0                   ? "there is no symbol"
                  : row->symbol_size > READER_SYMBOL_MAX ? "the symbol is longer than 64 bytes"
                                                          : "the symbol is not printable UTF-8");
    if (symbol == SYMBOLS_FULL) {
        fault_set(v->fault, FAULT_INVALID, "%s: line %" PRIu64 ": more than %d symbols",
                  v->sources[v->current].path, row->line, SYMBOLS_MAX);
        v->failed = true;
    }
    return symbol;
}

static void check_time(struct validation *v, const struct reader_row *row, int32_t symbol)
{
    const struct reader_field *time = &row->fields[COLUMN_TIME];
    if (time->state == FIELD_EMPTY)
        violation(v, RULE_TIME, row, symbol, "there is no time");
    else if (time->state == FIELD_BAD)
        violation(v, RULE_TIME, row, symbol, "\"%s\" is no time of a known form", time->shown);
}

/* The price, or 0 when it cannot be used. */
static double check_price(struct validation *v, const struct reader_row *row, int32_t symbol)
{
    const struct reader_field *price = &row->fields[COLUMN_PRICE];
    if (price->state == FIELD_EMPTY)
        violation(v, RULE_PRICE, row, symbol, "there is no price");
    else if (price->state == FIELD_BAD)
        violation(v, RULE_PRICE, row, symbol, "\"%s\" is no number", price->shown);
    else if (price->number > 0 && price->number <= DBL_MAX)
        return price->number;
    else
        violation(v, RULE_POSITIVE, row, symbol, "a price of %.10g is not positive and finite",
                  price->number);
    return 0;
}

static void check_ohlc(struct validation *v, const struct reader_row *row, int32_t symbol)
{
    static const char *const names[READER_KINDS] = {
        [COLUMN_OPEN] = "open", [COLUMN_HIGH] = "high", [COLUMN_LOW] = "low",
        [COLUMN_CLOSE] = "close",
    };
    static const struct {
        enum reader_column lower, upper;
    } order[] = {
        {COLUMN_LOW, COLUMN_OPEN},
        {COLUMN_LOW, COLUMN_CLOSE},
        {COLUMN_OPEN, COLUMN_HIGH},
        {COLUMN_CLOSE, COLUMN_HIGH},
    };
    for (int kind = COLUMN_OPEN; kind <= COLUMN_CLOSE; kind++)
        if (row->fields[kind].state != FIELD_READ)
            return;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        double lower = row->fields[order[i].lower].number;
        double upper = row->fields[order[i].upper].number;
        if (lower > upper) {
            violation(v, RULE_OHLC, row, symbol, "%s %.10g is above %s %.10g",
                      names[order[i].lower], lower, names[order[i].upper], upper);
            return;
        }
    }
}

static void report_backwards(struct validation *v, const struct reader_row *row, int32_t symbol,
                             int64_t before)
{
    char this_time[SCAN_TIME_TEXT], last_time[SCAN_TIME_TEXT];
    scan_time_text(row->fields[COLUMN_TIME].time, this_time);
    scan_time_text(before, last_time);
    violation(v, RULE_BACKWARDS, row, symbol, "%s: %s comes after %s",
              symbols_name(&v->symbols, (uint32_t)symbol), this_time, last_time);
}

/* Time runs forward from row to row of one symbol in one source. */
static void check_order(struct validation *v, const struct reader_row *row, int32_t number)
{
    struct symbol *symbol = &v->symbols.all[number];
    int64_t time = row->fields[COLUMN_TIME].time;
    uint32_t source = (uint32_t)v->current + 1;
    if (symbol->source == source && time < symbol->last_time)
        report_backwards(v, row, number, symbol->last_time);
    if (symbol->source != source || time > symbol->newest) {
        symbol->newest = time;
        symbol->newest_place = v->sources[v->current].base + row->line;
    }
    symbol->source = source;
    symbol->last_time = time;
}

static void take_row(const struct reader_row *row, void *context)
{
    struct validation *v = context;
    if (v->failed)
        return;
    v->n_rows++;
    int32_t symbol = check_symbol(v, row);
    if (symbol == SYMBOLS_FULL)
        return;
    check_time(v, row, symbol);
    double price = check_price(v, row, symbol);
    check_ohlc(v, row, symbol);
    if (symbol < 0 || row->fields[COLUMN_TIME].state != FIELD_READ)
        return;
    check_order(v, row, symbol);
    struct row kept = {
        .at = (uint64_t)symbol << REPORT_PLACE_BITS | (v->sources[v->current].base + row->line),
        .time = row->fields[COLUMN_TIME].time,
        .price = price,
    };
    v->failed = rows_add(&v->rows, &kept, v->fault) != 0;
}

/* ----------------------------------------------------------------- one source */

/* Is the newest of each symbol in this source young enough? */
static void check_age(struct validation *v)
{
    if (!v->params->max_age.on)
        return;
    for (uint32_t i = 0; i < v->symbols.n; i++) {
        const struct symbol *symbol = &v->symbols.all[i];
        double age = ((double)v->now - (double)symbol->newest) / 1e6;
        if (symbol->source != v->current + 1 || !(age > v->params->max_age.value))
            continue;
        char newest[SCAN_TIME_TEXT];
        scan_time_text(symbol->newest, newest);
        report_add(&v->report, &v->symbols, RULE_STALE, symbol->newest_place, i,
                   "%s: the newest is %s, %.0f s old", symbols_name(&v->symbols, i), newest,
                   age / 1000);
    }
}

static bool tell_reading(const struct validation *v)
{
    char message[64];
    unsigned percent = v->bytes > 0 && v->bytes_read < v->bytes
                           ? (unsigned)(v->bytes_read * READ_PERCENT / v->bytes)
                           : READ_PERCENT;
    snprintf(message, sizeof message, "Collecting prices... source %zu of %zu", v->current + 1,
             v->n_sources);
    return v->progress->tell(percent, message, v->progress->context);
}

/* What rows without a symbol column are called: the file's name without folder and ".csv". */
static size_t symbol_of_path(const char *path, const char **symbol)
{
    const char *slash = strrchr(path, '/');
    *symbol = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(*symbol, '.');
    return dot != NULL && dot != *symbol ? (size_t)(dot - *symbol) : strlen(*symbol);
}

static int read_to_end(struct validation *v, int file, struct reader *reader)
{
    const struct report_source *source = &v->sources[v->current];
    for (;;) {
        ssize_t n = read(file, v->buffer, sizeof v->buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_set(v->fault, FAULT_INVALID, "%s: %s", source->path, strerror(errno));
        int unreadable = n > 0 ? reader_feed(reader, v->buffer, (size_t)n) : reader_end(reader);
        if (v->failed)
            return -1;
        if (unreadable)
            return fault_set(v->fault, FAULT_INVALID, "%s: %s", source->path, reader->error);
        if ((source->base + reader->line) >> REPORT_PLACE_BITS != 0)
            return fault_set(v->fault, FAULT_INVALID, "%s: too many lines", source->path);
        if (n == 0)
            return 0;
        v->bytes_read += (uint64_t)n;
        if (!tell_reading(v))
            return fault_set(v->fault, FAULT_STOPPED, "stopped");
    }
}

static int read_source(struct validation *v, int root)
{
    struct report_source *source = &v->sources[v->current];
    struct reader reader;
    const char *symbol;
    uint64_t size;
    int file;
    if (sources_open(root, source->path, &file, &size, v->fault) != 0)
        return -1;
    size_t symbol_size = symbol_of_path(source->path, &symbol);
    reader_init(&reader, symbol, symbol_size, take_row, v);
    int result = read_to_end(v, file, &reader);
    if (result == 0)
        check_age(v);
    if (result == 0 && v->current + 1 < v->n_sources)
        source[1].base = source->base + reader.line;
    reader_free(&reader);
    close(file);
    return result;
}

/* --------------------------------------------------------------------- the run */

/* Open each once, so that a missing one is known before the first is read. */
static int measure_sources(struct validation *v, int root)
{
    for (size_t i = 0; i < v->n_sources; i++) {
        uint64_t size;
        int file;
        if (sources_open(root, v->sources[i].path, &file, &size, v->fault) != 0)
            return -1;
        close(file);
        v->bytes += size;
    }
    return 0;
}

int validate(int root, const struct params *params, int64_t now, const struct progress *progress,
             json_t **result, struct fault *fault)
{
    int status = -1;
    char **paths = params->sources, **found = NULL;
    size_t n = params->n_sources;
    struct validation *v = calloc(1, sizeof *v);
    if (v == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    v->params = params;
    v->progress = progress;
    v->fault = fault;
    v->now = now;
    v->rows.file = -1;
    if (paths == NULL) {
        if (sources_find(root, &found, &n, fault) != 0)
            goto out;
        paths = found;
    }
    v->n_sources = n;
    v->sources = calloc(n, sizeof *v->sources);
    if (v->sources == NULL || symbols_init(&v->symbols) != 0) {
        fault_set(fault, FAULT_SYSTEM, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        v->sources[i].path = paths[i];
    if (rows_init(&v->rows, ROWS_HELD, fault) != 0 || measure_sources(v, root) != 0)
        goto out;
    for (; v->current < n; v->current++)
        if (read_source(v, root) != 0)
            goto out;
    if (across_check(&v->rows, params, v->sources, n, &v->symbols, &v->report, progress,
                     READ_PERCENT, fault) != 0)
        goto out;
    *result = report_json(&v->report, &v->symbols, v->sources, n, v->n_rows);
    status = *result != NULL ? 0 : fault_set(fault, FAULT_SYSTEM, "out of memory");
out:
    rows_free(&v->rows);
    symbols_free(&v->symbols);
    for (size_t i = 0; found != NULL && i < n; i++)
        free(found[i]);
    free(found);
    free(v->sources);
    free(v);
    return status;
}
