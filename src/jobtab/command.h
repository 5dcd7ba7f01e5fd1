/* command.h - the table of commands. */
#ifndef COMMAND_H
#define COMMAND_H

#include "cli.h"

enum command_where {
    NOWHERE,  /* needs no jobs */
    ANYWHERE, /* a table or a URL */
    TABLE,    /* only a table */
};

enum {
    SUBMIT,
    STATUS,
    WATCH,
    LIST,
    RESULT,
    LOG,
    CANCEL,
    RETRY,
    RM,
    STAT,
    VERIFY,
    BACKUP,
    EXPORT,
    IMPORT,
    REPORT,
    HELP,
    COMMANDS,
};

struct command {
    const char *name, *args;
    size_t least, most; /* arguments */
    enum command_where where;
    bool makes; /* the table, where there is none */
    int (*run)(struct cli *cli);
    const char *help;
};
extern const struct command commands[COMMANDS];

/* NULL when there is none of that name. */
const struct command *command_find(const char *name);

#endif
