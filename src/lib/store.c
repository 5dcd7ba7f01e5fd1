/* store.c - the store on LMDB: the only file that knows it.
 *
 * Life: opened by one process for itself, under the open lock (see open.c). The environment holds a
 * pool of reset reading transactions, so that a read costs a renewal and no slot search. A commit
 * whose outcome is unknown (an I/O error, a full disk) breaks the store for this process:
 * every later call is refused until it is opened again, since LMDB would go on acknowledging. What such a
 * commit left in the file is put right by store_settle, in another process or after opening again.
 *
 * The gate: reading and writing transactions hold it shared; adopting a map that another process
 * has grown needs a moment without any transaction, and takes it alone.
 *
 * A thread that holds (store_hold) leaves the transaction of its reads open from one to the next.
 * Each asks LMDB for the number of the last commit, and renews if that is not its own: what was
 * acknowledged before a read began is in it, as if it had begun a transaction.
 */
#include "store.h"

#include "clock.h"
#include "error.h"
#include "mutant.h"
#include "store_pages.h"
#include "sync.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define POOL_SIZE 64
#define DEFAULT_MAP (UINT64_C(1) << 30)
#define META_PAGES  2
#define FREE_LIST   0 /* LMDB's handle of the database that lists free pages */
#define PAGE_HEADER 16 /* of a meta page: its number and kind; what follows is a copy of the other's */

/* Blocks that are taken at once when the file grows. */
#define ROOM_STEP (UINT64_C(1) << 20)
#define READ_STEP (1 << 20) /* bytes that are read at once to see whether they can be */

/* The size that LMDB gives its lock file: a header and a cache line for each reader. */
#define LOCK_FILE_SIZE(readers) ((off_t)(readers) * 64 + 128)

const char store_file[] = "data.mdb";

/* What it is called until it is whole. */
static const char new_file[] = "data.new";

static const char *const names[STORE_DBS] = {
    [STORE_JOBS] = "jobs",       [STORE_PAYLOAD] = "payload", [STORE_PENDING] = "pending",
    [STORE_SCHEDULED] = "scheduled", [STORE_RUNNING] = "running", [STORE_DONE] = "done",
    [STORE_KEYS] = "keys",       [STORE_CHANGES] = "changes", [STORE_META] = "meta",
};

struct store_txn {
    struct store *store;
    MDB_txn *lmdb;
    size_t id; /* of a held one: the commit that it shows */
    int error; /* sticks, and so do its words: what comes after it may find less than there is */
    char why[JOBTAB_WHY_MAX];
    bool writes;
    bool dirty; /* something was put or deleted */
};

struct store_cursor {
    struct store_txn *txn;
    MDB_cursor *lmdb;
};

struct store {
    MDB_env *env;
    MDB_dbi dbs[STORE_DBS];
    pthread_rwlock_t gate;
    struct store_txn *_Atomic pool[POOL_SIZE]; /* NULL: nothing there */
    atomic_bool broken;
    bool synced;   /* what stood in the file when it was opened is on disk */
    uint64_t room; /* of the writer: bytes from the file's beginning that have their blocks */
};

/* What this thread holds. */
static _Thread_local struct {
    struct store *store;   /* NULL: nothing */
    struct store_txn *txn; /* NULL until the first read */
    bool busy;             /* a read goes on in it; one within that, from a callback, has its own */
} hold;

/* The one translator of LMDB's errors. */
static int translate(int rc, const char *what)
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

/* Blocks for bytes of a file, whether its end is before them or not. 0 or an errno. A file system that
 * knows no such thing has nothing to promise. */
static int take_blocks(int fd, uint64_t from, uint64_t to)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && to > limit.rlim_cur)
        return EFBIG; /* which counts at the write */
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) == 0)
        return 0;
    return errno == EOPNOTSUPP ? 0 : errno;
}

/* ---------------------------------------------------------------- open, close */

