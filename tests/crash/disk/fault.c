/* fault.c - see fault.h. Calls are made with syscall(2), so that nothing of the C library is needed
 * to find its own functions, at whatever moment of a process's life. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 4096 /* that are told apart: tables are opened early */

static struct fault own = {.only = FAULT_ALL};
static struct fault *in_force = &own;
static _Atomic bool of_table[DESCRIPTORS];

static const char *const names[FAULT_CALLS] = {
    [FAULT_OPEN] = "open",         [FAULT_FSTAT] = "fstat",           [FAULT_LSEEK] = "lseek",
    [FAULT_READ] = "read",         [FAULT_WRITE] = "write",           [FAULT_PWRITE] = "pwrite",
    [FAULT_WRITEV] = "writev",     [FAULT_FDATASYNC] = "fdatasync",   [FAULT_FSYNC] = "fsync",
    [FAULT_TRUNCATE] = "truncate", [FAULT_FALLOCATE] = "fallocate",   [FAULT_MMAP] = "mmap",
    [FAULT_LOCK] = "lock",         [FAULT_NAME] = "link or mkdir",
};

const char *fault_call_name(enum fault_call call)
{
    return call < FAULT_CALLS ? names[call] : "?";
}

struct fault *fault_in_force(void)
{
    return in_force;
}

void fault_arm(struct fault *fault, int error, uint32_t from, uint32_t times)
{
    atomic_store(&fault->from, 0);
    atomic_store(&fault->calls, 0);
    atomic_store(&fault->failed, 0);
    atomic_store(&fault->error, error);
    atomic_store(&fault->times, times);
    atomic_store(&fault->from, from);
}

void fault_disarm(struct fault *fault)
{
    atomic_store(&fault->from, 0);
}

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("JOBTAB_FAULT");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *at = (void *)syscall(SYS_mmap, NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        in_force = at;
    syscall(SYS_close, fd);
}

/* ------------------------------------------------------------------ which, and when */

static bool is_beneath(const char *path)
{
    size_t length = strlen(in_force->dir);

    return length > 0 && strncmp(path, in_force->dir, length) == 0;
}

static bool is_known(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && of_table[fd];
}

/* Count the call. Returns what it fails with, 0 when it is to be made. */
static int due(enum fault_call call)
{
    struct fault *fault = in_force;
    int32_t pid = atomic_load(&fault->pid);

    if (!(atomic_load(&fault->only) >> call & 1) || (pid && pid != getpid()))
        return 0;
    uint32_t number = atomic_fetch_add(&fault->calls, 1) + 1, from = atomic_load(&fault->from);
    if (!from || number < from || number - from >= atomic_load(&fault->times))
        return 0;
    atomic_fetch_add(&fault->failed, 1);
    atomic_store(&fault->last, call);
    return atomic_load(&fault->error);
}

/* True, and errno set, when the call fails as a whole. */
static bool fails(bool counts, enum fault_call call)
{
    int saved = errno, error = counts ? due(call) : 0;

    errno = error < 0 ? EIO : error ? error : saved;
    return error != 0;
}

/* How much of a write is done; -1 with errno when nothing is. */
static ssize_t share(int fd, enum fault_call call, size_t size)
{
    int error = is_known(fd) ? due(call) : 0;

    if (error == FAULT_SHORT)
        return (ssize_t)(size / 2);
    if (error)
        errno = error < 0 ? EIO : error;
    return error ? -1 : (ssize_t)size;
}

/* -------------------------------------------------------------------- the calls */

static int note_open(int fd, bool beneath)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        of_table[fd] = beneath;
    return fd;
}

int open(const char *path, int flags, ...)
{
    bool beneath = is_beneath(path);
    mode_t mode = 0;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (fails(beneath, FAULT_OPEN))
        return -1;
    return note_open((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), beneath);
}

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        of_table[fd] = false;
    return (int)syscall(SYS_close, fd);
}

int fstat(int fd, struct stat *file)
{
    return fails(is_known(fd), FAULT_FSTAT) ? -1 : (int)syscall(SYS_fstat, fd, file);
}

/* What programs of an older C library call. */
int __fxstat(int version, int fd, struct stat *file);
int __fxstat(int version, int fd, struct stat *file)
{
    (void)version;
    return fstat(fd, file);
}

off_t lseek(int fd, off_t offset, int whence)
{
    return fails(is_known(fd), FAULT_LSEEK) ? -1 : syscall(SYS_lseek, fd, offset, whence);
}

ssize_t read(int fd, void *bytes, size_t size)
{
    return fails(is_known(fd), FAULT_READ) ? -1 : syscall(SYS_read, fd, bytes, size);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    return fails(is_known(fd), FAULT_READ) ? -1 : syscall(SYS_pread64, fd, bytes, size, offset);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t n = share(fd, FAULT_WRITE, size);

    return n < 0 ? n : syscall(SYS_write, fd, bytes, (size_t)n);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    ssize_t n = share(fd, FAULT_PWRITE, size);

    return n < 0 ? n : syscall(SYS_pwrite64, fd, bytes, (size_t)n, offset);
}

/* Short: the first half of the pieces. */
ssize_t writev(int fd, const struct iovec *pieces, int n)
{
    ssize_t made = share(fd, FAULT_WRITEV, (size_t)n);

    return made < 0 ? made : syscall(SYS_writev, fd, pieces, made);
}

int fdatasync(int fd)
{
    return fails(is_known(fd), FAULT_FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fails(is_known(fd), FAULT_FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t size)
{
    return fails(is_known(fd), FAULT_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int truncate(const char *path, off_t size)
{
    return fails(is_beneath(path), FAULT_TRUNCATE) ? -1 : (int)syscall(SYS_truncate, path, size);
}

int fallocate(int fd, int mode, off_t from, off_t size)
{
    return fails(is_known(fd), FAULT_FALLOCATE) ? -1
                                                : (int)syscall(SYS_fallocate, fd, mode, from, size);
}

/* A map of what lies behind the end of a file: SIGBUS to who looks. */
static void *map_nothing(size_t size, int protection, int flags)
{
    int empty = (int)syscall(SYS_memfd_create, "nothing", 0);
    void *at = (void *)syscall(SYS_mmap, NULL, size, protection, flags, empty, 0);

    syscall(SYS_close, empty);
    return at;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    int error = is_known(fd) ? due(FAULT_MMAP) : 0;

    if (error == FAULT_PAGES)
        return map_nothing(size, protection, flags);
    if (error) {
        errno = error < 0 ? EIO : error;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

int flock(int fd, int operation)
{
    return fails(is_known(fd), FAULT_LOCK) ? -1 : (int)syscall(SYS_flock, fd, operation);
}

int fcntl(int fd, int command, ...)
{
    bool locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    va_list arguments;

    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (fails(locks && is_known(fd), FAULT_LOCK))
        return -1;
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        note_open(result, is_known(fd));
    return result;
}

int link(const char *from, const char *to)
{
    return fails(is_beneath(to), FAULT_NAME) ? -1 : (int)syscall(SYS_link, from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(is_beneath(path), FAULT_NAME) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}
