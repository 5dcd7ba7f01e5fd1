/* locks.c - who has the locks that nobody is told of. See locks.h.
 *
 * LMDB's are two robust mutexes in its lock file, and each has its holder's number in its word,
 * since the kernel looks for it there. The file is read through the descriptor that LMDB has of it:
 * to open it once more, and close that, would end all locks that this process has on it. The open
 * lock is an flock, which the kernel lists.
 *
 * Where things lie in the lock file is LMDB's own affair: tests/unit/test_holders notices when that
 * changes.
 */
#include "locks.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum lock_word { WORD_READERS = 8, WORD_WRITER = 64 }; /* offsets in the file */

/* False when `dir` has no such file. */
static bool stat_in(const char *dir, const char *name, struct stat *file)
{
    char path[PATH_MAX];

    return (size_t)snprintf(path, sizeof path, "%s/%s", dir, name) < sizeof path &&
           stat(path, file) == 0;
}

/* A descriptor of this process that is of the file, -1 if there is none. */
static int find_descriptor(const struct stat *file)
{
    DIR *own = opendir("/proc/self/fd");
    struct dirent *entry;
    struct stat other;
    int found = -1;

    while (own && found < 0 && (entry = readdir(own)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && fd != dirfd(own) && fstat(fd, &other) == 0 &&
            other.st_ino == file->st_ino && other.st_dev == file->st_dev)
            found = fd;
    }
    if (own)
        closedir(own);
    return found;
}

static int32_t read_word(int fd, enum lock_word offset)
{
    uint32_t word;

    return pread(fd, &word, sizeof word, offset) == (ssize_t)sizeof word
               ? (int32_t)(word & FUTEX_TID_MASK)
               : 0;
}

/* The list of all locks costs every process of the machine that has any: it is asked for only when
 * somebody has this one. Who wants to open meanwhile and meets our look tries again after a
 * moment. */
static bool is_held(const char *dir)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/open.lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool held = fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0;
    if (fd >= 0)
        close(fd);
    return held;
}

/* "1: FLOCK  ADVISORY  WRITE 123 fe:01:4711 0 EOF"; one that waits has "->" before the sort. */
static int32_t flock_holder(const struct stat *file)
{
    FILE *list = fopen("/proc/locks", "re");
    char line[256];
    int32_t holder = 0;

    while (list && !holder && fgets(line, sizeof line, list)) {
        unsigned major, minor;
        uint64_t inode;
        int32_t pid;
        if (sscanf(line, "%*[^:]: FLOCK ADVISORY WRITE %" SCNd32 " %x:%x:%" SCNu64, &pid, &major,
                   &minor, &inode) == 4 &&
            inode == file->st_ino && makedev(major, minor) == file->st_dev)
            holder = pid;
    }
    if (list)
        fclose(list);
    return holder;
}

struct locks locks_look(const char *dir)
{
    struct locks locks = {.writer = 0};
    struct stat file;

    int fd = stat_in(dir, "lock.mdb", &file) ? find_descriptor(&file) : -1;
    if (fd >= 0) {
        locks.writer = read_word(fd, WORD_WRITER);
        locks.readers = read_word(fd, WORD_READERS);
    }
    if (stat_in(dir, "open.lock", &file) && is_held(dir))
        locks.opener = flock_holder(&file);
    return locks;
}
