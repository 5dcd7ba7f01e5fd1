/* scan.c - numbers and times as price feeds write them. */
#include "config.h"

#include "plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NUMBER_MAX 128
#define NS_PER_SECOND 1000000000
#define EPOCH_MS_FROM 100000000000 /* at and above it a count is milliseconds */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ------------------------------------------------------------------ numbers */

/* Up to 2^53 and up to 1e22 both sides are exact doubles, so that one division or
 * multiplication rounds once: the same as strtod, at a tenth of its cost. */
const double plain_powers[PLAIN_POWERS] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define EXACT_POWER_MAX (PLAIN_POWERS - 1)
#define EXACT_MANTISSA_MAX (UINT64_C(1) << 53)

static double number_by_strtod(const char *text, size_t size)
{
    char copy[NUMBER_MAX + 1];
    memcpy(copy, text, size);
    copy[size] = '\0';
    return strtod(copy, NULL); /* the "C" locale: nobody here calls setlocale */
}

int scan_number(const char *text, size_t size, double *value)
{
    const char *p = text, *end = text + size;
    if (size == 0 || size > NUMBER_MAX)
        return -1;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;

    uint64_t mantissa = 0;
    int digits = 0, significant = 0, exponent = 0;
    bool point = false;
    for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        digits++;
        if (mantissa > 0 || *p != '0')
            significant++;
        if (significant < 19)
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        if (point)
            exponent--;
    }
    if (digits == 0)
        return -1;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        bool minus = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+'))
            p++;
        if (p == end)
            return -1;
        int written = 0;
        for (; p < end && is_digit(*p); p++)
            if (written < 100000)
                written = written * 10 + (*p - '0');
        exponent += minus ? -written : written;
    }
    if (p != end)
        return -1;

    if (significant < 19 && mantissa <= EXACT_MANTISSA_MAX && abs(exponent) <= EXACT_POWER_MAX) {
        double v = (double)mantissa;
        v = exponent < 0 ? v / plain_powers[-exponent] : v * plain_powers[exponent];
        *value = negative ? -v : v;
    } else {
        *value = number_by_strtod(text, size);
    }
    return 0;
}

/* -------------------------------------------------------------------- times */

/* What is left of the text; each take_... moves it on, or leaves it and says no. */
struct cursor {
    const char *p, *end;
};

static bool take_char(struct cursor *c, char wanted)
{
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

/* Exactly `n` digits. */
static bool take_digits(struct cursor *c, int n, int *value)
{
    if (c->end - c->p < n)
        return false;
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(c->p[i]))
            return false;
        v = v * 10 + (c->p[i] - '0');
    }
    c->p += n;
    *value = v;
    return true;
}

const char *plain_fraction(const char *text, const char *end, int64_t *ns)
{
    int64_t unit = NS_PER_SECOND;
    for (*ns = 0; text < end && is_digit(*text) && unit > 1; text++) {
        unit /= 10;
        *ns += (*text - '0') * unit;
    }
    if (unit == NS_PER_SECOND)
        *ns = -1;
    return text;
}

static bool take_fraction(struct cursor *c, int64_t *ns)
{
    c->p = plain_fraction(c->p, c->end, ns);
    return *ns >= 0;
}

/* Days since 1970 of a date of the Gregorian calendar. False when there is no such day. */
static bool days_of_date(int year, int month, int day, int64_t *days)
{
    static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month < 1 || month > 12 || day < 1 || day > length[month - 1] + (month == 2 && leap))
        return false;
    /* March first, so that the leap day ends the year and months follow one formula. */
    int64_t y = month > 2 ? year : year - 1;
    int64_t era_years = y + 400; /* never negative: years begin at 0 */
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    *days = era_years * 365 + era_years / 4 - era_years / 100 + era_years / 400 + day_of_year -
            719468 - 146097;
    return true;
}

static int time_of_parts(int64_t seconds, int64_t fraction, int64_t *ns)
{
    bool over = __builtin_mul_overflow(seconds, NS_PER_SECOND, ns) ||
                __builtin_add_overflow(*ns, fraction, ns);
    return over ? -1 : 0;
}

static bool take_offset(struct cursor *c, int64_t *seconds)
{
    *seconds = 0;
    if (c->p == c->end || take_char(c, 'Z') || take_char(c, 'z'))
        return true;
    bool minus = *c->p == '-';
    int hours, minutes = 0;
    if (!take_char(c, '-') && !take_char(c, '+'))
        return false;
    if (!take_digits(c, 2, &hours) || hours > 23)
        return false;
    if (c->p < c->end) {
        take_char(c, ':');
        if (!take_digits(c, 2, &minutes) || minutes > 59)
            return false;
    }
    *seconds = (minus ? -60 : 60) * (int64_t)(hours * 60 + minutes);
    return true;
}

