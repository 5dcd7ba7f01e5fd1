/* seen.h - a set of names. */
#ifndef SEEN_H
#define SEEN_H

#include <stdbool.h>
#include <stddef.h>

struct seen {
    char **names;
    size_t n, room; /* a power of two */
};

/* Put the name in. False when it was in already. */
bool seen_add(struct seen *seen, const char *name);
void seen_free(struct seen *seen);

#endif
