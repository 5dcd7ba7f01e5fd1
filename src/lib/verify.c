/* verify.c - hold every record, index, chunk and total against the others, in one snapshot.
 *
 * From the jobs to all that must exist for them, counting; then over each other database, to find
 * what belongs to no job. Nothing is changed. */
#include "verify.h"

#include "edit.h"
#include "error.h"
#include "payload.h"
#include "state.h"
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_EVERY 4096

struct kind_tally {
    char kind[JOBTAB_KIND_MAX + 1];
    struct count count;
};

struct check {
    struct store_txn *txn;
    jobtab_fault_fn *fault;
    void (*progress)(uint64_t done, uint64_t all, void *context);
    void *context;
    uint64_t records, faults, all;
    struct totals totals;
    uint64_t change; /* the last one seen of the feed, which has no gap */
    struct kind_tally *kinds;
    size_t n_kinds;
};

static void __attribute__((format(printf, 3, 4)))
fault(struct check *check, const struct jobtab_id *id, const char *format, ...)
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
    check->fault(line, check->context);
}

static void one_more(struct check *check)
{
    if (++check->records % PROGRESS_EVERY == 0 && check->progress)
        check->progress(check->records, check->all, check->context);
}

/* ------------------------------------------------------- from a job outwards */

static void tally(struct check *check, const struct jobtab_job *job)
{
    size_t i = 0;

    while (i < check->n_kinds && strcmp(check->kinds[i].kind, job->kind) != 0)
        i++;
    if (i == check->n_kinds) {
        struct kind_tally *kinds = realloc(check->kinds, (i + 1) * sizeof *kinds);
        if (!kinds) {
            store_fail(check->txn, fail(JOBTAB_SYSTEM, "out of memory"));
            return;
        }
        memset(&kinds[i], 0, sizeof kinds[i]);
        memcpy(kinds[i].kind, job->kind, sizeof kinds[i].kind);
        check->kinds = kinds;
        check->n_kinds++;
    }
    check->kinds[i].count.states[job->state]++;
}

static void need_entry(struct check *check, const struct jobtab_id *id, enum store_db db,
                       const char *name, struct key key, bool names_id)
{
    struct slice value;
    struct jobtab_id found;

    if (!store_get(check->txn, db, key_slice(&key), &value))
        fault(check, id, "it has no entry in `%s`", name);
    else if (names_id && (!key_id_of(value, sizeof found.bytes, &found) ||
                          memcmp(&found, id, sizeof found) != 0))
        fault(check, id, "its entry in `%s` names another job", name);
}

static void check_index(struct check *check, const struct record *record)
{
    const struct jobtab_job *job = &record->job;

    if (job->state == JOBTAB_SCHEDULED)
        need_entry(check, &job->id, STORE_SCHEDULED, "scheduled",
                   key_instant(job->run_at, &job->id), false);
    else if (job->state == JOBTAB_PENDING)
        need_entry(check, &job->id, STORE_PENDING, "pending",
                   key_pending(job->kind, job->priority, record->queued), true);
    else if (jobtab_state_done(job->state))
        need_entry(check, &job->id, STORE_DONE, "done", key_instant(job->expires_at, &job->id),
                   false);
    /* `running` was read with the record */
}

static void check_part(struct check *check, const struct record *record, enum jobtab_part part,
                       const char *name)
{
    const struct jobtab_job *job = &record->job;
    struct slice inside;
    uint64_t begin, end;

    if (payload_inside(record, part, &inside))
        return; /* decoded with its size; chunks besides are found with the chunks */
    payload_range(job, part, &begin, &end);
    if (begin > end || end - begin > UINT32_MAX) {
        fault(check, &job->id, "its %s ends before it begins, or is beyond all bounds", name);
        return;
    }
    for (uint64_t chunk = begin / PAYLOAD_CHUNK; chunk * PAYLOAD_CHUNK < end; chunk++) {
        struct key key = key_chunk(&job->id, part, (uint32_t)chunk);
        uint64_t left = end - chunk * PAYLOAD_CHUNK;
        struct slice value;

        if (!store_get(check->txn, STORE_PAYLOAD, key_slice(&key), &value)) {
            fault(check, &job->id, "chunk %llu of its %s is missing", (unsigned long long)chunk,
                  name);
            return;
        }
        if (value.size != (left < PAYLOAD_CHUNK ? left : PAYLOAD_CHUNK))
            fault(check, &job->id, "chunk %llu of its %s has %zu bytes",
                  (unsigned long long)chunk, name, value.size);
    }
}

