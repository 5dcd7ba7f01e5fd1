/* ending.h - what a child's end means for its job: rules without system calls. */
#ifndef ENDING_H
#define ENDING_H

#include "jobtab.h"

/* Why the runner told the child to stop, if it did. */
enum ending_cause {
    ENDING_OWN,      /* it was not told to */
    ENDING_CANCEL,   /* somebody cancelled the job */
    ENDING_TIMEOUT,  /* it ran longer than it may */
    ENDING_OVERFLOW, /* its result is over the limit */
    ENDING_NO_ROOM,  /* the runner had no memory for its result, for long */
    ENDING_SHUTDOWN, /* the runner has to go */
    ENDING_STARVED,  /* not told, never started: the runner lacked memory or descriptors */
    ENDING_LOST,     /* the job is another's by now, or over */
};

struct ending {
    enum ending_cause cause;
    const char *not_started; /* why there never was a process, or NULL */
    bool signalled;          /* else it exited */
    int code;                /* exit code or signal */
    bool oom;                /* the kernel killed for memory while it ran */
    const char *last_line;   /* of its standard error, or "" */
    int64_t timeout;         /* the job's, ms */
    uint64_t result_max;
};

/* Outcome, reason and error text (into `error`, which finish->error then names). Result and
 * message are left alone.
 *
 *   told to stop for a cancel or a shutdown   stopped: the table decides what that makes of it
 *   not started for want of means             stopped: handed back, which costs no attempt
 *   time-out                                  try again, reason timeout
 *   result over the limit                     give up, reason invalid: it would be again
 *   no memory for its result                  try again, reason oom
 *   not started                               try again, reason spawn
 *   exit 0                                    succeeded
 *   other exit, 75 among them                 try again, reason exit
 *   signal                                    try again, reason signal, or oom
 *
 * A child that was told to stop and then exits 0 has stopped; it has not succeeded. */
void ending_judge(const struct ending *ending, struct jobtab_finish *finish,
                  char error[JOBTAB_MESSAGE_MAX + 1]);

/* What a child's standard output is: nothing, JSON, UTF-8 text or bytes. White space around
 * JSON is no part of it: *bytes and *size are moved past it. */
enum jobtab_format ending_format(const char **bytes, size_t *size);

/* The value of "name value" among such lines, as /proc/vmstat has them. 0 when not there. */
uint64_t ending_counter(const char *text, const char *name);

#endif
