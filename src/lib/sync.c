/* sync.c - see sync.h. */
#include "sync.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int sync_open(int fd, const char *path)
{
    int rc = JOBTAB_OK;

    /* EINVAL: a file system that has no such thing for folders. */
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
        rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot sync %s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

int sync_path(const char *path)
{
    return sync_open(open(path, O_RDONLY | O_CLOEXEC), path);
}

int sync_parent(const char *dir)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/..", dir) >= sizeof path)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 && errno == EACCES ? JOBTAB_OK : sync_open(fd, path);
}
