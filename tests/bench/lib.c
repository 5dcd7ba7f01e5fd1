/* lib.c - see lib.h. */
#include "config.h"

#include "lib.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP_NS 200000000u
#define MAP_SIZE   ((size_t)1 << 30)

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    _exit(1);
}

void must(int rc, const char *what)
{
    if (rc)
        die("%s: %s: %s", what, jobtab_strerror(rc), jobtab_why());
}

void must_mdb(int rc, const char *what)
{
    if (rc)
        die("%s: %s", what, mdb_strerror(rc));
}

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double seconds_of(const char *text)
{
    double seconds = strtod(text, NULL);

    if (!(seconds > 0 && seconds < 3600))
        die("%s is no number of seconds", text);
    return seconds;
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

uint64_t percentile(uint64_t *values, size_t n, double percent)
{
    qsort(values, n, sizeof *values, compare);
    return values[(size_t)((double)(n - 1) * percent / 100)];
}

MDB_env *open_mdb(const char *dir, unsigned flags)
{
    MDB_env *env;

    if (mkdir(dir, 0700) && errno != EEXIST)
        die("%s: %s", dir, strerror(errno));
    must_mdb(mdb_env_create(&env), "mdb_env_create");
    must_mdb(mdb_env_set_maxdbs(env, 16), "maxdbs");
    must_mdb(mdb_env_set_maxreaders(env, 1022), "maxreaders");
    must_mdb(mdb_env_set_mapsize(env, MAP_SIZE), "mapsize");
    must_mdb(mdb_env_open(env, dir, MDB_NOTLS | flags, 0600), dir);
    return env;
}

const char *path_in(const char *dir, const char *name)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* ------------------------------------------------------------------ the crew */

struct shared {
    _Atomic uint64_t begin, end; /* set before all are told to go */
    struct member members[CREW_MAX];
};

static void serve(struct shared *shared, size_t index, const char *dir,
                  const struct crew_work *work, int ready, int go)
{
    struct member *self = &shared->members[index];
    void *opened = work->open_it(dir, index, self);
    char byte = 0;

    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
        die("process %zu has nobody to work for", index);
    for (uint64_t before = now_ns(), after; before < shared->end; before = after) {
        work->operation(opened, self);
        after = now_ns();
        if (before < shared->begin || after > shared->end)
            continue;
        self->operations++;
        if (after - before > self->slowest_ns)
            self->slowest_ns = after - before;
    }
    _exit(0);
}

void crew_run(struct crew *crew, size_t n, double seconds, const char *dir,
              const struct crew_work *work)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ready[2], go[2], status;
    char byte;

    if (n < 1 || n > CREW_MAX)
        die("a crew has 1 to %d processes", CREW_MAX);
    if (shared == MAP_FAILED || pipe(ready) || pipe(go))
        die("a crew cannot be made: %s", strerror(errno));
    for (size_t i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork: %s", strerror(errno));
        if (pid == 0) {
            close(ready[0]);
            close(go[1]);
            serve(shared, i, dir, work, ready[1], go[0]);
        }
    }
    close(ready[1]);
    close(go[0]);
    for (size_t i = 0; i < n; i++)
        if (read(ready[0], &byte, 1) != 1)
            die("a process of the crew ended before it began");
    shared->begin = now_ns() + WARM_UP_NS;
    shared->end = shared->begin + (uint64_t)(seconds * 1e9);
    close(go[1]);
    for (size_t i = 0; i < n; i++)
        if (wait(&status) < 0 || status != 0)
            die("a process of the crew failed");
    close(ready[0]);
    *crew = (struct crew){.n = n, .fewest = UINT64_MAX};
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &shared->members[i];
        crew->members[i] = *m;
        crew->operations += m->operations;
        crew->fewest = m->operations < crew->fewest ? m->operations : crew->fewest;
        crew->most = m->operations > crew->most ? m->operations : crew->most;
        crew->slowest_ns = m->slowest_ns > crew->slowest_ns ? m->slowest_ns : crew->slowest_ns;
    }
    munmap(shared, sizeof *shared);
}
