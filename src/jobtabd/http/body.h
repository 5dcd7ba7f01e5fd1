/* body.h - a request body that is a JSON object with named members. What may stand in it is a
 * table of fields; everything else is refused by name. Knows no HTTP library. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum body_type {
    BODY_STRING,   /* at most `max` bytes, no control characters */
    BODY_WHOLE,    /* a whole number from `min` to `max` */
    BODY_DURATION, /* "90s" or a number of seconds */
    BODY_OBJECT,   /* any JSON object, kept as the bytes it came in */
};

struct body_field {
    const char *name;
    enum body_type type;
    int64_t min, max;
};

struct body_value {
    bool given;       /* and not null */
    int64_t number;   /* of BODY_WHOLE; milliseconds of BODY_DURATION */
    const char *text; /* of BODY_STRING, NUL-terminated; of BODY_OBJECT, a piece of the body */
    size_t size;
};

#define BODY_FIELD_MAX 64
struct body_fault {
    int status;                 /* 400: no JSON; 422: JSON, but not what is asked for */
    char field[BODY_FIELD_MAX]; /* or "" */
    char detail[256];
};

struct body; /* holds what values point to */

/* values[i] becomes that of fields[i]. An empty text is an object without members. NULL when it is
 * refused: *fault says why. */
struct body *body_read(const char *text, size_t size, const struct body_field *fields, size_t n,
                       struct body_value *values, struct body_fault *fault);
/* NULL is fine. */
void body_free(struct body *body);

#endif
