/* store_open.c - making, opening and closing the store.
 *
 * Born:  under the open lock (open.c), by one process for itself. LMDB believes what it reads: what
 *        it would die of is looked at before (store_pages.h), and what a full disk would kill is
 *        given its blocks.
 * Crash: a new file has another name until it is whole and on disk; the next opener begins anew.
 */
#include "store_lmdb.h"

#include "blocks.h"
#include "clock.h"
#include "error.h"
#include "mutant.h"
#include "store_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MAP (UINT64_C(1) << 30)

/* The size that LMDB gives its lock file: a header and a cache line for each reader. */
#define LOCK_FILE_SIZE(readers) ((uint64_t)(readers) * 64 + 128)

const char store_file[] = "data.mdb";

/* What it is called until it is whole. */
static const char new_file[] = "data.new";

/* LMDB maps its lock file and dies of SIGBUS when the disk has no room for it, or for a hole in it
 * (its own tools make such files). */
static int make_lock_file(const char *dir, uint32_t readers)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/lock.mdb", dir); /* not longer than that of the data */
    return blocks_fill(path, LOCK_FILE_SIZE(readers));
}

/* A first opener that was killed between making the lock file and reading the meta pages leaves
 * the next one with transaction id 0, which would then overwrite newer commits. The open lock
 * prevents it; this makes sure. */
static int check_transaction_id(MDB_env *env)
{
    MDB_envinfo info;
    MDB_txn *txn;

    /* In this order: others may commit at any time, and both numbers only grow. */
    mdb_env_info(env, &info);
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return store_translate(rc, "cannot read");
    size_t seen = mdb_txn_id(txn);
    mdb_txn_abort(txn);
    if (seen + 1 < info.me_last_txnid)
        return fail(JOBTAB_SYSTEM, "the lock file is behind the data: stop all who have the "
                                   "table open, remove lock.mdb, open again");
    return JOBTAB_OK;
}

struct first_fault {
    char line[256]; /* "" before there is one */
};

static void note_first(const char *fault, void *context)
{
    struct first_fault *first = context;

    if (!first->line[0])
        snprintf(first->line, sizeof first->line, "%s", fault);
}

/* LMDB believes what it reads, and a damaged page kills who asks for it: look at what opening asks
 * for before it does. */
static int check_pages(MDB_env *env, int fd, const char *path)
{
    static const char *const read_at_open[] = {"meta", "changes", NULL};
    struct first_fault first = {.line = ""};
    uint64_t faults;
    bool passed;
    int rc;

    do {
        MDB_txn *txn;
        rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
        if (rc)
            return store_translate(rc, "cannot read");
        rc = pages_check(fd, mdb_txn_id(txn), read_at_open, note_first, &first, &faults, &passed);
        mdb_txn_abort(txn);
    } while (passed);
    return rc == JOBTAB_DAMAGED ? fail(rc, "%s: %s", path, first.line) : rc;
}

/* What a control makes of a commit. */
static unsigned sync_flag(void)
{
    return mutant(MUTANT_NO_SYNC) ? MDB_NOSYNC : 0; /* unreachable: in the tests' copy alone */
}

static int make_databases(MDB_env *env, MDB_dbi dbs[STORE_DBS])
{
    MDB_txn *txn;

    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc)
        return rc;
    for (int i = 0; !rc && i < STORE_DBS; i++)
        rc = mdb_dbi_open(txn, store_names[i], MDB_CREATE, &dbs[i]);
    if (!rc)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* The file gets its name when it is whole and on disk: LMDB writes its two first pages at once, and
 * would never again open a file that a power failure had left with one of them. Nobody else knows
 * the new one, so it needs no lock file; what is left of an earlier attempt goes. The folder is the
 * caller's to sync. */
static int make_file(const char *dir, const char *path, uint64_t map_size)
{
    const unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | sync_flag();
    MDB_dbi dbs[STORE_DBS];
    char new_path[4096];
    MDB_env *env;

    snprintf(new_path, sizeof new_path, "%s/%s", dir, new_file); /* not longer than `path` */
    if (unlink(new_path) < 0 && errno != ENOENT)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot remove %s", new_path);
    int rc = mdb_env_create(&env);
    if (rc)
        return store_translate(rc, new_path);
    rc = mdb_env_set_maxdbs(env, STORE_DBS);
    if (!rc)
        rc = mdb_env_set_mapsize(env, map_size);
    if (!rc)
        rc = mdb_env_open(env, new_path, flags, 0600);
    if (!rc)
        rc = make_databases(env, dbs);
    mdb_env_close(env);
    if (rc)
        rc = store_translate(rc, new_path);
    else if (rename(new_path, path) < 0)
        rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot name %s", path);
    if (rc)
        unlink(new_path);
    return rc;
}