/* LMDB maps its lock file and dies of SIGBUS when the disk has no room for it: give it its room
 * before, also to one that has holes (made by LMDB's own tools, or copied). Not beyond its end: others
 * may have it mapped as it is. Never while this process has the environment open, since closing a
 * descriptor drops all of the process's locks on the file. */
static int make_lock_file(const char *dir, uint32_t readers)
{
    char path[4096];
    struct stat file;
    bool made = false;

    snprintf(path, sizeof path, "%s/lock.mdb", dir); /* not longer than that of the data */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        made = true;
    }
    if (fd < 0)
        return fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", path);
    int rc = JOBTAB_OK;
    if (fstat(fd, &file) < 0) {
        rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot look at %s", path);
    } else {
        off_t size = file.st_size < LOCK_FILE_SIZE(readers) ? LOCK_FILE_SIZE(readers) : file.st_size;
        int err = take_blocks(fd, 0, (uint64_t)size);
        if (err)
            rc = fail_errno(JOBTAB_SYSTEM, err, "cannot make room for %s", path);
    }
    if (rc && made)
        unlink(path);
    close(fd);
    return rc;
}

/* A disk that was full may have taken one page of a new file: LMDB would refuse it for ever. Such a file
 * never was a table, whose two first pages are there before anything is committed. */
static int drop_half_made(const char *path, bool must_exist)
{
    struct stat file;

    if (must_exist || stat(path, &file) < 0 || file.st_size >= META_PAGES * sysconf(_SC_PAGESIZE))
        return JOBTAB_OK;
    return truncate(path, 0) == 0 ? JOBTAB_OK
                                  : fail_errno(JOBTAB_SYSTEM, errno, "cannot begin %s anew", path);
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
        return translate(rc, "cannot read");
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

/* LMDB believes what it reads, and a damaged page kills who asks for it: look at what opening asks for
 * before it does. */
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
            return translate(rc, "cannot read");
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
        rc = mdb_dbi_open(txn, names[i], MDB_CREATE, &dbs[i]);
    if (!rc)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* The file gets its name when it is whole and on disk: LMDB writes its two first pages at once, and would
 * never again open a file that a power failure had left with one of them. Nobody else knows the new
 * one, so it needs no lock file; what is left of an earlier attempt goes. The folder is the caller's to
 * sync. */
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
        return translate(rc, new_path);
    rc = mdb_env_set_maxdbs(env, STORE_DBS);
    if (!rc)
        rc = mdb_env_set_mapsize(env, map_size);
    if (!rc)
        rc = mdb_env_open(env, new_path, flags, 0600);
    if (!rc)
        rc = make_databases(env, dbs);
    mdb_env_close(env);
    if (rc)
        rc = translate(rc, new_path);
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
        return translate(rc, "cannot open the databases");
    for (int i = 0; !rc && i < STORE_DBS; i++)
        rc = mdb_dbi_open(txn, names[i], 0, &store->dbs[i]);
    if (!rc)
        return translate(mdb_txn_commit(txn), "cannot open the databases");
    mdb_txn_abort(txn);
    if (rc != MDB_NOTFOUND)
        return translate(rc, "cannot open the databases");
    if (must_exist)
        return fail(JOBTAB_NOTABLE, "the file there holds no job table");
    return translate(make_databases(store->env, store->dbs), "cannot make the databases");
}

struct reader_list {
    store_reader_fn *tell;
    void *context;
};

/* "     pid     thread txnid": numbers in decimal, hexadecimal, and decimal or "-". The first line is a
 * heading, or says that there are none. */
static int read_reader(const char *line, void *context)
{
    const struct reader_list *list = context;
    uint64_t shows = 0;
    int32_t pid;

    if (sscanf(line, "%" SCNd32 " %*x %" SCNu64, &pid, &shows) >= 1)
        list->tell(pid, shows, list->context);
    return 0;
}

void store_each_reader(struct store *store, store_reader_fn *tell, void *context)
{
    struct reader_list list = {.tell = tell, .context = context};

    mdb_reader_list(store->env, read_reader, &list);
}

