/* store.c - the store on LMDB: its transactions.
 *
 * Life: opened by one process for itself, under the open lock (see open.c). The environment holds a
 * pool of reset reading transactions, so that a read costs a renewal and no slot search. A commit
 * whose outcome is unknown (an I/O error, a full disk) breaks the store for this process:
 * every later call is refused until it is opened again, since LMDB would go on acknowledging. What
 * such a commit left in the file is put right by store_settle, in another process or after opening
 * again.
 *
 * The gate: reading and writing transactions hold it shared; adopting a map that another process
 * has grown needs a moment without any transaction, and takes it alone.
 *
 * A thread that holds (store_hold) leaves the transaction of its reads open from one to the next.
 * Each asks LMDB for the number of the last commit, and renews if that is not its own: what was
 * acknowledged before a read began is in it, as if it had begun a transaction.
 */
#include "store_lmdb.h"

#include "error.h"
#include "mutant.h"
#include "text.h"

#include <stdlib.h>

#define CHECKS 2 /* of all pages, when those who commit are faster */

const char *const store_names[STORE_DBS] = {
    [STORE_JOBS] = "jobs",       [STORE_PAYLOAD] = "payload", [STORE_PENDING] = "pending",
    [STORE_SCHEDULED] = "scheduled", [STORE_RUNNING] = "running", [STORE_DONE] = "done",
    [STORE_KEYS] = "keys",       [STORE_CHANGES] = "changes", [STORE_META] = "meta",
};

/* What this thread holds. */
static _Thread_local struct {
    struct store *store;   /* NULL: nothing */
    struct store_txn *txn; /* NULL until the first read */
    bool busy;             /* a read goes on in it; one within that, from a callback, has its own */
} hold;

int store_translate(int rc, const char *what)
{
    switch (rc) {
    case MDB_SUCCESS:
        return JOBTAB_OK;
    case MDB_MAP_FULL:
        return fail(JOBTAB_FULL, "%s: the map is full", what);
    case MDB_VERSION_MISMATCH:
        return fail(JOBTAB_SCHEMA, "%s: %s", what, mdb_strerror(rc));
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_VALSIZE:
    case MDB_INCOMPATIBLE:
        return fail(JOBTAB_DAMAGED, "%s: %s", what, mdb_strerror(rc));
    case MDB_PANIC:
        return fail(JOBTAB_BROKEN, "%s: %s", what, mdb_strerror(rc));
    default:
        return fail(JOBTAB_SYSTEM, "%s: %s", what, mdb_strerror(rc));
    }
}

static int broken(void)
{
    return fail(JOBTAB_BROKEN, "an earlier commit failed with its outcome unknown");
}

/* --------------------------------------------------------------- transactions */

/* Another process has grown the map: take its size, once no transaction of ours is open. */
static int adopt_map(struct store *store)
{
    pthread_rwlock_unlock(&store->gate);
    pthread_rwlock_wrlock(&store->gate);
    int rc = mdb_env_set_mapsize(store->env, 0);
    pthread_rwlock_unlock(&store->gate);
    pthread_rwlock_rdlock(&store->gate);
    return rc;
}

static struct store_txn *from_pool(struct store *store)
{
    for (size_t i = 0; i < STORE_POOL; i++) {
        struct store_txn *txn = NULL;
        if (atomic_load_explicit(&store->pool[i], memory_order_relaxed))
            txn = atomic_exchange(&store->pool[i], NULL);
        if (txn)
            return txn;
    }
    return NULL;
}

/* False when there is no room. */
static bool into_pool(struct store *store, struct store_txn *txn)
{
    for (size_t i = 0; i < STORE_POOL; i++) {
        struct store_txn *none = NULL;
        if (atomic_compare_exchange_strong(&store->pool[i], &none, txn))
            return true;
    }
    return false;
}

