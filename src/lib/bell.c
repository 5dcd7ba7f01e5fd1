/* bell.c - the words that wake. See bell.h. */
#include "bell.h"

#include "clock.h"
#include "futex.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHARED_WORD (BELL_WORDS - 1)

static void wake(_Atomic uint32_t *word, _Atomic uint32_t *waiters, uint32_t n)
{
    if (atomic_load(waiters))
        futex_wake(word, n);
}

/* One wait on a word, until the boot clock shows `deadline`. */
static enum bell_end wait_word(_Atomic uint32_t *word, _Atomic uint32_t *waiters, uint32_t seen,
                               int64_t deadline)
{
    int64_t left = deadline < 0 ? -1 : deadline - clock_boot();

    if (deadline >= 0 && left <= 0)
        return BELL_TIME;
    atomic_fetch_add(waiters, 1);
    enum futex_end end = futex_wait(word, seen, left < 0 ? -1 : left * 1000000);
    atomic_fetch_sub(waiters, 1);
    return end == FUTEX_SIGNAL ? BELL_SIGNAL : end == FUTEX_TIME ? BELL_TIME : BELL_RANG;
}

uint64_t bell_version(const struct bell *bell)
{
    return atomic_load(&bell->version);
}

void bell_ring(struct bell *bell, uint64_t version)
{
    uint64_t newest = atomic_load(&bell->version);

    /* Two writers ring in any order: the version only grows. */
    while (newest < version && !atomic_compare_exchange_weak(&bell->version, &newest, version))
        continue;
    atomic_fetch_add(&bell->changed, 1);
    wake(&bell->changed, &bell->waiters, INT_MAX);
}

bool bell_wait(struct bell *bell, uint64_t seen, int64_t deadline)
{
    for (;;) {
        uint32_t value = atomic_load(&bell->changed);
        if (bell_version(bell) > seen)
            return true;
        if (wait_word(&bell->changed, &bell->waiters, value, deadline) == BELL_TIME)
            return bell_version(bell) > seen;
    }
}

/* The word of a kind, or NULL if it has none yet. */
static struct word *find_word(struct bell *bell, const char *kind)
{
    for (int i = 0; i < SHARED_WORD; i++) {
        struct word *word = &bell->words[i];
        if (!atomic_load(&word->named))
            return NULL;
        if (strncmp(word->kind, kind, sizeof word->kind) == 0)
            return word;
    }
    return &bell->words[SHARED_WORD];
}

/* Give the kind the next free word. One thread names at a time; one that died while it did is
 * passed over. */
static struct word *name_word(struct bell *bell, const char *kind)
{
    uint32_t self = (uint32_t)syscall(SYS_gettid), holder = 0;

    while (!atomic_compare_exchange_strong(&bell->naming, &holder, self)) {
        if (process_start((int32_t)holder) != 0) {
            sched_yield();
            holder = 0;
        }
        /* else: try to take it from the dead one; `holder` is its id */
    }
    struct word *word = find_word(bell, kind);
    for (int i = 0; !word; i++) {
        if (atomic_load(&bell->words[i].named))
            continue;
        word = &bell->words[i];
        snprintf(word->kind, sizeof word->kind, "%s", kind);
        atomic_store(&word->named, 1);
    }
    atomic_store(&bell->naming, 0);
    return word;
}

static struct word *own_word(struct bell *bell, const char *kind)
{
    struct word *word = find_word(bell, kind);

    return word ? word : name_word(bell, kind);
}

void bell_ring_work(struct bell *bell, const char *kind, uint32_t n)
{
    struct word *word = find_word(bell, kind);

    if (!word)
        return; /* nobody has ever waited for this kind */
    atomic_fetch_add(&word->value, 1);
    wake(&word->value, &word->waiters, word == &bell->words[SHARED_WORD] ? INT_MAX : n);
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
