/* site.h - what the children of one runner share. */
#ifndef SITE_H
#define SITE_H

#include <stddef.h>

struct jobtab;
struct desk;

struct site {
    struct jobtab *table;
    char *table_dir;    /* absolute */
    const char *run_id; /* the daemon's, for the children's environment */
    int epoll;
    struct desk *desk;
    size_t result_max, log_max;
};

#endif
