/* strays.h - no process of a job outlives the runner, or the master, that it belonged to. */
#ifndef STRAYS_H
#define STRAYS_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on processes that lose their parent become children of this one. The children that it
 * has already (of the shell that it was exec'd from) are no concern of ours. */
void strays_adopt(void);

/* Send SIGKILL to children of this process that are no roles, and to their process groups. What
 * belongs to a job whose runner lives is left alone. Returns how many were found. */
unsigned strays_kill(bool (*is_role)(pid_t pid));

/* Send SIGKILL to the job processes of a dead master, known by its run id in their environment.
 * Those that a runner of it still looks after are left to that one. Returns how many of either
 * were found, or could not be told yet: 0 means that none is left. */
unsigned strays_kill_run(const char *run_id);

#endif
