/* main.c - jobtab, the command line: a table of commands, a table of options, and what happens
 * around a command. */
#include "config.h"

#include "cli.h"
#include "number.h"
#include "units.h"

#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_LIMIT = 20 };

/* ------------------------------------------------------------------- commands */

enum where {
    NOWHERE,  /* needs no jobs */
    ANYWHERE, /* a table or a URL */
    TABLE,    /* only a table */
};

static int help_command(struct cli *cli);

enum {
    SUBMIT, STATUS, WATCH, LIST, RESULT, LOG, CANCEL, RETRY, RM, STAT, VERIFY, BACKUP, EXPORT, REPORT,
    HELP, COMMANDS,
};

static const struct command {
    const char *name, *args;
    size_t least, most; /* arguments */
    enum where where;
    bool makes; /* the table, where there is none */
    int (*run)(struct cli *cli);
    const char *help;
} commands[COMMANDS] = {
    [SUBMIT] = {"submit", "[KIND]", 0, 1, ANYWHERE, true, submit_command,
                "add a job and print its id"},
    [STATUS] = {"status", "ID...", 1, SIZE_MAX, ANYWHERE, false, status_command,
                "show all of a job"},
    [WATCH] = {"watch", "ID", 1, 1, ANYWHERE, false, watch_command, "follow a job to its end"},
    [LIST] = {"list", "", 0, 0, ANYWHERE, false, list_command, "list jobs, newest first"},
    [RESULT] = {"result", "ID", 1, 1, ANYWHERE, false, result_command, "print a job's result"},
    [LOG] = {"log", "ID", 1, 1, ANYWHERE, false, log_command, "print a job's log"},
    [CANCEL] = {"cancel", "ID...", 1, SIZE_MAX, ANYWHERE, false, cancel_command, "cancel jobs"},
    [RETRY] = {"retry", "ID...", 1, SIZE_MAX, ANYWHERE, false, retry_command,
               "start failed or cancelled jobs over"},
    [RM] = {"rm", "ID...", 1, SIZE_MAX, ANYWHERE, false, rm_command,
            "remove jobs that are not running"},
    [STAT] = {"stat", "", 0, 0, TABLE, false, stat_command, "show the table at a glance"},
    [VERIFY] = {"verify", "", 0, 0, TABLE, false, verify_command,
                "check every record against the others"},
    [BACKUP] = {"backup", "DIR", 1, 1, TABLE, false, backup_command,
                "copy the table while it is in use"},
    [EXPORT] = {"export", "", 0, 0, TABLE, false, export_command,
                "print every job as a line of JSON"},
    [REPORT] = {"report", "PERCENT [MESSAGE]", 1, 2, NOWHERE, false, report_command,
                "report progress, from inside a job"},
    [HELP] = {"help", "[COMMAND]", 0, 1, NOWHERE, false, help_command, "explain a command"},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* -------------------------------------------------------------------- options */

enum { PRIORITY = 256, DELAY, KEY, MAX_ATTEMPTS };

#define OF(command) (1u << (command))
#define OF_ALL (~0u)

/* An option may stand before the command or behind it. */
static const struct option_row {
    int letter; /* above 255: it has none */
    const char *name, *arg;
    unsigned commands;
    const char *help;
} option_rows[] = {
    {'d', "table", "DIR", OF_ALL, "the table's directory ($JOBTAB_TABLE, else var/table)"},
    {'u', "url", "URL", OF_ALL, "a daemon: http://, https:// or unix:/path ($JOBTAB_URL)"},
    {'o', "output", "text|json", OF_ALL, "for people (the default) or for programs"},
    {'p', "params", "JSON|@FILE|-", OF(SUBMIT), "the job's parameters; - is standard input"},
    {'w', "wait", NULL, OF(SUBMIT), "follow the job to its end"},
    {PRIORITY, "priority", "N", OF(SUBMIT), "-100 to 100; higher goes first"},
    {DELAY, "delay", "TIME", OF(SUBMIT), "begin so much later: 90s, 10m, 24h"},
    {KEY, "key", "KEY", OF(SUBMIT), "the same key again is the same job, not a second one"},
    {MAX_ATTEMPTS, "max-attempts", "N", OF(SUBMIT), "instead of what the kind has"},
    {'s', "state", "STATE[,STATE]", OF(LIST), "only jobs in these states"},
    {'k', "kind", "KIND", OF(LIST), "only jobs of this kind"},
    {'n', "limit", "N", OF(LIST), "at most so many (20); 0 is all"},
    {'f', "follow", NULL, OF(LOG), "go on as the log grows, until the job is done"},
    {'h', "help", NULL, OF_ALL, "explain"},
    {'V', "version", NULL, OF_ALL, "say which version this is"},
};
enum { OPTIONS = sizeof option_rows / sizeof option_rows[0] };

static bool parse_states(const char *text, uint32_t *states)
{
    char name[16];
    enum jobtab_state state;

    for (;;) {
        size_t n = strcspn(text, ",");

        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), text);
        if (jobtab_state_parse(name, &state) != JOBTAB_OK)
            return false;
        *states |= JOBTAB_STATE_BIT(state);
        if (text[n] == '\0')
            return true;
        text += n + 1;
    }
}

