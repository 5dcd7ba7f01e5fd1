/* shim.c - loaded before the other libraries (LD_PRELOAD): stops a process inside a transaction,
 * and steps the wall clock. See shim.h.
 *
 * The clocks that the kernel counts itself (monotonic, boot) are left alone, as they are when a
 * real clock is stepped. */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct shim nothing;
static struct shim *shim = &nothing;

__attribute__((constructor)) static void map_shim(void)
{
    const char *path = getenv("JOBTAB_SHIM");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *shim, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        shim = at;
}

static void stop_at(enum shim_point point)
{
    int32_t self = (int32_t)getpid();

    if (atomic_load(&shim->pid) == self && atomic_load(&shim->point) == (int32_t)point &&
        atomic_compare_exchange_strong(&shim->pid, &self, 0))
        raise(SIGSTOP);
}

/* The next function of that name: the one that this one stands before. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn)
{
    int rc = NEXT(mdb_txn_begin)(env, parent, flags, txn);

    if (rc == 0)
        stop_at(flags & MDB_RDONLY ? SHIM_READ : SHIM_WRITE);
    return rc;
}

int mdb_txn_renew(MDB_txn *txn)
{
    int rc = NEXT(mdb_txn_renew)(txn);

    if (rc == 0)
        stop_at(SHIM_READ);
    return rc;
}

static void step(int64_t *seconds, int64_t *nanoseconds)
{
    int64_t ms = atomic_load(&shim->step);

    *seconds += ms / 1000;
    *nanoseconds += ms % 1000 * 1000000;
    if (*nanoseconds < 0) {
        *nanoseconds += 1000000000;
        --*seconds;
    }
    if (*nanoseconds >= 1000000000) {
        *nanoseconds -= 1000000000;
        ++*seconds;
    }
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int rc = NEXT(clock_gettime)(id, now);

    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t seconds = now->tv_sec, nanoseconds = now->tv_nsec;
        step(&seconds, &nanoseconds);
        now->tv_sec = seconds;
        now->tv_nsec = nanoseconds;
    }
    return rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) < 0)
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}
