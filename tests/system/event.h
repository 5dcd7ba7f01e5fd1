/* event.h - what a client of the table saw, one line an event, for oracle.py.
 *
 *   verb begun ended outcome job version state attempt started progress token hash message extra
 *
 * Times are CLOCK_MONOTONIC nanoseconds; "-" or 0 where there is nothing. `hash` is of all that the
 * client saw, after a letter that tells what that is (b: jobtab_job_json without params and
 * result, f: an HTTP body): one version of a job has one hash a letter. A line is one write(2), so
 * that a killed client leaves whole lines. */
#ifndef EVENT_H
#define EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "jobtab.h"

struct events;

struct event {
    const char *verb, *outcome;
    int64_t begun;
    const char *job, *state, *token, *message, *extra; /* NULL: nothing */
    uint64_t version;
    uint32_t attempt, progress;
    int64_t started;
    char letter;
    uint64_t hash;
};

int64_t event_clock(void);

/* The message that belongs to a progress of an attempt of a job. No spaces. */
void event_message(char *text, size_t size, unsigned progress, const char *id, unsigned attempt);

uint64_t event_hash(const char *bytes, size_t size);

/* Append to the file `folder`/PID. NULL with errno. */
struct events *events_open(const char *folder);
void events_close(struct events *events);

/* `ended` is now. */
void event_write(struct events *events, const struct event *event);
/* An operation that jobtab_apply is about to be asked for. Its client may be killed meanwhile, and
 * whoever leads then does it all the same. */
void event_ask(struct events *events, const struct jobtab_op *op, int64_t begun);
/* An operation that jobtab_apply was asked for; op->job is set. */
void event_op(struct events *events, const struct jobtab_op *op, int64_t begun);
/* A job that was read. `extra` may be NULL. */
void event_job(struct events *events, const char *verb, const struct jobtab_job *job,
               int64_t begun, const char *extra);
const char *event_outcome(int error);

#endif
