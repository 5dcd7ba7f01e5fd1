/* blocks.c - blocks that a file is given before it is written to. See power.h.
 *
 * Memory has room. To make sure of that again for each image, page by page, takes a sixth of the
 * time of all; it changes nothing of what is in a file. These functions stand before libc's of the
 * same name, as the recorder's do.
 */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool there; /* taken for granted */

void blocks_assume(bool assume)
{
    there = assume;
}

int fallocate(int fd, int mode, off_t at, off_t size)
{
    if (there && mode == FALLOC_FL_KEEP_SIZE)
        return 0;
    return (int)syscall(SYS_fallocate, fd, mode, at, size);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    struct stat file;

    if (there && fstat(fd, &file) == 0 && file.st_size >= at + size)
        return 0;
    return syscall(SYS_fallocate, fd, 0, at, size) == 0 ? 0 : errno;
}
