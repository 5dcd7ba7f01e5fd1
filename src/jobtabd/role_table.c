/* role_table.c - see role_table.h. */
#include "config.h"

#include "role_table.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "jobtab.h"
#include "log.h"

int role_table_try(const struct role *role, struct jobtab **table)
{
    return conf_open_table(role->conf, role->had_table, table);
}

bool role_table_may_come(const struct role *role, int error)
{
    return !role->trial && (error == JOBTAB_SYSTEM || error == JOBTAB_FULL ||
                            error == JOBTAB_DAMAGED || error == JOBTAB_BROKEN ||
                            (error == JOBTAB_NOTABLE && role->had_table));
}

int role_table_open(struct role *role, struct jobtab **table)
{
    struct pollfd fds[] = {{.fd = role->wake, .events = POLLIN},
                           {.fd = role->lifeline, .events = POLLIN}};
    char told[JOBTAB_WHY_MAX] = "";
    int error;

    while ((error = role_table_try(role, table)) != JOBTAB_OK) {
        if (strcmp(told, jobtab_why()) != 0) /* once, however long it lasts */
            log_error("table %s: %s", role->conf->table.dir, jobtab_why());
        snprintf(told, sizeof told, "%s", jobtab_why());
        if (!role_table_may_come(role, error))
            break;
        poll(fds, sizeof fds / sizeof *fds, ROLE_TABLE_EVERY);
        if (role_stopping(role) != ROLE_GO_ON)
            break;
    }
    return error;
}
