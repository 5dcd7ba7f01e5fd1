/* json_scan.c - JSON text checked and taken apart in place. */
#include "json_scan.h"

#include <stdint.h>
#include <string.h>

struct scan {
    const char *p, *end;
    const char *expected; /* set once something is wrong at p */
};

static bool wrong(struct scan *scan, const char *expected)
{
    scan->expected = expected;
    return false;
}

static void skip_space(struct scan *scan)
{
    while (scan->p < scan->end &&
           (*scan->p == ' ' || *scan->p == '\n' || *scan->p == '\r' || *scan->p == '\t'))
        scan->p++;
}

static bool is_digit(const struct scan *scan)
{
    return scan->p < scan->end && *scan->p >= '0' && *scan->p <= '9';
}

static bool digits(struct scan *scan)
{
    if (!is_digit(scan))
        return wrong(scan, "a digit");
    while (is_digit(scan))
        scan->p++;
    return true;
}

static bool number(struct scan *scan)
{
    if (*scan->p == '-')
        scan->p++;
    if (is_digit(scan) && *scan->p == '0')
        scan->p++;
    else if (!digits(scan))
        return false;
    if (scan->p < scan->end && *scan->p == '.') {
        scan->p++;
        if (!digits(scan))
            return false;
    }
    if (scan->p < scan->end && (*scan->p == 'e' || *scan->p == 'E')) {
        scan->p++;
        if (scan->p < scan->end && (*scan->p == '+' || *scan->p == '-'))
            scan->p++;
        return digits(scan);
    }
    return true;
}

static bool literal(struct scan *scan, const char *word)
{
    for (; *word != '\0'; word++, scan->p++)
        if (scan->p == scan->end || *scan->p != *word)
            return wrong(scan, "true, false or null");
    return true;
}

/* The four digits of \uXXXX, scan->p behind the u. */
static bool unit(struct scan *scan, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, scan->p++) {
        unsigned char c = scan->p < scan->end ? (unsigned char)*scan->p : 0;
        uint32_t digit;

        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20u) - 'a' + 10;
        else
            return wrong(scan, "four hexadecimal digits");
        *code = *code << 4 | digit;
    }
    return true;
}

/* Behind the backslash. */
static bool escape(struct scan *scan)
{
    uint32_t code;

    if (scan->p == scan->end || *scan->p == '\0' || strchr("\"\\/bfnrtu", *scan->p) == NULL)
        return wrong(scan, "an escape such as \\n");
    if (*scan->p++ != 'u')
        return true;
    if (!unit(scan, &code))
        return false;
    if (code < 0xd800 || code > 0xdfff)
        return true;
    if (code > 0xdbff || scan->end - scan->p < 6 || scan->p[0] != '\\' || scan->p[1] != 'u')
        return wrong(scan, "the other half of a surrogate pair");
    scan->p += 2;
    return unit(scan, &code) && ((code >= 0xdc00 && code <= 0xdfff) ||
                                 wrong(scan, "the other half of a surrogate pair"));
}

/* One character of two to four bytes. */
static bool utf8(struct scan *scan)
{
    const unsigned char *p = (const unsigned char *)scan->p;
    size_t left = (size_t)(scan->end - scan->p);
    size_t n = *p >= 0xc2 && *p < 0xe0   ? 2
               : *p >= 0xe0 && *p < 0xf0 ? 3
               : *p >= 0xf0 && *p < 0xf5 ? 4
                                         : 0;

    if (n == 0 || n > left)
        return wrong(scan, "UTF-8");
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return wrong(scan, "UTF-8");
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return wrong(scan, "UTF-8"); /* overlong, surrogate, beyond Unicode */
    scan->p += n;
    return true;
}

/* Bytes of a string that need no second look. */
static const bool plain[256] = {
    [' ' ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7f] = true};

