/* beneath.h - damage to single entries of an open table, as a disk would do it. */
#ifndef BENEATH_H
#define BENEATH_H

#include "fixture.h"

#include "edit.h"

/* In one transaction: the entry of `key` gets this value; none: it goes. */
static inline void put_beneath(struct fixture *f, enum store_db db, struct slice key, const void *value,
                               size_t size)
{
    struct store_txn *txn;

    assert_ok(store_write(f->table->store, &txn));
    if (value)
        store_put(txn, db, key, (struct slice){value, size});
    else
        assert_true(store_delete(txn, db, key));
    assert_ok(store_commit(txn));
}

static inline void spoil_record(struct fixture *f, const struct jobtab_job *job)
{
    put_beneath(f, STORE_JOBS, id_slice(&job->id), "no image", 8);
}

static inline void lose_record(struct fixture *f, const struct jobtab_job *job)
{
    put_beneath(f, STORE_JOBS, id_slice(&job->id), NULL, 0);
}

#endif
