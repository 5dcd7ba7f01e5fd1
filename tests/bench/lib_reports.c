/* lib_reports.c - durable reports of processes that each have one operation in flight.
 *
 *   lib_reports jobtab|mdb|mdb-feed DIR PROCESSES SECONDS
 *
 * DIR is empty. All make a table there in which JOBS jobs run, whatever PROCESSES is. `jobtab`:
 * each process claims a job of its own and reports on it, one report after the other; in the end
 * the table must show the last report of each. `mdb`: each process overwrites, one commit at a
 * time, one value of a plain LMDB database that holds what the table's `running` holds. Nothing
 * else is written there: the change feed is what the library gives on top. `mdb-feed` appends each
 * change to a second database, too, as any table must whose readers are to learn what changed.
 *
 * Prints one line of JSON. */
#include "config.h"

#include "lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS CREW_MAX
#define KIND "work"

/* ------------------------------------------------------------------ libjobtab */

struct reporter {
    struct jobtab *table;
    struct jobtab_id id;
    struct jobtab_token token;
};

static void *open_reporter(const char *dir, size_t index, struct member *self)
{
    static struct reporter reporter;
    struct jobtab_job job;

    (void)index;
    must(jobtab_open(dir, NULL, &reporter.table), "open");
    must(jobtab_claim(reporter.table, KIND, &reporter.token, &job), "claim");
    self->id = reporter.id = job.id;
    return &reporter;
}

static void message_of(uint64_t number, char text[JOBTAB_MESSAGE_MAX + 1])
{
    snprintf(text, JOBTAB_MESSAGE_MAX + 1, "Collecting prices... %08llu",
             (unsigned long long)number);
}

static void report(void *opened, struct member *self)
{
    struct reporter *reporter = opened;
    char message[JOBTAB_MESSAGE_MAX + 1];

    message_of(++self->last, message);
    must(jobtab_report(reporter->table, &reporter->id, &reporter->token,
                       (uint32_t)(self->last % 100), message),
         "report");
}

static void check_last(const char *dir, const struct crew *crew)
{
    struct jobtab *table;
    struct jobtab_job job;
    char message[JOBTAB_MESSAGE_MAX + 1];

    must(jobtab_open(dir, NULL, &table), "open");
    for (size_t i = 0; i < crew->n; i++) {
        must(jobtab_get(table, &crew->members[i].id, &job), "get");
        message_of(crew->members[i].last, message);
        if (strcmp(job.message, message) != 0)
            die("process %zu: \"%s\" was acknowledged, the table has \"%s\"", i, message,
                job.message);
    }
    jobtab_close(table);
}

/* A table in which JOBS - `left` jobs run and `left` can be claimed. Their claimer is this process,
 * which stays, so nobody takes them for orphans. */
static void make_table(const char *dir, size_t left)
{
    static struct jobtab_op ops[JOBS];
    struct jobtab *table;

    for (size_t i = 0; i < JOBS; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_SUBMIT, .submit = {.kind = KIND}};
    must(jobtab_open(dir, NULL, &table), "open");
    must(jobtab_apply(table, ops, JOBS), "submit");
    for (size_t i = 0; i < JOBS - left; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = KIND}};
    must(jobtab_apply(table, ops, JOBS - left), "claim");
    jobtab_close(table);
}

/* ------------------------------------------------------------------ plain LMDB */

struct values {
    MDB_env *env;
    MDB_dbi db, feed;
    bool feeds;
    MDB_val key, value; /* copies, this process's own */
};

static MDB_dbi open_db(MDB_env *env, const char *name, unsigned flags)
{
    MDB_txn *txn;
    MDB_dbi db;

    must_mdb(mdb_txn_begin(env, NULL, flags & MDB_CREATE ? 0 : MDB_RDONLY, &txn), "begin");
    must_mdb(mdb_dbi_open(txn, name, flags, &db), name);
    must_mdb(mdb_txn_commit(txn), "commit");
    return db;
}

/* The table's `running`, after one report of each job, as a database of its own. */
static void copy_running(const char *from_dir, const char *to_dir)
{
    MDB_env *from = open_mdb(from_dir, MDB_RDONLY), *to = open_mdb(to_dir, 0);
    MDB_dbi from_db = open_db(from, "running", 0), to_db = open_db(to, "running", MDB_CREATE);
    MDB_txn *reading, *writing;
    MDB_cursor *cursor;
    MDB_val key, value;
    size_t n = 0;

    must_mdb(mdb_txn_begin(from, NULL, MDB_RDONLY, &reading), "begin");
    must_mdb(mdb_txn_begin(to, NULL, 0, &writing), "begin");
    must_mdb(mdb_cursor_open(reading, from_db, &cursor), "cursor");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        must_mdb(mdb_put(writing, to_db, &key, &value, 0), "put");
        n++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(reading);
    must_mdb(mdb_txn_commit(writing), "commit");
    mdb_env_close(from);
    mdb_env_close(to);
    if (n != JOBS)
        die("the table's running has %zu jobs", n);
}

