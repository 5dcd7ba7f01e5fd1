/* sync.c - see sync.h. */
#include "sync.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    /* EINVAL: a file system that has no such thing for folders. */
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL)) {
        int rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot sync %s", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    close(fd);
    return JOBTAB_OK;
}
