/* source_sqlite.c - jobs in a table of an SQLite file, one row each. */
#include "config.h"

#include "source.h"

#if HAVE_SQLITE3
#include "json_scan.h"
#include "need.h"

#include <sqlite3.h>
#include <string.h>

enum { BUSY_MS = 5000 };

struct sqlite {
    struct source source;
    sqlite3 *db;
    sqlite3_stmt *rows;
};

/* For people: its number, and its first column, which mostly names it. */
static void place(const struct sqlite *self, struct row *row)
{
    const char *first = (const char *)sqlite3_column_text(self->rows, 0);

    snprintf(row->place, sizeof row->place, "row %llu (%.40s %.80s)",
             (unsigned long long)self->source.done, sqlite3_column_name(self->rows, 0),
             first != NULL ? first : "null");
}

static void add_column(const struct sqlite *self, struct row *row, int column)
{
    const char *name = sqlite3_column_name(self->rows, column);
    int type = sqlite3_column_type(self->rows, column);
    const char *bytes = type == SQLITE_BLOB ? sqlite3_column_blob(self->rows, column)
                                            : (const char *)sqlite3_column_text(self->rows, column);
    size_t size = (size_t)sqlite3_column_bytes(self->rows, column);
    struct json_fault fault;

    if (type == SQLITE_NULL)
        row_add(row, name, VALUE_NULL, NULL, 0);
    else if (type == SQLITE_BLOB)
        row_add(row, name, VALUE_BYTES, bytes != NULL ? bytes : "", size);
    else if (type != SQLITE_TEXT && json_scan(bytes, size, &fault)) /* "Inf" is none */
        row_add(row, name, VALUE_JSON, bytes, size);
    else
        row_add(row, name, VALUE_TEXT, need((void *)bytes), size);
}

static enum source_got sqlite_next(struct source *source, struct row *row)
{
    struct sqlite *self = (struct sqlite *)source;
    int rc = sqlite3_step(self->rows);

    if (rc == SQLITE_DONE)
        return SOURCE_END;
    if (rc != SQLITE_ROW) {
        snprintf(source->why, sizeof source->why, "behind row %llu: %s",
                 (unsigned long long)source->done, sqlite3_errmsg(self->db));
        return SOURCE_FAILED;
    }
    source->done++;
    for (int i = 0; i < sqlite3_column_count(self->rows); i++)
        add_column(self, row, i);
    place(self, row);
    return SOURCE_ROW;
}

static void sqlite_close(struct source *source)
{
    struct sqlite *self = (struct sqlite *)source;

    sqlite3_finalize(self->rows);
    sqlite3_close(self->db);
    free(self);
}

/* A query over the table, whose name is a name and nothing else. */
static bool prepare(struct sqlite *self, const char *what, const char *table, sqlite3_stmt **query)
{
    char *text = need(sqlite3_mprintf("SELECT %s FROM \"%w\"", what, table));
    int rc = sqlite3_prepare_v2(self->db, text, -1, query, NULL);

    sqlite3_free(text);
    return rc == SQLITE_OK;
}

static bool count(struct sqlite *self, const char *table)
{
    sqlite3_stmt *query = NULL;
    bool sound = prepare(self, "count(*)", table, &query) && sqlite3_step(query) == SQLITE_ROW;

    if (sound)
        self->source.all = (uint64_t)sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return sound;
}

struct source *source_sqlite(const char *path, const char *table, char *why, size_t size)
{
    static const struct source_verbs verbs = {.next = sqlite_next, .close = sqlite_close};
    struct sqlite *self = need(calloc(1, sizeof *self));

    self->source.verbs = &verbs;
    if (sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(self->db, BUSY_MS) == SQLITE_OK && count(self, table) &&
        prepare(self, "*", table, &self->rows))
        return &self->source;
    snprintf(why, size, "%s: %s", path, self->db != NULL ? sqlite3_errmsg(self->db) : "no memory");
    sqlite_close(&self->source);
    return NULL;
}

#else

struct source *source_sqlite(const char *path, const char *table, char *why, size_t size)
{
    (void)path;
    (void)table;
    snprintf(why, size, "this jobtab was built without SQLite: install libsqlite3-dev, configure and "
                        "make again");
    return NULL;
}

#endif
