/* role.h - what crosses the fork from the master to a role, and what every role does first.
 *
 * The master forks each role from its single thread, with no table and no event loop. A role
 * gets its struct role, calls role_begin, opens what it needs, calls role_ready once, and runs
 * its loop until role_stopping says otherwise. It leaves by returning an exit code.
 *
 * Of descriptors a role has 0 to 2, the log's, its lifeline, the ready pipe and, a worker, the
 * listeners, the keeper, its talk with the master; all are close-on-exec. SIGPIPE, SIGXFSZ,
 * SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH are ignored, and an exec'd program would inherit
 * that: who spawns one resets all signals. With `user` set, a role is still root until role_begin:
 * what only root can read (a TLS key) is read before it.
 */
#ifndef ROLE_H
#define ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;

enum role_kind { ROLE_WORKER, ROLE_RUNNER, ROLE_KEEPER };

enum role_stop {
    ROLE_GO_ON,
    ROLE_QUIT, /* SIGQUIT: take nothing new, let what runs end (bounded by shutdown_timeout) */
    ROLE_TERM, /* SIGTERM, or the master died: stop now, hand jobs back */
};

/* Exit code of a role that the table keeps from its work, and not a fault of its own: it cannot be
 * opened now, or a commit failed. Another one is started soon, and goes on being started. */
#define ROLE_NO_TABLE 10

struct role {
    enum role_kind kind;
    int slot;                /* 0, 1, ... among its kind */
    bool trial;              /* others serve still: it fails rather than wait for anything */
    bool had_table;          /* some role of this daemon has had the table open: it was there */
    int64_t table_wait;      /* worker: ms before it opens the table, which ended the last one */
    const struct conf *conf; /* the master's copy; read only */
    const char *run_id;      /* of this life of the master: JOBTAB_OWNER of all job children */
    const int *listeners;    /* worker: one for each conf->listens, in its order, non-blocking */
    int lifeline;            /* readable (EOF) once the master is dead */
    int ready;               /* role_ready writes here */
    int talk;                /* keeper: a socket to the master (talk.h), non-blocking; else -1 */
    int wake;                /* role_begin: readable after a signal asked for something; eventfd */
};

/* Account, signals, parent-death signal, process title, log prefix. Call first; a role that cannot
 * even do this ends. */
void role_begin(struct role *role);
/* Tell the master that this role can work. Once. */
void role_ready(struct role *role);
/* What has been asked for so far. Async signals set it; looks at the lifeline as well. */
enum role_stop role_stopping(const struct role *role);

/* What the command names of the master and of all roles begin with. */
#define ROLE_COMMAND "jobtabd"

/* "worker", "runner", "keeper". */
const char *role_name(enum role_kind kind);

/* Give up the memory of main's arguments and environment for process titles. Once, in main. */
void role_title_init(int argc, char **argv);

/* The roles. Each returns its exit code. */
int worker_main(struct role *role);
int runner_main(struct role *role);
int keeper_main(struct role *role);

#endif
