/* event.c - the lines that oracle.py reads. */
#include "event.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct events {
    int fd;
};

int64_t event_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void event_message(char *text, size_t size, unsigned progress, const char *id, unsigned attempt)
{
    snprintf(text, size, "p=%u,job=%s,n=%u", progress, id, attempt);
}

uint64_t event_hash(const char *bytes, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

struct events *events_open(const char *folder)
{
    char path[4096];
    struct events *events = malloc(sizeof *events);

    if (!events)
        return NULL;
    snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
    events->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (events->fd < 0) {
        free(events);
        return NULL;
    }
    return events;
}

void events_close(struct events *events)
{
    if (events)
        close(events->fd);
    free(events);
}

static const char *text_of(const char *text)
{
    return text && *text ? text : "-";
}

void event_write(struct events *events, const struct event *e)
{
    char line[2048];
    int n = snprintf(line, sizeof line,
                     "%s %lld %lld %s %s %llu %s %u %lld %u %s %c%016llx %s %s\n", e->verb,
                     (long long)e->begun, (long long)event_clock(), e->outcome, text_of(e->job),
                     (unsigned long long)e->version, text_of(e->state), e->attempt,
                     (long long)e->started, e->progress, text_of(e->token),
                     e->letter ? e->letter : '-', (unsigned long long)e->hash,
                     text_of(e->message), text_of(e->extra));

    if (n < 0 || (size_t)n >= sizeof line || write(events->fd, line, (size_t)n) != n) {
        perror("event");
        _exit(71);
    }
}

static void fill(struct event *e, const struct jobtab_job *job)
{
    char json[4096];
    size_t n = jobtab_job_json(job, NULL, NULL, json, sizeof json - 1);

    e->version = job->version;
    e->state = jobtab_state_name(job->state);
    e->attempt = job->attempt;
    e->started = job->started_at;
    e->progress = job->progress;
    e->message = job->message;
    e->letter = 'b';
    e->hash = event_hash(json, n < sizeof json ? n : sizeof json - 1);
}

const char *event_outcome(int error)
{
    static const char *const names[] = {
        [JOBTAB_OK] = "ok",
        [JOBTAB_NOTFOUND] = "notfound",
        [JOBTAB_EMPTY] = "empty",
        [JOBTAB_FORBIDDEN] = "forbidden",
        [JOBTAB_STALE] = "stale",
        [JOBTAB_STOP] = "stop",
        [JOBTAB_CONFLICT] = "conflict",
        [JOBTAB_FULL] = "full",
    };
    size_t n = sizeof names / sizeof *names;
    return error >= 0 && (size_t)error < n && names[error] ? names[error] : "error";
}

static const char *const verbs[JOBTAB_VERBS] = {
    "submit", "claim", "report", "renew", "log", "finish", "release", "cancel", "retry", "delete",
    "take",
    "restore",
};

void event_ask(struct events *events, const struct jobtab_op *op, int64_t begun)
{
    char id[JOBTAB_ID_TEXT];
    struct event e = { .verb = verbs[op->verb], .outcome = "asked", .begun = begun, .job = id };

    jobtab_id_format(&op->id, id);
    event_write(events, &e);
}

void event_op(struct events *events, const struct jobtab_op *op, int64_t begun)
{
    char id[JOBTAB_ID_TEXT], token[JOBTAB_TOKEN_TEXT] = "";
    struct event e = { .verb = verbs[op->verb], .begun = begun };

    e.outcome = event_outcome(op->result);
    jobtab_id_format(&op->id, id);
    e.job = id;
    if (op->token.secret)
        jobtab_token_format(&op->token, token);
    e.token = token;
    if (op->verb != JOBTAB_DELETE && (op->result == JOBTAB_OK || op->result == JOBTAB_STOP))
        fill(&e, op->job);
    event_write(events, &e);
}

void event_job(struct events *events, const char *verb, const struct jobtab_job *job,
               int64_t begun, const char *extra)
{
    char id[JOBTAB_ID_TEXT];
    struct event e = { .verb = verb, .outcome = "ok", .begun = begun, .extra = extra };

    jobtab_id_format(&job->id, id);
    e.job = id;
    fill(&e, job);
    event_write(events, &e);
}
