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

/* The same instant as text: ISO 8601, UTC, a fraction only when there is one. */
void scan_time_text(int64_t ns, char text[SCAN_TIME_TEXT]);

#endif
