/* report.h - the rules by name, and what was found: counts, the worst symbols, the first
 * examples. Its memory does not grow with the number of violations. */
#ifndef REPORT_H
#define REPORT_H

#include "symbols.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum rule {
    RULE_SYMBOL,
    RULE_TIME,
    RULE_PRICE,
    RULE_POSITIVE,
    RULE_DUPLICATE,
    RULE_BACKWARDS,
    RULE_OHLC,
    RULE_STALE,
    RULE_DEVIATION,
    RULE_JUMP,
    RULE_MIN_SOURCES,
};
#define RULES 11

#define REPORT_EXAMPLES 100
#define REPORT_SYMBOLS 1000 /* in by_symbol: those with most violations */
#define REPORT_TEXT 256
#define REPORT_NO_SYMBOL UINT32_MAX

/* A line counted through all sources: the number of lines of the sources before, and the line. */
typedef uint64_t report_place;
#define REPORT_PLACE_BITS 40

struct report_source {
    const char *path;
    report_place base; /* the place of its line 0 */
};

struct report_example {
    report_place place;
    enum rule rule;
    char text[REPORT_TEXT];
};

struct report {
    uint64_t violations, by_rule[RULES];
    size_t n_examples;
    struct report_example examples[REPORT_EXAMPLES]; /* by place, then rule */
};

/* Count one violation. The text is made only when it is among the first examples, which are those
 * with the lowest places in whatever order they are found. */
void report_add(struct report *report, struct symbols *symbols, enum rule rule, report_place place,
                uint32_t symbol, const char *format, ...) __attribute__((format(printf, 6, 7)));
void report_add_list(struct report *report, struct symbols *symbols, enum rule rule,
                     report_place place, uint32_t symbol, const char *format, va_list args)
    __attribute__((format(printf, 6, 0)));

/* The result as the interface has it; NULL when memory is short. `sources` are in the order of
 * their bases. */
json_t *report_json(const struct report *report, const struct symbols *symbols,
                    const struct report_source *sources, size_t n_sources, uint64_t rows);

/* Which source a place is in. */
size_t report_source(const struct report_source *sources, size_t n_sources, report_place place);

#endif
