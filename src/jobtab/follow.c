/* follow.c - stay with a job until it is done. */
#include "follow.h"

#include "print.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK = 1000 }; /* ms between two drawings of a bar whose job says nothing new */

/* Made before the handler is set: it may only write. */
static char farewell[256];
static size_t farewell_size;

static void on_interrupt(int number)
{
    /* The job is another process's business; there is nothing here to clean up. The default
     * action follows (SA_RESETHAND), so that a shell sees what ended this program. */
    if (write(STDERR_FILENO, farewell, farewell_size) < 0)
        _exit(128 + number);
    raise(number);
}

void follow_interrupts(const struct cli *cli, const struct jobtab_id *id)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    char text[JOBTAB_ID_TEXT];

    jobtab_id_format(id, text);
    farewell_size = (size_t)snprintf(
        farewell, sizeof farewell, "%sjobtab: job %s goes on; `jobtab watch %s` follows it again\n",
        cli->err.terminal ? "\r\033[K\033[?7h" : "", text, text);
    sigaction(SIGINT, &action, NULL);
}

int follow_verdict(const struct jobtab_job *job)
{
    return jobtab_state_done(job->state) && job->state != JOBTAB_COMPLETED ? EXIT_REFUSED
                                                                           : EXIT_FINE;
}

static void draw(struct cli *cli, const struct jobtab_job *job)
{
    char elapsed[SHOW_FIGURE], aside[64];

    print_elapsed(job, elapsed);
    snprintf(aside, sizeof aside, "%s %s", jobtab_state_name(job->state), elapsed);
    show_bar(&cli->err, job->progress, aside, job->message);
}

static void tell(struct cli *cli, const struct view *view, enum follow_style style)
{
    const struct jobtab_job *job = &view->job;

    if (style == FOLLOW_JSON) {
        fprintf(cli->out.out, "%s\n", view->json);
    } else if (style == FOLLOW_LINES) {
        char *message = show_escaped(job->message, strlen(job->message), false);
        fprintf(cli->out.out, "%s %" PRIu32 "%%%s%s\n", jobtab_state_name(job->state),
                job->progress, *message != '\0' ? " " : "", message);
        free(message);
    }
    fflush(cli->out.out);
}

int follow(struct cli *cli, struct view *view, enum follow_style style)
{
    uint64_t told = 0;
    int code = EXIT_FINE;

    for (;;) {
        if (view->job.version != told)
            tell(cli, view, style);
        told = view->job.version;
        if (jobtab_state_done(view->job.state))
            break;
        if (style == FOLLOW_BAR)
            draw(cli, &view->job);
        code = cli->backend->verbs->next(cli->backend, view, style == FOLLOW_BAR ? TICK : -1);
        if (code != EXIT_FINE)
            break;
    }
    if (style == FOLLOW_BAR)
        show_bar_end(&cli->err);
    return code != EXIT_FINE ? cli_failed(cli, code) : EXIT_FINE;
}
