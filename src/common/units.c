/* units.c - durations and sizes as people write them, without the locale and without floats. */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t worth;
};

static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"g", 1u << 30}, {"m", 1u << 20}, {"k", 1u << 10}, {"", 1}, {NULL, 0},
};

#define DURATION_MAX (100ull * 366 * 86400000)

/* The digits at *text into *value; moves *text behind them. -1: none, or too many. */
static int read_digits(const char **text, uint64_t *value)
{
    const char *p = *text;

    *value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value)) {
            return -1;
        }
    }
    if (p == *text) {
        return -1;
    }
    *text = p;
    return 0;
}

static const struct unit *find_unit(const struct unit *unit, const char *name)
{
    while (unit->name && strcasecmp(unit->name, name) != 0) {
        unit++;
    }
    return unit->name ? unit : NULL;
}

int units_duration(const char *text, int64_t *ms)
{
    const char *p = text;
    uint64_t whole, fraction = 0, scale = 1, value;

    if (read_digits(&p, &whole) != 0) {
        return -1;
    }
    if (*p == '.') {
        const char *digits = ++p;
        if (read_digits(&p, &fraction) != 0 || p - digits > 9) {
            return -1;
        }
        for (; digits < p; digits++) {
            scale *= 10;
        }
    }
    const struct unit *unit = find_unit(duration_units, *p ? p : "s");
    if (!unit || __builtin_mul_overflow(whole, unit->worth, &value)) {
        return -1;
    }
    /* At most 10^9 * 86,400,000: no overflow. Less than a millisecond is no duration here. */
    if (fraction * unit->worth % scale != 0) {
        return -1;
    }
    if (__builtin_add_overflow(value, fraction * unit->worth / scale, &value) ||
        value > DURATION_MAX) {
        return -1;
    }
    *ms = (int64_t)value;
    return 0;
}

int units_size(const char *text, uint64_t *bytes)
{
    uint64_t value;

    if (read_digits(&text, &value) != 0) {
        return -1;
    }
    const struct unit *unit = find_unit(size_units, text);
    if (!unit || __builtin_mul_overflow(value, unit->worth, &value)) {
        return -1;
    }
    *bytes = value;
    return 0;
}

/* In the largest unit that leaves no rest. */
static void write_text(const struct unit *unit, uint64_t value, char *text, size_t size)
{
    while (value % unit->worth != 0) {
        unit++;
    }
    snprintf(text, size, "%" PRIu64 "%s", value / unit->worth, unit->name);
}

void units_duration_text(int64_t ms, char *text, size_t size)
{
    if (ms <= 0) {
        snprintf(text, size, "0s");
    } else {
        write_text(duration_units, (uint64_t)ms, text, size);
    }
}

void units_size_text(uint64_t bytes, char *text, size_t size)
{
    if (bytes == 0) {
        snprintf(text, size, "0");
    } else {
        write_text(size_units, bytes, text, size);
    }
}
