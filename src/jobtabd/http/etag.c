/* etag.c - entity tags. */
#include "etag.h"

#include <string.h>

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

size_t etag_format(uint64_t version, char tag[ETAG_TEXT])
{
    tag[0] = '"';
    char *end = put_number(tag + 1, version);
    end[0] = '"';
    end[1] = '\0';
    return (size_t)(end + 1 - tag);
}

bool etag_matches(const char *value, size_t size, const char *tag)
{
    size_t length = strlen(tag);
    const char *p = value, *end = value + size;

    while (p < end) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
            p++;
        if (p < end && *p == '*')
            return true;
        if (end - p >= 2 && p[0] == 'W' && p[1] == '/')
            p += 2;
        if (p == end || *p != '"')
            return false;
        const char *close = memchr(p + 1, '"', (size_t)(end - p - 1));
        if (close == NULL)
            return false;
        if ((size_t)(close + 1 - p) == length && memcmp(p, tag, length) == 0)
            return true;
        p = close + 1;
    }
    return false;
}