static int scan_iso(struct cursor c, int64_t *ns)
{
    int year, month, day, hour = 0, minute = 0, second = 0;
    int64_t days, fraction = 0, offset = 0;
    if (!take_digits(&c, 4, &year) || !take_char(&c, '-') || !take_digits(&c, 2, &month) ||
        !take_char(&c, '-') || !take_digits(&c, 2, &day) || !days_of_date(year, month, day, &days))
        return -1;
    if (c.p < c.end) {
        if (!take_char(&c, 'T') && !take_char(&c, 't') && !take_char(&c, ' '))
            return -1;
        if (!take_digits(&c, 2, &hour) || !take_char(&c, ':') || !take_digits(&c, 2, &minute))
            return -1;
        if (take_char(&c, ':')) {
            if (!take_digits(&c, 2, &second))
                return -1;
            if (take_char(&c, '.') && !take_fraction(&c, &fraction))
                return -1;
        }
        if (hour > 23 || minute > 59 || second > 59 || !take_offset(&c, &offset))
            return -1;
    }
    if (c.p != c.end)
        return -1;
    return time_of_parts(days * 86400 + hour * 3600 + minute * 60 + second - offset, fraction, ns);
}

static int scan_month_name(struct cursor c, int64_t *ns)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int month = 0, day, year;
    int64_t days;
    if (c.end - c.p < 3)
        return -1;
    while (month < 12 && strncasecmp(c.p, names + 3 * month, 3) != 0)
        month++;
    c.p += 3;
    if (!take_char(&c, ' ') || !(take_digits(&c, 2, &day) || take_digits(&c, 1, &day)) ||
        !take_char(&c, ' ') || !take_digits(&c, 4, &year) || c.p != c.end ||
        !days_of_date(year, month + 1, day, &days))
        return -1;
    return time_of_parts(days * 86400, 0, ns);
}

static int scan_compact_date(struct cursor c, int64_t *ns)
{
    int year, month, day;
    int64_t days;
    if (!take_digits(&c, 4, &year) || !take_digits(&c, 2, &month) || !take_digits(&c, 2, &day) ||
        !days_of_date(year, month, day, &days))
        return -1;
    return time_of_parts(days * 86400, 0, ns);
}

static int scan_epoch(struct cursor c, int64_t *ns)
{
    bool negative = take_char(&c, '-');
    int64_t count = 0, fraction = 0;
    const char *first = c.p;
    for (; c.p < c.end && is_digit(*c.p) && c.p - first < 15; c.p++)
        count = count * 10 + (*c.p - '0');
    bool milliseconds = count >= EPOCH_MS_FROM;
    if (c.p == first || (take_char(&c, '.') && (milliseconds || !take_fraction(&c, &fraction))) ||
        c.p != c.end)
        return -1;
    if (milliseconds) {
        fraction = count % 1000 * (NS_PER_SECOND / 1000);
        count /= 1000;
    }
    return time_of_parts(negative ? -count : count, negative ? -fraction : fraction, ns);
}

int scan_time(const char *text, size_t size, int64_t *ns)
{
    struct cursor c = {text, text + size};
    if (size > 4 && text[4] == '-' && is_digit(text[0]))
        return scan_iso(c, ns);
    if (size > 0 && (text[0] & ~0x20) >= 'A' && (text[0] & ~0x20) <= 'Z')
        return scan_month_name(c, ns);
    if (size == 8 && memchr(text, '.', size) == NULL && text[0] != '-')
        return scan_compact_date(c, ns);
    return scan_epoch(c, ns);
}

bool plain_begin_day(struct plain_day *day, const char *text)
{
    int64_t ns, last;
    if ((text[10] != 'T' && text[10] != 't' && text[10] != ' ') || scan_time(text, 10, &ns) != 0 ||
        __builtin_add_overflow(ns, INT64_C(86400) * NS_PER_SECOND, &last))
        return false;
    memcpy(day->text, text, sizeof day->text);
    day->ns = ns;
    return true;
}

void scan_time_text(int64_t ns, char text[SCAN_TIME_TEXT])
{
    int64_t fraction = ns % NS_PER_SECOND;
    time_t seconds = ns / NS_PER_SECOND;
    if (fraction < 0) {
        fraction += NS_PER_SECOND;
        seconds--;
    }
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, SCAN_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    if (fraction != 0) {
        n += (size_t)snprintf(text + n, SCAN_TIME_TEXT - n, ".%09lld", (long long)fraction);
        while (text[n - 1] == '0')
            n--;
    }
    text[n] = 'Z';
    text[n + 1] = '\0';
}
