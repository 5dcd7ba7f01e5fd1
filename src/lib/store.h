/* store.h - an ordered key-value store with transactions, shared by processes.
 *
 * What the table asks of a store, and no more: begin, get, put, delete, seek, next, commit. Nothing
 * here is LMDB's own, so that another store can stand behind the same table.
 *
 * An error sticks to its transaction: after one, puts do nothing, gets find nothing, and
 * store_commit returns it. So a chain of calls is checked once.
 *
 * What a get or a cursor returns points into the store: valid until the next put or delete in a
 * writing transaction, or the end of a reading one. Not aligned: memcpy, never cast.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_db {
    STORE_JOBS,
    STORE_PAYLOAD,
    STORE_PENDING,
    STORE_SCHEDULED,
    STORE_RUNNING,
    STORE_DONE,
    STORE_KEYS,
    STORE_CHANGES,
    STORE_META,
    STORE_DBS
};

struct store;
struct store_txn;
struct store_cursor;

struct slice {
    const void *data;
    size_t size;
};

/* Open the store in the directory that `dir` names; it exists. Makes the store unless `must_exist`
 * (JOBTAB_NOTABLE). `map_size` 0 keeps the store's own. The caller holds the open lock.
 * JOBTAB_DAMAGED when what opening reads is not sound: the store's head, its catalogue, and the
 * databases `meta` and `changes`, which each opener of a table looks at. The others may be
 * damaged all the same: store_check tells. */
int store_open(const char *dir, uint64_t map_size, uint32_t max_readers, bool must_exist,
               struct store **store);
/* `forked`: this is a child's copy; nothing that is shared is touched. */
void store_close(struct store *store, bool forked);

/* From here on the reading transactions of this thread share one snapshot for as long as it is the
 * newest. store_rest ends that; store_pause lets go of the snapshot until the next read. Both
 * cost nothing when nothing is held. JOBTAB_BUSY: the thread holds another store. */
int store_hold(struct store *store);
void store_pause(const struct store *store);
void store_rest(const struct store *store);
/* JOBTAB_BROKEN once a commit has failed with its outcome unknown, as the next two. */
int store_whole(const struct store *store);
int store_read(struct store *store, struct store_txn **txn);
/* Waits for the writer that is. */
int store_write(struct store *store, struct store_txn **txn);
/* Durable on return. The transaction is gone, whatever is returned. */
int store_commit(struct store_txn *txn);
/* End a reading transaction, or drop a writing one. NULL is fine. */
void store_end(struct store_txn *txn);
int store_error(const struct store_txn *txn);
/* Make the transaction fail with `code`. Returns it. */
int store_fail(struct store_txn *txn, int code);

/* True, and *value set, when the key is there. */
bool store_get(struct store_txn *txn, enum store_db db, struct slice key, struct slice *value);
void store_put(struct store_txn *txn, enum store_db db, struct slice key, struct slice value);
/* A put of a key above all others of its database: cheaper, and packs full pages. */
void store_append(struct store_txn *txn, enum store_db db, struct slice key, struct slice value);
/* False when there was none. */
bool store_delete(struct store_txn *txn, enum store_db db, struct slice key);
uint64_t store_count(struct store_txn *txn, enum store_db db);

/* Cursors end with their transaction at the latest. NULL when the transaction has failed. */
struct store_cursor *store_cursor(struct store_txn *txn, enum store_db db);
void store_cursor_end(struct store_cursor *cursor);
/* The first entry at or above `key` (size 0: the first). Each returns false when there is none. */
bool store_seek(struct store_cursor *cursor, struct slice key, struct slice *found,
                struct slice *value);
/* The last entry below `key` (size 0: the last). */
bool store_seek_below(struct store_cursor *cursor, struct slice key, struct slice *found,
                      struct slice *value);
bool store_next(struct store_cursor *cursor, struct slice *key, struct slice *value);
bool store_previous(struct store_cursor *cursor, struct slice *key, struct slice *value);
/* Delete the entry that the cursor stands on, and go to the next. */
bool store_delete_next(struct store_cursor *cursor, struct slice *key, struct slice *value);

/* From here on readers believe no page, unless all are sound now: entries of damaged ones are
 * missed, all others found. `fault` is told of each such page once. Nothing can be written then. */
typedef void store_fault_fn(const char *fault, void *context);
int store_be_careful(struct store *store, store_fault_fn *fault, void *context);

/* Hold the store's own structure, as the transaction has it, which has changed nothing, against
 * itself, trusting none of it: `fault` is told of each fault in one line. Only where there is none
 * is it safe to go through all the databases. JOBTAB_DAMAGED when there are faults; else why the
 * store could not be read. *passed, and JOBTAB_OK: commits made since the transaction began are in
 * the way; try again with another. */
int store_check(struct store_txn *txn, store_fault_fn *fault, void *context, uint64_t *faults,
                bool *passed);

/* Bytes of the pages that hold something, as the transaction has them, of the store_size there may
 * be. While the file has never been larger than `precise_above`, its size is the answer. */
uint64_t store_used(struct store_txn *txn, uint64_t precise_above);
uint64_t store_size(struct store *store);
void store_readers(struct store *store, uint32_t *used, uint32_t *max);
/* Told of a reader's slot: whose it is, and the commit that it shows, 0 while it reads nothing. */
typedef void store_reader_fn(int32_t pid, uint64_t shows, void *context);
/* Waits for nobody, whoever may be stopped. Slots of the dead are told, too. */
void store_each_reader(struct store *store, store_reader_fn *tell, void *context);
/* The newest commit, by the same count. */
uint64_t store_newest(struct store *store);
/* Clear the slots of readers that died; how many there were. */
uint32_t store_clear_readers(struct store *store);
/* Everything visible is on disk when this returns. */
int store_sync(struct store *store);
/* False when what the last writer had left could not be made durable at opening: it may be read,
 * and store_settle must succeed before it is written to. */
bool store_synced(const struct store *store);
/* In a writing transaction that has changed nothing: undo for good what a commit that failed may
 * have left in the file, make sure that all of it is on disk and can be read. JOBTAB_SYSTEM: not
 * now. */
int store_settle(struct store_txn *txn);
/* In a writing transaction, before it puts what can be refused: see to it that there is room on the
 * disk for `bytes`, in the file or beyond its end. JOBTAB_FULL: there is none. */
int store_reserve(struct store_txn *txn, uint64_t bytes);
/* A commit of another process failed with its outcome unknown, ours were in it: be broken, too. */
void store_break(struct store *store);
/* Write a compacted copy into the directory `dir`, synced. */
int store_copy(struct store *store, const char *dir);
/* The store's file within its directory. */
extern const char store_file[];

#endif
