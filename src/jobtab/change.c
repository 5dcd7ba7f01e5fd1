/* change.c - the commands that change jobs: cancel, retry, rm. Each takes any number of ids, does
 * what it can and ends with the worst of their exit codes. */
#include "cli.h"

#include "print.h"

typedef int change_fn(struct backend *backend, const struct jobtab_id *id, struct view *view);

static int change_one(struct cli *cli, const char *text, change_fn *change)
{
    struct jobtab_id id;
    struct view view = {0};
    int code;

    if (jobtab_id_parse(text, &id) != JOBTAB_OK)
        return cli_complain(EXIT_USAGE, "'%s' is no job id", text);
    code = change != NULL ? change(cli->backend, &id, &view)
                          : cli->backend->verbs->remove(cli->backend, &id);
    if (code != EXIT_FINE)
        return cli_failed(cli, code);
    if (change != NULL && cli->json) {
        fprintf(cli->out.out, "%s\n", view.json);
    } else if (change != NULL) {
        fprintf(cli->out.out, "%s ", text);
        show_coloured(&cli->out, print_state_colour(view.job.state),
                      jobtab_state_name(view.job.state));
        fputc('\n', cli->out.out);
    }
    view_free(&view);
    return EXIT_FINE;
}

static int change_all(struct cli *cli, change_fn *change)
{
    int worst = EXIT_FINE;

    for (size_t i = 0; i < cli->n_args; i++) {
        int code = change_one(cli, cli->args[i], change);
        if (code > worst)
            worst = code;
    }
    return worst;
}

int cancel_command(struct cli *cli)
{
    return change_all(cli, cli->backend->verbs->cancel);
}

int retry_command(struct cli *cli)
{
    return change_all(cli, cli->backend->verbs->retry);
}

int rm_command(struct cli *cli)
{
    return change_all(cli, NULL);
}
