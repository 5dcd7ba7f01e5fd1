/* route.c - which row of a table a method and a path mean. */
#include "route.h"

#include <stdbool.h>
#include <string.h>

static const char *const method_names[ROUTE_METHODS] = {"GET", "HEAD", "POST", "DELETE"};

static bool fits(const char *pattern, const char *path, size_t size, struct route_match *match)
{
    const char *end = path + size;

    match->id = NULL;
    match->id_size = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '{') {
            const char *slash = memchr(path, '/', (size_t)(end - path));
            match->id = path;
            match->id_size = (size_t)((slash ? slash : end) - path);
            if (match->id_size == 0)
                return false;
            path += match->id_size;
            pattern = strchr(pattern, '}');
        } else if (path == end || *path++ != *pattern) {
            return false;
        }
    }
    return path == end;
}

enum route_found route_find(const void *rows, size_t n, size_t stride, const char *method,
                            size_t method_size, const char *path, size_t path_size,
                            struct route_match *match)
{
    enum route_method asked = ROUTE_METHODS;

    for (unsigned i = 0; i < ROUTE_METHODS && asked == ROUTE_METHODS; i++)
        if (strlen(method_names[i]) == method_size &&
            memcmp(method_names[i], method, method_size) == 0)
            asked = i;
    match->allowed = 0;
    for (size_t row = 0; row < n; row++) {
        const struct route_pattern *pattern = (const void *)((const char *)rows + row * stride);

        if (!fits(pattern->path, path, path_size, match))
            continue;
        if (asked == pattern->method || (asked == ROUTE_HEAD && pattern->method == ROUTE_GET)) {
            match->row = row;
            return ROUTE_FOUND;
        }
        match->allowed |= 1u << pattern->method;
        if (pattern->method == ROUTE_GET)
            match->allowed |= 1u << ROUTE_HEAD;
    }
    return match->allowed != 0 ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}

void route_allow(unsigned allowed, char text[ROUTE_ALLOW_TEXT])
{
    char *end = text;

    for (unsigned i = 0; i < ROUTE_METHODS; i++) {
        if (!(allowed & 1u << i))
            continue;
        if (end != text)
            end = stpcpy(end, ", ");
        end = stpcpy(end, method_names[i]);
    }
}
