/* need.h - memory, or the end of the program. */
#ifndef NEED_H
#define NEED_H

#include <stdio.h>
#include <stdlib.h>

static inline void *need(void *memory)
{
    if (memory == NULL) {
        fputs("jobtab: out of memory\n", stderr);
        exit(3); /* EXIT_UNREACHABLE */
    }
    return memory;
}

#endif
