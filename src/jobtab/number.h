/* number.h - whole numbers of the command line. */
#ifndef NUMBER_H
#define NUMBER_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* The whole text as a number from `least` to `most`. */
static inline bool number_parse(const char *text, int64_t least, int64_t most, int64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= least && *number <= most;
}

#endif
