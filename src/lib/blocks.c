/* blocks.c - see blocks.h. */
#include "blocks.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int blocks_take(int fd, uint64_t from, uint64_t to)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && to > limit.rlim_cur)
        return EFBIG; /* which counts at the write */
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) == 0)
        return 0;
    return errno == EOPNOTSUPP ? 0 : errno;
}

int blocks_fill(const char *path, uint64_t size)
{
    struct stat file;
    bool made = false;

    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        made = true;
    }
    if (fd < 0)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", path);
    int err = fstat(fd, &file) < 0 ? errno : 0;
    if (!err && (uint64_t)file.st_size > size)
        size = (uint64_t)file.st_size;
    if (!err)
        err = blocks_take(fd, 0, size);
    if (err && made)
        unlink(path);
    close(fd);
    return err ? fail_errno(JOBTAB_SYSTEM, err, "cannot make room for %s", path) : JOBTAB_OK;
}
