/* store_lmdb.h - what the files of the store share: how it stands on LMDB. For no others.
 *
 * store_open.c makes, opens and closes it; store.c has transactions; store_entry.c what is read and
 * written in them; store_keep.c keeps it: room, readers, syncs, copies, what a failed commit has left.
 */
#ifndef STORE_LMDB_H
#define STORE_LMDB_H

#include "jobtab.h"
#include "store.h"
#include "store_careful.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define STORE_POOL 64
#define META_PAGES 2

struct store_txn {
    struct store *store;
    MDB_txn *lmdb;
    size_t id; /* of a held one: the commit that it shows */
    int error; /* sticks, and so do its words: what comes after it may find less than there is */
    char why[JOBTAB_WHY_MAX];
    bool writes;
    bool dirty; /* something was put or deleted */
    struct careful_view *view; /* of a reader that is careful: what it reads by; else NULL */
};

struct store_cursor {
    struct store_txn *txn;
    MDB_cursor *lmdb;
    enum store_db db;
    struct slice at; /* of one that is careful: the key that it stands on */
};

struct store {
    MDB_env *env;
    MDB_dbi dbs[STORE_DBS];
    pthread_rwlock_t gate;
    struct store_txn *_Atomic pool[STORE_POOL]; /* NULL: nothing there */
    atomic_bool broken;
    struct careful *careful; /* NULL: LMDB is believed */
    bool only_reads;         /* whoever is careful changes nothing */
    bool synced;   /* what stood in the file when it was opened is on disk */
    uint64_t room; /* of the writer: bytes from the file's beginning that have their blocks */
};

/* What LMDB knows the databases by. */
extern const char *const store_names[STORE_DBS];

/* The one translator of LMDB's errors. */
int store_translate(int rc, const char *what);
/* Note a result in the transaction; true when the call found or did what it should. */
bool store_noted(struct store_txn *txn, int rc, enum store_db db);
/* What this thread holds of it is gone, as the store is. */
void store_let_go(struct store *store, bool forked);

#endif
