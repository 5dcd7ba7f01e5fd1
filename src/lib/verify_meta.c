/* verify_meta.c - the table's own records: settings and policies within their bounds, counts and
 * totals against what was counted, the record of the last batch; and nothing that nobody knows. */
#include "batch.h"
#include "error.h"
#include "verify_check.h"

#include <string.h>

/* ---------------------------------------------------------------- settings, policies */

static void check_settings(struct check *check, struct slice name, struct slice value)
{
    struct jobtab_options s = {.map_size = 0};

    (void)name;
    if (settings_decode(value, &s))
        verify_fault(check, NULL, "the settings: %s", jobtab_why());
    else if (!s.map_size || !s.max_jobs || s.retention <= 0 || !s.params_max || !s.result_max ||
             !s.log_max || !s.high_water || !s.max_readers)
        verify_fault(check, NULL, "the settings: one of them is 0, or the retention negative");
    else if (options_check(&s))
        verify_fault(check, NULL, "the settings: %s", jobtab_why());
}

static void check_policy(struct check *check, struct slice name, struct slice value)
{
    struct jobtab_policy policy = {.kind = NULL};
    char kind[JOBTAB_KIND_MAX + 1] = "";

    if (name.size < sizeof kind)
        memcpy(kind, name.data, name.size);
    policy.kind = kind;
    struct jobtab_options options = {.policies = &policy, .n_policies = 1};
    if (policy_decode(value, &policy) || options_check(&options))
        verify_fault(check, NULL, "the policy of kind %.*s: %s", (int)name.size,
                     (const char *)name.data, jobtab_why());
}

/* ------------------------------------------------------------------------- counts */

/* Of a kind that has jobs it is looked at from there. */
static void check_count(struct check *check, struct slice name, struct slice value)
{
    (void)value;
    for (size_t i = 0; i < check->n_kinds; i++)
        if (strlen(check->kinds[i].kind) == name.size &&
            memcmp(check->kinds[i].kind, name.data, name.size) == 0)
            return;
    verify_fault(check, NULL, "kind %.*s: it has a count in `meta` and no job", (int)name.size,
                 (const char *)name.data);
}

static void check_counts(struct check *check)
{
    for (size_t i = 0; i < check->n_kinds; i++) {
        const struct kind_tally *kind = &check->kinds[i];
        struct key name = key_meta("count", kind->kind);
        struct count count;
        struct slice value;

        if (!store_get(check->txn, STORE_META, key_slice(&name), &value)) {
            verify_fault(check, NULL, "kind %s: it has no count in `meta`", kind->kind);
            continue;
        }
        if (count_decode(value, &count)) {
            verify_fault(check, NULL, "kind %s: its count: %s", kind->kind, jobtab_why());
            continue;
        }
        for (unsigned s = 0; s < JOBTAB_STATES; s++)
            if (count.states[s] != kind->count.states[s])
                verify_fault(check, NULL, "kind %s: `meta` counts %llu %s, there are %llu",
                             kind->kind, (unsigned long long)count.states[s], jobtab_state_name(s),
                             (unsigned long long)kind->count.states[s]);
    }
}

/* ------------------------------------------------------------------------- totals */

static uint64_t done_of(const uint64_t states[JOBTAB_STATES])
{
    return states[JOBTAB_COMPLETED] + states[JOBTAB_FAILED] + states[JOBTAB_CANCELLED];
}

/* Jobs that came from elsewhere, by the state that they came in: they are in no total. */
static struct count restored_of(struct check *check)
{
    struct count restored = {.states = {0}};
    struct slice value;

    if (store_get(check->txn, STORE_META, text_slice("restored"), &value) &&
        count_decode(value, &restored))
        verify_fault(check, NULL, "the count of restored jobs: %s", jobtab_why());
    return restored;
}

/* What has happened since the table was made, against what is there. A job is submitted, or
 * restored, once; each claim ends at most once; who has ended is there, or was retried, or is gone:
 * expired, evicted, deleted. Only deletions are not counted, so most of this holds from one
 * side. */
