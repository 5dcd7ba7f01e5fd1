/* fuzz_head.c - what else of a request we read ourselves: the raw head, path and route, Host and
 * Origin, entity tags, the query string. The same bytes go to each. */
#include "fuzz.h"

#include "etag.h"
#include "guard.h"
#include "query.h"
#include "route.h"

static void query(const char *text, size_t size)
{
    struct query query;
    size_t pairs = 0;

    query_begin(&query, text, size);
    while (query_next(&query) != 0) {
        HOLDS(strnlen(query.name, sizeof query.name) < sizeof query.name);
        HOLDS(strnlen(query.value, sizeof query.value) < sizeof query.value);
        HOLDS(++pairs <= size); /* it ends */
    }
}

static void etags(const char *text, size_t size)
{
    char tag[ETAG_TEXT];
    size_t length = etag_format(size, tag);

    HOLDS(length == strlen(tag) && etag_matches(tag, length, tag));
    etag_matches(text, size, "\"4711\"");
}

static void origins(const char *text, size_t size)
{
    static const char host[] = "127.0.0.1:8080";
    const char *gap = memchr(text, ' ', size);

    guard_origin(text, size, host, sizeof host - 1);
    if (gap != NULL)
        guard_origin(text, (size_t)(gap - text), gap + 1, size - (size_t)(gap - text) - 1);
}

static void route(const char *text, size_t size)
{
    static const struct route_pattern rows[] = {
        {ROUTE_GET, "/status/{id}"}, {ROUTE_DELETE, "/status/{id}"}, {ROUTE_POST, "/run"},
        {ROUTE_POST, "/status/{id}/cancel"}, {ROUTE_GET, "/"},
    };
    const size_t n = sizeof rows / sizeof rows[0];
    struct route_match match;
    char allow[ROUTE_ALLOW_TEXT];

    switch (route_find(rows, n, sizeof rows[0], "GET", 3, text, size, &match)) {
    case ROUTE_FOUND:
        HOLDS(match.row < n && rows[match.row].method == ROUTE_GET);
        HOLDS(match.id == NULL || (match.id >= text && match.id + match.id_size <= text + size));
        HOLDS(match.id == NULL || memchr(match.id, '/', match.id_size) == NULL);
        break;
    case ROUTE_NO_METHOD:
        route_allow(match.allowed, allow);
        HOLDS(allow[0] != '\0' && strnlen(allow, sizeof allow) < sizeof allow);
        break;
    case ROUTE_NO_PATH:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"jobs.example", NULL};
    char *text = fuzz_bytes(data, size);

    guard_head(text, size, true);
    guard_head(text, size, false);
    guard_path(text, size);
    guard_host(text, size, names);
    origins(text, size);
    etags(text, size);
    query(text, size);
    route(text, size);
    free(text);
    return 0;
}
