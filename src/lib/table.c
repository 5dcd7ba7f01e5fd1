/* table.c - reading a job and the table's own records within a transaction. See table.h. */
#include "table.h"

#include "error.h"
#include "state.h"

#include <string.h>

#define CACHE_LINE 64

int table_enter(const struct jobtab *table)
{
    fail_clear();
    if (table->pid != process_self())
        return fail(JOBTAB_FORKED, "the table was opened by process %d, this is %d",
                    (int)table->pid, (int)process_self());
    return JOBTAB_OK;
}

/* What stands in `running` is newer than the record's own. */
static void overlay(struct jobtab_job *job, const struct hot *hot)
{
    job->version = hot->version;
    job->progress = hot->progress;
    job->updated_at = hot->updated_at;
    job->owner = hot->owner;
    job->log_begin = hot->log_begin;
    job->log_end = hot->log_end;
    memcpy(job->message, hot->message, sizeof job->message);
}

static int load_hot(struct store_txn *txn, const struct jobtab_id *id, enum jobtab_state state,
                    struct hot *hot)
{
    struct slice image;

    if (store_get(txn, STORE_RUNNING, id_slice(id), &image))
        return hot_decode(image, hot);
    return store_error(txn) ? store_error(txn)
                            : fail(JOBTAB_DAMAGED, "the job is %s and not in `running`",
                                   jobtab_state_name(state));
}

int table_decode(struct store_txn *txn, const struct jobtab_id *id, struct slice bytes,
                 struct record *record, struct hot *hot)
{
    struct hot own;

    record->job.id = *id;
    int rc = record_decode(bytes, record);
    if (rc || !state_owned(record->job.state))
        return rc;
    if (!hot)
        hot = &own;
    rc = load_hot(txn, id, record->job.state, hot);
    if (rc == JOBTAB_OK)
        overlay(&record->job, hot);
    return rc;
}

/* In a large table the record's lines come from memory: ask for all of them at once. */
static void fetch(struct slice bytes)
{
    for (size_t at = CACHE_LINE; at < bytes.size; at += CACHE_LINE)
        __builtin_prefetch((const char *)bytes.data + at);
}

static int find(struct store_txn *txn, const struct jobtab_id *id, struct slice *bytes)
{
    char text[JOBTAB_ID_TEXT];

    if (store_get(txn, STORE_JOBS, id_slice(id), bytes))
        return JOBTAB_OK;
    if (store_error(txn))
        return store_error(txn);
    jobtab_id_format(id, text);
    return fail(JOBTAB_NOTFOUND, "there is no job %s", text);
}

int table_load(struct store_txn *txn, const struct jobtab_id *id, struct record *record,
               struct hot *hot)
{
    struct slice bytes;

    int rc = find(txn, id, &bytes);
    if (rc)
        return rc;
    fetch(bytes);
    return table_decode(txn, id, bytes, record, hot);
}

int table_find(struct store_txn *txn, const char *key, struct jobtab_id *id)
{
    struct slice value;

    if (!store_get(txn, STORE_KEYS, text_slice(key), &value))
        return store_error(txn) ? store_error(txn)
                                : fail(JOBTAB_NOTFOUND, "no job has the key \"%.100s\"", key);
    if (!key_id_of(value, sizeof id->bytes, id))
        return fail(JOBTAB_DAMAGED, "idempotency_key: its entry is damaged");
    return JOBTAB_OK;
}

int table_version(struct store_txn *txn, const struct jobtab_id *id, uint64_t *version)
{
    enum jobtab_state state;
    struct slice bytes;
    struct hot hot;

    int rc = find(txn, id, &bytes);
    if (!rc)
        rc = record_version(bytes, &state, version);
    if (rc || !state_owned(state))
        return rc;
    rc = load_hot(txn, id, state, &hot);
    if (rc == JOBTAB_OK)
        *version = hot.version;
    return rc;
}

/* The number of the last change: the last key of the feed. */
static uint64_t last_change(struct store_txn *txn)
{
    struct store_cursor *cursor = store_cursor(txn, STORE_CHANGES);
    struct slice key, value;
    uint64_t version = 0;

    if (store_seek_below(cursor, (struct slice){0}, &key, &value))
        version = key_version_of(key);
    store_cursor_end(cursor);
    return version;
}

int table_totals(struct store_txn *txn, struct totals *totals)
{
    struct slice image;
    int rc = JOBTAB_OK;

    memset(totals, 0, sizeof *totals); /* a new table */
    if (store_get(txn, STORE_META, text_slice("totals"), &image))
        rc = totals_decode(image, totals);
    uint64_t version = rc ? 0 : last_change(txn);
    if (version > totals->sequence)
        totals->sequence = version;
    return rc ? rc : store_error(txn);
}

int table_settings(struct store_txn *txn, struct jobtab_options *settings)
{
    struct slice image;

    memset(settings, 0, sizeof *settings);
    if (store_get(txn, STORE_META, text_slice("settings"), &image))
        return settings_decode(image, settings);
    return store_error(txn);
}

int table_policy(struct store_txn *txn, const char *kind, struct jobtab_policy *policy)
{
    struct key key = key_meta("policy", kind);
    struct slice image;
    int rc = JOBTAB_OK;

    *policy = (struct jobtab_policy){.max_attempts = 0};
    if (store_get(txn, STORE_META, key_slice(&key), &image))
        rc = policy_decode(image, policy);
    else
        rc = store_error(txn);
    if (!policy->max_attempts)
        policy->max_attempts = 1;
    if (!policy->max_crashes)
        policy->max_crashes = 3;
    if (!policy->backoff)
        policy->backoff = 1000;
    policy->kind = kind;
    return rc;
}

int table_check_kind(const char *kind)
{
    size_t length = kind ? strnlen(kind, JOBTAB_KIND_MAX + 1) : 0;

    if (length == 0)
        return fail(JOBTAB_INVALID, "kind: it is missing");
    if (length > JOBTAB_KIND_MAX)
        return fail(JOBTAB_INVALID, "kind: it is over %d bytes", JOBTAB_KIND_MAX);
    for (const char *p = kind; *p; p++) {
        bool allowed = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                       (*p >= '0' && *p <= '9') || *p == '.' || *p == '_' || *p == '-';
        if (!allowed)
            return fail(JOBTAB_INVALID,
                        "kind: only letters, digits, '.', '_' and '-' may be in a name");
    }
    return JOBTAB_OK;
}

int table_check_key(const char *key)
{
    size_t length = strnlen(key, JOBTAB_KEY_MAX + 1);

    if (length > JOBTAB_KEY_MAX)
        return fail(JOBTAB_INVALID, "idempotency_key: it is over %d bytes", JOBTAB_KEY_MAX);
    return length ? JOBTAB_OK : fail(JOBTAB_INVALID, "idempotency_key: it is empty");
}
