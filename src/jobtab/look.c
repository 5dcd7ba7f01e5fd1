/* look.c - the commands that look: status, watch, list, result, log. */
#include "cli.h"
#include "follow.h"
#include "need.h"
#include "print.h"

#include <string.h>

/* The job that an argument names; complains when there is none. */
static int get(struct cli *cli, const char *text, struct view *view)
{
    struct jobtab_id id;
    int code;

    if (jobtab_id_parse(text, &id) != JOBTAB_OK)
        return cli_complain(EXIT_USAGE, "'%s' is no job id", text);
    code = cli->backend->verbs->get(cli->backend, &id, view);
    return code != EXIT_FINE ? cli_failed(cli, code) : EXIT_FINE;
}

int status_command(struct cli *cli)
{
    int worst = EXIT_FINE;

    for (size_t i = 0; i < cli->n_args; i++) {
        struct view view = {0};
        int code = get(cli, cli->args[i], &view);

        if (code == EXIT_FINE) {
            if (cli->json) {
                fprintf(cli->out.out, "%s\n", view.json);
            } else {
                if (i > 0)
                    fputc('\n', cli->out.out);
                print_job(&cli->out, &view);
            }
            code = follow_verdict(&view.job);
            view_free(&view);
        }
        if (code > worst)
            worst = code;
    }
    return worst;
}

int watch_command(struct cli *cli)
{
    enum follow_style style = cli->json                                ? FOLLOW_JSON
                              : cli->out.terminal && cli->err.terminal ? FOLLOW_BAR
                                                                       : FOLLOW_LINES;
    struct view view = {0};
    int code = get(cli, cli->args[0], &view);

    if (code == EXIT_FINE) {
        follow_interrupts(cli, &view.job.id);
        code = follow(cli, &view, style);
    }
    if (code == EXIT_FINE) {
        if (style == FOLLOW_BAR)
            print_end(&cli->out, &view.job);
        code = follow_verdict(&view.job);
    }
    view_free(&view);
    return code;
}

/* ---------------------------------------------------------------------- list */

static void json_line(const struct view *view, void *context)
{
    struct cli *cli = context;

    fprintf(cli->out.out, "%s\n", view->json);
}

static void table_row(const struct view *view, void *context)
{
    print_jobs_add(context, &view->job);
}

int list_command(struct cli *cli)
{
    const struct backend_verbs *verbs = cli->backend->verbs;
    int code;

    if (cli->json) {
        code = verbs->list(cli->backend, &cli->filter, cli->limit, json_line, cli);
    } else {
        struct show_table *table = print_jobs(&cli->out);
        code = verbs->list(cli->backend, &cli->filter, cli->limit, table_row, table);
        show_table_end(table);
    }
    return code != EXIT_FINE ? cli_failed(cli, code) : EXIT_FINE;
}

/* -------------------------------------------------------------- result and log */

/* Bytes of a job: as they are for a program, made harmless for a terminal. */
static void print_bytes(const struct show *show, const char *bytes, size_t size)
{
    char *escaped;

    if (!show->terminal) {
        fwrite(bytes, 1, size, show->out);
        return;
    }
    escaped = show_escaped(bytes, size, true);
    fputs(escaped, show->out);
    free(escaped);
}

/* Print what there is of a part from *offset on, and move *offset behind it. On a terminal a
 * character that is cut off at the end is left for the next call, unless `all` is wanted. */
static int print_part(struct cli *cli, const struct jobtab_id *id, enum jobtab_part part,
                      uint64_t *offset, bool all, char *last)
{
    for (;;) {
        char *bytes = NULL;
        size_t size = 0, shown;
        int code = cli->backend->verbs->read(cli->backend, id, part, offset, &bytes, &size);

        if (code != EXIT_FINE)
            return cli_failed(cli, code);
        shown = cli->out.terminal ? show_whole(bytes, size) : size;
        if (shown == 0 && all)
            shown = size;
        print_bytes(&cli->out, bytes, shown);
        if (shown > 0)
            *last = bytes[shown - 1];
        *offset += shown;
        free(bytes);
        if (shown == 0)
            break;
    }
    fflush(cli->out.out);
    return EXIT_FINE;
}

int result_command(struct cli *cli)
{
    struct view view = {0};
    uint64_t offset = 0;
    char last = '\n';
    int code = get(cli, cli->args[0], &view);

    if (code != EXIT_FINE)
        return code;
    code = print_part(cli, &view.job.id, JOBTAB_RESULT, &offset, true, &last);
    if (code == EXIT_FINE && last != '\n' && cli->out.terminal)
        fputc('\n', cli->out.out);
    if (code == EXIT_FINE && offset == 0 && view.job.state != JOBTAB_COMPLETED)
        code = cli_complain(EXIT_REFUSED, "%s has no result: it is %s%s%s", cli->args[0],
                            jobtab_state_name(view.job.state), *view.job.error != '\0' ? ": " : "",
                            view.job.error);
    if (code == EXIT_FINE)
        code = follow_verdict(&view.job);
    view_free(&view);
    return code;
}

int log_command(struct cli *cli)
{
    struct view view = {0};
    uint64_t offset = 0, read = 0;
    char last = '\n';
    int code = get(cli, cli->args[0], &view);

    if (code != EXIT_FINE)
        return code;
    if (cli->follow)
        follow_interrupts(cli, &view.job.id);
    for (;;) {
        bool all = !cli->follow || jobtab_state_done(view.job.state);

        if (view.job.version != read) /* what is appended to a log is a change of its job */
            code = print_part(cli, &view.job.id, JOBTAB_LOGTEXT, &offset, all, &last);
        read = view.job.version;
        if (code != EXIT_FINE || all)
            break;
        code = cli->backend->verbs->next(cli->backend, &view, -1);
        if (code != EXIT_FINE) {
            cli_failed(cli, code);
            break;
        }
    }
    if (code == EXIT_FINE && last != '\n' && cli->out.terminal)
        fputc('\n', cli->out.out);
    view_free(&view);
    return code;
}
