/* pidfile.c - the pid file, locked by fcntl: such a lock is not inherited across a fork, ends with
 * its process, and F_GETLK names who holds it. */
#include "config.h"

#include "pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Held open as long as the master lives: closing any descriptor of the file drops the lock. */
static int held = -1;

static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

int pidfile_make_parents(const char *path)
{
    char *copy = strdup(path);
    int error = copy ? 0 : ENOMEM;

    for (char *slash = copy; !error && (slash = strchr(slash + 1, '/')); *slash = '/') {
        *slash = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST) {
            error = errno;
        }
    }
    free(copy);
    errno = error;
    return error ? -1 : 0;
}

static bool is_at(int fd, const char *path)
{
    struct stat here, there;

    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

int pidfile_take(const char *path, char *why, size_t size)
{
    char text[16];
    struct flock lock;
    int fd;

    if (pidfile_make_parents(path) != 0) {
        snprintf(why, size, "cannot make the directory of %s: %s", path, strerror(errno));
        return -1;
    }
    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0) {
            snprintf(why, size, "cannot open %s: %s", path, strerror(errno));
            return -1;
        }
        lock = whole_file;
        if (fcntl(fd, F_SETLK, &lock) != 0) {
            pid_t holder = pidfile_holder(path);
            snprintf(why, size, "jobtabd runs already: process %d holds %s", (int)holder, path);
            close(fd);
            return -1;
        }
        if (is_at(fd, path)) {
            break;
        }
        close(fd); /* an ending master removed it between our open and our lock */
    }
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)length) != length) {
        snprintf(why, size, "cannot write %s: %s", path, strerror(errno));
        close(fd);
        return -1;
    }
    held = fd;
    return 0;
}

static int run_path(const char *path, char *text, size_t size)
{
    if ((size_t)snprintf(text, size, "%s.run", path) >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

void pidfile_drop(const char *path)
{
    char run[4096];

    if (run_path(path, run, sizeof run) == 0) {
        unlink(run);
    }
    unlink(path);
    close(held);
    held = -1;
}

pid_t pidfile_holder(const char *path)
{
    struct flock lock = whole_file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    int failed = fcntl(fd, F_GETLK, &lock);
    int error = errno;
    close(fd);
    errno = error;
    if (failed) {
        return -1;
    }
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

int pidfile_run_id(const char *path, char last[RUN_ID_TEXT], char now[RUN_ID_TEXT])
{
    unsigned char bytes[(RUN_ID_TEXT - 1) / 2];
    char run[4096];

    if (run_path(path, run, sizeof run) != 0 ||
        getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return -1;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(now + 2 * i, 3, "%02x", bytes[i]);
    }
    int fd = open(run, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -1;
    }
    memset(last, 0, RUN_ID_TEXT);
    /* Only a whole id counts: half of one could be anybody's. */
    if (read(fd, last, RUN_ID_TEXT - 1) != RUN_ID_TEXT - 1 ||
        strspn(last, "0123456789abcdef") != RUN_ID_TEXT - 1) {
        last[0] = '\0';
    }
    bool written = pwrite(fd, now, RUN_ID_TEXT - 1, 0) == RUN_ID_TEXT - 1;
    int error = errno;
    close(fd);
    errno = error;
    return written ? 0 : -1;
}