/* Begin or renew, whichever the transaction needs, whatever it takes. */
static int begin(struct store_txn *txn)
{
    struct store *store = txn->store;
    int rc = 0;

    for (int tries = 0; tries < 3; tries++) {
        int dead;

        rc = txn->lmdb ? mdb_txn_renew(txn->lmdb)
                       : mdb_txn_begin(store->env, NULL, txn->writes ? 0 : MDB_RDONLY, &txn->lmdb);
        if (rc == MDB_MAP_RESIZED) {
            if ((rc = adopt_map(store)))
                break;
        } else if (rc == MDB_READERS_FULL) {
            if ((rc = mdb_reader_check(store->env, &dead)))
                break;
            rc = MDB_READERS_FULL;
        } else {
            break;
        }
    }
    return rc;
}

static int start(struct store *store, struct store_txn *txn)
{
    txn->store = store;
    txn->error = JOBTAB_OK;
    txn->dirty = false;
    pthread_rwlock_rdlock(&store->gate);
    int rc = begin(txn);
    if (!rc)
        return JOBTAB_OK;
    pthread_rwlock_unlock(&store->gate);
    if (txn->lmdb)
        mdb_txn_abort(txn->lmdb);
    if (rc == MDB_PANIC)
        atomic_store(&store->broken, true);
    rc = store_translate(rc, txn->writes ? "cannot begin to write" : "cannot begin to read");
    free(txn);
    return rc;
}

static void end_read(struct store_txn *txn)
{
    struct store *store = txn->store;

    careful_end(txn->view);
    txn->view = NULL;
    mdb_txn_reset(txn->lmdb);
    if (!into_pool(store, txn)) {
        mdb_txn_abort(txn->lmdb);
        free(txn);
    }
    pthread_rwlock_unlock(&store->gate);
}

/* What a careful reader reads by. False when the snapshot is older than two commits already, and
 * where its pages begin is overwritten: then another is to be taken. */
static bool begin_view(struct store_txn *txn, int *rc)
{
    bool passed = false;

    if (txn->store->careful)
        *rc = careful_begin(txn->store->careful, mdb_txn_id(txn->lmdb), &txn->view, &passed);
    return !passed;
}

static int begin_read(struct store *store, struct store_txn **result)
{
    int rc;

    for (;;) {
        struct store_txn *txn = from_pool(store);
        if (!txn)
            txn = calloc(1, sizeof *txn);
        if (!txn)
            return fail(JOBTAB_SYSTEM, "out of memory");
        rc = start(store, txn);
        if (rc)
            return rc;
        if (begin_view(txn, &rc) && !rc) {
            *result = txn;
            return JOBTAB_OK;
        }
        end_read(txn);
        if (rc)
            return rc;
    }
}

/* ----------------------------------------------------------------------- hold */

static void end_held(void)
{
    if (!hold.txn || hold.busy)
        return;
    end_read(hold.txn);
    hold.txn = NULL;
}

/* Is what the thread holds the last commit? LMDB shows the number of one to all before who made it
 * returns from it, and before any reader can see it. */
static bool is_newest(const struct store_txn *txn)
{
    MDB_envinfo info;

    mdb_env_info(txn->store->env, &info);
    if (mutant(MUTANT_STALE_READS)) /* unreachable: in the tests' copy of the library alone */
        return true; /* unreachable: the same */
    return info.me_last_txnid == txn->id;
}

static int read_held(struct store *store, struct store_txn **result)
{
    if (hold.txn && !is_newest(hold.txn))
        end_held();
    if (!hold.txn) {
        int rc = begin_read(store, &hold.txn);
        if (rc)
            return rc;
        hold.txn->id = mdb_txn_id(hold.txn->lmdb);
    }
    hold.busy = true;
    *result = hold.txn;
    return JOBTAB_OK;
}

void store_let_go(struct store *store, bool forked)
{
    if (hold.store != store)
        return;
    if (hold.txn && !forked)
        mdb_txn_abort(hold.txn->lmdb);
    if (hold.txn)
        careful_end(hold.txn->view);
    free(hold.txn);
    hold.store = NULL;
    hold.txn = NULL;
}

int store_hold(struct store *store)
{
    if (hold.store && hold.store != store)
        return fail(JOBTAB_BUSY, "this thread holds another table");
    hold.store = store;
    return JOBTAB_OK;
}