static bool string(struct scan *scan)
{
    if (scan->p == scan->end || *scan->p != '"')
        return wrong(scan, "a string");
    scan->p++;
    for (;;) {
        const char *p = scan->p, *end = scan->end;

        while (p < end && plain[(unsigned char)*p])
            p++;
        scan->p = p;
        if (p == end)
            return wrong(scan, "the end of a string");
        if ((unsigned char)*p < 0x20)
            return wrong(scan, "no control character in a string");
        if ((unsigned char)*p >= 0x80) {
            if (!utf8(scan))
                return false;
            continue;
        }
        scan->p++;
        if (*p == '"')
            return true;
        if (!escape(scan))
            return false;
    }
}

static bool scalar(struct scan *scan)
{
    switch (*scan->p) {
    case '"':
        return string(scan);
    case 't':
        return literal(scan, "true");
    case 'f':
        return literal(scan, "false");
    case 'n':
        return literal(scan, "null");
    default:
        return *scan->p == '-' || is_digit(scan) ? number(scan) : wrong(scan, "a value");
    }
}

static bool name(struct scan *scan)
{
    skip_space(scan);
    if (!string(scan))
        return false;
    skip_space(scan);
    if (scan->p == scan->end || *scan->p != ':')
        return wrong(scan, "a colon");
    scan->p++;
    return true;
}

/* One value and what it contains. `open` holds the closing bracket of each thing begun. */
static bool value(struct scan *scan)
{
    char open[JSON_SCAN_DEPTH];
    size_t depth = 0;

    for (;;) {
        skip_space(scan);
        if (scan->p == scan->end)
            return wrong(scan, "a value");
        if (*scan->p == '{' || *scan->p == '[') {
            char close = *scan->p == '{' ? '}' : ']';

            if (depth == JSON_SCAN_DEPTH)
                return wrong(scan, "fewer levels");
            scan->p++;
            skip_space(scan);
            if (scan->p == scan->end || *scan->p != close) {
                open[depth++] = close;
                if (close == '}' && !name(scan))
                    return false;
                continue;
            }
            scan->p++;
        } else if (!scalar(scan)) {
            return false;
        }
        /* A value ends here: so may any number of things around it. */
        for (;;) {
            if (depth == 0)
                return true;
            skip_space(scan);
            if (scan->p < scan->end && *scan->p == ',')
                break;
            if (scan->p == scan->end || *scan->p != open[depth - 1])
                return wrong(scan, open[depth - 1] == '}' ? "a comma or }" : "a comma or ]");
            scan->p++;
            depth--;
        }
        scan->p++;
        if (open[depth - 1] == '}' && !name(scan))
            return false;
    }
}

bool json_scan(const char *text, size_t size, struct json_fault *fault)
{
    struct scan scan = {.p = text, .end = text + size};

    if (value(&scan)) {
        skip_space(&scan);
        if (scan.p == scan.end)
            return true;
        wrong(&scan, "the end");
    }
    fault->offset = (size_t)(scan.p - text);
    fault->expected = scan.expected;
    return false;
}

/* ------------------------------------- taking sound text apart: every loop ends within it */

static const char *over_space(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

static const char *over_string(const char *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p + 1;
}

static const char *over_value(const char *p)
{
    size_t depth = 0;

    do {
        if (*p == '"') {
            p = over_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        p++;
    } while (depth > 0 || strchr(",}] \t\r\n", *p) == NULL);
    return p;
}

bool json_member(const char **at, struct json_piece *name, struct json_piece *value)
{
    const char *p = over_space(*at);

    if (*p == '}') /* of an object that is not empty: behind its last value */
        return false;
    p = over_space(p + 1); /* behind the brace or the comma */
    if (*p == '}')
        return false;
    name->text = p;
    p = over_string(p);
    name->size = (size_t)(p - name->text);
    p = over_space(over_space(p) + 1);
    value->text = p;
    p = over_value(p);
    value->size = (size_t)(p - value->text);
    *at = over_space(p);
    return true;
}
