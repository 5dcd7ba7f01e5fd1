/* shim.h - what a test tells the processes that have shim.c loaded: a file of this, JOBTAB_SHIM its
 * path. */
#ifndef SHIM_H
#define SHIM_H

#include <stdatomic.h>
#include <stdint.h>

enum shim_point {
    SHIM_NOWHERE,
    SHIM_READ,  /* once it has a snapshot */
    SHIM_WRITE, /* once it has the writer lock */
};

struct shim {
    _Atomic int32_t pid;   /* who is to stop itself; set last, 0 once it does */
    _Atomic int32_t point; /* where */
    _Atomic int64_t step;  /* ms that the wall clock is ahead of the machine's */
};

#endif
