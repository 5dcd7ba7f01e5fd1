/* etag.h - entity tags: a job's version, which every change of it, its log and its result moves on.
 * Knows no HTTP library. */
#ifndef HTTP_ETAG_H
#define HTTP_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETAG_TEXT 24 /* a number of 64 bits, the quotes, NUL */

/* Writes "4711" with its quotes, returns its length. */
size_t etag_format(uint64_t version, char tag[ETAG_TEXT]);

/* Does the value of If-None-Match name this tag? Weak tags count as strong, as the header wants. */
bool etag_matches(const char *value, size_t size, const char *tag);

#endif
