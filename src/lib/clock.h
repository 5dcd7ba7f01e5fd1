/* clock.h - the two clocks, this boot, which process this is and whether another still lives. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* A boot of this machine. Instants of the boot clock mean nothing in another boot. */
struct boot {
    uint64_t high, low;
};

int64_t clock_wall(void); /* ms since 1970; may be stepped: stamps only */
int64_t clock_boot(void); /* ms since boot, sleep counted; never stepped: deadlines */
struct boot clock_boot_id(void);
bool boot_same(const struct boot *a, const struct boot *b);

/* When the process began, in the kernel's ticks: with the pid and the boot it names one process
 * for ever. 0: there is none, or it is dead and only waits to be reaped. */
uint64_t process_start(int32_t pid);

/* This process's pid, for the price of a load. A child gets its own, however it was forked; only
 * one that shares its parent's memory (vfork), and may call nothing, would get the parent's. */
int32_t process_self(void);

/* The process that has the thread; 0 when there is none. */
int32_t process_of(int32_t thread);

/* That thread was stopped, by a signal or a debugger. */
bool thread_stopped(int32_t thread);

/* What a process does at this moment, all its threads together. */
struct process_look {
    uint64_t start_time;
    uint64_t cpu; /* ms of processor time that it has had, in steps of the kernel's tick */
    bool stopped; /* every thread of it is */
    bool busy;    /* a thread runs, or waits for a disk */
};
/* False when there is none, or it is dead. */
bool process_look(int32_t pid, struct process_look *look);

uint64_t random_u64(void);

#endif
