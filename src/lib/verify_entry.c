/* verify_entry.c - from the other databases to their job: every entry belongs to one, and is its
 * own. */
#include "edit.h"
#include "payload.h"
#include "pending.h"
#include "state.h"
#include "verify_check.h"

#include <string.h>

/* The job that an entry speaks of, whatever is wrong with its record told elsewhere. */
static bool job_of(struct check *check, const char *name, const struct jobtab_id *id,
                   struct record *record)
{
    int rc = table_load(check->txn, id, record, NULL);

    if (rc == JOBTAB_NOTFOUND)
        verify_fault(check, id, "`%s` has an entry for it, and there is no such job", name);
    return rc == JOBTAB_OK;
}

static void check_pending(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    if (!key_id_of(value, sizeof id.bytes, &id))
        verify_fault(check, NULL, "an entry of `pending` has a value of %zu bytes", value.size);
    else if (job_of(check, "pending", &id, &r) && !pending_owns(&r, key))
        verify_fault(check, &id, "`pending` has an entry that is not its own");
}

/* `scheduled` and `done`: all is in the key. */
static void check_instant(struct check *check, const char *name, struct slice key,
                          struct slice value, unsigned states, bool expires)
{
    struct jobtab_id id;
    struct record r;

    if (!key_id_of(key, 24, &id)) {
        verify_fault(check, NULL, "a key of `%s` has %zu bytes", name, key.size);
        return;
    }
    if (value.size)
        verify_fault(check, &id, "its entry in `%s` has a value", name);
    if (job_of(check, name, &id, &r) &&
        (!(states & JOBTAB_STATE_BIT(r.job.state)) ||
         !key_is(key, key_instant(expires ? r.job.expires_at : r.job.run_at, &id))))
        verify_fault(check, &id, "`%s` has an entry that is not its own", name);
}

static void check_scheduled(struct check *check, struct slice key, struct slice value)
{
    check_instant(check, "scheduled", key, value, JOBTAB_STATE_BIT(JOBTAB_SCHEDULED), false);
}

static void check_done(struct check *check, struct slice key, struct slice value)
{
    check_instant(check, "done", key, value,
                  JOBTAB_STATE_BIT(JOBTAB_COMPLETED) | JOBTAB_STATE_BIT(JOBTAB_FAILED) |
                      JOBTAB_STATE_BIT(JOBTAB_CANCELLED),
                  true);
}

static void check_running(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    (void)value; /* decoded with its job */
    if (!key_id_of(key, sizeof id.bytes, &id))
        verify_fault(check, NULL, "a key of `running` has %zu bytes", key.size);
    else if (job_of(check, "running", &id, &r) && !state_owned(r.job.state))
        verify_fault(check, &id, "`running` has an entry, and it is %s",
                     jobtab_state_name(r.job.state));
}

static void check_key(struct check *check, struct slice key, struct slice value)
{
    struct jobtab_id id;
    struct record r;

    if (!key_id_of(value, sizeof id.bytes, &id))
        verify_fault(check, NULL, "an entry of `keys` has a value of %zu bytes", value.size);
    else if (job_of(check, "keys", &id, &r) &&
             (strlen(r.job.key) != key.size || memcmp(key.data, r.job.key, key.size) != 0))
        verify_fault(check, &id, "`keys` has an entry that is not its own");
}

static void check_chunk(struct check *check, struct slice key, struct slice value)
{
    const uint8_t *bytes = key.data;
    struct jobtab_id id;
    struct record r;
    struct slice inside;
    uint64_t begin, end;

    if (key.size != 21) {
        verify_fault(check, NULL, "a key of `payload` has %zu bytes", key.size);
        return;
    }
    memcpy(id.bytes, bytes, sizeof id.bytes);
    if (!job_of(check, "payload", &id, &r))
        return;
    uint64_t chunk = (uint64_t)bytes[17] << 24 | (uint64_t)bytes[18] << 16 |
                     (uint64_t)bytes[19] << 8 | bytes[20];
    if (payload_inside(&r, (enum jobtab_part)bytes[16], &inside)) {
        verify_fault(check, &id, "`payload` has chunk %llu of part %u, which is in its record",
                     (unsigned long long)chunk, bytes[16]);
        return;
    }
    payload_range(&r.job, (enum jobtab_part)bytes[16], &begin, &end);
    if (chunk < begin / PAYLOAD_CHUNK || chunk * PAYLOAD_CHUNK >= end)
        verify_fault(check, &id, "`payload` has chunk %llu of part %u (%zu bytes), which it has not",
                     (unsigned long long)chunk, bytes[16], value.size);
}

/* --------------------------------------------------------------------- the feed */

/* One change. Its job may be gone; if not, it is as new. That the newest of a job is as the job is
 * was checked from there. */
static void check_change(struct check *check, uint64_t version, const uint8_t *change)
{
    struct jobtab_id id;

    memcpy(id.bytes, change, sizeof id.bytes);
    uint64_t newest = verify_version_of(check, &id);
    if (memcmp(&id, &check->totals.last_id, sizeof id) > 0)
        verify_fault(check, &id, "version %llu of `changes` is it, and no such id was ever given",
                     (unsigned long long)version);
    else if (newest && newest < version)
        verify_fault(check, &id, "version %llu of `changes` is it, and its own is %llu",
                     (unsigned long long)version, (unsigned long long)newest);
}

static void check_run(struct check *check, struct slice key, struct slice value)
{
    const uint8_t *run = value.data;
    uint64_t version = key_version_of(key), n = value.size / EDIT_CHANGE;
    bool sound = n > 0 && n <= EDIT_RUN && value.size == n * EDIT_CHANGE;

    if (version < n || !version || (check->change && version - n != check->change))
        verify_fault(check, NULL, "`changes` goes from version %llu to %llu",
                     (unsigned long long)check->change, (unsigned long long)(version - n + 1));
    check->change = version;
    for (uint64_t i = 0; sound && i < n; i++)
        sound = run[i * EDIT_CHANGE + EDIT_CHANGE - 1] < JOBTAB_STATES;
    if (!sound) {
        verify_fault(check, NULL, "the entry of `changes` for version %llu is damaged",
                     (unsigned long long)version);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        check_change(check, version - n + 1 + i, run + i * EDIT_CHANGE);
}

void verify_entry(struct check *check, enum store_db db, struct slice key, struct slice value)
{
    static void (*const checks[STORE_DBS])(struct check *, struct slice key, struct slice value) = {
        [STORE_PENDING] = check_pending, [STORE_SCHEDULED] = check_scheduled,
        [STORE_RUNNING] = check_running, [STORE_DONE] = check_done,
        [STORE_KEYS] = check_key,        [STORE_PAYLOAD] = check_chunk,
        [STORE_CHANGES] = check_run,
    };

    checks[db](check, key, value);
}
