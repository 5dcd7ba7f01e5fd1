/* guard.c - requests that the library accepts and we do not. */
#include "guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is(const char *text, size_t size, const char *other)
{
    return strlen(other) == size && strncasecmp(text, other, size) == 0;
}

const char *guard_head(const char *head, size_t size, bool http11)
{
    const char *end = head + size;
    unsigned hosts = 0, lengths = 0, encodings = 0;

    /* The parser skips one empty line before the request line; then that line itself. */
    for (const char *line = head, *next; line < end; line = next) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL)
            break;
        size_t length = (size_t)(next++ - line);

        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (length == 0) {
            if (line == head)
                continue;
            break;
        }
        switch (line[0]) { /* most lines are decided by their first byte */
        case 'h':
            hosts += length > 4 && memcmp(line, "host:", 5) == 0;
            break;
        case 'c':
            lengths += length > 14 && memcmp(line, "content-length:", 15) == 0;
            break;
        case 't':
            encodings += length > 17 && memcmp(line, "transfer-encoding:", 18) == 0;
            break;
        case ' ':
        case '\t':
            return "a header line is folded";
        }
    }
    if (hosts > 1)
        return "more than one Host";
    if (hosts == 0 && http11)
        return "Host is missing";
    if (lengths > 1)
        return "more than one Content-Length";
    if (encodings > 1)
        return "more than one Transfer-Encoding";
    if (encodings == 1 && lengths == 1)
        return "Content-Length together with Transfer-Encoding";
    if (encodings == 1 && !http11)
        return "Transfer-Encoding in HTTP/1.0";
    return NULL;
}

const char *guard_path(const char *path, size_t size)
{
    if (size == 0 || path[0] != '/')
        return "the path does not begin with a slash";

    const char *query = memchr(path, '?', size), *end = query ? query : path + size;

    for (const char *p = path; (p = memchr(p, '%', (size_t)(end - p))) != NULL; p += 3) {
        if (end - p < 3 || !isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2]))
            return "a percent sign in the path is not followed by two hexadecimal digits";
        if (p[1] == '0' && p[2] == '0')
            return "a zero byte in the path";
        if (strncasecmp(p, "%2f", 3) == 0 || strncasecmp(p, "%5c", 3) == 0)
            return "an encoded slash in the path";
    }
    return NULL;
}

/* Splits "name:port", "[v6]:port" and the like; false when it is none. The port may be empty. */
static bool split_host(const char *host, size_t size, const char **name, size_t *name_size,
                       const char **port, size_t *port_size)
{
    const char *end = host + size, *colon;

    if (size > 0 && host[0] == '[') {
        const char *bracket = memchr(host, ']', size);
        if (bracket == NULL)
            return false;
        *name = host + 1;
        *name_size = (size_t)(bracket - host - 1);
        colon = bracket + 1;
        if (colon < end && *colon != ':')
            return false;
    } else {
        colon = memchr(host, ':', size);
        if (colon == NULL)
            colon = end;
        *name = host;
        *name_size = (size_t)(colon - host);
    }
    *port = colon < end ? colon + 1 : end;
    *port_size = (size_t)(end - *port);
    for (size_t i = 0; i < *port_size; i++)
        if ((*port)[i] < '0' || (*port)[i] > '9')
            return false;
    return *name_size > 0;
}

static bool is_address(const char *name, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (size >= sizeof(text))
        return false;
    memcpy(text, name, size);
    text[size] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

bool guard_host(const char *host, size_t size, const char *const *names)
{
    static const char localhost[] = ".localhost";
    const size_t tail = sizeof(localhost) - 1;
    const char *name, *port;
    size_t name_size, port_size;

    if (!split_host(host, size, &name, &name_size, &port, &port_size))
        return false;
    if (is(name, name_size, localhost + 1) || is_address(name, name_size))
        return true;
    if (name_size > tail && is(name + name_size - tail, tail, localhost))
        return true;
    for (; names != NULL && *names != NULL; names++)
        if (is(name, name_size, *names))
            return true;
    return false;
}

bool guard_origin(const char *origin, size_t origin_size, const char *host, size_t host_size)
{
    static const struct {
        const char *prefix, *port;
    } schemes[] = {{"http://", "80"}, {"https://", "443"}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const char *default_port = schemes[i].port, *name[2], *port[2];
        size_t skip = strlen(schemes[i].prefix), name_size[2], port_size[2];

        if (origin_size <= skip || strncasecmp(origin, schemes[i].prefix, skip) != 0)
            continue;
        if (!split_host(origin + skip, origin_size - skip, &name[0], &name_size[0], &port[0],
                        &port_size[0]) ||
            !split_host(host, host_size, &name[1], &name_size[1], &port[1], &port_size[1]))
            return false;
        for (int side = 0; side < 2; side++) {
            if (port_size[side] == 0) {
                port[side] = default_port;
                port_size[side] = strlen(default_port);
            }
        }
        return name_size[0] == name_size[1] && strncasecmp(name[0], name[1], name_size[0]) == 0 &&
               port_size[0] == port_size[1] && memcmp(port[0], port[1], port_size[0]) == 0;
    }
    return false;
}
