/* across.h - the rules that hold between rows: duplicate, deviation, min_sources, jump. */
#ifndef ACROSS_H
#define ACROSS_H

#include "params.h"
#include "report.h"
#include "rows.h"
#include "steps.h"

#include <stdbool.h>
#include <stdint.h>

struct across {
    const struct params *params;
    struct symbols *symbols;
    struct report *report;
    /* Asked now and then, with how many of the rows at hand are done; false: stop. */
    bool (*go_on)(uint64_t done, uint64_t total, void *context);
    void *context;
    struct steps steps;
    uint64_t done, total;
    uint32_t symbol;
    int64_t time;
    struct across_quote *quotes; /* of the group, by source; room for one of each */
    size_t n_quotes;
    double *prices; /* of those that can be used; room for one of each source */
    size_t n_prices;
    double lowest, highest;
    struct across_last *last; /* by source */
    double median, mad;
};

/* What is passed stays the caller's. 0, or -1 with *fault; across_free in either case. */
int across_init(struct across *across, const struct params *params, size_t n_sources,
                struct symbols *symbols, struct report *report,
                bool (*go_on)(uint64_t done, uint64_t total, void *context), void *context,
                struct fault *fault);

/* Sort the rows and report what breaks a rule among them. All rows of a symbol must be there. May
 * be called again, for other symbols. 0, or -1 with *fault. */
int across_check(struct across *across, struct rows *rows, struct fault *fault);

void across_free(struct across *across);

#endif
