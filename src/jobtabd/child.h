/* child.h - one job in one process: from the claim to the finish.
 *
 * The runner owns the job. What the pipes bring comes in through epoll, the process's end through
 * child_look; what is due by the clock is done by child_tick; what is to be written to the table is
 * put into the desk's batch by child_offer.
 */
#ifndef CHILD_H
#define CHILD_H

#include "conf.h"
#include "ending.h"
#include "site.h"

struct child;

/* The job that was just claimed; nothing is started yet. NULL only without memory: the job is lost
 * until this process ends. */
struct child *child_new(const struct site *site, const struct conf_kind *kind,
                        const struct jobtab_job *job, const struct jobtab_token *token);
/* Waits for child_start. */
bool child_waits(const struct child *child);
/* Start its process. When that fails the child exists all the same, to record why; false when it
 * was for want of memory or descriptors: then its job goes back, and others had better wait. */
bool child_start(struct child *child);

/* Tell it to stop: SIGTERM to its group now, SIGKILL `kill_after` ms later. The first cause
 * counts; a later one can only make the SIGKILL come sooner. A child that has ended already has
 * ended by itself, and one that was not started never will be. */
void child_stop(struct child *child, enum ending_cause cause, int64_t kill_after);
/* SIGKILL to its group, at once. */
void child_kill(struct child *child);

/* Has the process ended? It stays a zombie until that is recorded. */
void child_look(struct child *child);
/* Has the job been cancelled, or gone to another? A read of the table. */
void child_check(struct child *child);

/* Do what is due by the clock. */
void child_tick(struct child *child, int64_t now);
/* When the clock has something for it next, with `may_write` for child_offer, too; INT64_MAX when
 * only events matter. */
int64_t child_next(const struct child *child, bool may_write);

/* Add what is to be written, as far as the batch has room. True when its end is among it: its
 * slot is free for what is claimed in the same transaction. */
bool child_offer(struct child *child, int64_t now);

const struct conf_kind *child_kind(const struct child *child);
/* The table knows how it ended and the process was reaped: to be freed. */
bool child_gone(const struct child *child);
/* At the end of a loop turn only: watches of it may be among the turn's events. */
void child_free(struct child *child);

#endif
