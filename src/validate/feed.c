/* feed.c - one source being read, and the rules that need no other row. */
#include "config.h"

#include "feed.h"

#include "sources.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define SYMBOL_UNKNOWN -3 /* and SYMBOLS_UNUSABLE, SYMBOLS_FULL */

/* Rows without fault are what counts for speed: the functions below keep no text of their own. */
static void violation(struct feed *feed, enum rule rule, const char *format, ...)
    __attribute__((cold, format(printf, 3, 4)));

static void violation(struct feed *feed, enum rule rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report_add_list(feed->common->report, feed->common->symbols, rule,
                    report_place_of(feed->source, feed->reader.row.line),
                    feed->symbol < 0 ? REPORT_NO_SYMBOL : (uint32_t)feed->symbol, format, args);
    va_end(args);
}

/* ------------------------------------------------------- rules of a single row */

static int check_symbol(struct feed *feed, struct fault *fault)
{
    const struct reader_row *row = &feed->reader.row;
    if (!row->same_symbol || feed->symbol == SYMBOL_UNKNOWN)
        feed->symbol = symbols_number(feed->common->symbols, row->symbol, row->symbol_size);
    if (feed->symbol == SYMBOLS_UNUSABLE)
        violation(feed, RULE_SYMBOL, "%s",
                  row->symbol_size == 0                   ? "there is no symbol"
                  : row->symbol_size > READER_SYMBOL_MAX ? "the symbol is longer than 64 bytes"
                                                          : "the symbol is not printable UTF-8");
    if (feed->symbol == SYMBOLS_FULL)
        return fault_set(fault, FAULT_INVALID, "%s: line %" PRIu64 ": more than %d symbols",
                         feed->path, row->line, SYMBOLS_MAX);
    return 0;
}

static void check_time(struct feed *feed)
{
    const struct reader_field *time = &feed->reader.row.fields[COLUMN_TIME];
    if (time->state == FIELD_EMPTY)
        violation(feed, RULE_TIME, "there is no time");
    else if (time->state == FIELD_BAD)
        violation(feed, RULE_TIME, "\"%s\" is no time of a known form", time->shown);
}

/* The price, or 0 when it cannot be used. */
static double check_price(struct feed *feed)
{
    const struct reader_field *price = &feed->reader.row.fields[COLUMN_PRICE];
    if (price->state == FIELD_EMPTY)
        violation(feed, RULE_PRICE, "there is no price");
    else if (price->state == FIELD_BAD)
        violation(feed, RULE_PRICE, "\"%s\" is no number", price->shown);
    else if (price->number > 0 && price->number <= DBL_MAX)
        return price->number;
    else
        violation(feed, RULE_POSITIVE, "a price of %.10g is not positive and finite",
                  price->number);
    return 0;
}

static void check_ohlc(struct feed *feed)
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
    const struct reader_field *fields = feed->reader.row.fields;
    for (int kind = COLUMN_OPEN; kind <= COLUMN_CLOSE; kind++)
        if (fields[kind].state != FIELD_READ)
            return;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        double lower = fields[order[i].lower].number;
        double upper = fields[order[i].upper].number;
        if (lower > upper) {
            violation(feed, RULE_OHLC, "%s %.10g is above %s %.10g", names[order[i].lower], lower,
                      names[order[i].upper], upper);
            return;
        }
    }
}

static void report_backwards(struct feed *feed, const struct row *row, int64_t before)
    __attribute__((cold));

static void report_backwards(struct feed *feed, const struct row *row, int64_t before)
{
    char this_time[SCAN_TIME_TEXT], last_time[SCAN_TIME_TEXT];
    uint32_t symbol = row_symbol(row);
    scan_time_text(row->time, this_time);
    scan_time_text(before, last_time);
    report_add(feed->common->report, feed->common->symbols, RULE_BACKWARDS, row_place(row), symbol,
               "%s: %s comes after %s", symbols_name(feed->common->symbols, symbol), this_time,
               last_time);
}

/* ---------------------------------------------------------------------- reading */

/* What rows without a symbol column are called: the file's name without folder and ".csv". */
static size_t symbol_of_path(const char *path, const char **symbol)
{
    const char *slash = strrchr(path, '/');
    *symbol = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(*symbol, '.');
    return dot != NULL && dot != *symbol ? (size_t)(dot - *symbol) : strlen(*symbol);
}

int feed_open(struct feed *feed, struct feed_common *common, int root, const char *path,
              size_t source, char *buffer, size_t buffer_size, struct fault *fault)
{
    const char *symbol;
    uint64_t size;
    size_t symbol_size = symbol_of_path(path, &symbol);
    feed->common = common;
    feed->path = path;
    feed->source = source;
    feed->file = -1;
    feed->ended = false;
    feed->symbol = SYMBOL_UNKNOWN;
    feed->buffer = buffer;
    feed->buffer_size = buffer_size;
    reader_init(&feed->reader, symbol, symbol_size);
    return sources_open(root, path, &feed->file, &size, fault);
}

