/* seen.c - a set of names: open addressing, at most half full. See seen.h. */
#include "seen.h"

#include "need.h"

#include <stdint.h>
#include <string.h>

/* Where the name is, or would go. */
static char **place(const struct seen *seen, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *p = name; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    size_t at = (size_t)(hash ^ hash >> 32) & (seen->room - 1);
    while (seen->names[at] != NULL && strcmp(seen->names[at], name) != 0)
        at = (at + 1) & (seen->room - 1);
    return &seen->names[at];
}

static void grow(struct seen *seen)
{
    struct seen larger = {.n = seen->n, .room = seen->room > 0 ? 2 * seen->room : 1024};

    larger.names = need(calloc(larger.room, sizeof *larger.names));
    for (size_t i = 0; i < seen->room; i++)
        if (seen->names[i] != NULL)
            *place(&larger, seen->names[i]) = seen->names[i];
    free(seen->names);
    *seen = larger;
}

bool seen_add(struct seen *seen, const char *name)
{
    if (2 * seen->n >= seen->room)
        grow(seen);
    char **at = place(seen, name);
    if (*at != NULL)
        return false;
    *at = need(strdup(name));
    seen->n++;
    return true;
}

void seen_free(struct seen *seen)
{
    for (size_t i = 0; i < seen->room; i++)
        free(seen->names[i]);
    free(seen->names);
    *seen = (struct seen){.n = 0};
}
