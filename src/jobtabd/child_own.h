/* child_own.h - what the files of a job's child share. For no others.
 *
 * child.c has its life: stages, signals, the clock; child_start.c starts it; child_write.c puts
 * into the table what it brings.
 */
#ifndef CHILD_OWN_H
#define CHILD_OWN_H

#include <sys/types.h>

#include "child.h"
#include "relay.h"

enum stage { CLAIMED, RUNNING, DRAINING, ENDING, GONE };

/* The table has the last word on a result; a job must end whatever it says. */
enum result_form { AS_IT_LOOKS, AS_TEXT, REFUSED };

struct child {
    const struct site *site;
    const struct conf_kind *kind;
    struct jobtab_id id;
    struct jobtab_token token;
    uint32_t attempt;
    uint64_t params_size;
    char name[JOBTAB_ID_TEXT]; /* the id, for the log */
    enum stage stage;

    pid_t pid; /* 0: there never was a process */
    struct relay relay;
    uint64_t oom_kills; /* of the machine, about when it was started */

    int64_t timeout;              /* ms, 0 is none */
    int64_t deadline;             /* monotonic, INT64_MAX is none */
    int64_t kill_at, drain_until; /* monotonic */
    int64_t room_at, room_until;  /* while its result waits for memory, else 0 */
    enum ending_cause cause;
    bool killed; /* by us, with SIGKILL */
    int status;  /* siginfo's si_status and si_code */
    int status_code;
    char not_started[JOBTAB_MESSAGE_MAX + 1];

    int64_t write_at;        /* not before */
    int64_t log_until;       /* the end waits for the log's sake; 0: it need not wait */
    struct report report;    /* being written */
    struct relay_buffer log; /* being written, or to be written again */
    char error[JOBTAB_MESSAGE_MAX + 1];
    enum result_form form; /* in which the table may take the result */
};

/* The job is over or another's. */
void child_lose(struct child *child);
/* A report, or log, that is not in the table yet. */
bool child_has_news(const struct child *child);
/* Processes the kernel has killed for memory, on this machine, control groups included: counted at
 * most `age` ms ago, because the kernel adds up all its counters for each look. */
uint64_t child_oom_kills(int64_t age);

#endif
