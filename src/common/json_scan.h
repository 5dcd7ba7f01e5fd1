/* json_scan.h - JSON text checked and taken apart in place: nothing is built, nothing allocated.
 * Tens of times faster than a parser, for those who only need to know that it is JSON. */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_SCAN_DEPTH 512 /* objects and arrays within each other */

struct json_fault {
    size_t offset; /* of the byte that should not be there, or the size: more was expected */
    const char *expected;
};

/* Is it one JSON value (RFC 8259), in UTF-8, no deeper than JSON_SCAN_DEPTH? Otherwise *fault says
 * where it stops being one. */
bool json_scan(const char *text, size_t size, struct json_fault *fault);

struct json_piece { /* of the text */
    const char *text;
    size_t size;
};

/* The members of an object, one after the other, in a text that json_scan has found sound.
 * *at begins as the text; false when there is no further one. The name has its quotes. */
bool json_member(const char **at, struct json_piece *name, struct json_piece *value);

#endif
