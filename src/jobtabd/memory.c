/* memory.c - see memory.h. */
#include "memory.h"

#include <malloc.h>

#define LARGE (1 << 20) /* bytes; glibc's own measure grows to 32 MB with what it meets */
#define ROOM  (4 << 20) /* that may lie unused at the heap's end */

void memory_return_large(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, ROOM);
#endif
}

void memory_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
