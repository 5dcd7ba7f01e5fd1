/* print.c - jobs for people. */
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 10, PART_ROWS = 4 }; /* rows of a terminal that params and result may take */

enum show_colour print_state_colour(enum jobtab_state state)
{
    static const enum show_colour colours[JOBTAB_STATES] = {
        [JOBTAB_SCHEDULED] = SHOW_DIM,   [JOBTAB_PENDING] = SHOW_YELLOW,
        [JOBTAB_RUNNING] = SHOW_CYAN,    [JOBTAB_CANCELLING] = SHOW_YELLOW,
        [JOBTAB_COMPLETED] = SHOW_GREEN, [JOBTAB_FAILED] = SHOW_RED,
        [JOBTAB_CANCELLED] = SHOW_DIM,
    };

    return colours[state];
}

void print_elapsed(const struct jobtab_job *job, char text[SHOW_FIGURE])
{
    int64_t from = job->started_at != 0 ? job->started_at : job->created_at;

    show_duration((job->finished_at != 0 ? job->finished_at : jobtab_now()) - from, text);
}

/* What a failed job failed with, else what it last said. */
static const char *last_words(const struct jobtab_job *job)
{
    return job->state == JOBTAB_FAILED && *job->error != '\0' ? job->error : job->message;
}

/* --------------------------------------------------------------------- one job */

static void label(const struct show *show, const char *name)
{
    char text[LABEL + 2];

    snprintf(text, sizeof text, "%-*s ", LABEL, name);
    show_coloured(show, SHOW_DIM, text);
}

static void text_line(const struct show *show, const char *name, const char *text, unsigned columns)
{
    char *escaped;

    if (text == NULL || *text == '\0')
        return;
    escaped = show_escaped(text, strlen(text), false);
    label(show, name);
    show_clipped(show, escaped, columns);
    fputc('\n', show->out);
    free(escaped);
}

static void time_line(const struct show *show, const char *name, int64_t time_ms)
{
    char text[JOBTAB_TIME_TEXT], distance[SHOW_FIGURE];
    int64_t ago = jobtab_now() - time_ms;

    if (time_ms == 0)
        return;
    jobtab_time_format(time_ms, text);
    show_duration(ago < 0 ? -ago : ago, distance);
    label(show, name);
    fprintf(show->out, "%s (%s%s%s)\n", text, ago < 0 ? "in " : "", distance,
            ago < 0 ? "" : " ago");
}

static void status_line(const struct show *show, const struct jobtab_job *job)
{
    char text[SHOW_FIGURE];

    label(show, "status");
    show_coloured(show, print_state_colour(job->state), jobtab_state_name(job->state));
    if (job->reason != JOBTAB_NO_REASON)
        fprintf(show->out, " (%s)", jobtab_reason_name(job->reason));
    if (job->started_at != 0) {
        print_elapsed(job, text);
        fprintf(show->out, ", %s %s", job->finished_at != 0 ? "took" : "for", text);
    }
    fputc('\n', show->out);
}

void print_job(const struct show *show, const struct view *view)
{
    const struct jobtab_job *job = &view->job;
    unsigned columns = show->columns > LABEL ? PART_ROWS * show->columns - LABEL - 1 : 0;
    char id[JOBTAB_ID_TEXT];

    jobtab_id_format(&job->id, id);
    text_line(show, "job", id, 0);
    text_line(show, "kind", job->kind, 0);
    status_line(show, job);
    label(show, "progress");
    fprintf(show->out, "%" PRIu32 "%%\n", job->progress);
    text_line(show, "message", job->message, 0);
    text_line(show, "error", job->error, 0);
    label(show, "attempt");
    fprintf(show->out, "%" PRIu32 " of %" PRIu32, job->attempt, job->max_attempts);
    if (job->crashes > 0)
        fprintf(show->out, ", owner lost %" PRIu32 " of %" PRIu32, job->crashes, job->max_crashes);
    fputc('\n', show->out);
    if (job->priority != 0) {
        label(show, "priority");
        fprintf(show->out, "%" PRId32 "\n", job->priority);
    }
    text_line(show, "key", job->key, 0);
    time_line(show, "created", job->created_at);
    if (job->state == JOBTAB_SCHEDULED)
        time_line(show, "due", job->run_at);
    time_line(show, "started", job->started_at);
    time_line(show, "updated", job->updated_at);
    time_line(show, "finished", job->finished_at);
    time_line(show, "expires", job->expires_at);
    if (job->owner.pid != 0) {
        label(show, "owner");
        fprintf(show->out, "process %" PRId32 "\n", job->owner.pid);
    }
    if (view->params != NULL && strcmp(view->params, "{}") != 0)
        text_line(show, "params", view->params, columns);
    text_line(show, "result", view->result, columns);
}

void print_end(const struct show *show, const struct jobtab_job *job)
{
    char text[SHOW_FIGURE], *words;

    show_coloured(show, print_state_colour(job->state), jobtab_state_name(job->state));
    if (show->terminal) {
        print_elapsed(job, text);
        if (job->reason != JOBTAB_NO_REASON)
            fprintf(show->out, " (%s)", jobtab_reason_name(job->reason));
        words = show_escaped(last_words(job), strlen(last_words(job)), false);
        fprintf(show->out, "  %s  %s", text, words);
        free(words);
    }
    fputc('\n', show->out);
}

/* -------------------------------------------------------------------- many jobs */

struct show_table *print_jobs(const struct show *show)
{
    static const struct show_column columns[] = {
        {"JOB", false}, {"KIND", false}, {"STATUS", false},
        {"DONE", true}, {"AGE", true},   {"MESSAGE", false},
    };

    return show_table(show, columns, sizeof columns / sizeof columns[0]);
}

void print_jobs_add(struct show_table *table, const struct jobtab_job *job)
{
    char text[JOBTAB_ID_TEXT], figure[SHOW_FIGURE], due[SHOW_FIGURE + 4];

    jobtab_id_format(&job->id, text);
    show_cell(table, SHOW_PLAIN, text);
    show_cell(table, SHOW_PLAIN, job->kind);
    show_cell(table, print_state_colour(job->state), jobtab_state_name(job->state));
    snprintf(figure, sizeof figure, "%" PRIu32 "%%", job->progress);
    show_cell(table, SHOW_PLAIN, figure);
    show_duration(jobtab_now() - job->created_at, figure);
    show_cell(table, SHOW_PLAIN, figure);
    if (job->state == JOBTAB_SCHEDULED) {
        show_duration(job->run_at - jobtab_now(), figure);
        snprintf(due, sizeof due, "in %s", figure);
        show_cell(table, SHOW_DIM, due);
    } else {
        show_cell(table, job->state == JOBTAB_FAILED ? SHOW_RED : SHOW_PLAIN, last_words(job));
    }
}
