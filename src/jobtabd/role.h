/* role.h - what crosses the fork from the master to a role, and what every role does first.
 *
 * The master forks each role from its single thread, with no table and no event loop. A role
 * gets its struct role, calls role_begin, opens what it needs, calls role_ready once, and runs
 * its loop until role_stopping says otherwise. It leaves by returning an exit code.
 */
#ifndef ROLE_H
#define ROLE_H

#include <stdbool.h>
#include <stddef.h>

struct conf;

enum role_kind { ROLE_WORKER, ROLE_RUNNER, ROLE_KEEPER };

enum role_stop {
    ROLE_GO_ON,
    ROLE_QUIT, /* SIGQUIT: take nothing new, let what runs end (bounded by shutdown_timeout) */
    ROLE_TERM, /* SIGTERM, or the master died: stop now, hand jobs back */
};

struct role {
    enum role_kind kind;
    int slot;                /* 0, 1, ... among its kind */
    const struct conf *conf; /* the master's copy; read only */
    const int *listeners;    /* one for each conf->listens, in its order, non-blocking */
    int lifeline;            /* readable (EOF) once the master is dead */
    int ready;               /* one byte written here: "I can work" */
    int wake;                /* role_begin: readable after a signal asked for something; eventfd */
};

/* Signals, parent-death signal, process title, log prefix. Call first. */
void role_begin(struct role *role);
/* Tell the master that this role can work. Once. */
void role_ready(struct role *role);
/* What has been asked for so far. Async signals set it; looks at the lifeline as well. */
enum role_stop role_stopping(const struct role *role);

/* The roles. Each returns its exit code. */
int worker_main(struct role *role);
int runner_main(struct role *role);
int keeper_main(struct role *role);

#endif
