/* turn.c - a robust mutex that nobody waits for with his eyes shut. See turn.h. */
#include "turn.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

/* A lost wake-up costs one sleeper so much; looking costs it a system call. */
#define SLICE_NS 20000000L

void turn_make(struct turn *turn)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&turn->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static struct timespec end_of_slice(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += SLICE_NS;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

static bool taken(struct turn *turn, int rc, bool *died)
{
    *died = rc == EOWNERDEAD;
    if (*died)
        rc = pthread_mutex_consistent(&turn->mutex);
    return rc == 0;
}

bool turn_try(struct turn *turn, bool *died)
{
    return taken(turn, pthread_mutex_trylock(&turn->mutex), died);
}

bool turn_wait(struct turn *turn, bool *died)
{
    struct timespec until = end_of_slice();

    return taken(turn, pthread_mutex_clocklock(&turn->mutex, CLOCK_MONOTONIC, &until), died);
}

void turn_give(struct turn *turn)
{
    pthread_mutex_unlock(&turn->mutex);
}

/* A robust mutex has its owner's number in its word, since the kernel looks for it there. */
int32_t turn_holder(const struct turn *turn)
{
    return __atomic_load_n(&turn->mutex.__data.__lock, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK;
}
