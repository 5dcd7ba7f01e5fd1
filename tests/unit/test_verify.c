/* test_verify.c - the control of every oracle that ends in assert_sound: each kind of damage, done
 * to a sound table beneath the library, is found. */
#include "fixture.h"

#include "edit.h"
#include "keys.h"
#include "record.h"
#include "store.h"
#include "table.h"
#include "verify_check.h"

#define LONG_PARAMS 600 /* bytes: not in the record */

/* A table with a job in every state, params, results, logs and keys, closed. */
static int make_table(void **state)
{
    if (fixture_open(state))
        return -1;
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_submit plain = {.kind = "k", .params = "[1,2,3]", .params_size = 7};
    char text[LONG_PARAMS];

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .key = "K"}, NULL));
    struct jobtab_job job = claim(f, "k", &token);
    assert_ok(jobtab_log(f->table, &job.id, &token, "log", 3));
    assert_ok(jobtab_finish(f->table, &job.id, &token,
                            &(struct jobtab_finish){.result = "1", .result_size = 1,
                                                    .format = JOBTAB_JSON}));
    assert_ok(jobtab_submit(f->table, &plain, NULL));
    claim(f, "k", &token);
    assert_ok(jobtab_submit(f->table, &plain, NULL));
    plain.delay = 100000;
    assert_ok(jobtab_submit(f->table, &plain, NULL));
    plain.delay = 0;
    plain.kind = "other";
    assert_ok(jobtab_submit(f->table, &plain, &job)); /* fails */
    claim(f, "other", &token);
    assert_ok(finish(f, &job.id, &token, JOBTAB_TRY_AGAIN));
    assert_ok(jobtab_submit(f->table, &plain, &job)); /* is being cancelled */
    claim(f, "other", &token);
    assert_ok(jobtab_cancel(f->table, &job.id, NULL));
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    plain.params = text;
    plain.params_size = sizeof text;
    assert_ok(jobtab_submit(f->table, &plain, &job));
    assert_ok(jobtab_cancel(f->table, &job.id, NULL));
    assert_sound(f);
    jobtab_close(f->table);
    f->table = NULL;
    return 0;
}

/* Open the store of a closed table; what `change` does to it is committed. */
static void beneath(const struct fixture *f, void (*change)(struct store_txn *txn, const void *how),
                    const void *how)
{
    struct store_txn *txn;
    struct store *store;

    assert_ok(store_open(f->dir, 0, 10, true, &store));
    assert_ok(store_write(store, &txn));
    change(txn, how);
    assert_ok(store_commit(txn));
    store_close(store, false);
}

/* What one row does to the table beneath. */
struct damage {
    const char *name;
    enum store_db db;
    enum {
        DROP_FIRST,
        ADD,
        CHANGE_BYTE,
        REPLACE,
        ADD_CHUNK, /* of the result */
        COPY_JOB,  /* the first, under the key */
        NO_JSON,   /* in the last chunk that is there */
    } what;
    size_t at;                       /* byte to change */
    const char *key;                 /* to add, or the entry of `meta` to take */
    size_t key_size;
    const char *value;
    size_t value_size;
    const char *says; /* in some fault; NULL: who opens the table finds it */
};

#define NOBODY "0123456789abcdef" /* the id of no job */

