/* etag.c - a job's version as an entity tag. */
#include "etag.h"

#include <string.h>

size_t etag_format(uint64_t version, char text[ETAG_TEXT])
{
    char digits[20];
    size_t n = 0, size = 0;

    do {
        digits[n++] = (char)('0' + version % 10);
        version /= 10;
    } while (version > 0);
    text[size++] = '"';
    while (n > 0)
        text[size++] = digits[--n];
    text[size++] = '"';
    text[size] = '\0';
    return size;
}

bool etag_matches(const char *value, size_t size, uint64_t version)
{
    char tag[ETAG_TEXT];
    size_t length = etag_format(version, tag);
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
