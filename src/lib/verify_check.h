/* verify_check.h - what the parts of verify share: one snapshot, what was counted in it, and how a
 * fault is told. */
#ifndef VERIFY_CHECK_H
#define VERIFY_CHECK_H

#include "table.h"

/* What the jobs of a kind add up to. */
struct kind_tally {
    char kind[JOBTAB_KIND_MAX + 1];
    struct count count;
};

struct job_version {
    uint64_t high, low; /* of its id, as numbers */
    uint64_t version;
};

struct check {
    struct store_txn *txn;
    uint64_t size; /* of the store: nothing in it is larger */
    jobtab_fault_fn *fault;
    void (*progress)(uint64_t done, uint64_t all, void *context);
    void *context;
    uint64_t records, faults, all;
    struct totals totals;
    struct store_cursor *feed;
    uint64_t first_change, change; /* of the feed; the last one seen of it, which has no gap */
    struct kind_tally *kinds;
    size_t n_kinds;
    struct job_version *versions; /* of all jobs */
    size_t n_versions, versions_room;
    char *bytes; /* of a part that is looked into */
    size_t bytes_room;
};

/* A fault, of a job if `id`. */
void verify_fault(struct check *check, const struct jobtab_id *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* verify_job.c: a sound record, `own` its version without what stands in `running`, `hot` what
 * does. */
void verify_job(struct check *check, const struct record *record, uint64_t own,
                const struct hot *hot);

/* verify_version.c: of a job that is there, in the order of ids; then what was noted of it, 0 where
 * there is none; and at last that no two are the same, after which none is found any more. */
void verify_note_version(struct check *check, const struct jobtab_job *job);
uint64_t verify_version_of(const struct check *check, const struct jobtab_id *id);
void verify_versions(struct check *check);

/* verify_entry.c: an entry of a database other than `jobs` and `meta`. */
void verify_entry(struct check *check, enum store_db db, struct slice key, struct slice value);

/* verify_meta.c: once all jobs are counted. */
void verify_meta(struct check *check);

#endif
