/* validate.c - one price validation, from sources to result.
 *
 * What a row says by itself is judged when it is read (feed.c); what it says beside others once all
 * rows of its symbol are there (across.c). Sources can be read in two ways:
 *
 * In step: all are open at once, each is read as far as the end of a symbol, and the symbol is
 * judged and forgotten. Nothing but the rows of one symbol is kept, so that a temporary file is
 * needed only for a symbol whose rows do not fit in memory. It takes sources in each of which the
 * rows of a symbol stand together, and the symbols in an order that all sources share.
 *
 * Whole: one after the other, all rows put aside, sorted, and judged at the end.
 *
 * The first is tried first. When a symbol comes again that was judged, or a source cannot be read,
 * all is forgotten and the sources are read whole, from the beginning: that way takes any order,
 * and names the fault that comes first. */
#include "config.h"

#include "validate.h"

#include "across.h"
#include "feed.h"
#include "report.h"
#include "rows.h"
#include "sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_AT_ONCE (32 * 1024)
#define IN_STEP_SOURCES 64   /* more are read whole */
#define IN_STEP_MEMORY (4 * 1024 * 1024) /* for what was read of all of them */
#define READ_PERCENT 90 /* of the progress, when read whole; the rest is for what comes after */

struct validation {
    const struct params *params;
    const struct progress *progress;
    struct fault *fault;
    int root;
    int64_t now;
    char **paths;
    size_t n_sources, current; /* current: the one being read whole */
    bool in_step;
    uint64_t bytes; /* of all sources */
    unsigned percent; /* told last */
    struct symbols symbols;
    struct report report;
    struct rows rows;
    struct feed_common common;
    struct across across;
    struct feed *feeds;
    char *buffer;
};

/* ------------------------------------------------------------------- progress */

/* It does not go back when sources are read again. */
static bool tell(struct validation *v, unsigned percent, const char *message)
{
    if (percent > v->percent)
        v->percent = percent;
    return v->progress->tell(v->percent, message, v->progress->context);
}

static bool tell_reading(void *context)
{
    struct validation *v = context;
    unsigned most = v->in_step ? 99 : READ_PERCENT;
    unsigned percent = v->bytes > 0 && v->common.bytes_read < v->bytes
                           ? (unsigned)(v->common.bytes_read * most / v->bytes)
                           : most;
    char message[64];
    if (v->in_step)
        snprintf(message, sizeof message, "Collecting prices... %zu sources", v->n_sources);
    else
        snprintf(message, sizeof message, "Collecting prices... source %zu of %zu", v->current + 1,
                 v->n_sources);
    return tell(v, percent, message);
}

static bool tell_comparing(uint64_t done, uint64_t total, void *context)
{
    struct validation *v = context;
    if (v->in_step)
        return tell_reading(v);
    return tell(v, READ_PERCENT + (unsigned)((99 - READ_PERCENT) * done / total),
                "Comparing prices...");
}

/* ---------------------------------------------------------------- both ways */

/* Is the newest of a symbol in this source young enough? */
static void check_age(struct validation *v, uint32_t number, size_t source)
{
    const struct symbol *symbol = &v->symbols.all[number];
    double age = ((double)v->now - (double)symbol->newest) / 1e6;
    if (!v->params->max_age.on || symbol->source != source + 1 ||
        !(age > v->params->max_age.value))
        return;
    char newest[SCAN_TIME_TEXT];
    scan_time_text(symbol->newest, newest);
    report_add(&v->report, &v->symbols, RULE_STALE, symbol->newest_place, number,
               "%s: the newest is %s, %.0f s old", symbols_name(&v->symbols, number), newest,
               age / 1000);
}

static int open_feed(struct validation *v, size_t source, struct feed *feed, char *buffer,
                     size_t buffer_size)
{
    if (feed_open(feed, &v->common, v->root, v->paths[source], source, buffer, buffer_size,
                  v->fault) != 0)
        return -1;
    return feed_next(feed, v->fault);
}

/* ------------------------------------------------------------------- in step */

/* Of those that feeds are at, the symbol with the lowest name. False: all are at their end. */
static bool lowest_symbol(const struct validation *v, uint32_t *lowest)
{
    const char *lowest_name = NULL;
    for (size_t i = 0; i < v->n_sources; i++) {
        const struct feed *feed = &v->feeds[i];
        if (!feed->has_row)
            continue;
        const char *name = symbols_name(&v->symbols, row_symbol(&feed->row));
        if (lowest_name == NULL || strcmp(name, lowest_name) < 0) {
            *lowest = row_symbol(&feed->row);
            lowest_name = name;
        }
    }
    return lowest_name != NULL;
}

static int judge_symbol(struct validation *v, uint32_t symbol)
{
    rows_clear(&v->rows);
    for (size_t i = 0; i < v->n_sources; i++) {
        struct feed *feed = &v->feeds[i];
        if (!feed->has_row || row_symbol(&feed->row) != symbol)
            continue;
        if (feed_take(feed, &v->rows, v->fault) != 0)
            return -1;
        check_age(v, symbol, i);
    }
    v->symbols.all[symbol].judged = true;
    return across_check(&v->across, &v->rows, v->fault);
}

