/* lib.h - what the programs that measure libjobtab share: time, ends, and a crew of processes
 * that begin and stop together. */
#ifndef BENCH_LIB_H
#define BENCH_LIB_H

#include "jobtab.h"

#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>

#define CREW_MAX 256

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void must(int rc, const char *what);     /* of libjobtab */
void must_mdb(int rc, const char *what); /* of LMDB */

uint64_t now_ns(void); /* monotonic */
double seconds_of(const char *text);
/* xorshift64*: quick, and the same numbers in every run. */
uint64_t random_next(uint64_t *state);
/* The value below which `percent` of n values lie; sorts them. */
uint64_t percentile(uint64_t *values, size_t n, double percent);

/* LMDB as libjobtab opens it: MDB_NOTLS, durable when a commit returns, 1 GiB. */
MDB_env *open_mdb(const char *dir, unsigned flags);
/* DIR/name in a static buffer. */
const char *path_in(const char *dir, const char *name);

/* What one process of a crew did between begin and end. */
struct member {
    uint64_t operations, slowest_ns;
    uint64_t last; /* of the member's own */
    struct jobtab_id id;
};

struct crew {
    size_t n;
    uint64_t operations, fewest, most, slowest_ns;
    struct member members[CREW_MAX];
};

/* Fork `n` processes. Each calls open_it, waits for the others, then calls operation again and
 * again for `seconds` after a warm-up; what began before or ended after is not counted. */
struct crew_work {
    void *(*open_it)(const char *dir, size_t index, struct member *self);
    void (*operation)(void *opened, struct member *self);
};
void crew_run(struct crew *crew, size_t n, double seconds, const char *dir,
              const struct crew_work *work);

#endif
