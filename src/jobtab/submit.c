/* submit.c - jobtab submit: a job into the table, and its way to the end if that is wanted. */
#include "cli.h"
#include "follow.h"
#include "job_json.h"
#include "need.h"
#include "print.h"

#include <errno.h>
#include <string.h>

/* All of a file, NUL-terminated. NULL with errno. */
static char *read_all(FILE *in, size_t *size)
{
    char *text = NULL;
    size_t room = 0, n;

    *size = 0;
    do {
        if (*size + 1 >= room)
            text = need(realloc(text, room = room * 2 + 4096));
        n = fread(text + *size, 1, room - *size - 1, in);
        *size += n;
    } while (n > 0);
    text[*size] = '\0';
    if (ferror(in)) {
        free(text);
        return NULL;
    }
    return text;
}

/* What -p means: JSON itself, "@FILE", or "-" for standard input. To be freed. */
static int take_params(const char *given, char **params, size_t *size)
{
    const char *name = strcmp(given, "-") == 0 ? "standard input" : given + 1;
    const char *fault;
    FILE *in = NULL;
    char *text;

    if (strcmp(given, "-") != 0 && *given != '@') {
        text = need(strdup(given));
        *size = strlen(text);
        name = "-p";
    } else {
        in = *given == '@' ? fopen(name, "re") : stdin;
        text = in != NULL ? read_all(in, size) : NULL;
        if (text == NULL)
            cli_complain(EXIT_USAGE, "params: %s: %s", name, strerror(errno));
        if (in != NULL && in != stdin)
            fclose(in);
        if (text == NULL)
            return EXIT_USAGE;
    }
    fault = job_json_fault(text, *size);
    if (fault != NULL) {
        free(text);
        return cli_complain(EXIT_USAGE, "params: %s: not JSON: %s", name, fault);
    }
    *params = text;
    return EXIT_FINE;
}

static int follow_to_end(struct cli *cli, struct view *view)
{
    int code;

    follow_interrupts(cli, &view->job.id);
    code = follow(cli, view, cli->err.terminal ? FOLLOW_BAR : FOLLOW_QUIET);
    if (code != EXIT_FINE)
        return code;
    if (!cli->json) {
        print_end(&cli->out, &view->job);
        if (follow_verdict(&view->job) != EXIT_FINE && !cli->out.terminal)
            cli_complain(EXIT_REFUSED, "%s: %s", jobtab_state_name(view->job.state),
                         *view->job.error != '\0' ? view->job.error
                                                  : jobtab_reason_name(view->job.reason));
    }
    return follow_verdict(&view->job);
}

int submit_command(struct cli *cli)
{
    struct view view = {0};
    char *params = NULL, id[JOBTAB_ID_TEXT];
    int code = EXIT_FINE;

    if (cli->n_args == 0 && cli->table != NULL)
        return cli_complain(EXIT_USAGE, "submit: KIND is needed on a table; only a daemon (-u URL) "
                                        "has a default kind");
    cli->submit.kind = cli->n_args > 0 ? cli->args[0] : NULL;
    if (cli->params != NULL)
        code = take_params(cli->params, &params, &cli->submit.params_size);
    cli->submit.params = params;
    if (code == EXIT_FINE) {
        code = cli->backend->verbs->submit(cli->backend, &cli->submit, &view);
        if (code != EXIT_FINE)
            cli_failed(cli, code);
    }
    free(params);
    if (code != EXIT_FINE)
        return code;

    jobtab_id_format(&view.job.id, id);
    if (!cli->json) {
        fprintf(cli->out.out, "%s\n", id);
        fflush(cli->out.out);
    }
    if (cli->follow)
        code = follow_to_end(cli, &view);
    if (cli->json)
        fprintf(cli->out.out, "%s\n", view.json);
    view_free(&view);
    return code;
}
