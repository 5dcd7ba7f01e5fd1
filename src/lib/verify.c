/* verify.c - hold the table against itself, in one snapshot: what is looked at, in which order.
 *
 * First the store's own structure, since no database is to be read that is not sound. Then from the
 * jobs to all that must exist for them, counting (verify_job.c); over each other database, to find
 * what belongs to no job (verify_entry.c); the jobs' versions against each other
 * (verify_version.c); and the totals against what was counted (verify_meta.c). Nothing is changed.
 * It needs 24 bytes of memory a job. */
#include "verify.h"

#include "edit.h"
#include "error.h"
#include "verify_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_EVERY 4096

void verify_fault(struct check *check, const struct jobtab_id *id, const char *format, ...)
{
    char line[320], text[JOBTAB_ID_TEXT];
    int n = 0;
    va_list args;

    if (store_error(check->txn) == JOBTAB_SYSTEM)
        return; /* what could not be looked at is no fault of the table */
    check->faults++;
    if (!check->fault)
        return;
    if (id) {
        jobtab_id_format(id, text);
        n = snprintf(line, sizeof line, "job %s: ", text);
    }
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    for (char *p = line; *p; p++) /* of names that are not ours */
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    check->fault(line, check->context);
}

static void one_more(struct check *check)
{
    if (++check->records % PROGRESS_EVERY == 0 && check->progress)
        check->progress(check->records, check->all, check->context);
}

static void check_jobs(struct check *check)
{
    struct slice key, value;
    struct jobtab_id id;
    struct record record;
    enum jobtab_state state;
    uint64_t own = 0;

    struct store_cursor *cursor = store_cursor(check->txn, STORE_JOBS);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found; found = store_next(cursor, &key, &value)) {
        struct hot hot = {.version = 0};

        one_more(check);
        if (!key_id_of(key, sizeof id.bytes, &id))
            verify_fault(check, NULL, "a key of `jobs` has %zu bytes", key.size);
        else if (table_decode(check->txn, &id, value, &record, &hot) ||
                 record_version(value, &state, &own))
            verify_fault(check, &id, "%s", jobtab_why());
        else
            verify_job(check, &record, own, &hot);
    }
    store_cursor_end(cursor);
}

/* -------------------------------------------------------------------- the feed */

/* Its first change is the first of a run, whose key is the last one's. */
static void begin_feed(struct check *check)
{
    struct slice key, value;

    check->feed = store_cursor(check->txn, STORE_CHANGES);
    if (!store_seek(check->feed, (struct slice){0}, &key, &value))
        return;
    uint64_t last = key_version_of(key), n = value.size / EDIT_CHANGE;
    check->first_change = n && last >= n ? last - n + 1 : last;
}

/* How long it is: see edit.h. A run may reach over each end, and one is added before it is
 * trimmed. */
static void check_feed(struct check *check)
{
    const uint64_t most = EDIT_CHANGES + EDIT_TRIM + 2 * EDIT_RUN;
    uint64_t sequence = check->totals.sequence;
    uint64_t kept = check->first_change ? sequence - check->first_change + 1 : 0;

    if (check->change != sequence)
        verify_fault(check, NULL, "`changes` ends with version %llu, the table's is %llu",
                     (unsigned long long)check->change, (unsigned long long)sequence);
    else if (kept < (sequence < EDIT_CHANGES ? sequence : EDIT_CHANGES) || kept > most)
        verify_fault(check, NULL, "`changes` has the last %llu changes of %llu, not %d to %llu",
                     (unsigned long long)kept, (unsigned long long)sequence, EDIT_CHANGES,
                     (unsigned long long)most);
}

/* ------------------------------------------------------------------------ all */

static const enum store_db others[] = {
    STORE_PENDING, STORE_SCHEDULED, STORE_RUNNING, STORE_DONE,
    STORE_KEYS,    STORE_PAYLOAD,   STORE_CHANGES,
};

static void check_others(struct check *check)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct slice key, value;
        struct store_cursor *cursor = store_cursor(check->txn, others[i]);
        bool found = store_seek(cursor, (struct slice){0}, &key, &value);
        for (; found; found = store_next(cursor, &key, &value)) {
            one_more(check);
            verify_entry(check, others[i], key, value);
        }
        store_cursor_end(cursor);
    }
}

static void on_structure(const char *fault, void *context)
{
    verify_fault(context, NULL, "%s", fault);
}

static void check_records(struct check *check)
{
    check->all = store_count(check->txn, STORE_JOBS);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check->all += store_count(check->txn, others[i]);
    if (table_totals(check->txn, &check->totals))
        verify_fault(check, NULL, "the totals: %s", jobtab_why());
    begin_feed(check);
    check_jobs(check);
    check_others(check);
    check_feed(check);
    verify_versions(check);
    verify_meta(check);
    store_cursor_end(check->feed);
    if (check->progress)
        check->progress(check->records, check->all, check->context);
}

int verify_all(struct jobtab *table, struct store_txn *txn, jobtab_fault_fn *fault,
               void (*progress)(uint64_t done, uint64_t all, void *context), void *context,
               uint64_t *records, uint64_t *faults, bool *passed)
{
    struct check check = {.txn = txn,
                          .size = store_size(table->store),
                          .fault = fault,
                          .progress = progress,
                          .context = context};
    uint64_t pages;

    int rc = store_check(txn, on_structure, &check, &pages, passed);
    if (!rc && !*passed) {
        check_records(&check);
        rc = store_error(txn);
    }
    if (rc == JOBTAB_DAMAGED)
        fail(rc, "pages of the table's file are damaged: not all records could be looked at");
    else if (!rc)
        fail_clear();
    free(check.kinds);
    free(check.versions);
    free(check.bytes);
    *records = check.records;
    *faults = check.faults;
    return rc;
}

int jobtab_verify(struct jobtab *table, jobtab_fault_fn *fault,
                  void (*progress)(uint64_t done, uint64_t all, void *context), void *context,
                  uint64_t *records, uint64_t *faults)
{
    struct store_txn *txn;
    bool passed = false;
    int rc = table_enter(table);

    if (rc)
        return rc;
    do {
        rc = store_read(table->store, &txn);
        if (rc)
            return rc;
        rc = verify_all(table, txn, fault, progress, context, records, faults, &passed);
        store_end(txn);
    } while (passed);
    return rc;
}