static const struct damage damages[] = {
    {"a pending entry is gone", STORE_PENDING, DROP_FIRST, 0, 0, 0, 0, 0, "no entry in `pending`"},
    {"a scheduled entry is gone", STORE_SCHEDULED, DROP_FIRST, 0, 0, 0, 0, 0,
     "no entry in `scheduled`"},
    {"a running entry is gone", STORE_RUNNING, DROP_FIRST, 0, 0, 0, 0, 0, "not in `running`"},
    {"a done entry is gone", STORE_DONE, DROP_FIRST, 0, 0, 0, 0, 0, "no entry in `done`"},
    {"a key is gone", STORE_KEYS, DROP_FIRST, 0, 0, 0, 0, 0, "no entry in `keys`"},
    {"a chunk is gone", STORE_PAYLOAD, DROP_FIRST, 0, 0, 0, 0, 0, "is missing"},
    {"a job is gone", STORE_JOBS, DROP_FIRST, 0, 0, 0, 0, 0, "no such job"},
    {"the count is gone", STORE_META, DROP_FIRST, 0, "count:k", 7, 0, 0, "no count"},
    {"a stray pending entry", STORE_PENDING, ADD, 0, "k\0dxxxxxxxx", 11, NOBODY, 16, "`pending`"},
    {"a stray scheduled entry", STORE_SCHEDULED, ADD, 0, "xxxxxxxx" NOBODY, 24, "", 0,
     "`scheduled`"},
    {"a stray running entry", STORE_RUNNING, ADD, 0, NOBODY, 16, "x", 1, "`running`"},
    {"a stray done entry", STORE_DONE, ADD, 0, "xxxxxxxx" NOBODY, 24, "", 0, "`done`"},
    {"a stray key", STORE_KEYS, ADD, 0, "stray", 5, NOBODY, 16, "`keys`"},
    {"a stray chunk", STORE_PAYLOAD, ADD, 0, NOBODY "\1\0\0\0\0", 21, "x", 1, "`payload`"},
    {"a job with a key that is no id", STORE_JOBS, ADD, 0, "short", 5, "x", 1, "key of `jobs`"},
    {"a record that is no image", STORE_JOBS, ADD, 0, NOBODY, 16, "x", 1, "no tpl image"},
    {"a change is gone", STORE_CHANGES, DROP_FIRST, 0, "\0\0\0\0\0\0\0\2", 8, 0, 0,
     "`changes` goes from"},
    {"a change beyond the sequence", STORE_CHANGES, ADD, 0, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
     NOBODY "\1", 17, "`changes`"},
    {"a change of no state", STORE_CHANGES, ADD, 0, "\0\0\0\0\0\0\0\1", 8, NOBODY "\x7", 17,
     "damaged"},
    {"a run that overlaps", STORE_CHANGES, ADD, 0, "\0\0\0\0\0\0\0\2", 8,
     NOBODY "\1" NOBODY "\1", 34, "`changes` goes from"},
    {"a change without state", STORE_CHANGES, ADD, 0, "\0\0\0\0\0\0\0\1", 8, "x", 1, "damaged"},
    {"a stray count", STORE_META, ADD, 0, "count:zz", 8, "x", 1, "it has a count in `meta` and no job"},
    {"a damaged policy", STORE_META, ADD, 0, "policy:zz", 9, "x", 1, "policy of kind zz"},
    {"a damaged count", STORE_META, REPLACE, 0, "count:k", 7, "x", 1, "its count"},
    {"damaged totals", STORE_META, REPLACE, 0, "totals", 6, "x", 1, NULL},
    {"damaged settings", STORE_META, REPLACE, 0, "settings", 8, "x", 1, NULL},
    {"a job in another state", STORE_JOBS, CHANGE_BYTE, 37, 0, 0, 0, 0, "`meta` counts 1 completed, there are 0"},
    {"a damaged record", STORE_JOBS, CHANGE_BYTE, 32, 0, 0, 0, 0, "damaged image"},
    {"a result in two places", STORE_JOBS, ADD_CHUNK, 0, 0, 0, 0, 0, "which is in its record"},
    {"a damaged running record", STORE_RUNNING, CHANGE_BYTE, 5, 0, 0, 0, 0, "image says"},
    {"a pending entry for another job", STORE_PENDING, CHANGE_BYTE, 15, 0, 0, 0, 0, "pending"},
    {"a pending entry that names nobody", STORE_PENDING, ADD, 0, "k\0dxxxxxxxx", 11, "x", 1,
     "has a value of 1 bytes"},
    {"a key that names nobody", STORE_KEYS, ADD, 0, "stray", 5, "x", 1, "has a value of 1 bytes"},
    {"a scheduled key that is none", STORE_SCHEDULED, ADD, 0, "x", 1, "", 0, "key of `scheduled`"},
    {"a running key that is none", STORE_RUNNING, ADD, 0, "x", 1, "", 0, "key of `running`"},
    {"a done key that is none", STORE_DONE, ADD, 0, "x", 1, "", 0, "key of `done`"},
    {"a chunk's key that is none", STORE_PAYLOAD, ADD, 0, "x", 1, "", 0, "key of `payload`"},
    {"a done entry with a value", STORE_DONE, ADD, 0, "xxxxxxxx" NOBODY, 24, "x", 1,
     "in `done` has a value"},
    {"an id that is no UUID", STORE_JOBS, COPY_JOB, 0, NOBODY, 16, 0, 0, "no UUID of version 7"},
    {"a record twice", STORE_JOBS, COPY_JOB, 0, NOBODY, 16, 0, 0, "two jobs have version"},
    {"a record that nobody knows", STORE_META, ADD, 0, "zz\n", 3, "x", 1, "a record zz? that nobody"},
    {"a policy of no kind", STORE_META, ADD, 0, "policy:/", 8, "x", 1, "policy of kind /"},
    {"a damaged batch", STORE_META, ADD, 0, "batch", 5, "x", 1, "the last batch"},
    {"params that are no JSON", STORE_PAYLOAD, NO_JSON, 0, 0, 0, 0, 0,
     "its params are not JSON, byte 0"},
    {"a short chunk", STORE_PAYLOAD, REPLACE, 0, 0, 0, "", 0, "bytes"},
};

