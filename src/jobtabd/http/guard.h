/* guard.h - requests that the library accepts and we do not. Text in, verdict out: nothing here
 * knows the HTTP library. */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* An HTTP/1 head as it came, names in lower case as the parser leaves them: from the request line
 * to the empty line; what follows is not looked at. NULL when it is sound, or what is wrong. A
 * head with two readings is a way past a proxy in front of us. */
const char *guard_head(const char *head, size_t size, bool http11);

/* The path as it came, with its query. NULL or what is wrong. */
const char *guard_path(const char *path, size_t size);

/* May the Host (or :authority) name this server? Addresses, localhost and the machine's own name
 * may, with any port; any other name is how a page elsewhere reaches a server at home
 * (DNS rebinding). `names` are the further ones that are ours, ended by NULL; may be NULL. */
bool guard_host(const char *host, size_t size, const char *const *names);

/* Does Origin name the host that the request went to? */
bool guard_origin(const char *origin, size_t origin_size, const char *host, size_t host_size);

#endif
