/* lib_get.c - one job of many, read again and again by its id, at random.
 *
 *   lib_get jobtab|mdb TABLE SECONDS
 *
 * `jobtab` is jobtab_get: a snapshot taken, the record found, every field of it decoded and copied out,
 * the snapshot given back. `mdb` is the least that any reader of the same file can do: renew a
 * transaction, mdb_get of the same record in the same database, copy its bytes out, reset.
 *
 * Prints one line of JSON: nanoseconds a read, the median of slices of AT_ONCE reads, so that
 * another process on the same core does not count. */
#include "config.h"

#include "lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAX    1000000
#define AT_ONCE    1000 /* reads in a slice, whose time is taken */
#define SLICES_MAX 1000000

static struct jobtab_id ids[IDS_MAX];
static size_t n_ids;

static struct jobtab *table;

static void open_jobtab(const char *dir)
{
    must(jobtab_open(dir, NULL, &table), "open");
}

static void get_jobtab(const struct jobtab_id *id)
{
    struct jobtab_job job;

    must(jobtab_get(table, id, &job), "get");
    if (memcmp(&job.id, id, sizeof *id) != 0)
        die("another job was read");
}

static MDB_txn *txn;
static MDB_dbi db;

static void open_plain(const char *dir)
{
    MDB_env *env = open_mdb(dir, MDB_RDONLY);

    must_mdb(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    must_mdb(mdb_dbi_open(txn, "jobs", 0, &db), "jobs");
    must_mdb(mdb_txn_commit(txn), "commit");
    must_mdb(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    mdb_txn_reset(txn);
}

static void get_plain(const struct jobtab_id *id)
{
    MDB_val key = {sizeof *id, (void *)(uintptr_t)id}, value;
    char copy[4096];

    must_mdb(mdb_txn_renew(txn), "renew");
    must_mdb(mdb_get(txn, db, &key, &value), "get");
    if (value.mv_size > sizeof copy)
        die("a record of %zu bytes", value.mv_size);
    memcpy(copy, value.mv_data, value.mv_size);
    __asm__ volatile("" : : "r"(copy) : "memory"); /* the copy is used, for all the compiler knows */
    mdb_txn_reset(txn);
}

/* Before libjobtab opens the table in this process: LMDB allows one open a process. */
static void read_ids(const char *dir)
{
    MDB_env *env;
    MDB_cursor *cursor;
    MDB_val key;

    open_plain(dir);
    env = mdb_txn_env(txn);
    must_mdb(mdb_txn_renew(txn), "renew");
    must_mdb(mdb_cursor_open(txn, db, &cursor), "cursor");
    while (n_ids < IDS_MAX && mdb_cursor_get(cursor, &key, NULL, MDB_NEXT) == 0) {
        if (key.mv_size != sizeof ids[0])
            die("an id of %zu bytes", key.mv_size);
        memcpy(&ids[n_ids++], key.mv_data, key.mv_size);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    if (n_ids == 0)
        die("%s has no jobs", dir);
}

static const struct reader {
    const char *name;
    void (*open_it)(const char *dir);
    void (*get)(const struct jobtab_id *id);
} readers[] = {{"jobtab", open_jobtab, get_jobtab}, {"mdb", open_plain, get_plain}};

static double measure(const struct reader *reader, const char *dir, double seconds)
{
    static uint64_t slices[SLICES_MAX];
    uint64_t state = 1, begin, before, after;
    size_t n = 0;

    reader->open_it(dir);
    for (size_t i = 0; i < n_ids; i++) /* what is read for the first time may come from the disk */
        reader->get(&ids[i]);
    begin = before = now_ns();
    do {
        for (int i = 0; i < AT_ONCE; i++)
            reader->get(&ids[random_next(&state) % n_ids]);
        after = now_ns();
        slices[n++] = after - before;
        before = after;
    } while (n < SLICES_MAX && (double)(after - begin) < seconds * 1e9);
    return (double)percentile(slices, n, 50) / AT_ONCE;
}

int main(int argc, char **argv)
{
    const struct reader *reader = NULL;

    for (size_t i = 0; argc == 4 && i < sizeof readers / sizeof readers[0]; i++)
        if (strcmp(argv[1], readers[i].name) == 0)
            reader = &readers[i];
    if (reader == NULL)
        die("usage: lib_get jobtab|mdb TABLE SECONDS");
    double seconds = seconds_of(argv[3]);
    read_ids(argv[2]);
    printf("{\"ns\": %.1f, \"jobs\": %zu}\n", measure(reader, argv[2], seconds), n_ids);
    return 0;
}
