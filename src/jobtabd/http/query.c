/* query.c - the name=value pairs of a query string. */
#include "query.h"

#include <string.h>

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at;

    if (c >= 'A' && c <= 'F')
        c = (char)(c - 'A' + 'a');
    at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static int decode(const char *from, const char *end, char *to, size_t size)
{
    size_t n = 0;
    int result = 0;

    while (from < end && result == 0) {
        char c = *from++;
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = end - from >= 2 ? hex(from[0]) : -1, low = high >= 0 ? hex(from[1]) : -1;
            if (low < 0) {
                result = -1;
                break;
            }
            c = (char)(high << 4 | low);
            from += 2;
        }
        if (c == '\0' || n + 1 == size)
            result = -1;
        else
            to[n++] = c;
    }
    to[n] = '\0';
    return result;
}

void query_begin(struct query *query, const char *text, size_t size)
{
    *query = (struct query){.rest = text, .end = text + size};
}

int query_next(struct query *query)
{
    while (query->rest < query->end && *query->rest == '&')
        query->rest++;
    if (query->rest >= query->end)
        return 0;

    size_t left = (size_t)(query->end - query->rest);
    const char *ampersand = memchr(query->rest, '&', left);
    const char *end = ampersand != NULL ? ampersand : query->end;
    const char *equal = memchr(query->rest, '=', (size_t)(end - query->rest));
    const char *name_end = equal != NULL ? equal : end;
    const char *value = equal != NULL ? equal + 1 : end;
    int named = decode(query->rest, name_end, query->name, sizeof(query->name));

    query->rest = end;
    return decode(value, end, query->value, sizeof(query->value)) == 0 && named == 0 ? 1 : -1;
}
