/* backup.c - a hot copy: written under a name that nobody opens, synced, then named. */
#include "error.h"
#include "sync.h"
#include "table.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int jobtab_backup(struct jobtab *table, const char *dir)
{
    char part[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
    int rc = table_enter(table);

    if (rc)
        return rc;
    if ((size_t)snprintf(part, sizeof part, "%s/part-%d", dir, (int)getpid()) >= sizeof part ||
        (size_t)snprintf(from, sizeof from, "%s/%s", part, store_file) >= sizeof from ||
        (size_t)snprintf(to, sizeof to, "%s/%s", dir, store_file) >= sizeof to)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot make directory %s", dir);
    if (access(to, F_OK) == 0)
        return fail(JOBTAB_INVALID, "directory: %s holds a table already", dir);
    if (mkdir(part, 0700) < 0)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot make directory %s", part);
    rc = store_copy(table->store, part);
    if (!rc && link(from, to) < 0) /* as rename, but never over a table made meanwhile */
        rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot name %s", to);
    unlink(from);
    rmdir(part);
    if (!rc)
        rc = sync_path(dir); /* the new name, too, and the directory's own */
    return rc ? rc : sync_parent(dir);
}