static void check_job(struct check *check, const struct record *record)
{
    const struct jobtab_job *job = &record->job;

    tally(check, job);
    check_index(check, record);
    check_part(check, record, JOBTAB_PARAMS, "params");
    check_part(check, record, JOBTAB_RESULT, "result");
    check_part(check, record, JOBTAB_LOGTEXT, "log");
    if (job->key[0]) {
        struct key key = {.size = strlen(job->key)};
        memcpy(key.bytes, job->key, key.size);
        need_entry(check, &job->id, STORE_KEYS, "keys", key, true);
    }
    if (job->version > check->totals.sequence)
        fault(check, &job->id, "its version %llu is above the table's %llu",
              (unsigned long long)job->version, (unsigned long long)check->totals.sequence);
    if (memcmp(&job->id, &check->totals.last_id, sizeof job->id) > 0)
        fault(check, &job->id, "its id is above the last one that was given");
    if (jobtab_state_done(job->state) && !job->finished_at)
        fault(check, &job->id, "it is %s and never finished", jobtab_state_name(job->state));
    if (table_check_kind(job->kind))
        fault(check, &job->id, "its kind has no proper name");
}

static void check_jobs(struct check *check)
{
    struct slice key, value;
    struct jobtab_id id;
    struct record record;

    struct store_cursor *cursor = store_cursor(check->txn, STORE_JOBS);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found; found = store_next(cursor, &key, &value)) {
        one_more(check);
        if (!key_id_of(key, sizeof id.bytes, &id))
            fault(check, NULL, "a key of `jobs` has %zu bytes", key.size);
        else if (table_decode(check->txn, &id, value, &record, NULL))
            fault(check, &id, "%s", jobtab_why());
        else
            check_job(check, &record);
    }
    store_cursor_end(cursor);
}

/* ----------------------------------------------- from the others to their job */

/* The job that an entry speaks of, whatever is wrong with its record told elsewhere. */
static bool job_of(struct check *check, const char *name, const struct jobtab_id *id,
                   struct record *record)
{
    int rc = table_load(check->txn, id, record, NULL);

    if (rc == JOBTAB_NOTFOUND)
        fault(check, id, "`%s` has an entry for it, and there is no such job", name);
    return rc == JOBTAB_OK;
}

static bool same_key(struct slice key, struct key wanted)
{
    return key.size == wanted.size && memcmp(key.data, wanted.bytes, key.size) == 0;
}

static void check_pending_entry(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    if (!key_id_of(value, sizeof id.bytes, &id))
        fault(check, NULL, "an entry of `pending` has a value of %zu bytes", value.size);
    else if (job_of(check, "pending", &id, &r) &&
             (r.job.state != JOBTAB_PENDING ||
              !same_key(key, key_pending(r.job.kind, r.job.priority, r.queued))))
        fault(check, &id, "`pending` has an entry that is not its own");
}

static void check_scheduled_entry(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    (void)value;
    if (!key_id_of(key, 24, &id))
        fault(check, NULL, "a key of `scheduled` has %zu bytes", key.size);
    else if (job_of(check, "scheduled", &id, &r) &&
             (r.job.state != JOBTAB_SCHEDULED || !same_key(key, key_instant(r.job.run_at, &id))))
        fault(check, &id, "`scheduled` has an entry that is not its own");
}

