/* table.h - the handle, and reading a job within a transaction: what all parts of the table
 * share. */
#ifndef TABLE_H
#define TABLE_H

#include "jobtab.h"
#include "keys.h"
#include "record.h"
#include "shared.h"
#include "store.h"

#include <stdatomic.h>
#include <sys/types.h>

/* Of one that is out of its bounds. */
#define NOT_A_DURATION "it is negative, or over a hundred years"

struct jobtab {
    pid_t pid; /* who opened it; anybody else is refused */
    char *dir;
    dev_t device; /* of the directory: a process opens a table once */
    ino_t inode;
    struct store *store;
    struct shared *shared;
    int use; /* of the shared file: a descriptor with a lock that others see */
    struct jobtab_owner self; /* this process, as the owner of what it claims */
    struct boot boot;
    atomic_bool timed; /* scheduled jobs were looked at since the wall clock was last stepped back */
    struct jobtab *next_open; /* list of this process's open tables, see open.c */
};

/* Clear the words of the last call, and refuse a handle that this process did not open. */
int table_enter(const struct jobtab *table);

/* Read the job into record->job, what moves while it runs included. `hot` is set when the job has
 * an owner; it may be NULL. JOBTAB_NOTFOUND, JOBTAB_DAMAGED. */
int table_load(struct store_txn *txn, const struct jobtab_id *id, struct record *record,
               struct hot *hot);
/* The same for a record that a cursor stands on. */
int table_decode(struct store_txn *txn, const struct jobtab_id *id, struct slice bytes,
                 struct record *record, struct hot *hot);

/* The id of the job of an idempotency key. JOBTAB_NOTFOUND, JOBTAB_DAMAGED. */
int table_find(struct store_txn *txn, const char *key, struct jobtab_id *id);

/* The job's version, what stands in `running` included. */
int table_version(struct store_txn *txn, const struct jobtab_id *id, uint64_t *version);

int table_totals(struct store_txn *txn, struct totals *totals);
int table_settings(struct store_txn *txn, struct jobtab_options *settings);

/* Fill in the defaults of a kind's policy: those of the table, else of the library. */
int table_policy(struct store_txn *txn, const char *kind, struct jobtab_policy *policy);

/* JOBTAB_INVALID when an option or a policy is out of its bounds. */
int options_check(const struct jobtab_options *options);

/* JOBTAB_INVALID unless `kind` is a name that a kind may have. */
int table_check_kind(const char *kind);
/* The same for an idempotency key. */
int table_check_key(const char *key);

#endif
