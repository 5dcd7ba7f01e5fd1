/* record.c - log what this process writes to the table's file.
 *
 * These functions stand before libc's of the same name: the program's own come first where a
 * library (LMDB) looks for them, so that nothing needs to be preloaded. They do what libc's do. A
 * sync takes some time here, as on a disk, also where the file is in memory: others come meanwhile.
 *
 * What is not known here (a writable map of the file, a shrinking one) ends the recording.
 */
#undef _FORTIFY_SOURCE /* its inline functions are those that are made here */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 256
#define SYNC_NS     150000 /* at most twice that */

static struct log *log; /* NULL: nothing is logged */
static char folder[256];
static enum blind blind;
static struct {
    bool table, durable;
} descriptors[DESCRIPTORS];

void log_fault(struct log *to, const char *format, ...)
{
    va_list arguments;

    if (atomic_exchange(&to->faulty, true))
        return;
    va_start(arguments, format);
    vsnprintf(to->words, sizeof to->words, format, arguments);
    va_end(arguments);
}

void record_begin(struct log *to, const char *dir, enum blind what)
{
    snprintf(folder, sizeof folder, "%s", dir);
    blind = what;
    log = to;
}

static void unknown(const char *what)
{
    log_fault(log, "the recorder does not know what to make of %s", what);
    _exit(1);
}

/* ------------------------------------------------------------------- the entries */

static struct io *begin(enum io_kind kind)
{
    uint32_t n = atomic_fetch_add(&log->n_io, 1);

    if (n >= IO_MAX)
        unknown("so long a log");
    struct io *io = &log->io[n];
    *io = (struct io){.kind = kind, .pid = getpid()};
    io->begun = log_instant(log);
    return io;
}

static void end(struct io *io)
{
    if (io)
        io->ended = log_instant(log);
}

static struct io *begin_write(int fd, const struct iovec *parts, int n, off_t at)
{
    size_t size = 0;

    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    uint64_t bytes = atomic_fetch_add(&log->n_bytes, size);
    if (bytes + size > BYTES_MAX || (uint64_t)at + size > FILE_MAX)
        unknown("so large a file");
    for (int i = 0; i < n; i++) {
        memcpy(log->bytes + bytes, parts[i].iov_base, parts[i].iov_len);
        bytes += parts[i].iov_len;
    }
    struct io *io = begin(IO_WRITE);
    io->durable = descriptors[fd].durable;
    io->at = (uint64_t)at;
    io->size = size;
    io->bytes = bytes - size;
    return io;
}

static bool of_table(int fd)
{
    return log && fd >= 0 && fd < DESCRIPTORS && descriptors[fd].table;
}

/* Not one of LMDB's lock files, which are written by way of a map and worth nothing after a
 * boot. */
static bool is_table(const char *path)
{
    size_t n = strlen(folder), length = strlen(path);

    return strncmp(path, folder, n) == 0 && strncmp(path + n, "/data.", 6) == 0 &&
           (length < 5 || strcmp(path + length - 5, "-lock") != 0);
}

static bool has_name(const char *path)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && strcmp(path + n, "/" TABLE_FILE) == 0;
}

static void take_time(void)
{
    long ns = SYNC_NS + (long)(log->clock * 7919 % SYNC_NS);

    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* -------------------------------------------------------------------- the writes */

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct io *io = NULL;

    if (of_table(fd) && blind != BLIND_PWRITE)
        io = begin_write(fd, &part, 1, at);
    ssize_t n = syscall(SYS_pwrite64, fd, bytes, size, at);
    if (io && n != (ssize_t)size)
        unknown("a write that came short");
    if (io && io->durable)
        take_time();
    end(io);
    return n;
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    struct io *io = NULL;

    if (of_table(fd) && blind != BLIND_WRITEV)
        io = begin_write(fd, parts, n, lseek(fd, 0, SEEK_CUR));
    ssize_t done = syscall(SYS_writev, fd, parts, n);
    if (io && done != (ssize_t)io->size)
        unknown("a write that came short");
    end(io);
    return done;
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    struct io *io = of_table(fd) ? begin_write(fd, parts, n, at) : NULL;
    ssize_t done = syscall(SYS_pwritev, fd, parts, n, (long)at, 0L);

    if (io && done != (ssize_t)io->size)
        unknown("a write that came short");
    end(io);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct io *io = of_table(fd) ? begin_write(fd, &part, 1, lseek(fd, 0, SEEK_CUR)) : NULL;
    ssize_t done = syscall(SYS_write, fd, bytes, size);

    if (io && done != (ssize_t)size)
        unknown("a write that came short");
    end(io);
    return done;
}

int ftruncate(int fd, off_t size)
{
    if (of_table(fd))
        unknown("a file that is cut");
    return (int)syscall(SYS_ftruncate, fd, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (of_table(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED))
        unknown("a map that is written to");
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset); /* NOLINT */
}

/* --------------------------------------------------------------------- the syncs */

static int sync_with(long call, int fd)
{
    static struct stat dir, parent;
    char path[sizeof folder + 4];
    struct stat file;
    struct io *io = NULL;

    if (of_table(fd)) {
        io = begin(IO_SYNC);
        take_time();
    } else if (log && blind != BLIND_FSYNC && fstat(fd, &file) == 0 && S_ISDIR(file.st_mode)) {
        snprintf(path, sizeof path, "%s/..", folder);
        if (stat(folder, &dir) == 0 && stat(path, &parent) == 0 && dir.st_dev == file.st_dev)
            io = dir.st_ino == file.st_ino      ? begin(IO_FOLDER_SYNC)
                 : parent.st_ino == file.st_ino ? begin(IO_PARENT_SYNC)
                                                : NULL;
    }
    int rc = (int)syscall(call, fd);
    end(io);
    return rc;
}

int fsync(int fd)
{
    return sync_with(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_with(SYS_fdatasync, fd);
}

/* --------------------------------------------------------------------- the names */

/* The boot before this one. */
static int other_boot(void)
{
    static const char id[] = "0b00710e-0000-4000-8000-00000000b007\n";
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    syscall(SYS_write, ends[1], id, sizeof id - 1);
    syscall(SYS_close, ends[1]);
    return ends[0];
}

static int open_table(const char *path, int flags, mode_t mode)
{
    struct io *io = NULL;

    if (has_name(path) && (flags & O_CREAT) && access(path, F_OK) < 0)
        io = begin(IO_NAMED);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    end(io);
    if (fd >= DESCRIPTORS)
        unknown("so many descriptors");
    if (fd >= 0) {
        descriptors[fd].table = true;
        descriptors[fd].durable = (flags & O_DSYNC) != 0;
    }
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;

    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (log && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        return other_boot();
    if (log && is_table(path))
        return open_table(path, flags, mode);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int close(int fd)
{
    if (of_table(fd))
        descriptors[fd].table = false;
    return (int)syscall(SYS_close, fd);
}

int mkdir(const char *path, mode_t mode)
{
    struct io *io = log && strcmp(path, folder) == 0 && access(path, F_OK) < 0
                        ? begin(IO_FOLDER_MADE)
                        : NULL;
    int rc = (int)syscall(SYS_mkdir, path, mode);

    end(io);
    return rc;
}

int rename(const char *from, const char *to)
{
    struct io *io = log && has_name(to) ? begin(IO_NAMED) : NULL;
    int rc = (int)syscall(SYS_rename, from, to);

    end(io);
    return rc;
}
