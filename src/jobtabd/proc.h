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

/* A whole file of /proc/PID, to be freed, NUL-terminated beyond *size; NULL when it is gone. */
char *proc_file(pid_t pid, const char *name, size_t *size);

/* Whether the process has the file at `path` open. False, too, when it may not be looked into. */
bool proc_has_open(pid_t pid, const char *path);

#endif
