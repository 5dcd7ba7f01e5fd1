/* etag.h - entity tags: a job's version, and what names something kept beside it. Knows no HTTP
 * library. */
#ifndef HTTP_ETAG_H
#define HTTP_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETAG_TEXT 48 /* two numbers of 64 bits, a dash, the quotes, NUL */

/* Writes "4711" with its quotes, returns its length. */
size_t etag_format(uint64_t version, char tag[ETAG_TEXT]);
/* "4711-815": of something that also changes while the version does not. */
size_t etag_format_pair(uint64_t version, uint64_t size, char tag[ETAG_TEXT]);

/* Does the value of If-None-Match name this tag? Weak tags count as strong, as the header wants. */
bool etag_matches(const char *value, size_t size, const char *tag);

#endif
