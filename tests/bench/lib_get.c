/* lib_get.c - one job of many, read again and again by its id, at random.
 *
 *   lib_get jobtab|mdb TABLE READS SECONDS
 *
 * READS of them share a snapshot. `jobtab` is jobtab_get: the record found, every field of it
 * decoded and copied out; between jobtab_hold and jobtab_rest when READS is above 1. `mdb` is the
 * least that any reader of the same file can do: renew a transaction, mdb_get of the same record in
 * the same database and copy its bytes out, READS times, reset.
 *
 * Prints one line of JSON: nanoseconds a read, the median of slices, so that another process on the
 * same core does not count. */
#include "config.h"

#include "lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAX    1000000
#define AT_ONCE    64 /* reads in a slice, whose time is taken: less than a scheduler's slice */
#define SLICES_MAX 1000000

static struct jobtab_id ids[IDS_MAX];
static size_t n_ids;

static struct jobtab *table;

static void open_jobtab(const char *dir)
{
    must(jobtab_open(dir, NULL, &table), "open");
}

static void hold_jobtab(int reads)
{
    if (reads > 1)
        must(jobtab_hold(table), "hold");
}

static void rest_jobtab(int reads)
{
    if (reads > 1)
        jobtab_rest(table);
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

static void hold_plain(int reads)
{
    (void)reads;
    must_mdb(mdb_txn_renew(txn), "renew");
}

static void rest_plain(int reads)
{
    (void)reads;
    mdb_txn_reset(txn);
}

static void get_plain(const struct jobtab_id *id)
{
    MDB_val key = {sizeof *id, (void *)(uintptr_t)id}, value;
    char copy[4096];

    must_mdb(mdb_get(txn, db, &key, &value), "get");
    if (value.mv_size > sizeof copy)
        die("a record of %zu bytes", value.mv_size);
    memcpy(copy, value.mv_data, value.mv_size);
    __asm__ volatile("" : : "r"(copy) : "memory"); /* for all the compiler knows, it is used */
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
    void (*hold)(int reads);
    void (*get)(const struct jobtab_id *id);
    void (*rest)(int reads);
} readers[] = {
    {"jobtab", open_jobtab, hold_jobtab, get_jobtab, rest_jobtab},
    {"mdb", open_plain, hold_plain, get_plain, rest_plain},
};

static void read_turn(const struct reader *reader, int reads, uint64_t *state)
{
    reader->hold(reads);
    for (int i = 0; i < reads; i++)
        reader->get(&ids[random_next(state) % n_ids]);
    reader->rest(reads);
}

static double measure(const struct reader *reader, const char *dir, int reads, double seconds)
{
    static uint64_t slices[SLICES_MAX];
    uint64_t state = 1, begin, before, after;
    size_t n = 0;

    reader->open_it(dir);
    for (size_t i = 0; i < n_ids; i += (size_t)reads) /* the first time it may come from the disk */
        read_turn(reader, reads, &state);
    begin = before = now_ns();
    do {
        for (int i = 0; i < AT_ONCE; i += reads)
            read_turn(reader, reads, &state);
        after = now_ns();
        slices[n++] = after - before;
        before = after;
    } while (n < SLICES_MAX && (double)(after - begin) < seconds * 1e9);
    return (double)percentile(slices, n, 50) / AT_ONCE;
}

int main(int argc, char **argv)
{
    const struct reader *reader = NULL;

    for (size_t i = 0; argc == 5 && i < sizeof readers / sizeof readers[0]; i++)
        if (strcmp(argv[1], readers[i].name) == 0)
            reader = &readers[i];
    if (reader == NULL)
        die("usage: lib_get jobtab|mdb TABLE READS SECONDS");
    double seconds = seconds_of(argv[4]);
    int reads = atoi(argv[3]);
    if (reads < 1 || AT_ONCE % reads != 0)
        die("READS: a divisor of %d", AT_ONCE);
    read_ids(argv[2]);
    printf("{\"ns\": %.1f, \"jobs\": %zu}\n", measure(reader, argv[2], reads, seconds), n_ids);
    return 0;
}
