/* pidfile.h - the file that names the master, and what the next master needs to know of it. */
#ifndef PIDFILE_H
#define PIDFILE_H

#include <stddef.h>
#include <sys/types.h>

#define RUN_ID_TEXT 33 /* 128 random bits in hex, and NUL */

/* Take the file: lock it and write this process's id. The lock goes with the process, so a file
 * left behind is no obstacle. 0, or -1 with the reason in why. */
int pidfile_take(const char *path, char *why, size_t size);
/* Remove it, with the run id. Only by who took it. */
void pidfile_drop(const char *path);

/* The process that holds the file's lock; 0 when none does, -1 with errno. */
pid_t pidfile_holder(const char *path);

/* The run id of the last master, "" when it ended in order; then write a new one in its place.
 * Needs the file taken. -1 with errno. */
int pidfile_run_id(const char *path, char last[RUN_ID_TEXT], char now[RUN_ID_TEXT]);

/* Make the directories that lead to `path`. -1 with errno. */
int pidfile_make_parents(const char *path);

#endif
