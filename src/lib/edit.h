/* edit.h - one writing transaction over the table: the only place that keeps a record, its indexes,
 * the counts and the change feed in step.
 *
 * Born:  edit_begin, by whoever has the lead (lead.h).
 * Life:  verbs load a job, change a copy, and hand old and new to edit_put.
 * Ends:  edit_commit, durable, then the bell; or edit_drop, and nothing happened.
 */
#ifndef EDIT_H
#define EDIT_H

#include "table.h"

/* Changes that the feed keeps at least. What is over goes EDIT_TRIM at once, from its other end:
 * one for each that comes would be a page more in every commit. */
#define EDIT_CHANGES 8192
#define EDIT_TRIM    256
/* An entry of the feed is a run of changes, id and state, without a gap; its key is the last
 * one's. */
#define EDIT_CHANGE  17
#define EDIT_RUN     64

/* A kind that this edit touches: its counts, and jobs that it made claimable. */
struct edit_kind {
    char kind[JOBTAB_KIND_MAX + 1];
    struct count count;
    uint32_t claimable;
    struct jobtab_policy policy; /* once it was asked for */
};

struct edit {
    struct jobtab *table;
    struct store_txn *txn;
    int64_t now;  /* wall clock, one instant for the whole edit */
    int64_t boot; /* boot clock */
    struct jobtab_options settings;
    struct totals totals, before; /* as they shall be, and were */
    struct edit_kind *kinds;
    size_t n_kinds, room;
    uint8_t run[EDIT_RUN][EDIT_CHANGE]; /* the newest changes, not yet in the feed */
    uint32_t n_run;
    const struct jobtab_owner *self; /* for whom: owner of what it claims */
    uint64_t added; /* bytes that the file may grow by, see edit_grow */
    bool changed;
    bool repeated; /* an old change is acknowledged as durable once more: the commit makes sure */
};

int edit_begin(struct jobtab *table, struct edit *edit);
/* The edit is gone, whatever is returned. */
int edit_commit(struct edit *edit);
void edit_drop(struct edit *edit);

/* Something of `size` bytes is about to be put. JOBTAB_FULL when the disk has no room for it, or so
 * little that it must be left for what ends a job. What ends one and is small is not asked for: the
 * room that is left here is for that, as the map above its high-water mark is. */
enum edit_growth { EDIT_BEGINS /* a job */, EDIT_FILLS /* one that is there: a log, a result */ };
int edit_grow(struct edit *edit, size_t size, enum edit_growth growth);

/* What jobs of the kind get, as table_policy has it: read once for all submits of the edit. */
int edit_policy(struct edit *edit, const char *kind, struct jobtab_policy *policy);

/* Write a new or changed job: record, parts, indexes, counts, feed. `old` is as table_load gave it,
 * and nothing was put since; NULL for a new job. `hot` goes with a job that has an owner. Sets
 * version and updated_at (a new job's stands if it has one), and `queued` where that is 0 and the
 * job is pending. Parts that are too large for the record go to `payload`. */
void edit_put(struct edit *edit, const struct record *old, struct record *record, struct hot *hot);
/* Write only what moves while the job runs. Sets version and updated_at. */
void edit_put_hot(struct edit *edit, struct record *record, struct hot *hot);
/* Remove the job and everything of it. */
void edit_remove(struct edit *edit, const struct record *record);

#endif