/* Take one option's value. False when it is none that the option can have. */
static bool take_option(struct cli *cli, int letter, const char *value)
{
    int64_t number = 0;

    switch (letter) {
    case 'd':
        cli->dir = value;
        return *value != '\0';
    case 'u':
        cli->url = value;
        return *value != '\0';
    case 'o':
        cli->json = strcmp(value, "json") == 0;
        return cli->json || strcmp(value, "text") == 0;
    case 'p':
        cli->params = value;
        return true;
    case 'w':
    case 'f':
        return cli->follow = true;
    case 's':
        return parse_states(value, &cli->filter.states);
    case 'k':
        cli->filter.kind = value;
        return *value != '\0';
    case 'n':
        if (!number_parse(value, 0, INT_MAX, &number))
            return false;
        cli->limit = (size_t)number;
        return true;
    case PRIORITY:
        if (!number_parse(value, -JOBTAB_PRIORITY_MAX, JOBTAB_PRIORITY_MAX, &number))
            return false;
        cli->submit.priority = (int32_t)number;
        return true;
    case DELAY:
        return units_duration(value, &cli->submit.delay) == 0;
    case KEY:
        cli->submit.key = value;
        return *value != '\0' && strlen(value) <= JOBTAB_KEY_MAX;
    case MAX_ATTEMPTS:
        if (!number_parse(value, 1, 1000, &number))
            return false;
        cli->submit.max_attempts = (uint32_t)number;
        return true;
    default:
        return false;
    }
}

/* ----------------------------------------------------------------------- help */

/* The options of some commands: their own, or those that all have. False when there are none. */
static bool print_options(FILE *out, unsigned of, bool shared)
{
    bool any = false;

    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        char name[64];
        int n = 0;

        if ((row->commands == OF_ALL) != shared || (row->commands & of) == 0)
            continue;
        if (row->letter < 256)
            n = snprintf(name, sizeof name, "-%c, ", row->letter);
        snprintf(name + n, sizeof name - (size_t)n, "--%s%s%s", row->name,
                 row->arg != NULL ? " " : "", row->arg != NULL ? row->arg : "");
        fprintf(out, "  %-28s %s\n", name, row->help);
        any = true;
    }
    return any;
}

static void print_help(FILE *out, const struct command *command)
{
    if (command != NULL) {
        fprintf(out, "usage: jobtab %s%s %s%s\n%s.\n\n", command->where == NOWHERE ? "" : "[OPTION...] ",
                command->name, command->args,
                command->where == TABLE ? "(table only)" : "", command->help);
        if (print_options(out, OF(command - commands), false))
            fputc('\n', out);
    } else {
        fputs("usage: jobtab [-d DIR | -u URL] [-o text|json] COMMAND\n\n", out);
        for (size_t i = 0; i < COMMANDS; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s %s", commands[i].name, commands[i].args);
            fprintf(out, "  %-28s %s\n", name, commands[i].help);
        }
        fputc('\n', out);
    }
    print_options(out, OF_ALL, true);
    fputs("\nExit: 0 fine, 1 the job failed, is not there or does not allow it, 2 usage,\n"
          "3 the table cannot be opened or the daemon not be reached.\n",
          out);
}

