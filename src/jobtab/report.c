/* report.c - jobtab report: progress from a job child written in shell.
 *
 * The runner reads lines `progress N message` from the descriptor that JOBTAB_REPORT_FD names.
 */
#include "cli.h"
#include "number.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The text on one line and without the control characters that a runner refuses. To be freed. */
static char *plain(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
    return show_escaped(text, strlen(text), false);
}

int report_command(struct cli *cli)
{
    const char *name = getenv("JOBTAB_REPORT_FD");
    char line[32 + JOBTAB_MESSAGE_MAX + 1];
    int64_t percent, fd;
    size_t size;

    if (!number_parse(cli->args[0], 0, 100, &percent))
        return cli_complain(EXIT_USAGE, "report: PERCENT is a whole number from 0 to 100, not '%s'",
                            cli->args[0]);
    if (name == NULL)
        return cli_complain(EXIT_REFUSED, "report: this is no job: JOBTAB_REPORT_FD is not set");
    if (!number_parse(name, 0, INT_MAX, &fd))
        return cli_complain(EXIT_REFUSED, "report: JOBTAB_REPORT_FD: '%s' is no descriptor", name);

    size = (size_t)snprintf(line, sizeof line - 1, "progress %d", (int)percent);
    if (cli->n_args > 1) {
        char *message = plain(cli->args[1]);
        snprintf(line + size, sizeof line - 1 - size, " %s", message);
        free(message);
    }
    size = show_whole(line, strlen(line));
    line[size++] = '\n';

    signal(SIGPIPE, SIG_IGN);
    if (write((int)fd, line, size) != (ssize_t)size) /* short of PIPE_BUF: all or nothing */
        return cli_complain(EXIT_UNREACHABLE, "report: descriptor %d: %s", (int)fd,
                            strerror(errno));
    return EXIT_FINE;
}
