/* bell.c - futex words in a file beside the table. See bell.h. */
#include "bell.h"

#include "clock.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BELL_MAGIC UINT32_C(0x4a544233) /* JTB3: the layout below */

/* Kinds that have a word of their own; those beyond share the last, and all its waiters wake. */
#define WORDS 64
#define SHARED_WORD (WORDS - 1)

struct word {
    _Atomic uint32_t value; /* the futex */
    _Atomic uint32_t waiters;
    char kind[JOBTAB_KIND_MAX + 1];
    _Atomic uint8_t named; /* set after kind is written, never unset */
    char pad[64 - 8 - JOBTAB_KIND_MAX - 2];
};

/* The file. Words that are written by different events lie in different cache lines. */
struct shared {
    uint32_t magic;
    uint32_t unused;
    struct boot boot;
    char pad[40];
    _Atomic uint64_t version;
    _Atomic uint32_t changed; /* futex: counts rings */
    _Atomic uint32_t waiters;
    _Atomic uint32_t naming; /* pid of the process that names a word */
    char pad2[44];
    struct turn turn;
    char pad3[64 - sizeof(struct turn)];
    struct word words[WORDS];
};

struct bell {
    struct shared *shared;
    pthread_mutex_t naming; /* threads of this process */
};

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
    return syscall(SYS_futex, word, op, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void wake(_Atomic uint32_t *word, _Atomic uint32_t *waiters, uint32_t n)
{
    if (atomic_load(waiters))
        futex(word, FUTEX_WAKE, n, NULL);
}

/* One wait on a word. FUTEX_WAIT_BITSET takes an absolute instant, of the monotonic clock: the boot clock
 * less the time asleep, so a deadline may only come later. */
static enum bell_end wait_word(_Atomic uint32_t *word, _Atomic uint32_t *waiters, uint32_t seen,
                               int64_t deadline)
{
    struct timespec until;
    const struct timespec *limit = NULL;

    if (deadline >= 0) {
        int64_t left = deadline - clock_boot();
        if (left <= 0)
            return BELL_TIME;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += left / 1000;
        until.tv_nsec += left % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        limit = &until;
    }
    atomic_fetch_add(waiters, 1);
    long rc = futex(word, FUTEX_WAIT_BITSET, seen, limit);
    int reason = rc < 0 ? errno : 0;
    atomic_fetch_sub(waiters, 1);
    return reason == EINTR ? BELL_SIGNAL : reason == ETIMEDOUT ? BELL_TIME : BELL_RANG;
}

int bell_open(const char *dir, uint64_t version, struct bell **result)
{
    struct boot boot = clock_boot_id();
    char path[4096];
    struct shared *shared;
    int rc;

    if ((size_t)snprintf(path, sizeof path, "%s/bell", dir) >= sizeof path)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", path);
    /* The blocks are taken now: a full disk shows here, not as SIGBUS at a store. */
    int err = posix_fallocate(fd, 0, (off_t)sizeof *shared);
    if (err) {
        rc = fail_errno(JOBTAB_SYSTEM, err, "cannot make room for %s", path);
        close(fd);
        return rc;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    err = errno;
    close(fd);
    if (shared == MAP_FAILED)
        return fail_errno(JOBTAB_SYSTEM, err, "cannot map %s", path);
    struct bell *bell = calloc(1, sizeof *bell);
    if (!bell) {
        munmap(shared, sizeof *shared);
        return fail(JOBTAB_SYSTEM, "out of memory");
    }
    if (shared->magic != BELL_MAGIC || !boot_same(&shared->boot, &boot)) {
        memset(shared, 0, sizeof *shared);
        shared->boot = boot;
        turn_make(&shared->turn);
        shared->magic = BELL_MAGIC;
    }
    if (atomic_load(&shared->version) < version)
        atomic_store(&shared->version, version);
    pthread_mutex_init(&bell->naming, NULL);
    bell->shared = shared;
    *result = bell;
    return JOBTAB_OK;
}

void bell_close(struct bell *bell)
{
    if (!bell)
        return;
    munmap(bell->shared, sizeof *bell->shared);
    pthread_mutex_destroy(&bell->naming);
    free(bell);
}

struct turn *bell_turn(struct bell *bell)
{
    return &bell->shared->turn;
}

uint64_t bell_version(const struct bell *bell)
{
    return atomic_load(&bell->shared->version);
}

void bell_ring(struct bell *bell, uint64_t version)
{
    struct shared *shared = bell->shared;
    uint64_t newest = atomic_load(&shared->version);

    /* Two writers ring in any order: the version only grows. */
    while (newest < version && !atomic_compare_exchange_weak(&shared->version, &newest, version))
        continue;
    atomic_fetch_add(&shared->changed, 1);
    wake(&shared->changed, &shared->waiters, INT_MAX);
}

bool bell_wait(struct bell *bell, uint64_t seen, int64_t deadline)
{
    struct shared *shared = bell->shared;
    for (;;) {
        uint32_t value = atomic_load(&shared->changed);
        if (bell_version(bell) > seen)
            return true;
        if (wait_word(&shared->changed, &shared->waiters, value, deadline) == BELL_TIME)
            return bell_version(bell) > seen;
    }
}

/* The word of a kind, or NULL if it has none yet. */
static struct word *find_word(struct shared *shared, const char *kind)
{
    for (int i = 0; i < SHARED_WORD; i++) {
        struct word *word = &shared->words[i];
        if (!atomic_load(&word->named))
            return NULL;
        if (strncmp(word->kind, kind, sizeof word->kind) == 0)
            return word;
    }
    return &shared->words[SHARED_WORD];
}

/* Give the kind the next free word. One process names at a time; one that died while it did is
 * passed over. */
static struct word *name_word(struct shared *shared, const char *kind)
{
    uint32_t self = (uint32_t)getpid(), holder = 0;

    while (!atomic_compare_exchange_strong(&shared->naming, &holder, self)) {
        if (process_start((int32_t)holder) != 0) {
            sched_yield();
            holder = 0;
        }
        /* else: try to take it from the dead one; `holder` is its pid */
    }
    struct word *word = find_word(shared, kind);
    for (int i = 0; !word; i++) {
        if (atomic_load(&shared->words[i].named))
            continue;
        word = &shared->words[i];
        snprintf(word->kind, sizeof word->kind, "%s", kind);
        atomic_store(&word->named, 1);
    }
    atomic_store(&shared->naming, 0);
    return word;
}

static struct word *own_word(struct bell *bell, const char *kind)
{
    struct word *word = find_word(bell->shared, kind);

    if (word)
        return word;
    pthread_mutex_lock(&bell->naming);
    word = name_word(bell->shared, kind);
    pthread_mutex_unlock(&bell->naming);
    return word;
}

void bell_ring_work(struct bell *bell, const char *kind, uint32_t n)
{
    struct word *word = find_word(bell->shared, kind);

    if (!word)
        return; /* nobody has ever waited for this kind */
    atomic_fetch_add(&word->value, 1);
    wake(&word->value, &word->waiters, word == &bell->shared->words[SHARED_WORD] ? INT_MAX : n);
}

uint32_t bell_work(struct bell *bell, const char *kind)
{
    return atomic_load(&own_word(bell, kind)->value);
}

enum bell_end bell_wait_work(struct bell *bell, const char *kind, uint32_t seen, int64_t deadline)
{
    struct word *word = own_word(bell, kind);

    return wait_word(&word->value, &word->waiters, seen, deadline);
}
