/* crew.h - one configuration and the roles that work by it. A reload brings a second crew beside
 * the serving one, which leaves once the new one can work. */
#ifndef CREW_H
#define CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "role.h"

struct conf;
struct heart;

enum crew_phase {
    CREW_COMING,  /* started by a reload; not all of it can work yet */
    CREW_SERVING, /* who dies is replaced */
    CREW_LEAVING, /* told to end; who dies is not replaced */
};

/* A place that one role fills, in one process after another. */
struct slot {
    enum role_kind kind;
    int index;
    pid_t pid; /* 0: empty */
    bool ready;
    bool ended; /* killed for what it did; its death is on its way */
    int talk;   /* keeper: our end of its talk; -1: there is none */
    int64_t born;
    int64_t stopped_at; /* by a signal, as far as seen; 0: it goes on */
    int64_t fill_at;   /* when an empty slot of a serving crew is filled */
    unsigned failures; /* deaths in a row without a while of work between them */
    int64_t table_wait; /* ms that who fills it waits before it opens the table, and serves without */
};

struct crew {
    struct crew *next;
    enum crew_phase phase;
    struct conf *conf; /* the crew's own */
    int *listeners;    /* one for each conf->listens */
    struct slot *slots;
    struct heart *hearts; /* one for each slot */
    size_t n_slots;
    bool had_table;   /* a role of this crew, or of one before it, has had the table open */
    int told;         /* leaving: the last signal sent */
    int64_t deadline; /* leaving: when a harder one follows; coming: when it is given up */
};

/* What the master hands on to every role. */
struct crew_links {
    const char *run_id;
    int lifeline; /* read end; the master alone has the other */
    int ready;    /* write end of the pipe that role_ready writes to */
};

/* An empty crew that owns `conf`; its listeners are all -1. NULL without memory. */
struct crew *crew_new(struct conf *conf, enum crew_phase phase);
void crew_free(struct crew *crew);

/* Do what is due: fill empty slots, tell harder who does not leave. Returns when there is more to
 * do, INT64_MAX for never. In a child that it forked it does not return. */
int64_t crew_tend(struct crew *crew, const struct crew_links *links);

/* A process said that it is ready, or died (`status` as waitpid has it) and leaves its slot, reaped
 * or not. False: it is not of this crew. */
bool crew_said_ready(struct crew *crew, pid_t pid);
bool crew_died(struct crew *crew, pid_t pid, int status);

/* Told to leave by SIGQUIT or SIGTERM. A second call may only be harder. */
void crew_leave(struct crew *crew, int signal);

/* Look whether a slot's process was stopped or goes on; true when it is dead, and not reaped:
 * *status is as waitpid has it. */
bool crew_look(struct slot *slot, int *status);

void slot_name(const struct slot *slot, char *text, size_t size);

const struct slot *crew_find(const struct crew *crew, pid_t pid);
bool crew_is_ready(const struct crew *crew); /* every slot */
bool crew_failed(const struct crew *crew);   /* a slot's process died or could not be made */
size_t crew_running(const struct crew *crew);

#endif
