/* trace.h - leading a process to a point of its work: a system call, an instruction. */
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <sys/types.h>

struct point {
    long call;    /* the how manieth system call */
    bool leading; /* counted from the first one on that writes: who commits leads */
    bool sync;    /* fdatasync alone counts, and the call behind it, the commit's last, is made */
    bool made;    /* the call is, and nothing after it */
    long steps;   /* instructions after it; 0 and not made: before it */
    bool stop;
    bool opening;
};

/* What became of it. */
enum fate { AT_ITS_POINT, AT_ITS_END, ENDED_BY_OTHERS };

struct way {
    bool synced; /* it came to sync */
    bool waits;  /* its last call is a wait for another */
    int signal;  /* that ended it, other than SIGKILL; 0: none */
};

/* In the process that is to be led, where it is to begin. Ends it with 77 when nobody may be traced
 * here. */
void trace_me(void);

/* Lead it there. Exits with 77 as above. Whoever is at its point is stopped and traced; who is not
 * is gone and reaped. Being traced is slow, and looks as being stopped does: on a busy machine
 * others may end it. */
enum fate trace_to(pid_t pid, const struct point *point, struct way *way);

/* Stop it there and trace it no more. */
void trace_leave_stopped(pid_t pid);

/* SIGKILL to any process of ours, and reap it. */
void trace_end(pid_t pid);

#endif
