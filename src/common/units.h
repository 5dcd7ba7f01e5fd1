/* units.h - durations and sizes as people write them. */
#ifndef UNITS_H
#define UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "250ms", "90s", "10m", "24h", "2d", or a number of seconds ("1.5"). 0, or -1 when the text is
 * no duration, is negative, or is longer than 100 years. */
int units_duration(const char *text, int64_t *ms);

/* "512", "64k", "1m", "2g" (powers of 1024, either case). 0, or -1 when the text is no size. */
int units_size(const char *text, uint64_t *bytes);

/* The value in the largest unit that leaves no rest: "90s", "1d", "64k". */
void units_duration_text(int64_t ms, char *text, size_t size);
void units_size_text(uint64_t bytes, char *text, size_t size);

#endif