/* 0; or -1 with the fault, which is FAULT_INVALID when the sources have to be read whole. */
static int read_in_step(struct validation *v)
{
    size_t buffer_size = IN_STEP_MEMORY / v->n_sources, opened = 0;
    int status = 0;
    uint32_t symbol = 0;
    if (buffer_size > READ_AT_ONCE)
        buffer_size = READ_AT_ONCE;
    v->feeds = calloc(v->n_sources, sizeof *v->feeds);
    v->buffer = malloc(v->n_sources * buffer_size);
    if (v->feeds == NULL || v->buffer == NULL)
        return fault_set(v->fault, FAULT_SYSTEM, "out of memory");
    while (opened < v->n_sources && status == 0) {
        status = open_feed(v, opened, &v->feeds[opened], v->buffer + opened * buffer_size,
                           buffer_size);
        opened++;
    }
    while (status == 0 && lowest_symbol(v, &symbol))
        status = v->symbols.all[symbol].judged
                     ? fault_set(v->fault, FAULT_INVALID, "the sources are not in step")
                     : judge_symbol(v, symbol);
    for (size_t i = 0; i < opened; i++)
        feed_close(&v->feeds[i]);
    return status;
}

/* --------------------------------------------------------------------- whole */

static int read_source(struct validation *v, size_t source)
{
    struct feed *feed = v->feeds;
    v->current = source;
    int status = open_feed(v, source, feed, v->buffer, READ_AT_ONCE);
    while (status == 0 && feed->has_row)
        status = feed_take(feed, &v->rows, v->fault);
    for (uint32_t i = 0; i < v->symbols.n && status == 0; i++)
        check_age(v, i, source);
    feed_close(feed);
    return status;
}

static int read_whole(struct validation *v)
{
    v->feeds = calloc(1, sizeof *v->feeds);
    v->buffer = malloc(READ_AT_ONCE);
    if (v->feeds == NULL || v->buffer == NULL)
        return fault_set(v->fault, FAULT_SYSTEM, "out of memory");
    for (size_t i = 0; i < v->n_sources; i++)
        if (read_source(v, i) != 0)
            return -1;
    return across_check(&v->across, &v->rows, v->fault);
}

/* --------------------------------------------------------------------- the run */

/* Open each once, so that a missing one is known before the first is read. */
static int measure_sources(struct validation *v)
{
    for (size_t i = 0; i < v->n_sources; i++) {
        uint64_t size;
        int file;
        if (sources_open(v->root, v->paths[i], &file, &size, v->fault) != 0)
            return -1;
        close(file);
        v->bytes += size;
    }
    return 0;
}

/* Read all sources the one way or the other, from nothing to a report. */
static int read_sources(struct validation *v, bool in_step)
{
    v->in_step = in_step;
    v->common = (struct feed_common){
        .symbols = &v->symbols, .report = &v->report, .go_on = tell_reading, .context = v};
    memset(&v->report, 0, sizeof v->report);
    symbols_free(&v->symbols);

    int status = across_init(&v->across, v->params, v->n_sources, &v->symbols, &v->report,
                             tell_comparing, v, v->fault);
    if (rows_init(&v->rows, ROWS_HELD, v->fault) != 0)
        status = -1;
    if (symbols_init(&v->symbols) != 0)
        status = fault_set(v->fault, FAULT_SYSTEM, "out of memory");
    if (status == 0)
        status = in_step ? read_in_step(v) : read_whole(v);
    across_free(&v->across);
    rows_free(&v->rows);
    free(v->feeds);
    free(v->buffer);
    v->feeds = NULL;
    v->buffer = NULL;
    return status;
}

int validate(int root, const struct params *params, int64_t now, const struct progress *progress,
             json_t **result, struct fault *fault)
{
    int status = -1;
    char **found = NULL;
    struct validation *v = calloc(1, sizeof *v);
    if (v == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    v->params = params;
    v->progress = progress;
    v->fault = fault;
    v->root = root;
    v->now = now;
    v->paths = params->sources;
    v->n_sources = params->n_sources;
    if (v->paths == NULL) {
        if (sources_find(root, &found, &v->n_sources, fault) != 0)
            goto out;
        v->paths = found;
    }
    if (measure_sources(v) != 0)
        goto out;
    fault->kind = FAULT_INVALID;
    if (v->n_sources <= IN_STEP_SOURCES)
        status = read_sources(v, true);
    if (status != 0 && fault->kind == FAULT_INVALID)
        status = read_sources(v, false);
    if (status != 0)
        goto out;
    *result = report_json(&v->report, &v->symbols, v->paths, v->n_sources, v->common.n_rows);
    status = *result != NULL ? 0 : fault_set(fault, FAULT_SYSTEM, "out of memory");
out:
    symbols_free(&v->symbols);
    for (size_t i = 0; found != NULL && i < v->n_sources; i++)
        free(found[i]);
    free(found);
    free(v);
    return status;
}
