/* across.h - the rules that hold between rows: duplicate, deviation, min_sources, jump. */
#ifndef ACROSS_H
#define ACROSS_H

#include "params.h"
#include "report.h"
#include "rows.h"
#include "validate.h"

/* Read all rows, which come by symbol, time and place, and report what breaks a rule. Tells
 * progress from percent `from` to 99. 0, or -1 with *fault. */
int across_check(struct rows *rows, const struct params *params,
                 const struct report_source *sources, size_t n_sources, struct symbols *symbols,
                 struct report *report, const struct progress *progress, unsigned from,
                 struct fault *fault);

#endif
