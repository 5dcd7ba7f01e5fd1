/* query.h - the name=value pairs of a query string. Knows no HTTP library. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include <stddef.h>

#define QUERY_VALUE_MAX 255

struct query {
    const char *rest, *end;
    char name[32];
    char value[QUERY_VALUE_MAX + 1]; /* decoded */
};

/* `text` is what follows the question mark. */
void query_begin(struct query *query, const char *text, size_t size);
/* 1: name and value are the next pair; 0: there is none; -1: it is too long, badly encoded or
 * holds a zero byte. The name is then as much of it as could be read. */
int query_next(struct query *query);

#endif
