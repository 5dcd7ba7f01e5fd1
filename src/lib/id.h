/* id.h - making job ids. */
#ifndef ID_H
#define ID_H

#include "jobtab.h"

/* The id that follows `last` (RFC 9562, UUIDv7, method 2): of `now` ms if that is later, else the
 * next above `last`, so that ids grow even when the clock does not. */
struct jobtab_id id_next(const struct jobtab_id *last, int64_t now);

#endif
