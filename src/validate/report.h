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

/* Where a row begins: the number of its source, and the line in there. */
typedef uint64_t report_place;
#define REPORT_LINE_BITS 34
#define REPORT_PLACE_BITS 46 /* params.h allows no more sources than these 12 bits count */

static inline report_place report_place_of(size_t source, uint64_t line)
{
    return (uint64_t)source << REPORT_LINE_BITS | line;
}

static inline uint32_t report_source(report_place place)
{
    return (uint32_t)(place >> REPORT_LINE_BITS);
}

static inline uint64_t report_line(report_place place)
{
    return place & ((UINT64_C(1) << REPORT_LINE_BITS) - 1);
}

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

/* The result as the interface has it; NULL when memory is short. `paths` are the sources'. */
json_t *report_json(const struct report *report, const struct symbols *symbols, char *const *paths,
                    size_t n_sources, uint64_t rows);

#endif
