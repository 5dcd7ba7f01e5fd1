/* cli.h - what the command line asked for, and the commands. */
#ifndef CLI_H
#define CLI_H

#include "backend.h"
#include "mapping.h"
#include "show.h"

struct cli {
    const char *dir, *url; /* url NULL: the table in dir */
    bool json;             /* -o json */
    bool follow;           /* -w, -f */
    bool help, version;
    struct jobtab_submit submit;
    const char *params; /* -p as it was given */
    struct jobtab_filter filter;
    size_t limit;
    const char *sqlite, *sqlite_table, *redis, *pattern; /* of export and import */
    struct mapping mapping;
    bool dry_run, logs;
    char **args; /* what follows the command's name */
    size_t n_args;
    struct jobtab *table;    /* NULL over a URL */
    struct backend *backend; /* NULL for a command that needs no jobs */
    struct show out, err;
};

/* A line on standard error, made harmless: "jobtab: ...". Returns `code`. */
int cli_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with what the backend says went wrong. */
int cli_failed(const struct cli *cli, int code);
/* For calls on cli->table. */
int cli_table_failed(int error);

/* The commands. Each returns the program's exit code. */
int submit_command(struct cli *cli);
int status_command(struct cli *cli);
int watch_command(struct cli *cli);
int list_command(struct cli *cli);
int result_command(struct cli *cli);
int log_command(struct cli *cli);
int cancel_command(struct cli *cli);
int retry_command(struct cli *cli);
int rm_command(struct cli *cli);
int stat_command(struct cli *cli);
int verify_command(struct cli *cli);
int backup_command(struct cli *cli);
int export_command(struct cli *cli);
int import_command(struct cli *cli);
int report_command(struct cli *cli);
int help_command(struct cli *cli);

#endif
