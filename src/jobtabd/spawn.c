/* spawn.c - vfork and exec. A fork would copy the page tables of the runner, with the table mapped,
 * which costs more than all the rest. Between the two the child shares the parent's memory while
 * the calling thread waits: only system calls are made, and nothing is written that the parent
 * reads. A step that fails there is told to it through a pipe that a successful exec closes. */
#include "config.h"

#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FREE 4 /* descriptors above those that a child gets */

enum step { FORK, PARENT, SIGNALS, GROUP, DESCRIPTORS, EXEC };
static const char *const step_names[] = {
    [FORK] = "fork",   [PARENT] = "parent-death signal", [SIGNALS] = "signals",
    [GROUP] = "group", [DESCRIPTORS] = "descriptors",    [EXEC] = "exec",
};

struct failure {
    int step, error;
};

static int reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    /* The C library keeps two signals to itself and SIGKILL and SIGSTOP cannot be set: EINVAL. */
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, &action, NULL) < 0 && errno != EINVAL)
            return -1;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Put fds where the program expects them. They may stand among 0 to 3 themselves, so all are
 * lifted out of the way first. */
static int place_descriptors(const int fds[4])
{
    int lifted[4];

    for (int i = 0; i < 4; i++) {
        lifted[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FREE);
        if (fds[i] >= 0 && lifted[i] < 0)
            return -1;
    }
    for (int i = 0; i < 4; i++)
        if (lifted[i] >= 0 && dup2(lifted[i], i) < 0)
            return -1;
    if (lifted[3] < 0)
        close(3);
    return close_range(FIRST_FREE, ~0U, CLOSE_RANGE_CLOEXEC);
}

__attribute__((noreturn)) static void run_child(const struct spawn *spawn, pid_t parent, int tell)
{
    struct failure failure = {.step = PARENT};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        goto fail;
    if (getppid() != parent) /* it died before the line above */
        _exit(127);
    failure.step = SIGNALS;
    if (reset_signals() < 0)
        goto fail;
    failure.step = GROUP;
    if (setpgid(0, 0) < 0)
        goto fail;
    failure.step = DESCRIPTORS;
    if (tell < FIRST_FREE)
        tell = fcntl(tell, F_DUPFD_CLOEXEC, FIRST_FREE);
    if (tell < 0 || place_descriptors(spawn->fds) < 0)
        goto fail;
    failure.step = EXEC;
    execve(spawn->program, spawn->argv, spawn->envp);
fail:
    failure.error = errno;
    while (write(tell, &failure, sizeof failure) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* In a function of its own: what the compiler keeps in registers across a vfork is the child's to
 * change, so nothing is kept. */
__attribute__((noinline)) static pid_t start(const struct spawn *spawn, pid_t parent, int tell)
{
    pid_t child = vfork();

    if (child == 0)
        run_child(spawn, parent, tell);
    return child;
}

/* False when the other end was closed by a successful exec. */
static int read_failure(int from, struct failure *failure)
{
    ssize_t n;

    do
        n = read(from, failure, sizeof *failure);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *failure;
}

int spawn_program(const struct spawn *spawn, pid_t *pid, const char **step)
{
    struct failure failure = {.step = FORK};
    int tell[2] = {-1, -1};
    sigset_t all, before;
    pid_t parent = getpid(), child = -1;

    if (pipe2(tell, O_CLOEXEC) < 0)
        goto fail;
    /* A handler of ours that ran in the child would act on memory and descriptors we share. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    child = start(spawn, parent, tell[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0)
        goto fail;
    close(tell[1]);
    tell[1] = -1;
    if (read_failure(tell[0], &failure)) {
        errno = failure.error;
        goto fail;
    }
    close(tell[0]);
    *pid = child;
    return 0;

fail:;
    int error = errno;
    *step = step_names[failure.step];
    if (child > 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    for (int i = 0; i < 2; i++)
        if (tell[i] >= 0)
            close(tell[i]);
    errno = error;
    return -1;
}
