/* shared.c - mapping the shared file. See shared.h. */
#include "shared.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARED_MAGIC UINT32_C(0x4a544235) /* JTB5: the layout in shared.h, bell.h and queue.h */

static int map(const char *path, int fd, struct stat *file, struct shared **result)
{
    if (fstat(fd, file) < 0)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot look at %s", path);
    /* The blocks are taken now: a full disk shows here, not as SIGBUS at a store. */
    int err = posix_fallocate(fd, 0, (off_t)sizeof **result);
    if (err)
        return fail_errno(JOBTAB_SYSTEM, err, "cannot make room for %s", path);
    void *at = mmap(NULL, sizeof **result, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot map %s", path);
    *result = at;
    return JOBTAB_OK;
}

static bool is_ours(const struct shared *shared, const struct boot *boot, const struct stat *file)
{
    return shared->magic == SHARED_MAGIC && boot_same(&shared->boot, boot) &&
           shared->device == file->st_dev && shared->inode == file->st_ino;
}

static void make(struct shared *shared, const struct boot *boot, const struct stat *file)
{
    struct doubt *doubt = &shared->doubt;

    /* The rooms stay as they are: each is filled before anybody looks at it. */
    memset(shared, 0, offsetof(struct shared, queue.small));
    /* A doubt outlives those who had it, and is looked into anew: the table may have been repaired,
     * or replaced by a backup. */
    doubt->refused_at = 0;
    if (atomic_load(&doubt->state) != DOUBT_NONE)
        atomic_store(&doubt->state, DOUBT_OPEN);
    queue_make(&shared->queue);
    shared->boot = *boot;
    shared->device = file->st_dev;
    shared->inode = file->st_ino;
    shared->magic = SHARED_MAGIC;
}

/* Whoever is alone makes it from nothing, whatever is there: it may be of any moment, if the file
 * system was cut off and came back without a boot. Under others it stays as it is: they and this
 * one would spoil each other's words if it had another layout. */
static int prepare(const char *path, int fd, struct shared *shared, const struct stat *file)
{
    struct boot boot = clock_boot_id();

    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        make(shared, &boot, file);
    else if (errno != EWOULDBLOCK)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot lock %s", path);
    else if (!is_ours(shared, &boot, file))
        return fail(JOBTAB_SCHEMA, "%s is in use by another version of this library", path);
    return flock(fd, LOCK_SH) == 0 ? JOBTAB_OK
                                   : fail_errno(JOBTAB_SYSTEM, errno, "cannot lock %s", path);
}

int shared_open(const char *dir, struct shared **result, int *use)
{
    struct shared *shared = NULL;
    struct stat file;
    char path[4096];

    if ((size_t)snprintf(path, sizeof path, "%s/shared", dir) >= sizeof path)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", path);
    int rc = map(path, fd, &file, &shared);
    if (!rc)
        rc = prepare(path, fd, shared, &file);
    if (rc) {
        shared_close(shared, fd);
        return rc;
    }
    *result = shared;
    *use = fd;
    return JOBTAB_OK;
}

void shared_close(struct shared *shared, int use)
{
    if (shared)
        munmap(shared, sizeof *shared);
    if (use >= 0)
        close(use);
}
