/* route.h - which row of a table a method and a path mean. Knows no HTTP library. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stddef.h>

/* Also the order in which Allow names them. */
enum route_method { ROUTE_GET, ROUTE_HEAD, ROUTE_POST, ROUTE_DELETE, ROUTE_METHODS };
#define ROUTE_ALLOW_TEXT 32

struct route_pattern {
    enum route_method method; /* ROUTE_GET answers HEAD too */
    const char *path;         /* "/status/{id}/log"; {id} stands for one segment */
};

struct route_match {
    size_t row;     /* ROUTE_FOUND: of the pattern that fits */
    const char *id; /* ROUTE_FOUND: what stands for {id}, or NULL when the pattern has none */
    size_t id_size;
    unsigned allowed; /* ROUTE_NO_METHOD: a bit for each method that the path takes */
};

enum route_found { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/* `rows` are n patterns that stand `stride` bytes apart, inside a larger struct. */
enum route_found route_find(const void *rows, size_t n, size_t stride, const char *method,
                            size_t method_size, const char *path, size_t path_size,
                            struct route_match *match);

/* "GET, HEAD". */
void route_allow(unsigned allowed, char text[ROUTE_ALLOW_TEXT]);

#endif