static int help_command(struct cli *cli)
{
    const struct command *command = NULL;

    if (cli->n_args > 0) {
        command = find_command(cli->args[0]);
        if (command == NULL)
            return cli_complain(EXIT_USAGE, "there is no command '%s'", cli->args[0]);
    }
    print_help(stdout, command);
    return EXIT_FINE;
}

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

static int usage(const struct command *command)
{
    return cli_complain(EXIT_USAGE, "usage: jobtab %s %s; `jobtab help%s%s` says more",
                        command != NULL ? command->name : "[-d DIR | -u URL] [-o text|json]",
                        command != NULL ? command->args : "COMMAND", command != NULL ? " " : "",
                        command != NULL ? command->name : "");
}

/* ------------------------------------------------------------- around a command */

/* The command line into cli and *command. Returns EXIT_FINE to go on; -1 when all was said. */
static int parse(struct cli *cli, int argc, char **argv, const struct command **command)
{
    char letters[2 * OPTIONS + 2] = ":", *letter = letters + 1;
    struct option longs[OPTIONS + 1] = {0};
    unsigned of = OF_ALL;
    const char *stray = NULL;
    bool help = false;
    int found, at;

    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];

        longs[i] = (struct option){row->name, row->arg != NULL, NULL, row->letter};
        if (row->letter < 256) {
            *letter++ = (char)row->letter;
            if (row->arg != NULL)
                *letter++ = ':';
        }
    }
    while ((found = getopt_long(argc, argv, letters, longs, &at)) != -1) {
        const struct option_row *row = option_rows;

        if (found == '?')
            return cli_complain(EXIT_USAGE, "there is no option '%s'; see `jobtab help`",
                                argv[optind - 1]);
        if (found == ':')
            return cli_complain(EXIT_USAGE, "option '%s' needs a value", argv[optind - 1]);
        while (row->letter != found)
            row++;
        if (found == 'V') {
            puts(PACKAGE_NAME " " PACKAGE_VERSION);
            return -1;
        }
        if (found == 'h')
            help = true;
        else if (!take_option(cli, found, optarg))
            return cli_complain(EXIT_USAGE, "--%s: '%s' is not %s", row->name, optarg, row->arg);
        if ((row->commands & of) != of)
            stray = row->name;
        of &= row->commands;
    }
    argv += optind;
    *command = argv[0] != NULL ? find_command(argv[0]) : NULL;
    if (argv[0] != NULL && *command == NULL)
        return cli_complain(EXIT_USAGE, "there is no command '%s'; see `jobtab help`", argv[0]);
    if (help) {
        print_help(stdout, *command);
        return -1;
    }
    if (*command == NULL)
        return usage(NULL);
    if ((of & OF(*command - commands)) == 0)
        return cli_complain(EXIT_USAGE, "%s takes no --%s", (*command)->name, stray);
    cli->args = argv + 1;
    cli->n_args = (size_t)(argc - optind - 1);
    if (cli->n_args < (*command)->least || cli->n_args > (*command)->most)
        return usage(*command);
    return EXIT_FINE;
}

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
    struct jobtab_options options = {.must_exist = !command->makes};
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
    if (error != JOBTAB_OK)
        return open_failed(cli, error);
    cli->backend = backend_table(cli->table);
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    struct cli cli = {.limit = DEFAULT_LIMIT};
    const struct command *command = NULL;
    int code;

    setlocale(LC_CTYPE, "");
    show_init(&cli.out, stdout);
    show_init(&cli.err, stderr);
    if (!cli.out.utf8)
        setlocale(LC_CTYPE, "C.UTF-8"); /* for wcwidth: jobs' text is UTF-8 in any locale */

    code = parse(&cli, argc, argv, &command);
    if (code == EXIT_FINE && command->where != NOWHERE)
        code = open_backend(&cli, command);
    if (code == EXIT_FINE)
        code = command->run(&cli);
    if (cli.backend != NULL)
        cli.backend->verbs->close(cli.backend);
    if (fflush(stdout) != 0 || ferror(stdout))
        code = cli_complain(EXIT_REFUSED, "the output cannot be written: %s", strerror(errno));
    return code < 0 ? EXIT_FINE : code;
}
