/* store_keep.c - keeping the store: how full it is, who reads it, room on the disk, syncs and
 * copies, and what a commit that failed has left in the file. */
#include "store_lmdb.h"

#include "blocks.h"
#include "error.h"
#include "store_pages.h"
#include "sync.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FREE_LIST   0  /* LMDB's handle of the database that lists free pages */
#define PAGE_HEADER 16 /* of a meta page: its number and kind; what follows is a copy of the other's */

/* Blocks that are taken at once when the file grows. */
#define ROOM_STEP (UINT64_C(1) << 20)
#define READ_STEP (1 << 20) /* bytes that are read at once to see whether they can be */

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
 * two) and the list of free pages, handle 0, too. So nothing is walked, however many pages are
 * free. */
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
    if (store_noted(txn, mdb_stat(txn->lmdb, FREE_LIST, &stat), STORE_META))
        pages += pages_of(&stat);
    for (int db = 0; db < STORE_DBS; db++)
        if (store_noted(txn, mdb_stat(txn->lmdb, txn->store->dbs[db], &stat), (enum store_db)db))
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

struct reader_list {
    store_reader_fn *tell;
    void *context;
};

/* "     pid     thread txnid": numbers in decimal, hexadecimal, and decimal or "-". The first line
 * is a heading, or says that there are none. */
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

/* Bytes within the file that are nobody's: half of them, as those that were freed last, or that
 * somebody who reads may still see, are not to be had yet. */
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
    if (blocks_take(fd, store->room, more) == 0) {
        store->room = more;
        return JOBTAB_OK;
    }
    int err = blocks_take(fd, store->room, wanted);
    if (err && spare(txn) >= bytes)
        return JOBTAB_OK;
    if (err == ENOSPC || err == EDQUOT || err == EFBIG)
        return fail_errno(JOBTAB_FULL, err, "no room for the table to grow");
    if (err)
        return fail_errno(JOBTAB_SYSTEM, err, "cannot make room for the table to grow");
    store->room = wanted;
    return JOBTAB_OK;
}

/* Both meta pages shall show the last commit, on disk. The one that the next commit goes to may
 * have been written by one that failed, in part or in whole, to the disk or only to memory: what it
 * would name are free pages now, and should it be found after a power loss when those are in use
 * again, the table would be lost. LMDB's own attempt at this is written to a disk that has just
 * failed. */
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
        rc = store_translate(rc, "cannot sync");
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
        return store_translate(rc, path);
    rc = sync_path(path); /* LMDB does not sync its copies */
    return rc ? rc : sync_path(dir);
}
