/* warm.h - the warm children of one runner: processes that claim one job after another for
 * themselves. The runner keeps them alive and ends the one whose job is cancelled or over its
 * time; what they claim, report and finish is between them and the table.
 */
#ifndef WARM_H
#define WARM_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "site.h"

struct warm;

/* As many as the kinds of the configuration ask for; none is started yet. NULL with errno. */
struct warm *warm_new(const struct site *site, const struct conf *conf);
void warm_free(struct warm *warm);

/* Start those that are due, and SIGKILL those that had their time to stop. */
void warm_tick(struct warm *warm, int64_t now);
int64_t warm_next(const struct warm *warm);

/* See which have ended. They stay zombies until the table has heard of it. */
void warm_look(struct warm *warm);
/* See in the table what each works on: one whose job is being cancelled is told to stop, one
 * with a time-out gets its deadline. */
void warm_inspect(struct warm *warm);

/* A child died: ask the desk for a sweep, which hands its job on and clears its reader slots.
 * While the child is a zombie its pid says so to everyone and belongs to nobody else. */
void warm_offer(struct warm *warm);
/* The sweep is done: reap those it was for, and start others in their place. */
void warm_swept(struct warm *warm);

/* No more are started from here on. Each may end its current job. */
void warm_quit(struct warm *warm);
/* Each is told to stop its current job, and has its kind's kill_after, at most `longest` ms. */
void warm_stop(struct warm *warm, int64_t longest);
/* SIGKILL to all, at once. */
void warm_kill(struct warm *warm);
/* All have ended and were reaped. */
bool warm_gone(const struct warm *warm);

#endif