static void do_damage(struct store_txn *txn, const void *how)
{
    const struct damage *damage = how;
    struct slice key, value;
    char k[64], v[4096];

    if (damage->key && damage->what != COPY_JOB) {
        key = (struct slice){damage->key, damage->key_size};
    } else {
        struct store_cursor *cursor = store_cursor(txn, damage->db);
        assert_true(damage->what == NO_JSON
                        ? store_seek_below(cursor, (struct slice){0}, &key, &value)
                        : store_seek(cursor, (struct slice){0}, &key, &value));
        memcpy(k, key.data, key.size);
        memcpy(v, value.data, value.size);
        key.data = k;
        value.data = v;
        store_cursor_end(cursor);
    }
    switch (damage->what) {
    case DROP_FIRST:
        assert_true(store_delete(txn, damage->db, key));
        break;
    case ADD:
    case REPLACE:
        store_put(txn, damage->db, key, (struct slice){damage->value, damage->value_size});
        break;
    case ADD_CHUNK:
        memcpy(k + key.size, "\2\0\0\0\0", 5);
        key.size += 5;
        store_put(txn, STORE_PAYLOAD, key, (struct slice){"1", 1});
        break;
    case COPY_JOB:
        store_put(txn, STORE_JOBS, (struct slice){damage->key, damage->key_size}, value);
        break;
    case NO_JSON:
        v[0] = '?';
        store_put(txn, damage->db, key, value);
        break;
    case CHANGE_BYTE:
        assert_true(damage->at < value.size);
        v[damage->at] ^= 1;
        store_put(txn, damage->db, key, value);
        break;
    }
}

struct faults {
    const char *wanted;
    bool said;
    char last[320];
};

static void note_fault(const char *fault, void *context)
{
    struct faults *faults = context;

    faults->said |= strstr(fault, faults->wanted) != NULL;
    snprintf(faults->last, sizeof faults->last, "%s", fault);
    assert_null(strchr(fault, '\n'));
}

/* What was done to a sound table is said, by verify or, with `says` NULL, by who opens it. */
static bool found(const char *name, const char *says,
                  void (*change)(struct store_txn *txn, const void *how), const void *how)
{
    struct faults faults = {.wanted = says ? says : "", .said = !says};
    uint64_t records, count = 0;
    struct fixture *f;

    assert_int_equal(make_table((void **)&f), 0);
    beneath(f, change, how);
    int rc = jobtab_open(f->dir, NULL, &f->table);
    if (!says) {
        assert_int_equal(rc, JOBTAB_DAMAGED);
    } else {
        assert_ok(rc);
        assert_ok(jobtab_verify(f->table, note_fault, NULL, &faults, &records, &count));
        assert_true(count > 0);
    }
    if (!faults.said)
        print_error("%s: \"%s\" not said; last: %s\n", name, says, faults.last);
    assert_int_equal(fixture_close((void **)&f), 0);
    return faults.said;
}

static void each_kind_of_damage_is_found(void **state)
{
    bool all = true;

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        all &= found(damages[i].name, damages[i].says, do_damage, &damages[i]);
    assert_true(all);
}

/* ------------------------------------------------------- sound images, wrong fields */

