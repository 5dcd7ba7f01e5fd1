/* proc.h - what /proc has on a process. */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid, parent, group;
    char state;          /* as /proc has it: 'R', 'S', 'T', 'Z', ... */
    uint64_t start_time; /* field 22 of /proc/PID/stat */
    char name[32];       /* of its program, cut by the kernel at 15 */
};

/* False when there is none. */
bool proc_read(pid_t pid, struct process *process);

enum proc_answer { PROC_NO, PROC_YES, PROC_NOT_NOW };

/* Whether the process was given this variable of the environment, "NAME=value". PROC_NOT_NOW: it
 * goes from one program to the next (exec) and has none to show; ask again. PROC_NO, too, when it
 * may not be looked into. */
enum proc_answer proc_was_given(pid_t pid, const char *variable);

/* Whether the process has the file at `path` open. False, too, when it may not be looked into. */
bool proc_has_open(pid_t pid, const char *path);

#endif
