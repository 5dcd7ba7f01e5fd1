/* nomem.c - the allocator that fails when it is told to. See nomem.h. */
#include "nomem.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES 12
#define OWN    3 /* frames of ours, innermost */

/* The C library's own, under the names that it keeps for who replaces the others. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

typedef int create_fn(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                      void *argument);

static struct nomem own_page;
struct nomem *nomem_page = &own_page;
static create_fn *real_pthread_create;
static _Thread_local bool inside; /* what the report allocates does not count */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("JOBTAB_NOMEM");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[FRAMES];

    backtrace(frames, FRAMES); /* its first call loads a library */
    real_pthread_create = (create_fn *)dlsym(RTLD_NEXT, "pthread_create");
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *nomem_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        nomem_page = page;
}

/* "liblmdb.so.0+1a2b jobtab+77c0 ...", for addr2line. */
static void report(void)
{
    void *frames[FRAMES];
    size_t size = 0;
    Dl_info info;

    inside = true;
    int n = backtrace(frames, FRAMES);
    for (int i = OWN; i < n && size < NOMEM_WHERE; i++) {
        if (!dladdr(frames[i], &info) || !info.dli_fname)
            continue;
        const char *slash = strrchr(info.dli_fname, '/');
        int more = snprintf(nomem_page->where + size, NOMEM_WHERE - size, "%s+%tx ",
                            slash ? slash + 1 : info.dli_fname,
                            (char *)frames[i] - (char *)info.dli_fbase);
        size += more > 0 ? (size_t)more : 0;
    }
    inside = false;
}

static bool is_meant(void)
{
    char name[16] = "";

    if (nomem_page->pid)
        return nomem_page->pid == getpid();
    if (!nomem_page->comm[0])
        return true;
    prctl(PR_GET_NAME, name);
    return strncmp(name, nomem_page->comm, strnlen(nomem_page->comm, sizeof name)) == 0;
}

/* Is this one refused? Not in line: its frame is one of those that a report leaves out. */
__attribute__((noinline)) static bool refused(void)
{
    int64_t at = nomem_page->at;

    if (at == 0 || inside || !is_meant())
        return false;
    int64_t number = ++nomem_page->seen;
    if (at == NOMEM_COUNT || number < at || (number > at && !nomem_page->forever))
        return false;
    if (nomem_page->failed++ == 0)
        report();
    errno = ENOMEM;
    return true;
}

static void *given(void *memory)
{
    nomem_page->live += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return refused() ? NULL : given(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : given(__libc_calloc(n, size));
}

void *realloc(void *old, size_t size)
{
    if (refused())
        return NULL;
    void *memory = __libc_realloc(old, size);
    if (!old)
        given(memory);
    else if (size == 0)
        nomem_page->live--;
    return memory;
}

void *reallocarray(void *old, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    return refused() ? NULL : given(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *found = memalign(alignment, size);

    if (!found)
        return ENOMEM;
    *memory = found;
    return 0;
}

void free(void *memory)
{
    nomem_page->live -= memory != NULL;
    __libc_free(memory);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return refused() ? MAP_FAILED
                     : (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    return refused() ? EAGAIN : real_pthread_create(thread, attributes, run, argument);
}

void nomem_arm(int64_t at, int forever)
{
    nomem_page->where[0] = '\0';
    nomem_page->seen = nomem_page->failed = 0;
    nomem_page->forever = forever;
    nomem_page->at = at;
}

void nomem_disarm(void)
{
    nomem_page->at = 0;
}