enum image_of { RECORD, HOT, TOTALS, SETTINGS, POLICY, COUNT };

/* A field of one image, the first of a job in that state where it is a job's, gets another
 * value. */
struct wrong {
    const char *says;
    enum image_of of;
    enum jobtab_state state;
    size_t offset, size;
    int64_t value;
};

#define OF(of, from, field, value, state, says)                                                   \
    {says, of, JOBTAB_##state, offsetof(struct from, field), sizeof((struct from *)0)->field, value}

static const struct wrong wrongs[] = {
    OF(RECORD, record, job.kind, '/', PENDING, "its kind has no proper name"),
    OF(RECORD, record, job.priority, 101, PENDING, "its priority is out of bounds"),
    OF(RECORD, record, job.created_at, 0, PENDING, "it has no created_at or updated_at"),
    OF(RECORD, record, job.version, 0, PENDING, "its version is 0"),
    OF(RECORD, record, job.version, 1000000, PENDING, "is above the table's"),
    OF(RECORD, record, job.version, 7, COMPLETED, "two jobs have version"),
    OF(RECORD, record, job.version, 1000000, RUNNING, "below that of its record"),
    OF(RECORD, record, job.version, 2, COMPLETED, "`changes` does not say that version 2 is it"),
    OF(RECORD, record, job.version, 2, COMPLETED, "version 4 of `changes` is it, and its own"),
    OF(RECORD, record, queued, 1000000, PENDING, "or of its place in the queue"),
    OF(RECORD, record, job.backoff, -1, PENDING, "its backoff or timeout is negative"),
    OF(RECORD, record, job.timeout, -1, PENDING, "its backoff or timeout is negative"),
    OF(RECORD, record, job.max_attempts, 0, PENDING, "it may have no attempt or no crash"),
    OF(RECORD, record, job.max_crashes, 0, FAILED, "it may have no attempt or no crash"),
    OF(RECORD, record, job.attempt, 2, COMPLETED, "it had more attempts than it may"),
    OF(RECORD, record, job.attempt, 1, PENDING, "it waits and has no attempt left"),
    OF(RECORD, record, job.attempt, 0, COMPLETED, "it was never claimed"),
    OF(RECORD, record, job.crashes, 4, FAILED, "its owners were lost more often than may be"),
    OF(RECORD, record, job.crashes, 3, PENDING, "its owners were lost as often as may be"),
    OF(RECORD, record, request, 7, PENDING, "it has the hash of a request and no key"),
    OF(RECORD, record, job.log_begin, 1, COMPLETED, "its log does not begin with a chunk"),
    OF(RECORD, record, job.log_end, 100, COMPLETED, "has 3 bytes, not 100"),
    OF(RECORD, record, job.log_end, 5000, COMPLETED, "chunk 1 of its log is missing"),
    OF(RECORD, record, job.log_begin, 4064, COMPLETED, "its log ends before it begins"),
    OF(RECORD, record, job.log_end, INT64_MAX, COMPLETED, "is beyond all bounds"),
    OF(RECORD, record, job.params_size, 599, CANCELLED, "has 600 bytes, not 599"),
    OF(RECORD, record, job.result_format, JOBTAB_NONE, COMPLETED, "it has a result without format"),
    OF(RECORD, record, job.result_format, JOBTAB_JSON, FAILED, "or a format without result"),
    OF(RECORD, record, job.state, JOBTAB_PENDING, COMPLETED, "it has a result and has not ended"),
    OF(RECORD, record, job.state, JOBTAB_PENDING, COMPLETED, "no entry in `pending`"),
    OF(RECORD, record, job.state, JOBTAB_PENDING, COMPLETED, "`done` has an entry that is not"),
    OF(RECORD, record, job.state, JOBTAB_PENDING, COMPLETED, "`meta` counts 1 completed, there are 0"),
    OF(RECORD, record, job.state, JOBTAB_SCHEDULED, COMPLETED, "no entry in `scheduled`"),
    OF(RECORD, record, job.state, JOBTAB_CANCELLED, COMPLETED, "version 4 is it, and cancelled"),
    OF(RECORD, record, job.state, JOBTAB_RUNNING, COMPLETED, "not in `running`"),
    OF(RECORD, record, job.state, JOBTAB_CANCELLED, RUNNING, "has an entry, and it is cancelled"),
    OF(RECORD, record, job.state, JOBTAB_CANCELLED, RUNNING, "it has no entry in `done`"),
    OF(RECORD, record, job.started_at, 0, RUNNING, "it has no started_at"),
    OF(RECORD, record, job.started_at, 1, PENDING, "it waits and has progress or started_at"),
    OF(RECORD, record, job.progress, 5, SCHEDULED, "it waits and has progress or started_at"),
    OF(RECORD, record, job.finished_at, 0, CANCELLED, "it is done and has no finished_at"),
    OF(RECORD, record, job.expires_at, 0, FAILED, "it is done and has no finished_at"),
    OF(RECORD, record, job.finished_at, 1, RUNNING, "it is not done and has finished_at"),
    OF(RECORD, record, queued, 0, PENDING, "it has no place in the queue"),
    OF(RECORD, record, queued, 1, SCHEDULED, "it is scheduled and has a place in the queue"),
    OF(RECORD, record, job.run_at, 0, SCHEDULED, "it is scheduled and has no run_at"),
    OF(RECORD, record, job.run_at, 1, SCHEDULED, "`scheduled` has an entry that is not its own"),
    OF(RECORD, record, job.reason, JOBTAB_BY_OOM, COMPLETED, "it has a reason"),
    OF(RECORD, record, job.reason, JOBTAB_BY_OOM, CANCELLED, "its reason is not that it was"),
    OF(RECORD, record, job.reason, JOBTAB_NO_REASON, CANCELLING, "its reason is not that it was"),
    OF(RECORD, record, job.progress, 99, COMPLETED, "it is completed and has an error, or not 100"),
    OF(RECORD, record, job.error, 'x', COMPLETED, "it is completed and has an error, or not 100"),
    OF(RECORD, record, job.key, 'x', PENDING, "it has no entry in `keys`"),
    OF(RECORD, record, job.key, 'x', COMPLETED, "`keys` has an entry that is not its own"),
    OF(RECORD, record, job.key, 'K', PENDING, "its entry in `keys` names another job"),
    OF(RECORD, record, job.kind, 'z', PENDING, "it has no entry in `pending`"),
    OF(RECORD, record, job.kind, 'z', PENDING, "kind z: it has no count in `meta`"),
    OF(RECORD, record, job.kind, 'z', PENDING, "kind k: `meta` counts 1 pending, there are 0"),
    OF(HOT, hot, owner.pid, 0, RUNNING, "it has no owner"),
    OF(HOT, hot, lease, 5, RUNNING, "or one with a lease besides"),
    OF(HOT, hot, attempt, 2, CANCELLING, "its attempt is not that of its owner"),
    OF(HOT, hot, deadline, 1, RUNNING, "or a deadline without timeout"),
    OF(HOT, hot, updated_at, 0, RUNNING, "it has no created_at or updated_at"),
    OF(HOT, hot, log_end, 10, RUNNING, "chunk 0 of its log is missing"),
    OF(HOT, hot, version, 2, RUNNING, "below that of its record"),
    OF(TOTALS, totals, submitted, 6, PENDING, "more jobs there, expired and evicted"),
    OF(TOTALS, totals, submitted, 6, PENDING, "more jobs not done, completed, failed"),
    OF(TOTALS, totals, evicted, 1, PENDING, "more jobs done, expired, evicted and retried"),
    OF(TOTALS, totals, expired, 1, PENDING, "more jobs there, expired and evicted"),
    OF(TOTALS, totals, retried, 1, PENDING, "more jobs done, expired, evicted and retried"),
    OF(TOTALS, totals, completed, 0, PENDING, "more jobs completed than were"),
    OF(TOTALS, totals, failed, 0, PENDING, "more jobs failed than were"),
    OF(TOTALS, totals, cancelled, 0, PENDING, "more jobs cancelled than were"),
    OF(TOTALS, totals, claimed, 3, PENDING, "more jobs with an owner, completed and failed"),
    OF(TOTALS, totals, owners_lost, 3, PENDING, "more jobs with an owner and owners lost"),
    OF(TOTALS, totals, submitted, 1000, PENDING, "cancelled than changes"),
    OF(TOTALS, totals, sequence, 1000, PENDING, "`changes` ends with version"),
    OF(TOTALS, totals, last_id.bytes[0], 0, PENDING, "its id is above the last one"),
    OF(TOTALS, totals, last_id.bytes[0], 0, PENDING, "and no such id was ever given"),
    OF(SETTINGS, jobtab_options, high_water, 96, PENDING, "the settings: high_water"),
    OF(SETTINGS, jobtab_options, map_size, 1, PENDING, "the settings: map_size"),
    OF(SETTINGS, jobtab_options, max_readers, 40000, PENDING, "the settings: max_readers"),
    OF(SETTINGS, jobtab_options, retention, INT64_MAX, PENDING, "the settings: retention"),
    OF(SETTINGS, jobtab_options, retention, -1, PENDING, "or the retention negative"),
    OF(POLICY, jobtab_policy, backoff, -1, PENDING, "the policy of kind zz: backoff"),
    OF(POLICY, jobtab_policy, timeout, -1, PENDING, "the policy of kind zz: timeout"),
    OF(COUNT, count, states[JOBTAB_RUNNING], 2, PENDING, "kind k: `meta` counts 2 running"),
};

/* Numbers of this machine's order; a text becomes one character. */
static void set_field(void *image, const struct wrong *wrong)
{
    char *field = (char *)image + wrong->offset;
    char text[2] = {(char)wrong->value, '\0'};

    if (wrong->size <= sizeof wrong->value)
        memcpy(field, &wrong->value, wrong->size);
    else
        memcpy(field, text, sizeof text);
}

static bool in_state(struct store_txn *txn, const struct jobtab_id *id, struct slice value,
                     enum jobtab_state state, struct record *record)
{
    struct hot hot;

    assert_ok(table_decode(txn, id, value, record, &hot));
    record->job.id = *id;
    assert_ok(record_decode(value, record)); /* without what moves */
    return record->job.state == state;
}

static void set_of_job(struct store_txn *txn, const struct wrong *wrong)
{
    struct slice key, value;
    struct jobtab_id id;
    struct record record;
    struct image image;
    struct hot hot;
    bool right = false;

    struct store_cursor *cursor = store_cursor(txn, STORE_JOBS);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found; found = store_next(cursor, &key, &value)) {
        assert_true(key_id_of(key, sizeof id.bytes, &id));
        right = in_state(txn, &id, value, wrong->state, &record);
        if (right)
            break;
    }
    assert_true(right);
    if (wrong->of == RECORD) {
        set_field(&record, wrong);
        record_encode(&record, &image);
    } else {
        assert_true(store_get(txn, STORE_RUNNING, id_slice(&id), &value));
        assert_ok(hot_decode(value, &hot));
        set_field(&hot, wrong);
        hot_encode(&hot, &image);
    }
    store_cursor_end(cursor);
    store_put(txn, wrong->of == RECORD ? STORE_JOBS : STORE_RUNNING, id_slice(&id),
              image_slice(&image));
}