void store_pause(const struct store *store)
{
    if (hold.store == store)
        end_held();
}

void store_rest(const struct store *store)
{
    if (hold.store != store)
        return;
    end_held();
    hold.store = NULL;
}

int store_whole(const struct store *store)
{
    return atomic_load(&store->broken) ? broken() : JOBTAB_OK;
}

int store_read(struct store *store, struct store_txn **result)
{
    if (atomic_load(&store->broken))
        return broken();
    return hold.store == store && !hold.busy ? read_held(store, result)
                                             : begin_read(store, result);
}

static void not_told(const char *fault, void *context)
{
    (void)fault;
    (void)context;
}

/* Every page is, as far as can be told while others commit. */
static bool is_sound(struct store *store)
{
    uint64_t faults;
    bool passed = true;
    int rc = JOBTAB_OK;

    for (int tries = 0; passed && !rc && tries < CHECKS; tries++) {
        struct store_txn *txn = NULL;
        rc = store_read(store, &txn);
        if (!rc)
            rc = store_check(txn, not_told, NULL, &faults, &passed);
        store_end(txn);
    }
    return !rc && !passed;
}

int store_be_careful(struct store *store, store_fault_fn *fault, void *context)
{
    int fd;

    store->only_reads = true;
    if (is_sound(store))
        return JOBTAB_OK;
    store_pause(store);
    mdb_env_get_fd(store->env, &fd);
    careful_free(store->careful);
    store->careful = careful_new(fd, fault, context);
    return store->careful ? JOBTAB_OK : fail(JOBTAB_SYSTEM, "out of memory");
}

int store_write(struct store *store, struct store_txn **result)
{
    if (store->only_reads)
        return fail(JOBTAB_FORBIDDEN, "the table is read carefully: nothing can be written");
    if (atomic_load(&store->broken))
        return broken();
    store_pause(store); /* to adopt a grown map, no transaction may be open */
    struct store_txn *txn = calloc(1, sizeof *txn);
    if (!txn)
        return fail(JOBTAB_SYSTEM, "out of memory");
    txn->writes = true;
    int rc = start(store, txn);
    if (rc == JOBTAB_OK)
        *result = txn;
    return rc;
}

int store_commit(struct store_txn *txn)
{
    struct store *store = txn->store;
    int rc = store_error(txn);

    if (rc || !txn->dirty) {
        store_end(txn);
        return rc;
    }
    int failed = mdb_txn_commit(txn->lmdb);
    pthread_rwlock_unlock(&store->gate);
    free(txn);
    if (!failed)
        return JOBTAB_OK;
    /* A full map is found before anything is written. Anything else: what is on disk is unknown,
     * and the same process would go on acknowledging after a failed sync. */
    if (failed == MDB_MAP_FULL)
        return store_translate(failed, "cannot commit");
    if (mutant(MUTANT_IGNORE_ERROR)) /* unreachable: in the tests' copy of the library alone */
        return JOBTAB_OK; /* unreachable: the same */
    atomic_store(&store->broken, true);
    return fail(JOBTAB_BROKEN, "cannot commit: %s", mdb_strerror(failed));
}

void store_end(struct store_txn *txn)
{
    if (!txn)
        return;
    if (txn->writes) {
        struct store *store = txn->store;
        mdb_txn_abort(txn->lmdb);
        free(txn);
        pthread_rwlock_unlock(&store->gate);
    } else if (txn == hold.txn) {
        hold.busy = false;
        if (txn->error || !hold.store) /* LMDB may refuse it from here on; or the thread rests */
            end_held();
    } else {
        end_read(txn);
    }
}

int store_error(const struct store_txn *txn)
{
    return txn->error ? fail(txn->error, "%s", txn->why) : JOBTAB_OK;
}

int store_fail(struct store_txn *txn, int code)
{
    if (!txn->error) {
        txn->error = code;
        text_copy(txn->why, sizeof txn->why, jobtab_why());
    }
    return code;
}
