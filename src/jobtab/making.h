/* making.h - a job in the making, from the named values of a row: what moved.c is made of. */
#ifndef MAKING_H
#define MAKING_H

#include "moved.h"

struct making {
    struct moved *moved;
    const struct mapping *mapping;
    struct row *row;
    const struct value *values[TARGETS]; /* of the row, NULL where it has none */
    char *why;
};

/* All are false with the reason in `why`, which names the field. What they kept is in `moved` then,
 * too. */

/* What is one text each: all but params, result and log. */
bool making_fields(struct making *making);
/* The source's own name of the job, where the row has none. After the fields. */
bool making_source_id(struct making *making);
/* What there is as params, and what has no other place. */
bool making_params(struct making *making);
/* What nobody says of a result, it says itself. */
bool making_result(struct making *making);
bool making_log(struct making *making);

/* '%s' is no %s. */
bool making_refuse(const struct making *making, enum target target, const char *text,
                   const char *wanted);

#endif
