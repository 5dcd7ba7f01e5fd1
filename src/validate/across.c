/* across.c - the rules that hold between rows.
 *
 * Rows come by symbol, then time, then place. Those of one symbol and time are a group: it has
 * one quote a source, and any more from the same source are duplicates, which take no further
 * part. The steps of a source go from quote to quote in the order of time; those of all sources
 * together are the symbol's steps, and are judged when its last row is through. */
#include "config.h"

#include "across.h"

#include "scan.h"

#include <math.h>
#include <stdlib.h>

/* A bad price makes two bad steps. Among fewer than five these are no minority, and the median
 * absolute deviation tells nothing. */
#define JUDGED_STEPS 5
/* Stands in for a median absolute deviation of 0, which more than half of the steps being the same
 * makes: otherwise every move of a price that seldom moves would be a jump. */
#define STAND_IN_MAD 0.001

#define ASK_EVERY 65536 /* rows */

#define FEW_PRICES 16 /* are sorted as they come */

struct across_quote {
    report_place place;
    double price; /* not above 0: unusable */
};

struct across_last {
    uint32_t symbol; /* + 1 */
    double price;
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

static void sort_prices(double *prices, size_t n)
{
    if (n > FEW_PRICES) {
        qsort(prices, n, sizeof *prices, compare_prices);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        double price = prices[i];
        size_t at = i;
        for (; at > 0 && price < prices[at - 1]; at--)
            prices[at] = prices[at - 1];
        prices[at] = price;
    }
}

static bool deviates(const struct across *a, double price, double median)
{
    return fabs(price - median) * 10000 > a->params->max_deviation_bps.value * median;
}

static void report_deviations(struct across *a, double median, size_t n)
{
    char when[SCAN_TIME_TEXT];
    scan_time_text(a->time, when);
    for (size_t i = 0; i < a->n_quotes; i++) {
        const struct across_quote *quote = &a->quotes[i];
        if (quote->price > 0 && deviates(a, quote->price, median))
            report_add(a->report, a->symbols, RULE_DEVIATION, quote->place, a->symbol,
                       "%s at %s: %.10g is %.6g bps from %.10g, the median of %zu sources",
                       name_of(a), when, quote->price,
                       fabs(quote->price - median) * 10000 / median, median, n);
    }
}

/* How far each is from the median of all that can be used. When neither the lowest nor the highest
 * is too far, none is: rounding keeps the order. */
static void check_deviation(struct across *a)
{
    size_t n = a->n_prices;
    sort_prices(a->prices, n);
    double median = n % 2 == 1 ? a->prices[n / 2]
                               : (a->prices[n / 2 - 1] + a->prices[n / 2]) / 2;
    if (deviates(a, a->lowest, median) || deviates(a, a->highest, median))
        report_deviations(a, median, n);
}

static void end_group(struct across *a)
{
    size_t n = a->n_prices, wanted = a->params->min_sources;
    if (a->n_quotes > 0 && wanted > 1 && n < wanted) {
        char when[SCAN_TIME_TEXT];
        scan_time_text(a->time, when);
        report_add(a->report, a->symbols, RULE_MIN_SOURCES, a->quotes[0].place, a->symbol,
                   "%s at %s: %zu of the %zu sources wanted", name_of(a), when, n, wanted);
    } else if (n > 1 && a->params->max_deviation_bps.on && deviates(a, a->highest, a->lowest)) {
        /* Else none can: the median is no lower than the lowest, and no further from any. */
        check_deviation(a);
    }
    a->n_quotes = 0;
    a->n_prices = 0;
    a->lowest = INFINITY;
    a->highest = 0;
}

/* --------------------------------------------------------------------- steps */

static void report_jump(struct across *a, const struct step *step, double off)
    __attribute__((cold));

static void report_jump(struct across *a, const struct step *step, double off)
{
    report_add(a->report, a->symbols, RULE_JUMP, step->place, a->symbol,
               "%s: a step of %.6g%% is %.6g MADs of %.3g%% from the median step of %.3g%%",
               name_of(a), step->change * 100, off / a->mad, a->mad * 100, a->median * 100);
}

static inline void judge(const struct step *step, void *context)
{
    struct across *a = context;
    double off = fabs(step->change - a->median);
    if (off > a->params->max_jump_mad.value * a->mad)
        report_jump(a, step, off);
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

static int add_step(struct across *a, const struct across_quote *quote, struct fault *fault)
{
    struct across_last *last = &a->last[report_source(quote->place)];
    bool follows = last->symbol == a->symbol + 1;
    double before = last->price;
    *last = (struct across_last){a->symbol + 1, quote->price};
    if (!follows || !a->params->max_jump_mad.on)
        return 0;
    double change = (quote->price - before) / before;
    return steps_add(&a->steps, change < STEPS_MAX ? change : STEPS_MAX, quote->place, fault);
}

/* ---------------------------------------------------------------------- rows */

static void report_duplicate(struct across *a, report_place place, report_place first)
{
    char when[SCAN_TIME_TEXT];
    scan_time_text(a->time, when);
    report_add(a->report, a->symbols, RULE_DUPLICATE, place, a->symbol,
               "%s at %s stands in line %llu already", name_of(a), when,
               (unsigned long long)report_line(first));
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

    struct across_quote quote = {.place = row_place(row), .price = row->price};
    const struct across_quote *last = a->n_quotes > 0 ? &a->quotes[a->n_quotes - 1] : NULL;
    if (last != NULL && report_source(last->place) == report_source(quote.place)) {
        report_duplicate(a, quote.place, last->place);
        return 0;
    }
    a->quotes[a->n_quotes++] = quote;
    if (!(quote.price > 0))
        return 0;
    a->prices[a->n_prices++] = quote.price;
    if (quote.price < a->lowest)
        a->lowest = quote.price;
    if (quote.price > a->highest)
        a->highest = quote.price;
    return add_step(a, &quote, fault);
}

static bool go_on(void *context)
{
    const struct across *a = context;
    return a->go_on(a->done, a->total, a->context);
}

int across_check(struct across *a, struct rows *rows, struct fault *fault)
{
    const struct row *row;
    if (rows_sort(rows, fault) != 0)
        return -1;
    steps_memory(&a->steps, rows->spare, rows->max_held * sizeof *rows->spare);
    a->total = rows_total(rows);
    for (a->done = 0; rows_next(rows, &row, fault) == 0; a->done++) {
        if (row == NULL) {
            end_group(a);
            return end_symbol(a, fault);
        }
        if (take_row(a, row, fault) != 0)
            return -1;
        if (a->done % ASK_EVERY == 0 && !go_on(a))
            return fault_set(fault, FAULT_STOPPED, "stopped");
    }
    return -1;
}

int across_init(struct across *a, const struct params *params, size_t n_sources,
                struct symbols *symbols, struct report *report,
                bool (*ask)(uint64_t done, uint64_t total, void *context), void *context,
                struct fault *fault)
{
    *a = (struct across){
        .params = params,
        .symbols = symbols,
        .report = report,
        .go_on = ask,
        .context = context,
        .lowest = INFINITY,
        .quotes = calloc(n_sources, sizeof *a->quotes),
        .prices = calloc(n_sources, sizeof *a->prices),
        .last = calloc(n_sources, sizeof *a->last),
    };
    steps_init(&a->steps, go_on, a);
    if (a->quotes == NULL || a->prices == NULL || a->last == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    return 0;
}

void across_free(struct across *a)
{
    steps_free(&a->steps);
    free(a->quotes);
    free(a->prices);
    free(a->last);
}