static void check_done_entry(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    (void)value;
    if (!key_id_of(key, 24, &id))
        fault(check, NULL, "a key of `done` has %zu bytes", key.size);
    else if (job_of(check, "done", &id, &r) &&
             (!jobtab_state_done(r.job.state) ||
              !same_key(key, key_instant(r.job.expires_at, &id))))
        fault(check, &id, "`done` has an entry that is not its own");
}

static void check_running_entry(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    (void)value; /* decoded with its job */
    if (!key_id_of(key, sizeof id.bytes, &id))
        fault(check, NULL, "a key of `running` has %zu bytes", key.size);
    else if (job_of(check, "running", &id, &r) && !state_owned(r.job.state))
        fault(check, &id, "`running` has an entry, and it is %s", jobtab_state_name(r.job.state));
}

static void check_keys_entry(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    if (!key_id_of(value, sizeof id.bytes, &id))
        fault(check, NULL, "an entry of `keys` has a value of %zu bytes", value.size);
    else if (job_of(check, "keys", &id, &r) &&
             (strlen(r.job.key) != key.size || memcmp(key.data, r.job.key, key.size) != 0))
        fault(check, &id, "`keys` has an entry that is not its own");
}

static void check_payload_entry(struct check *check, struct slice key, struct slice value)
{
    const uint8_t *bytes = key.data;
    struct jobtab_id id;
    struct record r;
    struct slice inside;
    uint64_t begin, end;

    if (key.size != 21) {
        fault(check, NULL, "a key of `payload` has %zu bytes", key.size);
        return;
    }
    memcpy(id.bytes, bytes, sizeof id.bytes);
    if (!job_of(check, "payload", &id, &r))
        return;
    uint64_t chunk = (uint64_t)bytes[17] << 24 | (uint64_t)bytes[18] << 16 |
                     (uint64_t)bytes[19] << 8 | bytes[20];
    if (payload_inside(&r, (enum jobtab_part)bytes[16], &inside)) {
        fault(check, &id, "`payload` has chunk %llu of part %u, which is in its record",
              (unsigned long long)chunk, bytes[16]);
        return;
    }
    payload_range(&r.job, (enum jobtab_part)bytes[16], &begin, &end);
    if (chunk < begin / PAYLOAD_CHUNK || chunk * PAYLOAD_CHUNK >= end)
        fault(check, &id, "`payload` has chunk %llu of part %u (%zu bytes), which it has not",
              (unsigned long long)chunk, bytes[16], value.size);
}

static void check_changes_entry(struct check *check, struct slice key, struct slice value)
{
    const uint8_t *run = value.data;
    uint64_t version = key_version_of(key), n = value.size / EDIT_CHANGE;
    bool sound = n > 0 && value.size == n * EDIT_CHANGE;

    if (version < n || !version || (check->change && version - n != check->change))
        fault(check, NULL, "`changes` goes from version %llu to %llu",
              (unsigned long long)check->change, (unsigned long long)(version - n + 1));
    check->change = version;
    for (uint64_t i = 0; sound && i < n; i++)
        sound = run[i * EDIT_CHANGE + EDIT_CHANGE - 1] < JOBTAB_STATES;
    if (!sound)
        fault(check, NULL, "the entry of `changes` for version %llu is damaged",
              (unsigned long long)version);
}

static const struct {
    enum store_db db;
    void (*check)(struct check *check, struct slice key, struct slice value);
} others[] = {
    {STORE_PENDING, check_pending_entry}, {STORE_SCHEDULED, check_scheduled_entry},
    {STORE_RUNNING, check_running_entry}, {STORE_DONE, check_done_entry},
    {STORE_KEYS, check_keys_entry},       {STORE_PAYLOAD, check_payload_entry},
    {STORE_CHANGES, check_changes_entry},
};

static void check_others(struct check *check)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct slice key, value;
        struct store_cursor *cursor = store_cursor(check->txn, others[i].db);
        bool found = store_seek(cursor, (struct slice){0}, &key, &value);
        for (; found; found = store_next(cursor, &key, &value)) {
            one_more(check);
            others[i].check(check, key, value);
        }
        store_cursor_end(cursor);
    }
}

