/* futex.c - the system call behind futex.h. Not the private form: the word lies in a shared
 * file. */
#include "futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

enum futex_end futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t timeout)
{
    struct timespec limit = {.tv_sec = (time_t)(timeout / SECOND), .tv_nsec = timeout % SECOND};
    long rc = syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout < 0 ? NULL : &limit, NULL, 0);

    if (rc == 0 || errno == EAGAIN)
        return FUTEX_WOKEN;
    return errno == EINTR ? FUTEX_SIGNAL : FUTEX_TIME;
}

void futex_wake(_Atomic uint32_t *word, uint32_t n)
{
    syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}
