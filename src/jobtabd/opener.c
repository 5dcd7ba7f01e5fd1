/* opener.c - see opener.h. */
#include "config.h"

#include "opener.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "role_table.h"

static void *attempt(void *argument)
{
    struct opener *opener = argument;

    opener->error = role_table_try(opener->role, &opener->table);
    snprintf(opener->why, sizeof opener->why, "%s", jobtab_why());
    eventfd_write(opener->over, 1);
    return NULL;
}

int opener_make(struct opener *opener, const struct role *role)
{
    *opener = (struct opener){.role = role};
    opener->over = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return opener->over < 0 ? -1 : 0;
}

int opener_begin(struct opener *opener)
{
    sigset_t all, before;

    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&opener->thread, NULL, attempt, opener);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    opener->busy = error == 0;
    errno = error;
    return opener->busy ? 0 : -1;
}

int opener_end(struct opener *opener, struct jobtab **table)
{
    pthread_join(opener->thread, NULL);
    opener->busy = false;
    if (opener->error == JOBTAB_OK)
        *table = opener->table;
    return opener->error;
}