static void check_totals(struct check *check)
{
    const struct totals *t = &check->totals;
    const struct count restored = restored_of(check);
    const uint64_t *from = restored.states;
    uint64_t states[JOBTAB_STATES] = {0}, jobs = 0, made = t->submitted;

    for (unsigned s = 0; s < JOBTAB_STATES; s++)
        made += from[s];
    for (size_t i = 0; i < check->n_kinds; i++)
        for (unsigned s = 0; s < JOBTAB_STATES; s++) {
            states[s] += check->kinds[i].count.states[s];
            jobs += check->kinds[i].count.states[s];
        }
    uint64_t owned = states[JOBTAB_RUNNING] + states[JOBTAB_CANCELLING];
    uint64_t done = done_of(states);
    uint64_t ended = t->completed + t->failed + t->cancelled, swept = t->expired + t->evicted;
    const struct {
        uint64_t least, most;
        const char *otherwise;
    } rules[] = {
        {jobs + swept, made, "jobs there, expired and evicted than were submitted"},
        {jobs - done + ended, made + t->retried,
         "jobs not done, completed, failed and cancelled than were submitted and retried"},
        {done + swept + t->retried, ended + done_of(from),
         "jobs done, expired, evicted and retried than were completed, failed and cancelled"},
        {states[JOBTAB_COMPLETED], t->completed + from[JOBTAB_COMPLETED], "jobs completed than were"},
        {states[JOBTAB_FAILED], t->failed + from[JOBTAB_FAILED], "jobs failed than were"},
        {states[JOBTAB_CANCELLED], t->cancelled + from[JOBTAB_CANCELLED], "jobs cancelled than were"},
        {owned + t->completed + t->failed, t->claimed,
         "jobs with an owner, completed and failed than were claimed"},
        {owned + t->owners_lost, t->claimed, "jobs with an owner and owners lost than were claimed"},
        {made + t->claimed + ended + t->retried, t->sequence,
         "jobs submitted, claimed, retried, completed, failed and cancelled than changes"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].least > rules[i].most)
            verify_fault(check, NULL, "the totals: more %s, %llu and %llu", rules[i].otherwise,
                         (unsigned long long)rules[i].least, (unsigned long long)rules[i].most);
}

/* --------------------------------------------------------------------------- all */

static void check_batch(struct check *check, struct slice name, struct slice value)
{
    (void)name;
    if (batch_check(value))
        verify_fault(check, NULL, "the record of the last batch: %s", jobtab_why());
}

static void no_check(struct check *check, struct slice name, struct slice value)
{
    (void)check, (void)name, (void)value; /* looked at already */
}

static const struct {
    const char *key; /* with a colon, what it begins with */
    void (*check)(struct check *check, struct slice name, struct slice value);
} known[] = {
    {"batch", check_batch},       {"count:", check_count}, {"policy:", check_policy},
    {"settings", check_settings}, {"schema", no_check},    {"totals", no_check},
    {"restored", no_check},
};

static void check_record(struct check *check, struct slice key, struct slice value)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t size = strlen(known[i].key);
        bool begins = known[i].key[size - 1] == ':';

        if ((begins ? key.size > size : key.size == size) &&
            memcmp(key.data, known[i].key, size) == 0) {
            struct slice name = {.data = (const char *)key.data + size, .size = key.size - size};
            known[i].check(check, name, value);
            return;
        }
    }
    verify_fault(check, NULL, "`meta` has a record %.*s that nobody knows",
                 key.size < 40 ? (int)key.size : 40, (const char *)key.data);
}

void verify_meta(struct check *check)
{
    struct slice key, value;

    check_counts(check);
    check_totals(check);
    struct store_cursor *cursor = store_cursor(check->txn, STORE_META);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found; found = store_next(cursor, &key, &value))
        check_record(check, key, value);
    store_cursor_end(cursor);
}
