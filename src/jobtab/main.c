/* main.c - jobtab, the command line: what happens around a command. */
#include "command.h"
#include "need.h"
#include "options.h"

#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_LIMIT = 20 };

/* -------------------------------------------------------------------- failures */

int cli_complain(int code, const char *format, ...)
{
    char text[1024], *escaped;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fflush(stdout);
    escaped = show_escaped(text, strlen(text), false);
    fprintf(stderr, "jobtab: %s\n", escaped);
    free(escaped);
    return code;
}

int cli_failed(const struct cli *cli, int code)
{
    return cli_complain(code, "%s", cli->backend->why);
}

int cli_table_failed(int error)
{
    const char *why = jobtab_why();

    return cli_complain(backend_exit_code(error), "%s",
                        *why != '\0' ? why : jobtab_strerror(error));
}

/* ------------------------------------------------------------- around a command */

static int open_failed(const struct cli *cli, int error)
{
    const char *why = *jobtab_why() != '\0' ? jobtab_why() : jobtab_strerror(error);
    bool named = strstr(why, cli->dir) != NULL;
    const char *advice = "";

    if (error == JOBTAB_NOTABLE)
        advice = "; name another with -d DIR or $JOBTAB_TABLE, or a daemon with -u URL";
    else if (access(cli->dir, F_OK) == 0 && access(cli->dir, R_OK | W_OK | X_OK) != 0)
        advice = "; run as the user that the daemon runs as, or ask the daemon with -u URL";
    return cli_complain(EXIT_UNREACHABLE, "%s%s%s%s", named ? "" : cli->dir, named ? "" : ": ", why,
                        advice);
}

/* Find the jobs: what the options name, else the environment. */
static int open_backend(struct cli *cli, const struct command *command)
{
    struct jobtab_options options = {.must_exist = !command->makes || cli->dry_run};
    int error;

    if (cli->url != NULL && cli->dir != NULL)
        return cli_complain(EXIT_USAGE, "a table (-d) or a URL (-u), not both");
    if (cli->url != NULL && command->where == TABLE)
        return cli_complain(EXIT_USAGE, "%s works on a table (-d), not over a URL", command->name);
    if (cli->url == NULL && cli->dir == NULL && command->where == ANYWHERE)
        cli->url = getenv("JOBTAB_URL");
    if (cli->url != NULL && *cli->url != '\0') {
        cli->backend = backend_http(cli->url);
        if (cli->backend == NULL)
            return cli_complain(EXIT_USAGE, "'%s' is no URL: http://, https:// or unix:/path",
                                cli->url);
        return EXIT_FINE;
    }
    if (cli->dir == NULL)
        cli->dir = getenv("JOBTAB_TABLE");
    if (cli->dir == NULL || *cli->dir == '\0')
        cli->dir = "var/table";
    error = jobtab_open(cli->dir, &options, &cli->table);
    if (error == JOBTAB_DAMAGED && command == &commands[VERIFY])
        return EXIT_FINE; /* that is what it is to say */
    if (error != JOBTAB_OK)
        return open_failed(cli, error);
    cli->backend = backend_table(cli->table);
    return EXIT_FINE;
}

/* Its library leaves out what it gets no memory for, and goes on. */
static void *json_memory(size_t size)
{
    return need(malloc(size));
}

int main(int argc, char **argv)
{
    struct cli cli = {.limit = DEFAULT_LIMIT};
    const struct command *command = NULL;
    int code;

    signal(SIGXFSZ, SIG_IGN); /* a file over its limit is an error, with words */
    json_set_alloc_funcs(json_memory, free);
    setlocale(LC_CTYPE, "");
    show_init(&cli.out, stdout);
    show_init(&cli.err, stderr);
    if (!cli.out.utf8)
        setlocale(LC_CTYPE, "C.UTF-8"); /* for wcwidth: jobs' text is UTF-8 in any locale */

    code = options_parse(&cli, argc, argv, &command);
    if (code == EXIT_FINE && command->where != NOWHERE)
        code = open_backend(&cli, command);
    if (code == EXIT_FINE)
        code = command->run(&cli);
    if (cli.backend != NULL)
        cli.backend->verbs->close(cli.backend);
    mapping_free(&cli.mapping);
    if (fflush(stdout) != 0 || ferror(stdout))
        code = cli_complain(EXIT_REFUSED, "the output cannot be written: %s", strerror(errno));
    return code == OPTIONS_DONE ? EXIT_FINE : code;
}
