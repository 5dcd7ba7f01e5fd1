/* etag.h - a job's version as an entity tag. Knows no HTTP library. */
#ifndef HTTP_ETAG_H
#define HTTP_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETAG_TEXT 24 /* "\"18446744073709551615\"" and room */

/* Writes "4711" with its quotes, returns its length. */
size_t etag_format(uint64_t version, char text[ETAG_TEXT]);

/* Does the value of If-None-Match name this version? Weak tags count as strong, as the header wants. */
bool etag_matches(const char *value, size_t size, uint64_t version);

#endif
