/* role_table.h - how a role opens the table on a disk that may be full, or fail, for now. */
#ifndef ROLE_TABLE_H
#define ROLE_TABLE_H

#include <stdbool.h>

#include "role.h"

struct jobtab;

#define ROLE_TABLE_EVERY 1000 /* ms between two attempts */

/* One attempt. A table that this daemon has had is not made anew: it may be on a disk that is away,
 * or other roles may have it open. */
int role_table_try(const struct role *role, struct jobtab **table);

/* Whether to try again after this error: what only an operator can change is none to wait for, but
 * that the table is back where it was, and in a crew on trial there are others who serve. */
bool role_table_may_come(const struct role *role, int error);

/* Open the table, however long it takes, for a role that can do nothing without. JOBTAB_OK, or the
 * last error, which the log has been told: then leave, also when it was asked to stop meanwhile. */
int role_table_open(struct role *role, struct jobtab **table);

#endif
