/* heart.c - see heart.h. */
#include "config.h"

#include "heart.h"
#include "monotonic.h"

#include <sys/mman.h>

static struct heart nobody;
static struct heart *own = &nobody;

struct heart *hearts_new(size_t n)
{
    struct heart *hearts = mmap(NULL, n * sizeof *hearts, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return hearts == MAP_FAILED ? NULL : hearts;
}

void hearts_free(struct heart *hearts, size_t n)
{
    if (hearts)
        munmap(hearts, n * sizeof *hearts);
}

void heart_clear(struct heart *heart)
{
    atomic_store(&heart->turn, 0);
    atomic_store(&heart->call, 0);
}

void heart_use(struct heart *heart)
{
    own = heart;
}

void heart_beat(void)
{
    atomic_store(&own->turn, monotonic_ms());
}

void heart_call_begins(void)
{
    atomic_store(&own->call, monotonic_ms());
}

void heart_call_ends(void)
{
    atomic_store(&own->call, 0);
}