static MDB_val copy_of(MDB_val one)
{
    MDB_val copy = {one.mv_size, malloc(one.mv_size)};

    if (copy.mv_data == NULL)
        die("out of memory");
    memcpy(copy.mv_data, one.mv_data, one.mv_size);
    return copy;
}

static void *open_values(const char *dir, size_t index, struct member *self)
{
    static struct values values;
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_txn *txn;

    (void)self;
    values.env = open_mdb(dir, 0);
    values.db = open_db(values.env, "running", 0);
    values.feed = open_db(values.env, "changes", MDB_CREATE);
    must_mdb(mdb_txn_begin(values.env, NULL, MDB_RDONLY, &txn), "begin");
    must_mdb(mdb_cursor_open(txn, values.db, &cursor), "cursor");
    for (size_t i = 0; i <= index; i++)
        must_mdb(mdb_cursor_get(cursor, &key, &value, MDB_NEXT), "next");
    values.key = copy_of(key);
    values.value = copy_of(value);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return &values;
}

static void *open_values_and_feed(const char *dir, size_t index, struct member *self)
{
    struct values *values = open_values(dir, index, self);

    values->feeds = true;
    return values;
}

/* The next number, and which job it was: as the table's `changes` has it. */
static void append_change(struct values *values, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t last = 0, next;
    char change[sizeof(struct jobtab_id) + 1] = {0};

    must_mdb(mdb_cursor_open(txn, values->feed, &cursor), "cursor");
    if (mdb_cursor_get(cursor, &key, &value, MDB_LAST) == 0)
        memcpy(&last, key.mv_data, sizeof last);
    next = __builtin_bswap64(__builtin_bswap64(last) + 1);
    memcpy(change, values->key.mv_data, sizeof(struct jobtab_id));
    key = (MDB_val){sizeof next, &next};
    value = (MDB_val){sizeof change, change};
    must_mdb(mdb_cursor_put(cursor, &key, &value, MDB_APPEND), "append");
    mdb_cursor_close(cursor);
}

static void put(void *opened, struct member *self)
{
    struct values *values = opened;
    MDB_txn *txn;

    self->last++;
    memcpy((char *)values->value.mv_data + values->value.mv_size - sizeof self->last, &self->last,
           sizeof self->last);
    must_mdb(mdb_txn_begin(values->env, NULL, 0, &txn), "begin");
    must_mdb(mdb_put(txn, values->db, &values->key, &values->value, 0), "put");
    if (values->feeds)
        append_change(values, txn);
    must_mdb(mdb_txn_commit(txn), "commit");
}

/* A report of each job, so that `running` holds what a reported one does. */
static void report_all(const char *dir)
{
    static struct jobtab_op claims[JOBS], reports[JOBS];
    char message[JOBTAB_MESSAGE_MAX + 1];
    struct jobtab *table;

    message_of(0, message);
    must(jobtab_open(dir, NULL, &table), "open");
    for (size_t i = 0; i < JOBS; i++)
        claims[i] = (struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = KIND}};
    must(jobtab_apply(table, claims, JOBS), "claim");
    for (size_t i = 0; i < JOBS; i++)
        reports[i] = (struct jobtab_op){.verb = JOBTAB_REPORT,
                                        .id = claims[i].id,
                                        .token = claims[i].token,
                                        .report = {.progress = 1, .message = message}};
    must(jobtab_apply(table, reports, JOBS), "report");
    jobtab_close(table);
}

/* ------------------------------------------------------------------------ main */

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        struct crew_work work;
    } sides[] = {{"jobtab", {open_reporter, report}},
                 {"mdb", {open_values, put}},
                 {"mdb-feed", {open_values_and_feed, put}}};
    const struct crew_work *work = NULL;
    struct crew crew;

    for (size_t i = 0; argc == 5 && i < sizeof sides / sizeof sides[0]; i++)
        if (strcmp(argv[1], sides[i].name) == 0)
            work = &sides[i].work;
    if (work == NULL)
        die("usage: lib_reports jobtab|mdb|mdb-feed DIR PROCESSES SECONDS");
    bool plain = work != &sides[0].work;
    size_t n = strtoul(argv[3], NULL, 10);
    double seconds = seconds_of(argv[4]);
    if (n < 1 || n > CREW_MAX)
        die("PROCESSES: 1 to %d", CREW_MAX);
    char *table = strdup(path_in(argv[2], "table")), *values = strdup(path_in(argv[2], "mdb"));
    if (table == NULL || values == NULL)
        die("out of memory");

    make_table(table, plain ? JOBS : n);
    if (plain) {
        report_all(table);
        copy_running(table, values);
    }
    crew_run(&crew, n, seconds, plain ? values : table, work);
    if (!plain)
        check_last(table, &crew);
    printf("{\"rate\": %.1f, \"slowest_ms\": %.1f, \"fewest\": %llu, \"most\": %llu}\n",
           (double)crew.operations / seconds, (double)crew.slowest_ns / 1e6,
           (unsigned long long)crew.fewest, (unsigned long long)crew.most);
    free(table);
    free(values);
    return 0;
}
