/* trace.c - ptrace, one thread of one process at a time. See trace.h. */
#include "trace.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void trace_me(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP);
}

/* Wait for it to stop. False when it is gone; then it has been reaped. */
static bool stopped(pid_t pid, struct way *way, enum fate *fate)
{
    int status;

    while (waitpid(pid, &status, 0) != pid)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        exit(77);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        way->signal = WTERMSIG(status);
    *fate = WIFSIGNALED(status) ? ENDED_BY_OTHERS : AT_ITS_END;
    return WIFSTOPPED(status);
}

/* Whoever was killed while it stood still cannot be told to go on, and is yet to be reaped. */
static bool go_on(pid_t pid, enum __ptrace_request how, struct way *way, enum fate *fate)
{
    ptrace(how, pid, NULL, NULL);
    return stopped(pid, way, fate);
}

/* The call that it is about to make. */
static long call_of(pid_t pid)
{
    struct __ptrace_syscall_info info = {0};

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return -1;
    return (long)info.entry.nr;
}

static bool writes(long call)
{
    return call == SYS_pwrite64 || call == SYS_pwritev || call == SYS_writev || call == SYS_write;
}

enum fate trace_to(pid_t pid, const struct point *point, struct way *way)
{
    bool written = false;
    enum fate fate;

    *way = (struct way){.synced = false};
    if (!stopped(pid, way, &fate))
        return fate;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (long calls = 0; calls < point->call;) {
        if (!go_on(pid, PTRACE_SYSCALL, way, &fate))
            return fate;
        long call = call_of(pid);
        bool sync = call == SYS_fdatasync;
        way->synced |= sync;
        way->waits = call == SYS_futex;
        written |= writes(call);
        calls += (!point->sync || sync) && (!point->leading || written);
        if (calls == point->call && !point->sync && !point->made && point->steps == 0)
            return AT_ITS_POINT;
        if (!go_on(pid, PTRACE_SYSCALL, way, &fate)) /* to its end */
            return fate;
    }
    for (int n = 0; n < 2 && point->sync; n++) /* one more, into it and out of it */
        if (!go_on(pid, PTRACE_SYSCALL, way, &fate))
            return fate;
    for (long n = 0; n < point->steps; n++)
        if (!go_on(pid, PTRACE_SINGLESTEP, way, &fate))
            return fate;
    return AT_ITS_POINT;
}

void trace_leave_stopped(pid_t pid)
{
    kill(pid, SIGSTOP);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

void trace_end(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
        continue;
}
