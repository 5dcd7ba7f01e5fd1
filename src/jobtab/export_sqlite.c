/* export_sqlite.c - jobs as an SQLite file that people query. See export_sqlite.h. */
#include "config.h"

#include "export_sqlite.h"

#include <stdio.h>

#if HAVE_SQLITE3
#include "need.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct out {
    char *path, *partial;
    sqlite3 *db;
    sqlite3_stmt *insert;
};

/* A column and where its value comes from. */
enum column_type { WORD, NUMBER, SMALL, SIGNED, LENGTH, TIME };
static const struct column {
    const char *name;
    enum column_type type;
    size_t offset;
} columns[] = {
#define FIELD(field) offsetof(struct jobtab_job, field)
    {"kind", WORD, FIELD(kind)},
    {"idempotency_key", WORD, FIELD(key)},
    {"progress", SMALL, FIELD(progress)},
    {"message", WORD, FIELD(message)},
    {"error", WORD, FIELD(error)},
    {"priority", SIGNED, FIELD(priority)},
    {"version", NUMBER, FIELD(version)},
    {"attempt", SMALL, FIELD(attempt)},
    {"max_attempts", SMALL, FIELD(max_attempts)},
    {"crashes", SMALL, FIELD(crashes)},
    {"max_crashes", SMALL, FIELD(max_crashes)},
    {"backoff_ms", LENGTH, FIELD(backoff)},
    {"timeout_ms", LENGTH, FIELD(timeout)},
    {"created_at", TIME, FIELD(created_at)},
    {"run_at", TIME, FIELD(run_at)},
    {"started_at", TIME, FIELD(started_at)},
    {"updated_at", TIME, FIELD(updated_at)},
    {"finished_at", TIME, FIELD(finished_at)},
    {"expires_at", TIME, FIELD(expires_at)},
#undef FIELD
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

/* What is no plain field of a job stands before and behind the others. */
#define BEFORE "id TEXT PRIMARY KEY NOT NULL, status TEXT NOT NULL, reason TEXT"
#define BEHIND "params TEXT NOT NULL, result, result_format TEXT, log"
enum { ID = 1, STATUS, REASON, FIRST, PARAMS = FIRST + COLUMNS, RESULT, RESULT_FORMAT, LOGTEXT };

/* Times are text that SQLite's date functions take; a view's are seconds. The 95th percentile is
 * the least value that 95 of 100 do not exceed. */
static const char begin_sql[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA application_id = 0x4a6f6254;"
                                "BEGIN;";
static const char end_sql[] =
    "CREATE INDEX jobs_by_status ON jobs (status, kind);"
    "CREATE INDEX jobs_by_kind ON jobs (kind, created_at);"
    "CREATE INDEX jobs_by_created ON jobs (created_at);"
    "CREATE INDEX jobs_by_finished ON jobs (finished_at);"
    "CREATE INDEX jobs_by_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;"
    "CREATE VIEW job_times AS SELECT id, kind, status,"
    " round((julianday(started_at) - julianday(max(created_at, coalesce(run_at, created_at))))"
    " * 86400, 3) AS waited,"
    " round((julianday(finished_at) - julianday(started_at)) * 86400, 3) AS ran FROM jobs;"
    "CREATE VIEW waiting AS SELECT kind, count(*) AS jobs, round(avg(waited), 3) AS average,"
    " min(waited) FILTER (WHERE place >= 0.95 * of) AS p95, max(waited) AS maximum"
    " FROM (SELECT kind, waited, row_number() OVER (PARTITION BY kind ORDER BY waited) AS place,"
    " count(*) OVER (PARTITION BY kind) AS of FROM job_times WHERE waited IS NOT NULL)"
    " GROUP BY kind;"
    "CREATE VIEW runs AS SELECT kind, status, count(*) AS jobs, round(avg(ran), 3) AS average,"
    " min(ran) FILTER (WHERE place >= 0.95 * of) AS p95, max(ran) AS maximum"
    " FROM (SELECT kind, status, ran,"
    " row_number() OVER (PARTITION BY kind, status ORDER BY ran) AS place,"
    " count(*) OVER (PARTITION BY kind, status) AS of FROM job_times WHERE ran IS NOT NULL)"
    " GROUP BY kind, status;"
    "COMMIT;";

static bool sqlite_failed(const struct out *out, char *why, size_t size)
{
    snprintf(why, size, "%s: %s", out->path, sqlite3_errmsg(out->db));
    return false;
}

static bool system_failed(const struct out *out, char *why, size_t size)
{
    snprintf(why, size, "%s: %s", out->path, strerror(errno));
    return false;
}

/* ------------------------------------------------------------------ interrupted */

static const char *volatile unfinished;

/* What a signal ends leaves nothing. */
static void interrupted(int signal)
{
    const char *path = unfinished;

    if (path != NULL)
        unlink(path);
    raise(signal); /* it is the default's again: SA_RESETHAND */
}

static const int interrupts[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { INTERRUPTS = sizeof interrupts / sizeof interrupts[0] };

static void watch_interrupts(const char *path)
{
    struct sigaction action = {.sa_handler = interrupted, .sa_flags = (int)SA_RESETHAND};

    unfinished = path;
    for (int i = 0; path != NULL && i < INTERRUPTS; i++)
        sigaction(interrupts[i], &action, NULL);
}

/* A file that no signal can leave behind. `path` is a template, filled in. */
static int make_watched(char *path)
{
    sigset_t held, before;
    int fd;

    sigemptyset(&held);
    for (int i = 0; i < INTERRUPTS; i++)
        sigaddset(&held, interrupts[i]);
    sigprocmask(SIG_BLOCK, &held, &before);
    fd = mkstemp(path);
    if (fd >= 0)
        watch_interrupts(path);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return fd;
}

/* ------------------------------------------------------------------------ tables */

static bool make_table(struct out *out)
{
    static const char *const types[] = {[WORD] = "TEXT", [NUMBER] = "INTEGER", [SMALL] = "INTEGER",
                                        [SIGNED] = "INTEGER", [LENGTH] = "INTEGER",
                                        [TIME] = "TEXT"};
    sqlite3_str *create = sqlite3_str_new(out->db), *insert = sqlite3_str_new(out->db);

    sqlite3_str_appendall(create, "CREATE TABLE jobs (" BEFORE);
    sqlite3_str_appendall(insert, "INSERT INTO jobs VALUES (?, ?, ?");
    for (size_t i = 0; i < COLUMNS; i++) {
        sqlite3_str_appendf(create, ", %s %s", columns[i].name, types[columns[i].type]);
        sqlite3_str_appendall(insert, ", ?");
    }
    sqlite3_str_appendall(create, ", " BEHIND ")");
    sqlite3_str_appendall(insert, ", ?, ?, ?, ?)");
    char *create_sql = need(sqlite3_str_finish(create)), *insert_sql = need(sqlite3_str_finish(insert));
    bool made = sqlite3_exec(out->db, begin_sql, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(out->db, create_sql, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(out->db, insert_sql, -1, &out->insert, NULL) == SQLITE_OK;
    sqlite3_free(create_sql);
    sqlite3_free(insert_sql);
    return made;
}

struct out *out_begin(const char *path, char *why, size_t size)
{
    struct out *out = need(calloc(1, sizeof *out));
    mode_t mask = umask(0);
    int fd;

    umask(mask);
    out->path = need(strdup(path));
    if (asprintf(&out->partial, "%s.XXXXXX", path) < 0)
        out->partial = need(NULL);
    fd = make_watched(out->partial);
    if (fd < 0) {
        system_failed(out, why, size);
        free(out->partial);
        out->partial = NULL;
        out_drop(out);
        return NULL;
    }
    fchmod(fd, 0666 & ~mask);
    close(fd);
    if (sqlite3_open_v2(out->partial, &out->db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        make_table(out))
        return out;
    sqlite_failed(out, why, size);
    out_drop(out);
    return NULL;
}

void out_drop(struct out *out)
{
    sqlite3_finalize(out->insert);
    sqlite3_close(out->db);
    if (out->partial != NULL)
        unlink(out->partial);
    watch_interrupts(NULL);
    free(out->partial);
    free(out->path);
    free(out);
}

/* ------------------------------------------------------------------------- rows */

static void bind_word(const struct out *out, int at, const char *text)
{
    if (text != NULL && *text != '\0')
        sqlite3_bind_text(out->insert, at, text, -1, SQLITE_STATIC);
}

static void bind_column(const struct out *out, int at, const struct column *column,
                        const struct jobtab_job *job)
{
    const char *field = (const char *)job + column->offset;
    char text[JOBTAB_TIME_TEXT];
    int64_t wide = 0;
    int32_t narrow = 0;

    switch (column->type) {
    case WORD:
        bind_word(out, at, field);
        return;
    case SMALL:
    case SIGNED:
        memcpy(&narrow, field, sizeof narrow);
        sqlite3_bind_int64(out->insert, at,
                           column->type == SIGNED ? narrow : (int64_t)(uint32_t)narrow);
        return;
    case NUMBER:
    case LENGTH:
        memcpy(&wide, field, sizeof wide);
        sqlite3_bind_int64(out->insert, at, wide);
        return;
    case TIME:
        memcpy(&wide, field, sizeof wide);
        if (wide != 0) {
            jobtab_time_format(wide, text);
            sqlite3_bind_text(out->insert, at, text, -1, SQLITE_TRANSIENT);
        }
        return;
    }
}

/* Bytes are a blob, all else is text. */
static void bind_result(const struct out *out, const struct jobtab_job *job, const char *result)
{
    static const char *const names[] = {
        [JOBTAB_JSON] = "json", [JOBTAB_TEXT] = "text", [JOBTAB_BYTES] = "bytes"};

    if (job->result_size == 0)
        return;
    if (job->result_format == JOBTAB_BYTES)
        sqlite3_bind_blob64(out->insert, RESULT, result, job->result_size, SQLITE_STATIC);
    else
        sqlite3_bind_text64(out->insert, RESULT, result, job->result_size, SQLITE_STATIC,
                            SQLITE_UTF8);
    bind_word(out, RESULT_FORMAT, names[job->result_format]);
}

bool out_job(struct out *out, const struct jobtab_job *job, const char *params, const char *result,
             const char *log, size_t log_size, char *why, size_t size)
{
    char id[JOBTAB_ID_TEXT];

    sqlite3_reset(out->insert);
    sqlite3_clear_bindings(out->insert);
    jobtab_id_format(&job->id, id);
    bind_word(out, ID, id);
    bind_word(out, STATUS, jobtab_state_name(job->state));
    bind_word(out, REASON, jobtab_reason_name(job->reason));
    for (int i = 0; i < COLUMNS; i++)
        bind_column(out, FIRST + i, &columns[i], job);
    bind_word(out, PARAMS, job->params_size > 0 ? params : "{}");
    bind_result(out, job, result);
    if (log != NULL && log_size > 0)
        sqlite3_bind_text64(out->insert, LOGTEXT, log, log_size, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_step(out->insert) == SQLITE_DONE || sqlite_failed(out, why, size);
}

/* -------------------------------------------------------------------------- the end */

static bool sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return synced;
}

static bool give_name(const struct out *out)
{
    char *copy = need(strdup(out->path));
    bool named = sync_path(out->partial, O_RDONLY) && rename(out->partial, out->path) == 0 &&
                 sync_path(dirname(copy), O_RDONLY | O_DIRECTORY);

    free(copy);
    return named;
}

bool out_end(struct out *out, char *why, size_t size)
{
    bool good = sqlite3_finalize(out->insert) == SQLITE_OK &&
                sqlite3_exec(out->db, end_sql, NULL, NULL, NULL) == SQLITE_OK;

    out->insert = NULL;
    if (!good) {
        sqlite_failed(out, why, size);
    } else {
        sqlite3_close(out->db);
        out->db = NULL;
        good = give_name(out) || system_failed(out, why, size);
    }
    if (good) { /* it has its name: there is nothing to remove */
        free(out->partial);
        out->partial = NULL;
    }
    out_drop(out);
    return good;
}

#else

struct out *out_begin(const char *path, char *why, size_t size)
{
    (void)path;
    snprintf(why, size, "this jobtab was built without SQLite: install libsqlite3-dev, configure and "
                        "make again");
    return NULL;
}

bool out_job(struct out *out, const struct jobtab_job *job, const char *params, const char *result,
             const char *log, size_t log_size, char *why, size_t size)
{
    (void)out;
    (void)job;
    (void)params;
    (void)result;
    (void)log;
    (void)log_size;
    (void)why;
    (void)size;
    return false;
}

bool out_end(struct out *out, char *why, size_t size)
{
    (void)out;
    (void)why;
    (void)size;
    return false;
}

void out_drop(struct out *out)
{
    (void)out;
}

#endif
