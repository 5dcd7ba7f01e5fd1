/* bell_thread.c - one thread that waits for the bell and does nothing else. Changes that come while
 * the loop has not looked yet are one event: an eventfd coalesces them. */
#include "config.h"

#include "bell_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "jobtab.h"
#include "log.h"

#define AFTER_ERROR 1000 /* ms; the loop's own heartbeat goes on meanwhile */

struct bell_thread {
    struct jobtab *table;
    int gap, fd;
};

static void pause_for(int ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&time, NULL);
}

static void *wait_for_bells(void *argument)
{
    struct bell_thread *bell = argument;
    uint64_t seen = 0;

    for (;;) {
        int error = jobtab_wait(bell->table, &seen, -1);
        eventfd_write(bell->fd, 1);
        if (error == JOBTAB_OK && bell->gap > 0) {
            pause_for(bell->gap);
        } else if (error != JOBTAB_OK && error != JOBTAB_TIMEOUT) {
            log_error("waiting for the bell: %s", jobtab_why());
            pause_for(AFTER_ERROR);
        }
    }
    return NULL;
}

int bell_thread_start(struct jobtab *table, int gap, int *fd)
{
    struct bell_thread *bell = malloc(sizeof *bell);
    sigset_t all, before;
    pthread_t thread;
    int error = ENOMEM;

    if (bell == NULL)
        goto fail;
    *bell = (struct bell_thread){.table = table, .gap = gap};
    bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell->fd < 0) {
        error = errno;
        goto fail;
    }
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, wait_for_bells, bell);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
        *fd = bell->fd;
        return 0;
    }
    close(bell->fd);
fail:
    free(bell);
    errno = error;
    return -1;
}