static void find_namesake(int32_t pid, uint64_t shows, void *context)
{
    bool *found = context;

    (void)shows;
    *found = *found || pid == process_self();
}

/* A slot with our pid before we have one was left by a process that had the pid before us. LMDB would
 * take it for ours, and its snapshot would pin pages for as long as we live. */
static bool has_namesake(struct store *store)
{
    bool found = false;

    store_each_reader(store, find_namesake, &found);
    return found && !mutant(MUTANT_NAMESAKE);
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
    /* What a writer that died had written may be visible and not yet on disk. When the disk refuses, it can
     * still be read: see store_synced. */
    store->synced = !rc && mdb_env_sync(store->env, 1) == 0;
    if (!rc)
        rc = mdb_reader_check(store->env, &dead);
    if (rc) {
        rc = translate(rc, path);
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
    if (hold.store == store) {
        struct store_txn *txn = hold.txn;
        if (txn && !forked)
            mdb_txn_abort(txn->lmdb);
        free(txn);
        hold.store = NULL;
        hold.txn = NULL;
    }
    /* In a child the transactions' slots are the parent's: they are left alone. */
    for (size_t i = 0; i < POOL_SIZE; i++) {
        struct store_txn *txn = store->pool[i];
        if (txn && !forked)
            mdb_txn_abort(txn->lmdb);
        free(txn);
    }
    if (store->env)
        mdb_env_close(store->env);
    pthread_rwlock_destroy(&store->gate);
    free(store);
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
    for (size_t i = 0; i < POOL_SIZE; i++) {
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
    for (size_t i = 0; i < POOL_SIZE; i++) {
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
    rc = translate(rc, txn->writes ? "cannot begin to write" : "cannot begin to read");
    free(txn);
    return rc;
}

static int begin_read(struct store *store, struct store_txn **result)
{
    struct store_txn *txn = from_pool(store);

    if (!txn)
        txn = calloc(1, sizeof *txn);
    if (!txn)
        return fail(JOBTAB_SYSTEM, "out of memory");
    int rc = start(store, txn);
    if (rc == JOBTAB_OK)
        *result = txn;
    return rc;
}

static void end_read(struct store_txn *txn)
{
    struct store *store = txn->store;

    mdb_txn_reset(txn->lmdb);
    if (!into_pool(store, txn)) {
        mdb_txn_abort(txn->lmdb);
        free(txn);
    }
    pthread_rwlock_unlock(&store->gate);
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

int store_write(struct store *store, struct store_txn **result)
{
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
        return translate(failed, "cannot commit");
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

/* Note a result in the transaction; true when the call found or did what it should. */
static bool noted(struct store_txn *txn, int rc, enum store_db db)
{
    if (rc == MDB_SUCCESS)
        return true;
    if (rc != MDB_NOTFOUND)
        store_fail(txn, translate(rc, names[db]));
    return false;
}

bool store_get(struct store_txn *txn, enum store_db db, struct slice key, struct slice *value)
{
    MDB_val k = to_val(key), v;

    if (txn->error || !noted(txn, mdb_get(txn->lmdb, txn->store->dbs[db], &k, &v), db))
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
    noted(txn, mdb_put(txn->lmdb, txn->store->dbs[db], &k, &v, flags), db);
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

    if (txn->error || !noted(txn, mdb_del(txn->lmdb, txn->store->dbs[db], &k, NULL), db))
        return false;
    txn->dirty = true;
    return true;
}

uint64_t store_count(struct store_txn *txn, enum store_db db)
{
    MDB_stat stat = {0};

    if (txn->error)
        return 0;
    noted(txn, mdb_stat(txn->lmdb, txn->store->dbs[db], &stat), db);
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
    if (!noted(txn, mdb_cursor_open(txn->lmdb, txn->store->dbs[db], &cursor->lmdb), db)) {
        free(cursor);
        return NULL;
    }
    return cursor;
}

void store_cursor_end(struct store_cursor *cursor)
{
    if (!cursor)
        return;
    mdb_cursor_close(cursor->lmdb);
    free(cursor);
}

static bool move(struct store_cursor *cursor, struct slice *key, struct slice *value,
                 MDB_cursor_op op)
{
    MDB_val k = {0}, v;

    if (!cursor || cursor->txn->error)
        return false;
    if (key->size && op == MDB_SET_RANGE)
        k = to_val(*key);
    int rc = mdb_cursor_get(cursor->lmdb, &k, &v, op);
    if (rc && rc != MDB_NOTFOUND)
        store_fail(cursor->txn, translate(rc, "cannot go through a database"));
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
        store_fail(cursor->txn, translate(rc, "cannot delete what a cursor stands on"));
    return !rc && move(cursor, key, value, MDB_NEXT); /* LMDB knows that it stands there already */
}

/* ---------------------------------------------------------------- maintenance */

int store_check(struct store_txn *txn, store_fault_fn *fault, void *context, uint64_t *faults,
                bool *passed)
{
    int fd = -1;

    mdb_env_get_fd(txn->store->env, &fd);
    /* that of a writer is to come */
    size_t commit = mdb_txn_id(txn->lmdb) - txn->writes;
    return pages_check(fd, commit, NULL, fault, context, faults, passed);
}

static uint64_t pages_of(const MDB_stat *stat)
{
    return stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

/* Each database knows how many pages it has, the catalogue of names (of the last commit: a page or
 * two) and the list of free pages, handle 0, too. So nothing is walked, however many pages are free. */
uint64_t store_used(struct store_txn *txn, uint64_t precise_above)
{
    MDB_env *env = txn->store->env;
    MDB_envinfo info;
    MDB_stat stat;

    mdb_env_info(env, &info);
    mdb_env_stat(env, &stat);
    uint64_t file = (info.me_last_pgno + 1) * stat.ms_psize;
    if (file <= precise_above || txn->error)
        return file;
    uint64_t pages = META_PAGES + pages_of(&stat);
    if (noted(txn, mdb_stat(txn->lmdb, FREE_LIST, &stat), STORE_META))
        pages += pages_of(&stat);
    for (int db = 0; db < STORE_DBS; db++)
        if (noted(txn, mdb_stat(txn->lmdb, txn->store->dbs[db], &stat), (enum store_db)db))
            pages += pages_of(&stat);
    return pages * stat.ms_psize;
}

uint64_t store_size(struct store *store)
{
    MDB_envinfo info;

    mdb_env_info(store->env, &info);
    return info.me_mapsize;
}

uint64_t store_newest(struct store *store)
{
    MDB_envinfo info;

    mdb_env_info(store->env, &info);
    return info.me_last_txnid;
}

static void count_reader(int32_t pid, uint64_t shows, void *context)
{
    uint32_t *count = context;

    (void)pid, (void)shows;
    ++*count;
}

void store_readers(struct store *store, uint32_t *used, uint32_t *max)
{
    MDB_envinfo info;

    mdb_env_info(store->env, &info);
    *used = 0;
    *max = info.me_maxreaders;
    store_each_reader(store, count_reader, used);
}

uint32_t store_clear_readers(struct store *store)
{
    int dead = 0;

    mdb_reader_check(store->env, &dead);
    return dead > 0 ? (uint32_t)dead : 0;
}

bool store_synced(const struct store *store)
{
    return store->synced;
}

static uint64_t page_size(struct store *store)
{
    MDB_stat stat;

    mdb_env_stat(store->env, &stat);
    return stat.ms_psize;
}

/* The file's end as the last commit has it. */
static uint64_t file_end(struct store *store)
{
    MDB_envinfo info;

    mdb_env_info(store->env, &info);
    return (info.me_last_pgno + 1) * page_size(store);
}

/* Bytes within the file that are nobody's: half of them, as those that were freed last, or that somebody
 * who reads may still see, are not to be had yet. */
static uint64_t spare(struct store_txn *txn)
{
    uint64_t end = file_end(txn->store), used = store_used(txn, 0);

    return used < end ? (end - used) / 2 : 0;
}

int store_reserve(struct store_txn *txn, uint64_t bytes)
{
    struct store *store = txn->store;
    uint64_t most = store_size(store), wanted = file_end(store) + bytes, more;
    int fd;

    wanted = wanted < most ? wanted : most;
    if (wanted <= store->room)
        return JOBTAB_OK;
    more = wanted + ROOM_STEP < most ? wanted + ROOM_STEP : most;
    mdb_env_get_fd(store->env, &fd);
    if (take_blocks(fd, store->room, more) == 0) {
        store->room = more;
        return JOBTAB_OK;
    }
    int err = take_blocks(fd, store->room, wanted);
    if (err && spare(txn) >= bytes)
        return JOBTAB_OK;
    if (err == ENOSPC || err == EDQUOT || err == EFBIG)
        return fail_errno(JOBTAB_FULL, err, "no room for the table to grow");
    if (err)
        return fail_errno(JOBTAB_SYSTEM, err, "cannot make room for the table to grow");
    store->room = wanted;
    return JOBTAB_OK;
}

/* Both meta pages shall show the last commit, on disk. The one that the next commit goes to may have been
 * written by one that failed, in part or in whole, to the disk or only to memory: what it would name
 * are free pages now, and should it be found after a power loss when those are in use again, the table
 * would be lost. LMDB's own attempt at this is written to a disk that has just failed. */
static int write_meta(struct store_txn *txn, int fd)
{
    size_t size = page_size(txn->store), last = (mdb_txn_id(txn->lmdb) - 1) % META_PAGES;
    size_t rest = size - PAGE_HEADER;
    off_t from = (off_t)(last * size), to = (off_t)((META_PAGES - 1 - last) * size);
    char *page = malloc(size);

    if (!page)
        return fail(JOBTAB_SYSTEM, "out of memory");
    int rc = JOBTAB_OK;
    errno = EIO; /* of a short read or write */
    if (pread(fd, page, size, from) != (ssize_t)size ||
        pwrite(fd, page + PAGE_HEADER, rest, to + PAGE_HEADER) != (ssize_t)rest)
        rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot undo a commit that failed");
    free(page);
    if (!rc && (rc = mdb_env_sync(txn->store->env, 1)) != 0)
        rc = translate(rc, "cannot sync");
    return rc;
}

/* A page that cannot be read is an error here, and SIGBUS where the map is read. */
static int read_through(struct store *store, int fd)
{
    uint64_t end = file_end(store);
    char *bytes = malloc(READ_STEP);
    int rc = JOBTAB_OK;

    if (!bytes)
        return fail(JOBTAB_SYSTEM, "out of memory");
    for (uint64_t at = 0; at < end && !rc; at += READ_STEP)
        if (pread(fd, bytes, READ_STEP, (off_t)at) < 0)
            rc = fail_errno(JOBTAB_SYSTEM, errno, "cannot read the table's file at %llu",
                            (unsigned long long)at);
    free(bytes);
    return rc;
}

int store_settle(struct store_txn *txn)
{
    int fd;

    mdb_env_get_fd(txn->store->env, &fd);
    int rc = write_meta(txn, fd);
    return rc ? rc : read_through(txn->store, fd);
}

void store_break(struct store *store)
{
    atomic_store(&store->broken, true);
}

int store_sync(struct store *store)
{
    int rc = mdb_env_sync(store->env, 1);

    if (rc)
        atomic_store(&store->broken, true);
    return rc ? fail(JOBTAB_BROKEN, "cannot sync: %s", mdb_strerror(rc)) : JOBTAB_OK;
}

int store_copy(struct store *store, const char *dir)
{
    char path[4096];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, store_file) >= sizeof path)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    int rc = mdb_env_copy2(store->env, dir, MDB_CP_COMPACT);
    if (rc)
        return translate(rc, path);
    rc = sync_path(path); /* LMDB does not sync its copies */
    return rc ? rc : sync_path(dir);
}
