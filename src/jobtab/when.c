/* when.c - instants as other systems write them. See when.h. */
#include "when.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#define LEAST_MS 1e11
#define MOST_MS  1e15 /* beyond the year 9999, and exact in a double */

static bool number(const char *text, int64_t *time_ms)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(value) || value < 0 || value > MOST_MS)
        return false;
    *time_ms = llround(value < LEAST_MS ? value * 1000 : value);
    return true;
}

/* Of a second, in ms; what is finer is cut off. */
static const char *fraction(const char *p, int64_t *ms)
{
    int64_t weight = 100;

    if ((*p != '.' && *p != ',') || !isdigit((unsigned char)p[1]))
        return p;
    for (p++; isdigit((unsigned char)*p); p++, weight /= 10)
        *ms += weight * (*p - '0');
    return p;
}

/* "Z", "+01:00", "-0530", "+01" or nothing. NULL when it is none. */
static const char *zone(const char *p, int64_t *ms)
{
    int sign = *p == '-' ? -1 : 1, digits[4] = {0}, n = 0;

    if (*p == 'Z' || *p == 'z')
        return p + 1;
    if (*p != '+' && *p != '-')
        return p;
    for (p++; isdigit((unsigned char)*p) || (*p == ':' && n == 2); p++) {
        if (*p == ':')
            continue;
        if (n == 4)
            return NULL;
        digits[n++] = *p - '0';
    }
    if (n != 2 && n != 4)
        return NULL;
    *ms -= sign * ((digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]) * INT64_C(60000);
    return p;
}

bool when_parse(const char *text, int64_t *time_ms)
{
    struct tm tm = {.tm_mday = 1};
    int64_t ms = 0;

    if (number(text, time_ms))
        return true;
    const char *p = strptime(text, "%Y-%m-%d", &tm);
    if (p == NULL)
        return false;
    if (*p == 'T' || *p == 't' || *p == ' ') {
        p = strptime(p + 1, "%H:%M:%S", &tm);
        if (p == NULL)
            return false;
        p = zone(fraction(p, &ms), &ms);
    }
    if (p == NULL || *p != '\0')
        return false;
    *time_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return true;
}
