/* report_line.h - what a job child writes on descriptor 3.
 *
 *     progress PERCENT [MESSAGE]
 *
 * One line each, PERCENT a whole number from 0 to 100, MESSAGE UTF-8 without control
 * characters; beyond JOBTAB_MESSAGE_MAX bytes it is cut. Anything else is not understood and
 * changes nothing.
 */
#ifndef REPORT_LINE_H
#define REPORT_LINE_H

#include "jobtab.h"

#define REPORT_LINE_MAX 1024 /* bytes of a line without its newline */

struct report {
    uint32_t progress;
    bool has_message; /* false: the job keeps the message it has */
    char message[JOBTAB_MESSAGE_MAX + 1];
};

/* Parse one line without its newline. False when it is none: *report is untouched. */
bool report_line_parse(const char *line, size_t size, struct report *report);

/* A stream of bytes cut into lines; memory is bounded whatever comes. Start with zeroes. */
struct report_lines {
    size_t size;
    bool too_long; /* the line at hand is over REPORT_LINE_MAX */
    char line[REPORT_LINE_MAX];
};

/* Called for each line. `report` is NULL when it was not understood; `line` has the first
 * REPORT_LINE_MAX bytes of it at most. */
typedef void report_line_fn(const struct report *report, const char *line, size_t size,
                            void *context);

void report_lines_feed(struct report_lines *lines, const char *bytes, size_t size,
                       report_line_fn *each, void *context);
/* The stream is over: a last line without newline counts. */
void report_lines_end(struct report_lines *lines, report_line_fn *each, void *context);

#endif
