/* scan.h - numbers and times as price feeds write them. No locale, no guessing: a text is exactly
 * one of the forms below or it is refused. */
#ifndef SCAN_H
#define SCAN_H

#include <stddef.h>
#include <stdint.h>

#define SCAN_TIME_TEXT 31 /* "2024-01-02T09:30:00.123456789Z" and NUL */

/* A decimal number: sign, digits with at most one point, exponent; no hex, no inf, no nan, no
 * digit grouping, at most 128 characters. The value is the nearest double; it may overflow to
 * infinity or underflow to 0. 0, or -1 when the text is no number. */
int scan_number(const char *text, size_t size, double *value);

/* An instant, in nanoseconds since 1970 UTC, from 1678 to 2261:
 *   2024-01-02  20240102                        midnight UTC
 *   2024-01-02T09:30[:00[.123456789]]           T or a space; UTC unless an offset follows:
 *   ...Z  ...+01:00  ...+0100  ...+01
 *   1704187800[.5]                              seconds since 1970, below 1e11
 *   1704187800123                               milliseconds, from 1e11 on
 *   Jan 2 2006                                  midnight UTC; English, either case
 * 0, or -1 when the text is none of these or names no real date and time. */
int scan_time(const char *text, size_t size, int64_t *ns);

/* The short way for what most rows have: the shapes below and nothing else, in the midst of a line.
 * The field begins at `text` and ends at a comma or at `end`, where a byte that is neither digit nor
 * point can be read. Returns where it ends; NULL when it has another shape, which says nothing about
 * whether it is good: that is for the functions above. What is taken, they would take as the same. */

/* At most 15 digits, with at most one point among them. */
const char *scan_plain_number(const char *text, const char *end, double *value);

/* The day that was read last, as most rows have that of the row before. All 0: none yet. */
struct scan_day {
    char text[11]; /* with the T or space */
    int64_t ns;
};

/* 2024-01-02T09:30:00[.123456789][Z] */
const char *scan_plain_time(const char *text, const char *end, struct scan_day *day, int64_t *ns);

/* The same instant as text: ISO 8601, UTC, a fraction only when there is one. */
void scan_time_text(int64_t ns, char text[SCAN_TIME_TEXT]);

#endif