static void set_wrong(struct store_txn *txn, const void *how)
{
    const struct wrong *wrong = how;
    struct jobtab_options settings;
    struct jobtab_policy policy = {.kind = "zz"};
    struct totals totals;
    struct count count;
    struct image image;
    struct slice value;
    const char *key = NULL;

    switch (wrong->of) {
    case RECORD:
    case HOT:
        set_of_job(txn, wrong);
        return;
    case TOTALS:
        key = "totals";
        assert_ok(table_totals(txn, &totals));
        set_field(&totals, wrong);
        totals_encode(&totals, &image);
        break;
    case SETTINGS:
        key = "settings";
        assert_ok(table_settings(txn, &settings));
        set_field(&settings, wrong);
        settings_encode(&settings, &image);
        break;
    case POLICY:
        key = "policy:zz";
        set_field(&policy, wrong);
        policy_encode(&policy, &image);
        break;
    case COUNT:
        key = "count:k";
        assert_true(store_get(txn, STORE_META, text_slice(key), &value));
        assert_ok(count_decode(value, &count));
        set_field(&count, wrong);
        count_encode(&count, &image);
        break;
    }
    store_put(txn, STORE_META, text_slice(key), image_slice(&image));
}

static void each_wrong_field_is_found_and_named(void **state)
{
    bool all = true;

    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        all &= found("", wrongs[i].says, set_wrong, &wrongs[i]);
    assert_true(all);
}