void feed_close(struct feed *feed)
{
    reader_free(&feed->reader);
    if (feed->file >= 0)
        close(feed->file);
}

/* Give the reader more, if there is more. */
static int refill(struct feed *feed, struct fault *fault)
{
    ssize_t n;
    if ((feed->reader.line + feed->buffer_size) >> REPORT_LINE_BITS != 0)
        return fault_set(fault, FAULT_INVALID, "%s: too many lines", feed->path);
    do
        n = read(feed->file, feed->buffer, feed->buffer_size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fault_set(fault, fault_of(errno), "%s: %s", feed->path, strerror(errno));
    feed->ended = n == 0;
    feed->common->bytes_read += (uint64_t)n;
    reader_feed(&feed->reader, feed->buffer, (size_t)n);
    if (!feed->common->go_on(feed->common->context))
        return fault_set(fault, FAULT_STOPPED, "stopped");
    return 0;
}

/* The next row of any kind. 1, 0 at the end, or -1 with *fault. */
static int read_row(struct feed *feed, struct fault *fault)
{
    for (;;) {
        enum reader_step step = reader_next(&feed->reader);
        if (step == READER_MORE) {
            if (feed->ended)
                return 0;
            if (refill(feed, fault) != 0)
                return -1;
            if (feed->ended)
                step = reader_end(&feed->reader);
        }
        if (step == READER_ROW)
            return 1;
        if (step == READER_FAILED)
            return fault_set(fault,
                             csv_error(&feed->reader.csv) == CSV_ENOMEM ? FAULT_SYSTEM
                                                                        : FAULT_INVALID,
                             "%s: %s", feed->path, feed->reader.error);
    }
}

int feed_next(struct feed *feed, struct fault *fault)
{
    for (;;) {
        int found = read_row(feed, fault);
        feed->has_row = found == 1;
        if (found != 1)
            return found;
        feed->common->n_rows++;
        if (check_symbol(feed, fault) != 0)
            return -1;
        check_time(feed);
        double price = check_price(feed);
        check_ohlc(feed);
        const struct reader_row *row = &feed->reader.row;
        if (feed->symbol < 0 || row->fields[COLUMN_TIME].state != FIELD_READ)
            continue;
        feed->row = (struct row){
            .at = (uint64_t)feed->symbol << REPORT_PLACE_BITS |
                  report_place_of(feed->source, row->line),
            .time = row->fields[COLUMN_TIME].time,
            .price = price,
        };
        return 0;
    }
}

/* Is a row no earlier than the one before it of the same symbol in this source? */
static inline bool check_order(struct feed *feed, struct symbol *symbol, const struct row *row)
{
    int64_t before = symbol->last_time;
    symbol->last_time = row->time;
    if (row->time > symbol->newest) {
        symbol->newest = row->time;
        symbol->newest_place = row_place(row);
    }
    if (row->time < before)
        report_backwards(feed, row, before);
    return row->time >= before;
}

/* A row right behind another of its symbol. */
static inline int take_next(struct feed *feed, struct symbol *symbol, struct rows *rows,
                            const struct row *row, struct fault *fault)
{
    return check_order(feed, symbol, row) ? rows_follow(rows, row, fault)
                                          : rows_add(rows, row, fault);
}

/* The rows behind the one that was found, as far as they come in the plainest form. */
static int take_ticks(struct feed *feed, struct symbol *symbol, struct rows *rows,
                      struct fault *fault)
{
    uint64_t at = feed->row.at - feed->reader.row.line; /* line 0 */
    const struct reader_tick *ticks = feed->ticks;
    size_t n;
    do {
        n = reader_ticks(&feed->reader, feed->ticks, FEED_TICKS);
        feed->common->n_rows += n;
        for (size_t i = 0; i < n; i++) {
            struct row row = {at + ticks[i].line, ticks[i].time, ticks[i].price};
            if (take_next(feed, symbol, rows, &row, fault) != 0)
                return -1;
        }
    } while (n == FEED_TICKS);
    return 0;
}

int feed_take(struct feed *feed, struct rows *rows, struct fault *fault)
{
    uint32_t number = row_symbol(&feed->row), source = (uint32_t)feed->source + 1;
    struct symbol *symbol = &feed->common->symbols->all[number];
    if (symbol->source != source) {
        symbol->source = source;
        symbol->last_time = symbol->newest = INT64_MIN;
        symbol->newest_place = row_place(&feed->row);
    }
    check_order(feed, symbol, &feed->row);
    int status = rows_add(rows, &feed->row, fault);
    for (;;) {
        if (status != 0 || take_ticks(feed, symbol, rows, fault) != 0 ||
            feed_next(feed, fault) != 0)
            return -1;
        if (!feed->has_row || row_symbol(&feed->row) != number)
            return 0;
        status = take_next(feed, symbol, rows, &feed->row, fault);
    }
}
