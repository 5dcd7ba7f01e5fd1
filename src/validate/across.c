/* across.c - the rules that hold between rows.
 *
 * Rows come by symbol, then time, then place. Those of one symbol and time are a group: it has
 * one quote a source, and any more from the same source are duplicates, which take no further
 * part. The steps of a source go from quote to quote in the order of time; those of all sources
 * together are the symbol's steps, and are judged when its last row is through. */
#include "config.h"

#include "across.h"

#include "scan.h"
#include "steps.h"

#include <math.h>
#include <stdlib.h>

/* A bad price makes two bad steps. Among fewer than five these are no minority, and the median
 * absolute deviation tells nothing. */
#define JUDGED_STEPS 5
/* Stands in for a median absolute deviation of 0, which more than half of the steps being the same
 * makes: otherwise every move of a price that seldom moves would be a jump. */
#define STAND_IN_MAD 0.001

#define TELL_EVERY 65536 /* rows */

struct quote {
    report_place place;
    size_t source;
    double price; /* not above 0: unusable */
};

struct last {
    uint32_t symbol; /* + 1 */
    double price;
};

struct across {
    const struct params *params;
    const struct report_source *sources;
    size_t n_sources;
    struct symbols *symbols;
    struct report *report;
    const struct progress *progress;
    unsigned percent;
    struct steps steps;
    uint32_t symbol;
    int64_t time;
    struct quote *quotes; /* of the group, by source; room for one of each */
    size_t n_quotes;
    double *prices;    /* room for one of each source */
    struct last *last; /* by source */
    double median, mad;
};

static const char *name_of(const struct across *a)
{
    return symbols_name(a->symbols, a->symbol);
}

/* -------------------------------------------------------------------- groups */

