/* stage.h - what the parts of the memory sweep share: a table, one call on it, and what was
 * wrong. */
#ifndef STAGE_H
#define STAGE_H

#include "jobtab.h"

#include "nomem.h"

#define BIG   30000 /* bytes of params, result and log: several chunks */
#define PAGE  16
#define WORDS 512

struct stage {
    char dir[200], copy[220]; /* the table, and a place for another, which is not there */
    struct jobtab *table;     /* NULL: closed */
    struct jobtab_id id;
    struct jobtab_token token;
    uint64_t seen;   /* what a read found, as a number */
    bool unfinished; /* the job is to be finished when the point is over */
};

struct call {
    const char *name;
    void (*prepare)(struct stage *stage); /* what it needs, NULL: nothing */
    int (*make)(struct stage *stage);
    enum { READ, WRITE, OPEN, CLOSE } sort;
};

/* calls.c: every function of the library that may want memory; ended by one without a name. */
extern const struct call calls[];
extern char big[BIG + 1];
/* A finished job with all its parts. */
void finish_one(struct stage *stage);
int make_open(struct stage *stage);
int make_verify(struct stage *stage);
/* All that a call could have changed, as a number. */
uint64_t picture(struct stage *stage);

/* share.c: `rounds` calls whose commits are shared with others, whose memory is not refused. */
bool run_shared(struct stage *stage, long rounds);

/* memory.c. What was wrong with this call, "" if nothing; the first is kept. */
extern char fault[WORDS];
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What the test itself needs must work: nothing is refused to it. */
void need(int rc, const char *what);
void clear(const char *dir);

#endif
