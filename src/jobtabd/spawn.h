/* spawn.h - start a program with nothing of the daemon's but what it is given. */
#ifndef SPAWN_H
#define SPAWN_H

#include <sys/types.h>

struct spawn {
    const char *program;
    char *const *argv;
    char *const *envp;
    int fds[4]; /* become descriptors 0 to 3; only the last may be -1: none */
};

/* The program runs as leader of its own process group, without blocked or ignored signals, and
 * is SIGKILLed by the kernel when the calling thread ends. Returns once it has been executed.
 * 0: *pid is to be reaped by the caller. -1 with errno: no process remains, *step says what
 * failed. */
int spawn_program(const struct spawn *spawn, pid_t *pid, const char **step);

#endif