static int compare_prices(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How far each is from the median of all that can be used. */
static void check_deviation(struct across *a, size_t n)
{
    double limit = a->params->max_deviation_bps.value;
    qsort(a->prices, n, sizeof *a->prices, compare_prices);
    double median = n % 2 == 1 ? a->prices[n / 2] : (a->prices[n / 2 - 1] + a->prices[n / 2]) / 2;
    for (size_t i = 0; i < a->n_quotes; i++) {
        const struct quote *quote = &a->quotes[i];
        double off = fabs(quote->price - median) * 10000;
        if (!(quote->price > 0) || !(off > limit * median))
            continue;
        char when[SCAN_TIME_TEXT];
        scan_time_text(a->time, when);
        report_add(a->report, a->symbols, RULE_DEVIATION, quote->place, a->symbol,
                   "%s at %s: %.10g is %.6g bps from %.10g, the median of %zu sources", name_of(a),
                   when, quote->price, off / median, median, n);
    }
}

static void end_group(struct across *a)
{
    size_t n = 0, wanted = a->params->min_sources;
    for (size_t i = 0; i < a->n_quotes; i++)
        if (a->quotes[i].price > 0)
            a->prices[n++] = a->quotes[i].price;
    if (a->n_quotes > 0 && wanted > 1 && n < wanted) {
        char when[SCAN_TIME_TEXT];
        scan_time_text(a->time, when);
        report_add(a->report, a->symbols, RULE_MIN_SOURCES, a->quotes[0].place, a->symbol,
                   "%s at %s: %zu of the %zu sources wanted", name_of(a), when, n, wanted);
    } else if (n > 1 && a->params->max_deviation_bps.on) {
        check_deviation(a, n);
    }
    a->n_quotes = 0;
}

/* --------------------------------------------------------------------- steps */

static void judge(const struct step *step, void *context)
{
    struct across *a = context;
    double off = fabs(step->change - a->median);
    if (off > a->params->max_jump_mad.value * a->mad)
        report_add(a->report, a->symbols, RULE_JUMP, step->place, a->symbol,
                   "%s: a step of %.6g%% is %.6g MADs of %.3g%% from the median step of %.3g%%",
                   name_of(a), step->change * 100, off / a->mad, a->mad * 100, a->median * 100);
}

static int end_symbol(struct across *a, struct fault *fault)
{
    if (a->steps.total >= JUDGED_STEPS) {
        if (steps_median(&a->steps, &a->median, fault) != 0 ||
            steps_mad(&a->steps, a->median, &a->mad, fault) != 0)
            return -1;
        if (!(a->mad > 0))
            a->mad = STAND_IN_MAD;
        if (steps_each(&a->steps, judge, a, fault) != 0)
            return -1;
    }
    steps_clear(&a->steps);
    return 0;
}

static int add_step(struct across *a, const struct quote *quote, struct fault *fault)
{
    struct last *last = &a->last[quote->source];
    bool follows = last->symbol == a->symbol + 1;
    double before = last->price;
    *last = (struct last){a->symbol + 1, quote->price};
    if (!follows || !a->params->max_jump_mad.on)
        return 0;
    double change = (quote->price - before) / before;
    return steps_add(&a->steps, change < STEPS_MAX ? change : STEPS_MAX, quote->place, fault);
}

/* ---------------------------------------------------------------------- rows */

static void report_duplicate(struct across *a, const struct quote *quote, const struct quote *first)
{
    char when[SCAN_TIME_TEXT];
    scan_time_text(a->time, when);
    report_add(a->report, a->symbols, RULE_DUPLICATE, quote->place, a->symbol,
               "%s at %s stands in line %llu already", name_of(a), when,
               (unsigned long long)(first->place - a->sources[first->source].base));
}

static int take_row(struct across *a, const struct row *row, struct fault *fault)
{
    uint32_t symbol = row_symbol(row);
    if (symbol != a->symbol || row->time != a->time)
        end_group(a);
    if (symbol != a->symbol && end_symbol(a, fault) != 0)
        return -1;
    a->symbol = symbol;
    a->time = row->time;

    struct quote quote = {.place = row_place(row), .price = row->price};
    quote.source = report_source(a->sources, a->n_sources, quote.place);
    const struct quote *last = a->n_quotes > 0 ? &a->quotes[a->n_quotes - 1] : NULL;
    if (last != NULL && last->source == quote.source) {
        report_duplicate(a, &quote, last);
        return 0;
    }
    a->quotes[a->n_quotes++] = quote;
    return quote.price > 0 ? add_step(a, &quote, fault) : 0;
}

static bool go_on(void *context)
{
    const struct across *a = context;
    return a->progress->tell(a->percent, "Comparing prices...", a->progress->context);
}

static int take_rows(struct across *a, struct rows *rows, unsigned from, struct fault *fault)
{
    const struct row *row;
    for (uint64_t done = 0; rows_next(rows, &row, fault) == 0; done++) {
        if (row == NULL) {
            end_group(a);
            return end_symbol(a, fault);
        }
        if (take_row(a, row, fault) != 0)
            return -1;
        if (done % TELL_EVERY == 0) {
            a->percent = from + (unsigned)((99 - from) * done / rows->total);
            if (!go_on(a))
                return fault_set(fault, FAULT_STOPPED, "stopped");
        }
    }
    return -1;
}

int across_check(struct rows *rows, const struct params *params,
                 const struct report_source *sources, size_t n_sources, struct symbols *symbols,
                 struct report *report, const struct progress *progress, unsigned from,
                 struct fault *fault)
{
    struct across a = {
        .params = params,
        .sources = sources,
        .n_sources = n_sources,
        .symbols = symbols,
        .report = report,
        .progress = progress,
        .percent = from,
    };
    int result = -1;
    if (rows_sort(rows, fault) != 0)
        return -1;
    steps_init(&a.steps, rows->spare, rows->max_held * sizeof *rows->spare, go_on, &a);
    a.quotes = calloc(n_sources, sizeof *a.quotes);
    a.prices = calloc(n_sources, sizeof *a.prices);
    a.last = calloc(n_sources, sizeof *a.last);
    if (a.quotes != NULL && a.prices != NULL && a.last != NULL)
        result = take_rows(&a, rows, from, fault);
    else
        fault_set(fault, FAULT_SYSTEM, "out of memory");
    steps_free(&a.steps);
    free(a.quotes);
    free(a.prices);
    free(a.last);
    return result;
}
