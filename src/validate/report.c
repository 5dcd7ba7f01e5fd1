/* report.c - the rules by name, and what was found. */
#include "config.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const rule_names[RULES] = {
    [RULE_SYMBOL] = "symbol_missing",
    [RULE_TIME] = "time_unparsable",
    [RULE_PRICE] = "price_unparsable",
    [RULE_POSITIVE] = "price_not_positive",
    [RULE_DUPLICATE] = "duplicate",
    [RULE_BACKWARDS] = "time_backwards",
    [RULE_OHLC] = "ohlc",
    [RULE_STALE] = "stale",
    [RULE_DEVIATION] = "deviation",
    [RULE_JUMP] = "jump",
    [RULE_MIN_SOURCES] = "min_sources",
};

static bool is_before(const struct report_example *example, report_place place, enum rule rule)
{
    return example->place < place || (example->place == place && example->rule < rule);
}

void report_add_list(struct report *report, struct symbols *symbols, enum rule rule,
                     report_place place, uint32_t symbol, const char *format, va_list args)
{
    report->violations++;
    report->by_rule[rule]++;
    if (symbol != REPORT_NO_SYMBOL)
        symbols->all[symbol].violations++;

    struct report_example *all = report->examples;
    size_t at = report->n_examples;
    if (at == REPORT_EXAMPLES) {
        if (is_before(&all[at - 1], place, rule))
            return;
        at--;
    } else {
        report->n_examples++;
    }
    for (; at > 0 && !is_before(&all[at - 1], place, rule); at--)
        all[at] = all[at - 1];
    all[at].place = place;
    all[at].rule = rule;
    vsnprintf(all[at].text, sizeof all[at].text, format, args);
}

void report_add(struct report *report, struct symbols *symbols, enum rule rule, report_place place,
                uint32_t symbol, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report_add_list(report, symbols, rule, place, symbol, format, args);
    va_end(args);
}

static int worse_first(const void *a, const void *b, void *context)
{
    const struct symbols *symbols = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint64_t of_x = symbols->all[x].violations, of_y = symbols->all[y].violations;
    if (of_x != of_y)
        return of_x > of_y ? -1 : 1;
    return strcmp(symbols_name(symbols, x), symbols_name(symbols, y));
}

static json_t *by_rule_json(const struct report *report)
{
    json_t *object = json_object();
    for (int rule = 0; rule < RULES; rule++)
        if (report->by_rule[rule] > 0)
            json_object_set_new(object, rule_names[rule],
                                json_integer((json_int_t)report->by_rule[rule]));
    return object;
}

static json_t *by_symbol_json(const struct symbols *symbols)
{
    uint32_t *bad = malloc((symbols->n + 1) * sizeof *bad);
    json_t *object = json_object();
    size_t n = 0;
    if (bad == NULL || object == NULL) {
        json_decref(object);
        object = NULL;
        goto out;
    }
    for (uint32_t i = 0; i < symbols->n; i++)
        if (symbols->all[i].violations > 0)
            bad[n++] = i;
    qsort_r(bad, n, sizeof *bad, worse_first, (void *)symbols);
    for (size_t i = 0; i < n && i < REPORT_SYMBOLS; i++)
        json_object_set_new(object, symbols_name(symbols, bad[i]),
                            json_integer((json_int_t)symbols->all[bad[i]].violations));
out:
    free(bad);
    return object;
}

static json_t *examples_json(const struct report *report, char *const *paths)
{
    json_t *array = json_array();
    for (size_t i = 0; i < report->n_examples; i++) {
        const struct report_example *example = &report->examples[i];
        json_array_append_new(
            array, json_pack("{s:s, s:I, s:s, s:s}", "file", paths[report_source(example->place)],
                             "line", (json_int_t)report_line(example->place), "rule",
                             rule_names[example->rule], "text", example->text));
    }
    return array;
}

json_t *report_json(const struct report *report, const struct symbols *symbols, char *const *paths,
                    size_t n_sources, uint64_t rows)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "verdict",
                     report->violations == 0 ? "passed" : "failed", "rows", (json_int_t)rows,
                     "symbols", (json_int_t)symbols->n, "sources", (json_int_t)n_sources,
                     "violations", (json_int_t)report->violations, "by_rule", by_rule_json(report),
                     "by_symbol", by_symbol_json(symbols), "examples",
                     examples_json(report, paths));
}
