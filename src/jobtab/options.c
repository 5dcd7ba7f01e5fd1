/* options.c - the command line's options, and the help that comes from their table. */
#include "config.h"

#include "number.h"
#include "options.h"
#include "units.h"

#include <getopt.h>
#include <string.h>

enum {
    PRIORITY = 256,
    DELAY,
    KEY,
    MAX_ATTEMPTS,
    SQLITE,
    SQLITE_TABLE,
    REDIS,
    PATTERN,
    MAP,
    DRY_RUN,
    LOGS,
};

#define OF(command) (1u << (command))
#define OF_ALL      (~0u)

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
    {'s', "state", "STATE[,STATE]", OF(LIST),
     "only jobs that are scheduled, pending, running,\n"
     "                               cancelling, completed, failed or cancelled"},
    {'k', "kind", "KIND", OF(LIST) | OF(IMPORT),
     "only jobs of this kind; import: the kind of jobs\n"
     "                               that name none"},
    {'n', "limit", "N", OF(LIST), "at most so many (20); 0 is all"},
    {'f', "follow", NULL, OF(LOG), "go on as the log grows, until the job is done"},
    {SQLITE, "sqlite", "FILE", OF(EXPORT) | OF(IMPORT), "an SQLite file instead of JSON lines"},
    {SQLITE_TABLE, "sqlite-table", "NAME", OF(IMPORT), "the table in it that has the jobs (jobs)"},
    {REDIS, "redis", "URL", OF(IMPORT), "a Redis: redis://host:port/db or unix:/path"},
    {PATTERN, "pattern", "GLOB", OF(IMPORT), "the keys in it that are jobs (job:*)"},
    {MAP, "map", "FIELD=NAME,...", OF(IMPORT),
     "what our field is called there; FIELD:VALUE=OURS\n"
     "                               translates a value, as status:queued=pending"},
    {DRY_RUN, "dry-run", NULL, OF(IMPORT), "check and report all, write nothing"},
    {LOGS, "logs", NULL, OF(EXPORT), "the jobs' logs, too"},
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
    case SQLITE:
        cli->sqlite = value;
        return *value != '\0';
    case SQLITE_TABLE:
        cli->sqlite_table = value;
        return *value != '\0';
    case REDIS:
        cli->redis = value;
        return *value != '\0';
    case PATTERN:
        cli->pattern = value;
        return *value != '\0';
    case MAP:
        return mapping_add(&cli->mapping, value);
    case DRY_RUN:
        return cli->dry_run = true;
    case LOGS:
        return cli->logs = true;
    case 'h':
        return cli->help = true;
    case 'V':
        return cli->version = true;
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
        fprintf(out, "usage: jobtab [OPTION...] %s%s%s\n%s%s.\n\n", command->name,
                *command->args != '\0' ? " " : "", command->args, command->help,
                command->where == TABLE ? " (table only)" : "");
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

int help_command(struct cli *cli)
{
    const struct command *command = NULL;

    if (cli->n_args > 0) {
        command = command_find(cli->args[0]);
        if (command == NULL)
            return cli_complain(EXIT_USAGE, "there is no command '%s'", cli->args[0]);
    }
    print_help(stdout, command);
    return EXIT_FINE;
}

/* --------------------------------------------------------------------- parsing */

static int usage(const struct command *command)
{
    return cli_complain(EXIT_USAGE, "usage: jobtab %s %s; `jobtab help%s%s` says more",
                        command != NULL ? command->name : "[-d DIR | -u URL] [-o text|json]",
                        command != NULL ? command->args : "COMMAND", command != NULL ? " " : "",
                        command != NULL ? command->name : "");
}

/* What getopt stumbled over: "-x", or the word as it stands. */
static int refuse_option(int found, char **argv)
{
    char letter[] = {'-', (char)optopt, '\0'};
    const char *name = optopt > 0 && optopt < 256 ? letter : argv[optind - 1];
    bool known = false;

    for (size_t i = 0; i < OPTIONS; i++)
        known = known || option_rows[i].letter == optopt;
    if (!known)
        return cli_complain(EXIT_USAGE, "there is no option '%s'; see `jobtab help`", name);
    return cli_complain(EXIT_USAGE, "option '%s' %s", name,
                        found == ':' ? "needs a value" : "takes no value");
}

/* Each option's bit goes into *seen. */
static int take_options(struct cli *cli, int argc, char **argv, unsigned *seen)
{
    char letters[2 * OPTIONS + 2] = ":", *letter = letters + 1;
    struct option longs[OPTIONS + 1] = {0};
    int found, at;

    for (at = 0; at < OPTIONS; at++) {
        const struct option_row *row = &option_rows[at];

        longs[at] = (struct option){row->name, row->arg != NULL, NULL, row->letter};
        if (row->letter < 256) {
            *letter++ = (char)row->letter;
            if (row->arg != NULL)
                *letter++ = ':';
        }
    }
    while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (found == '?' || found == ':')
            return refuse_option(found, argv);
        for (at = 0; option_rows[at].letter != found; at++)
            continue;
        *seen |= 1u << at;
        if (!take_option(cli, found, optarg))
            return cli_complain(EXIT_USAGE, "--%s: '%s' is not %s", option_rows[at].name, optarg,
                                option_rows[at].arg);
    }
    return EXIT_FINE;
}

/* An option that was given and is not the command's: complain. */
static int check_options(const struct command *command, unsigned seen)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if ((seen & 1u << i) != 0 && (option_rows[i].commands & OF(command - commands)) == 0)
            return cli_complain(EXIT_USAGE, "%s takes no --%s", command->name, option_rows[i].name);
    return EXIT_FINE;
}

int options_parse(struct cli *cli, int argc, char **argv, const struct command **command)
{
    unsigned seen = 0;
    int code = take_options(cli, argc, argv, &seen);

    if (code != EXIT_FINE)
        return code;
    if (cli->version) {
        puts(PACKAGE_NAME " " PACKAGE_VERSION);
        return OPTIONS_DONE;
    }
    argv += optind;
    *command = argv[0] != NULL ? command_find(argv[0]) : NULL;
    if (argv[0] != NULL && *command == NULL)
        return cli_complain(EXIT_USAGE, "there is no command '%s'; see `jobtab help`", argv[0]);
    if (cli->help) {
        print_help(stdout, *command);
        return OPTIONS_DONE;
    }
    if (*command == NULL)
        return usage(NULL);
    cli->args = argv + 1;
    cli->n_args = (size_t)(argc - optind - 1);
    if (cli->n_args < (*command)->least || cli->n_args > (*command)->most)
        return usage(*command);
    return check_options(*command, seen);
}