/* ----------------------------------------------------------------- the totals */

static void check_counts(struct check *check)
{
    uint64_t listed = 0;
    struct slice key, value;

    for (size_t i = 0; i < check->n_kinds; i++) {
        const struct kind_tally *kind = &check->kinds[i];
        struct key name = key_meta("count", kind->kind);
        struct count count;

        if (!store_get(check->txn, STORE_META, key_slice(&name), &value))
            fault(check, NULL, "kind %s: it has no count in `meta`", kind->kind);
        else if (count_decode(value, &count))
            fault(check, NULL, "kind %s: its count: %s", kind->kind, jobtab_why());
        else if (memcmp(&count, &kind->count, sizeof count) != 0)
            fault(check, NULL, "kind %s: its count by state is not that of its jobs", kind->kind);
    }
    struct store_cursor *cursor = store_cursor(check->txn, STORE_META);
    bool found = store_seek(cursor, text_slice("count:"), &key, &value);
    for (; found && key.size > 6 && memcmp(key.data, "count:", 6) == 0;
         found = store_next(cursor, &key, &value))
        listed++;
    store_cursor_end(cursor);
    if (listed > check->n_kinds)
        fault(check, NULL, "`meta` counts %llu kinds, the jobs have %zu",
              (unsigned long long)listed, check->n_kinds);
}

static void check_meta(struct check *check)
{
    struct jobtab_options settings;
    struct slice key, value;

    if (table_settings(check->txn, &settings))
        fault(check, NULL, "the settings: %s", jobtab_why());
    struct store_cursor *cursor = store_cursor(check->txn, STORE_META);
    bool found = store_seek(cursor, text_slice("policy:"), &key, &value);
    for (; found && key.size > 7 && memcmp(key.data, "policy:", 7) == 0;
         found = store_next(cursor, &key, &value)) {
        struct jobtab_policy policy;
        if (policy_decode(value, &policy))
            fault(check, NULL, "the policy of kind %.*s: %s", (int)key.size - 7,
                  (const char *)key.data + 7, jobtab_why());
    }
    store_cursor_end(cursor);
}

int verify_all(struct store_txn *txn, jobtab_fault_fn *fault_fn,
               void (*progress)(uint64_t done, uint64_t all, void *context), void *context,
               uint64_t *records, uint64_t *faults)
{
    struct check check = {.txn = txn, .fault = fault_fn, .progress = progress, .context = context};

    check.all = store_count(check.txn, STORE_JOBS);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check.all += store_count(check.txn, others[i].db);
    if (table_totals(check.txn, &check.totals))
        fault(&check, NULL, "the totals: %s", jobtab_why());
    check_meta(&check);
    check_jobs(&check);
    check_others(&check);
    if (check.change != check.totals.sequence)
        fault(&check, NULL, "`changes` ends with version %llu, the table's is %llu",
              (unsigned long long)check.change, (unsigned long long)check.totals.sequence);
    check_counts(&check);
    if (progress)
        progress(check.records, check.all, context);
    int rc = store_error(check.txn);
    if (rc == JOBTAB_DAMAGED)
        fail(rc, "the table cannot be read to its end: a page of its file is damaged");
    else if (!rc)
        fail_clear();
    free(check.kinds);
    *records = check.records;
    *faults = check.faults + (rc == JOBTAB_DAMAGED);
    return rc;
}

int jobtab_verify(struct jobtab *table, jobtab_fault_fn *fault_fn,
                  void (*progress)(uint64_t done, uint64_t all, void *context), void *context,
                  uint64_t *records, uint64_t *faults)
{
    struct store_txn *txn;
    int rc = table_enter(table);

    if (!rc)
        rc = store_read(table->store, &txn);
    if (rc)
        return rc;
    rc = verify_all(txn, fault_fn, progress, context, records, faults);
    store_end(txn);
    return rc;
}
