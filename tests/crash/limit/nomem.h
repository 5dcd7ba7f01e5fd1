/* nomem.h - memory that is refused: the Nth allocation of a process fails, and those after it if so
 * asked.
 *
 * Linked into a program, or loaded into any other as nomem.so with LD_PRELOAD. What stands in a
 * program's place of malloc, calloc, realloc, reallocarray, aligned_alloc, posix_memalign,
 * memalign, free, mmap and pthread_create; strdup, getline, fopen and all else of the C library
 * that allocates goes through these.
 *
 * The page is a shared one. nomem.so takes the file that the environment names (JOBTAB_NOMEM), and
 * keeps it across forks: who made the file chooses a process, counts, and reads what happened.
 */
#ifndef NOMEM_H
#define NOMEM_H

#include <stdint.h>

#define NOMEM_COUNT (-1) /* `at`: fail none, count all */
#define NOMEM_WHERE 600

struct nomem {
    _Atomic int32_t pid;     /* whose allocations; 0: of all who have the page and are called `comm` */
    _Atomic int32_t forever; /* those after `at`, too */
    _Atomic int64_t at;      /* the one that fails, the first being 1; 0: nothing is counted or fails */
    _Atomic int64_t seen;    /* allocations since `at` was set: set it to 0 before */
    _Atomic int64_t failed;
    _Atomic int64_t live;    /* allocated and not freed, ever since, of linked programs */
    char comm[16];           /* with pid 0: the first letters of the process's name */
    char where[NOMEM_WHERE]; /* who asked for the first that failed: object+offset, outwards */
};

/* Of a program that is linked with it. */
extern struct nomem *nomem_page;
void nomem_arm(int64_t at, int forever);
void nomem_disarm(void);

#endif
