/* plain.h - the short way to read what most rows have: the shapes below and nothing else, in the
 * midst of a line.
 *
 * A field begins at `text` and ends at a comma or at `end`, where a CR or LF can be read. What is
 * returned is where it ends; NULL when it has another shape, which says nothing about whether it is
 * good: that is for scan.h. What is taken here is taken there as the same; a test holds the one
 * against the other. */
#ifndef PLAIN_H
#define PLAIN_H

#include "scan.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define PLAIN_DIGITS 15 /* so that a number without its point is an exact double */
#define PLAIN_POWERS 23
extern const double plain_powers[PLAIN_POWERS]; /* of ten; all are exact */

/* Digits, with at most one point among them. */
static inline const char *plain_number(const char *text, const char *end, double *value)
{
    const char *p = text;
    uint64_t mantissa = 0;
    unsigned digit;
    size_t behind = 0;
    for (; (digit = (unsigned char)*p - (unsigned)'0') <= 9; p++)
        mantissa = mantissa * 10 + digit;
    size_t digits = (size_t)(p - text);
    if (*p == '.') {
        const char *first = ++p;
        for (; (digit = (unsigned char)*p - (unsigned)'0') <= 9; p++)
            mantissa = mantissa * 10 + digit;
        behind = (size_t)(p - first);
        digits += behind;
    }
    if (digits - 1 >= PLAIN_DIGITS || (*p != ',' && p != end))
        return NULL;
    *value = (double)(int64_t)mantissa / plain_powers[behind];
    return p;
}

/* The day that was read last: most rows have that of the row before. All 0: none yet. */
struct plain_day {
    char text[11]; /* with the T or space */
    int64_t ns;
};

/* Read the first 11 bytes of a time. False: they are no such text. */
bool plain_begin_day(struct plain_day *day, const char *text);

/* "09:30:00" as seconds; -1 when it is no time of a day. Its eight bytes are judged side by side in
 * one number: less "00:00:00" a digit leaves 0 to 9 and a colon 0; ten times a byte and the one
 * behind it make hours, minutes and seconds. Nothing carries over from one byte to the next. */
static inline int plain_clock(const char *text)
{
    uint64_t left;
    memcpy(&left, text, sizeof left);
    left = le64toh(left) ^ UINT64_C(0x30303a30303a3030);
    uint64_t over_9 = left | (left + UINT64_C(0x7676767676767676));
    uint64_t no_digits = over_9 & UINT64_C(0x8080808080808080);
    uint64_t no_colons = left & UINT64_C(0x0000ff0000ff0000);
    uint64_t parts = left * 10 + (left >> 8);
    unsigned hours = parts & 0xff, minutes = parts >> 24 & 0xff, seconds = parts >> 48 & 0xff;
    if ((no_digits | no_colons) != 0 || hours > 23 || minutes > 59 || seconds > 59)
        return -1;
    return (int)(hours * 3600 + minutes * 60 + seconds);
}

/* One to nine digits, in billionths; *ns is -1 when there is none. Returns where they end. */
const char *plain_fraction(const char *text, const char *end, int64_t *ns);

/* 2024-01-02T09:30:00[.123456789][Z] */
static inline __attribute__((always_inline)) const char *
plain_time(const char *text, const char *end, struct plain_day *day, int64_t *ns)
{
    if (end - text < 19 || text[4] != '-' || /* which keeps NULs from being the day of none */
        (memcmp(text, day->text, sizeof day->text) != 0 && !plain_begin_day(day, text)))
        return NULL;
    const char *p = text + 19;
    int seconds = plain_clock(text + 11);
    int64_t fraction = 0;
    if (*p == '.')
        p = plain_fraction(p + 1, end, &fraction);
    if (*p == 'Z')
        p++;
    if (seconds < 0 || fraction < 0 || (*p != ',' && p != end))
        return NULL;
    *ns = day->ns + seconds * INT64_C(1000000000) + fraction;
    return p;
}

#endif