static void a_timeout_without_deadline_is_found(void **state)
{
    struct fixture *f = *state;
    struct faults faults = {.wanted = "it has a timeout without deadline"};
    const struct wrong wrong = OF(HOT, hot, deadline, 0, RUNNING, "");
    struct jobtab_token token;
    uint64_t records, count;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .timeout = 60000}, NULL));
    claim(f, "k", &token);
    jobtab_close(f->table);
    beneath(f, set_wrong, &wrong);
    assert_ok(jobtab_open(f->dir, NULL, &f->table));
    assert_ok(jobtab_verify(f->table, note_fault, NULL, &faults, &records, &count));
    assert_true(faults.said);
}

static void count_progress(uint64_t done, uint64_t all, void *context)
{
    assert_true(done <= all);
    ++*(int *)context;
}

static void verify_tells_how_far_it_is(void **state)
{
    struct fixture *f = *state;
    uint64_t records, faults;
    int calls = 0;

    assert_ok(jobtab_open(f->dir, NULL, &f->table));
    assert_ok(jobtab_verify(f->table, NULL, count_progress, &calls, &records, &faults));
    assert_true(calls >= 1);
    assert_true(records > 10);
    assert_int_equal(faults, 0);
}

/* Ids of which each has a neighbour that is no job's, also where the other half of them differs. */
static struct jobtab_id id_number(unsigned number)
{
    return (struct jobtab_id){.bytes = {[7] = (uint8_t)(number / 16), [15] = number % 16}};
}

