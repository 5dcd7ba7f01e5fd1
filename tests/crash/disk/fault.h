/* fault.h - the system calls that touch a table's files, and which of them shall fail.
 *
 * fault.c takes the place of the C library's functions, in a program that it is linked with or as a
 * module that LD_PRELOAD names. It makes the call itself, or lets it fail as a disk would. What is
 * to fail stands in a struct fault: memory of the program, or the file that JOBTAB_FAULT names,
 * which another process changes while this one works.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_call {
    FAULT_OPEN,
    FAULT_FSTAT,
    FAULT_LSEEK,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_PWRITE,
    FAULT_WRITEV,
    FAULT_FDATASYNC,
    FAULT_FSYNC,
    FAULT_TRUNCATE,
    FAULT_FALLOCATE,
    FAULT_MMAP,
    FAULT_LOCK, /* flock, and fcntl's locks */
    FAULT_NAME, /* link, mkdir */
    FAULT_CALLS
};
#define FAULT_ALL ((1u << FAULT_CALLS) - 1)

#define FAULT_FOR_EVER UINT32_MAX
#define FAULT_SHORT    (-1) /* instead of an errno: half is written, and EIO where nothing can be half */
#define FAULT_PAGES    (-2) /* instead of an errno: no page of a map can be read, and EIO but at mmap */

struct fault {
    char dir[256];         /* files beneath it count; "": none do */
    _Atomic uint32_t only; /* bits of the calls that count */
    _Atomic int32_t pid;   /* whose calls count; 0: anybody's */
    _Atomic int32_t error; /* errno, FAULT_SHORT, FAULT_PAGES */
    _Atomic uint32_t from; /* the how manieth call fails; 0: none does */
    _Atomic uint32_t times;
    _Atomic uint32_t calls; /* that have counted */
    _Atomic uint32_t failed;
    _Atomic uint32_t last; /* enum fault_call of the last that failed */
};

/* The one in force. */
struct fault *fault_in_force(void);
/* From now on: call number `from` and those after it, `times` in all. */
void fault_arm(struct fault *fault, int error, uint32_t from, uint32_t times);
/* No more. */
void fault_disarm(struct fault *fault);

const char *fault_call_name(enum fault_call call);

#endif
