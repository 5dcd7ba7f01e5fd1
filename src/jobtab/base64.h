/* base64.h - bytes that are no text, in JSON (RFC 4648, section 4). */
#ifndef BASE64_H
#define BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* The text, to be freed. */
char *base64_encode(const char *bytes, size_t size);

/* The bytes in place of the text, never more than it had. False when it is no such text. */
bool base64_decode(char *text, size_t length, size_t *size);

#endif