static void a_version_is_found_among_any_number_of_jobs(void **state)
{
    (void)state;
    for (unsigned jobs = 0; jobs < 100; jobs++) {
        struct check check = {.n_versions = 0};
        for (unsigned i = 0; i < jobs; i++) {
            struct jobtab_job job = {.id = id_number(2 * i + 1), .version = i + 1};
            verify_note_version(&check, &job);
        }
        for (unsigned number = 0; number <= 2 * jobs; number++) {
            struct jobtab_id id = id_number(number);
            assert_int_equal(verify_version_of(&check, &id), number % 2 ? (number + 1) / 2 : 0);
        }
        free(check.versions);
    }
}

static void the_feed_keeps_the_newest_changes(void **state)
{
    static struct jobtab_op ops[JOBTAB_APPLY_MAX];
    struct fixture *f = *state;
    struct jobtab_stat stat;
    struct jobtab_token token;
    struct store_txn *txn;
    struct store *store;
    struct slice key, run;

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    for (size_t i = 0; i < JOBTAB_APPLY_MAX; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_REPORT, .id = job.id, .token = token};
    for (size_t done = 0; done < EDIT_CHANGES + 5 * EDIT_TRIM; done += JOBTAB_APPLY_MAX)
        assert_ok(jobtab_apply(f->table, ops, JOBTAB_APPLY_MAX));
    assert_sound(f);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    jobtab_close(f->table);
    f->table = NULL;
    assert_ok(store_open(f->dir, 0, 10, false, &store));
    assert_ok(store_read(store, &txn));
    struct store_cursor *cursor = store_cursor(txn, STORE_CHANGES);
    assert_true(store_seek(cursor, (struct slice){0}, &key, &run));
    uint64_t kept = stat.version - key_version_of(key) + run.size / EDIT_CHANGE;
    store_cursor_end(cursor);
    store_end(txn);
    store_close(store, false);
    assert_true(stat.version > EDIT_CHANGES + 5 * EDIT_TRIM);
    assert_in_range(kept, EDIT_CHANGES, EDIT_CHANGES + EDIT_TRIM + 2 * EDIT_RUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_damage_is_found),
        cmocka_unit_test(each_wrong_field_is_found_and_named),
        cmocka_unit_test_setup_teardown(a_timeout_without_deadline_is_found, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(verify_tells_how_far_it_is, make_table, fixture_close),
        cmocka_unit_test(a_version_is_found_among_any_number_of_jobs),
        cmocka_unit_test_setup_teardown(the_feed_keeps_the_newest_changes, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
