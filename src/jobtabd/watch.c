/* watch.c - epoll with owners. */
#include "config.h"

#include "watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64 /* told of in one turn; the rest has its turn in the next */

int watch_add(int epoll, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, watch->fd, &event);
}

/* Out of the set: one that is in it is told of the other end's close whatever it waits for. */
void watch_pause(int epoll, struct watch *watch)
{
    epoll_ctl(epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

void watch_close(int epoll, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    /* A close alone is not enough: a copy in a child would keep the registration. */
    watch_pause(epoll, watch);
    close(watch->fd);
    watch->fd = -1;
}

int watch_turn(int epoll, int timeout)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, timeout);

    if (n < 0)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < n; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->fd >= 0) /* not closed by one told before it */
            watch->ready(watch, events[i].events);
    }
    return 0;
}