/* There without exception, but in a file that an earlier version had begun to make. */
static int open_databases(struct store *store, bool must_exist)
{
    MDB_txn *txn = NULL;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return store_translate(rc, "cannot open the databases");
    for (int i = 0; !rc && i < STORE_DBS; i++)
        rc = mdb_dbi_open(txn, store_names[i], 0, &store->dbs[i]);
    if (!rc)
        return store_translate(mdb_txn_commit(txn), "cannot open the databases");
    mdb_txn_abort(txn);
    if (rc != MDB_NOTFOUND)
        return store_translate(rc, "cannot open the databases");
    if (must_exist)
        return fail(JOBTAB_NOTABLE, "the file there holds no job table");
    return store_translate(make_databases(store->env, store->dbs), "cannot make the databases");
}

static void find_namesake(int32_t pid, uint64_t shows, void *context)
{
    bool *found = context;

    (void)shows;
    *found = *found || pid == process_self();
}

/* A slot with our pid before we have one was left by a process that had the pid before us. LMDB
 * would take it for ours, and its snapshot would pin pages for as long as we live. */
static bool has_namesake(struct store *store)
{
    bool found = false;

    store_each_reader(store, find_namesake, &found);
    if (mutant(MUTANT_NAMESAKE)) /* unreachable: in the tests' copy of the library alone */
        return false; /* unreachable: the same */
    return found;
}

int store_open(const char *dir, uint64_t map_size, uint32_t max_readers, bool must_exist,
               struct store **result)
{
    bool namesake = false;
    char path[4096];
    unsigned flags = MDB_NOTLS | sync_flag();
    struct stat file;
    int fd, dead, rc;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, store_file) >= sizeof path)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    bool there = stat(path, &file) == 0;
    if (!there && errno != ENOENT)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot look at %s", path);
    if (!there || file.st_size == 0) { /* an empty one is what earlier versions began with */
        if (must_exist)
            return fail(JOBTAB_NOTABLE, "there is no table in %s", dir);
        rc = make_file(dir, path, map_size ? map_size : DEFAULT_MAP);
        if (rc)
            return rc;
    }
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return fail(JOBTAB_SYSTEM, "out of memory");
    pthread_rwlock_init(&store->gate, NULL);
    rc = make_lock_file(dir, max_readers);
    if (!rc)
        rc = pages_check_head(path);
    if (rc)
        goto failed;
    rc = mdb_env_create(&store->env);
    if (!rc)
        rc = mdb_env_set_maxdbs(store->env, STORE_DBS);
    if (!rc)
        rc = mdb_env_set_maxreaders(store->env, max_readers);
    if (!rc && map_size)
        rc = mdb_env_set_mapsize(store->env, map_size);
    if (!rc)
        rc = mdb_env_open(store->env, dir, flags, 0600);
    if (!rc)
        rc = mdb_env_get_fd(store->env, &fd);
    if (!rc && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        rc = errno;
    /* What a writer that died had written may be visible and not yet on disk. When the disk
     * refuses, it can still be read: see store_synced. */
    store->synced = !rc && mdb_env_sync(store->env, 1) == 0;
    if (!rc)
        rc = mdb_reader_check(store->env, &dead);
    if (rc) {
        rc = store_translate(rc, path);
        goto failed;
    }
    namesake = has_namesake(store);
    rc = check_transaction_id(store->env);
    if (!rc)
        rc = check_pages(store->env, fd, path);
    if (!rc)
        rc = open_databases(store, must_exist);
    if (rc)
        goto failed;
    if (namesake) {
        /* A close clears every slot of our pid, once there was a reader of our own. */
        store_close(store, false);
        return store_open(dir, map_size, max_readers, must_exist, result);
    }
    *result = store;
    return JOBTAB_OK;
failed:
    store_close(store, false);
    return rc;
}

void store_close(struct store *store, bool forked)
{
    if (!store)
        return;
    store_let_go(store, forked);
    /* In a child the transactions' slots are the parent's: they are left alone. */
    for (size_t i = 0; i < STORE_POOL; i++) {
        struct store_txn *txn = store->pool[i];
        if (txn && !forked)
            mdb_txn_abort(txn->lmdb);
        free(txn);
    }
    careful_free(store->careful);
    if (store->env)
        mdb_env_close(store->env);
    pthread_rwlock_destroy(&store->gate);
    free(store);
}
