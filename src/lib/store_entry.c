/* store_entry.c - what is read and written in a transaction: single entries, and cursors that go
 * from one to the next.
 *
 * An error sticks to its transaction (store_noted): what finds nothing after it found less than
 * there may be, and whoever commits is told. A reader that is careful asks store_careful.c, and
 * LMDB of nothing.
 */
#include "store_lmdb.h"

#include "error.h"
#include "mutant.h"

#include <stdlib.h>

/* ------------------------------------------------------------ get, put, delete */

static MDB_val to_val(struct slice slice)
{
    /* LMDB does not write through it. */
    return (MDB_val){.mv_size = slice.size, .mv_data = (void *)(uintptr_t)slice.data};
}

static struct slice to_slice(MDB_val val)
{
    return (struct slice){.data = val.mv_data, .size = val.mv_size};
}

bool store_noted(struct store_txn *txn, int rc, enum store_db db)
{
    if (rc == MDB_SUCCESS)
        return true;
    if (rc != MDB_NOTFOUND)
        store_fail(txn, store_translate(rc, store_names[db]));
    return false;
}

static bool found_with_care(struct store_txn *txn, enum store_db db, struct slice key,
                            enum careful_place place, struct slice *found, struct slice *value)
{
    int rc = careful_find(txn->view, db, key, place, found, value);

    if (rc && rc != JOBTAB_NOTFOUND)
        store_fail(txn, rc);
    return rc == JOBTAB_OK;
}

bool store_get(struct store_txn *txn, enum store_db db, struct slice key, struct slice *value)
{
    MDB_val k = to_val(key), v;
    struct slice found;

    if (!txn->error && txn->view)
        return found_with_care(txn, db, key, CAREFUL_AT, &found, value);
    if (txn->error || !store_noted(txn, mdb_get(txn->lmdb, txn->store->dbs[db], &k, &v), db))
        return false;
    *value = to_slice(v);
    return true;
}

static void put(struct store_txn *txn, enum store_db db, struct slice key, struct slice value,
                unsigned flags)
{
    MDB_val k = to_val(key), v = to_val(value);

    if (txn->error)
        return;
    txn->dirty = true;
    store_noted(txn, mdb_put(txn->lmdb, txn->store->dbs[db], &k, &v, flags), db);
}

void store_put(struct store_txn *txn, enum store_db db, struct slice key, struct slice value)
{
    put(txn, db, key, value, 0);
}

void store_append(struct store_txn *txn, enum store_db db, struct slice key, struct slice value)
{
    put(txn, db, key, value, MDB_APPEND);
}

bool store_delete(struct store_txn *txn, enum store_db db, struct slice key)
{
    MDB_val k = to_val(key);

    if (txn->error || !store_noted(txn, mdb_del(txn->lmdb, txn->store->dbs[db], &k, NULL), db))
        return false;
    txn->dirty = true;
    return true;
}

uint64_t store_count(struct store_txn *txn, enum store_db db)
{
    MDB_stat stat = {0};

    if (txn->error)
        return 0;
    store_noted(txn, mdb_stat(txn->lmdb, txn->store->dbs[db], &stat), db);
    return stat.ms_entries;
}

/* -------------------------------------------------------------------- cursors */

struct store_cursor *store_cursor(struct store_txn *txn, enum store_db db)
{
    if (txn->error)
        return NULL;
    struct store_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor) {
        if (!mutant(MUTANT_NO_STICKING)) /* unreachable: false in the tests' copy alone */
            store_fail(txn, fail(JOBTAB_SYSTEM, "out of memory"));
        return NULL;
    }
    cursor->txn = txn;
    cursor->db = db;
    if (txn->view)
        return cursor;
    if (!store_noted(txn, mdb_cursor_open(txn->lmdb, txn->store->dbs[db], &cursor->lmdb), db)) {
        free(cursor);
        return NULL;
    }
    return cursor;
}

void store_cursor_end(struct store_cursor *cursor)
{
    if (!cursor)
        return;
    if (cursor->lmdb)
        mdb_cursor_close(cursor->lmdb);
    free(cursor);
}

/* A careful one has no place but its key. */
static bool move_with_care(struct store_cursor *cursor, struct slice *key, struct slice *value,
                           MDB_cursor_op op)
{
    const struct slice none = {0};
    struct slice from = op == MDB_SET_RANGE                ? *key
                        : op == MDB_NEXT || op == MDB_PREV ? cursor->at
                                                           : none;
    enum careful_place place = op == MDB_NEXT                     ? CAREFUL_ABOVE
                               : op == MDB_PREV || op == MDB_LAST ? CAREFUL_BELOW
                                                                  : CAREFUL_FROM;

    if (!found_with_care(cursor->txn, cursor->db, from, place, key, value))
        return false;
    cursor->at = *key;
    return true;
}

static bool move(struct store_cursor *cursor, struct slice *key, struct slice *value,
                 MDB_cursor_op op)
{
    MDB_val k = {0}, v;

    if (!cursor || cursor->txn->error)
        return false;
    if (cursor->txn->view)
        return move_with_care(cursor, key, value, op);
    if (key->size && op == MDB_SET_RANGE)
        k = to_val(*key);
    int rc = mdb_cursor_get(cursor->lmdb, &k, &v, op);
    if (rc && rc != MDB_NOTFOUND)
        store_fail(cursor->txn, store_translate(rc, "cannot go through a database"));
    if (rc)
        return false;
    *key = to_slice(k);
    *value = to_slice(v);
    return true;
}

bool store_seek(struct store_cursor *cursor, struct slice key, struct slice *found,
                struct slice *value)
{
    *found = key;
    return move(cursor, found, value, key.size ? MDB_SET_RANGE : MDB_FIRST);
}

bool store_seek_below(struct store_cursor *cursor, struct slice key, struct slice *found,
                      struct slice *value)
{
    *found = key;
    if (key.size && move(cursor, found, value, MDB_SET_RANGE))
        return move(cursor, found, value, MDB_PREV);
    return move(cursor, found, value, MDB_LAST);
}

bool store_next(struct store_cursor *cursor, struct slice *key, struct slice *value)
{
    return move(cursor, key, value, MDB_NEXT);
}

bool store_previous(struct store_cursor *cursor, struct slice *key, struct slice *value)
{
    return move(cursor, key, value, MDB_PREV);
}

bool store_delete_next(struct store_cursor *cursor, struct slice *key, struct slice *value)
{
    if (!cursor || cursor->txn->error)
        return false;
    cursor->txn->dirty = true;
    int rc = mdb_cursor_del(cursor->lmdb, 0);
    if (rc)
        store_fail(cursor->txn, store_translate(rc, "cannot delete what a cursor stands on"));
    return !rc && move(cursor, key, value, MDB_NEXT); /* LMDB knows that it stands there already */
}
