/* watch.h - descriptors that a single-threaded loop waits on, each with who is to be told. */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>

struct watch {
    int fd;                                              /* -1: closed, and nobody will be told */
    void (*ready)(struct watch *watch, uint32_t events); /* EPOLL... */
    void *owner;                                         /* for `ready` */
};

/* Wait for `events` on watch->fd, level-triggered. -1 with errno. The watch must stay where it is
 * until the end of the loop turn in which it is closed. */
int watch_add(int epoll, struct watch *watch, uint32_t events);
/* Wait for nothing, until watch_add. The descriptor stays open. */
void watch_pause(int epoll, struct watch *watch);
/* Stop waiting and close the descriptor. Fine on one that is closed. */
void watch_close(int epoll, struct watch *watch);

/* Wait for at most `timeout` ms, then tell each that is ready. -1 with errno; a signal is no
 * error. */
int watch_turn(int epoll, int timeout);

#endif
