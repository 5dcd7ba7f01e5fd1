/* sweep.c - what time moves: due jobs, expired ones, those whose owner is gone, and what a step of
 * the wall clock would move wrongly (step.h).
 *
 * It looks in a reading transaction and writes only if there is something to do, so that an idle
 * table is not written to. What was found is looked at again under the writer's lock. */
#include "doubt.h"
#include "end.h"
#include "error.h"
#include "lead.h"
#include "mutant.h"
#include "pending.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

enum what { DUE, EXPIRED, LOST, TOO_FAR };

struct found {
    struct jobtab_id id;
    enum what what;
};

/* What the kernel said of a pid: one process owns many jobs, and asking costs system calls. */
#define ANSWERS 64
struct known_owner {
    int32_t pid; /* 0: none */
    uint64_t start_time;
};

struct search {
    struct jobtab *table;
    struct store_txn *txn;
    int64_t now, boot;
    int64_t lag; /* of expiry behind the wall clock, see step.h */
    struct found *found;
    uint32_t n, budget;
    struct jobtab_swept *swept;
    struct known_owner answers[ANSWERS];
};

static void note_next(struct jobtab_swept *swept, int64_t instant)
{
    if (!swept->next || instant < swept->next)
        swept->next = instant;
}

/* It was scheduled at an instant that has not come yet: the clock was stepped back since. */
static bool is_too_far(const struct jobtab_job *job, int64_t now)
{
    return job->state == JOBTAB_SCHEDULED && job->updated_at > now + STEP_LEAST;
}

/* The job itself says what was found. */
static bool is_so(const struct search *search, enum what what, const struct jobtab_job *job,
                  int64_t now)
{
    switch (what) {
    case DUE:
        return job->state == JOBTAB_SCHEDULED && job->run_at <= now;
    case EXPIRED:
        return jobtab_state_done(job->state) && job->expires_at + search->lag <= now;
    case TOO_FAR:
        return is_too_far(job, now);
    case LOST:
        return state_owned(job->state);
    }
    return false;
}

/* The first is named: somebody has to be told. */
static void pass_over(struct jobtab_swept *swept, const struct jobtab_id *id)
{
    if (!swept->passed_over[0])
        pending_tell(swept->passed_over, id);
    fail_clear();
}

/* False when the budget is used up. What is damaged takes none of it: it would at each sweep. */
static bool add(struct search *search, const struct jobtab_id *id, enum what what)
{
    struct record record;

    if (search->n == search->budget) {
        search->swept->more = true;
        return false;
    }
    int rc = table_load(search->txn, id, &record, NULL);
    if (!rc && !is_so(search, what, &record.job, search->now))
        rc = fail(JOBTAB_DAMAGED, "what a sweep goes by says another thing of it");
    if (!rc)
        search->found[search->n++] = (struct found){.id = *id, .what = what};
    else if (!store_error(search->txn))
        pass_over(search->swept, id);
    return true;
}

/* Entries of `scheduled` or `done` whose instant has come. */
static void find_instants(struct search *search, enum store_db db, enum what what, int64_t lag)
{
    struct slice key, value;
    struct jobtab_id id;

    struct store_cursor *cursor = store_cursor(search->txn, db);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found; found = store_next(cursor, &key, &value)) {
        int64_t instant = key_instant_of(key) + lag;
        if (instant > search->now) {
            note_next(search->swept, instant);
            break;
        }
        if (key_id_of(key, 24, &id) && !add(search, &id, what))
            break;
    }
    store_cursor_end(cursor);
}

/* Look at all of `scheduled`, once for every handle, since a step back may have come while nobody
 * was there, and after each that is seen. */
static void find_too_far(struct search *search)
{
    struct slice key, value;
    struct record record;
    struct jobtab_id id;

    struct store_cursor *cursor = store_cursor(search->txn, STORE_SCHEDULED);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value), room = true;
    for (; found && room; found = store_next(cursor, &key, &value))
        if (key_id_of(key, 24, &id) && !table_load(search->txn, &id, &record, NULL) &&
            is_too_far(&record.job, search->now))
            room = add(search, &id, TOO_FAR);
    store_cursor_end(cursor);
    atomic_store(&search->table->timed, room);
}

static uint64_t start_of(struct known_owner *answers, int32_t pid)
{
    struct known_owner *answer = &answers[(uint32_t)pid % ANSWERS];

    if (answer->pid != pid)
        *answer = (struct known_owner){.pid = pid, .start_time = process_start(pid)};
    return answer->start_time;
}

/* The kernel vouches for a local owner; for a remote one its lease does. Nothing of another boot is
 * alive. */
static bool owner_gone(const struct hot *hot, const struct boot *boot, int64_t now,
                       struct known_owner *answers)
{
    if (!boot_same(&hot->boot, boot) && !mutant(MUTANT_OTHER_BOOT))
        return true;
    if (hot->lease)
        return hot->lease <= now || (hot->deadline && hot->deadline <= now);
    uint64_t start_time = start_of(answers, hot->owner.pid);
    if (mutant(MUTANT_PID_ALONE))
        return start_time == 0;
    return !hot->owner.start_time || start_time != hot->owner.start_time;
}

static void find_lost(struct search *search)
{
    struct slice key, value;
    struct jobtab_id id;
    struct hot hot;

    struct store_cursor *cursor = store_cursor(search->txn, STORE_RUNNING);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    for (; found; found = store_next(cursor, &key, &value)) {
        if (!key_id_of(key, sizeof id.bytes, &id) || hot_decode(value, &hot))
            continue; /* damage: verify names it */
        if (owner_gone(&hot, &search->table->boot, search->boot, search->answers)) {
            if (!add(search, &id, LOST))
                break;
        } else if (hot.lease) {
            note_next(search->swept, search->now + hot.lease - search->boot);
            if (hot.deadline)
                note_next(search->swept, search->now + hot.deadline - search->boot);
        }
    }
    store_cursor_end(cursor);
}

/* Damage at the head of a queue: claims go past it, and somebody has to be told. */
static int find_passed_over(struct search *search)
{
    struct key queue = {.size = 0};
    char *passed = search->swept->passed_over;

    while (!passed[0] && pending_next_queue(search->txn, &queue))
        pending_first(search->txn, &queue, NULL, passed);
    return store_error(search->txn);
}

/* Under the writer's lock: is it still so? Then do it. */
static int sweep_one(struct edit *edit, const struct found *found, const struct search *search,
                     struct known_owner *answers)
{
    struct jobtab_swept *swept = search->swept;
    struct record old, record;
    struct hot hot;

    int rc = table_load(edit->txn, &found->id, &old, &hot);
    if (rc)
        return rc == JOBTAB_NOTFOUND ? JOBTAB_OK : rc;
    record = old;
    struct jobtab_job *job = &record.job;
    if (!is_so(search, found->what, job, edit->now))
        return JOBTAB_OK;
    switch (found->what) {
    case DUE:
        rc = state_move(job, JOBTAB_PENDING, job->reason);
        if (!rc)
            edit_put(edit, &old, &record, NULL);
        swept->due++;
        return rc;
    case EXPIRED:
        edit_remove(edit, &old);
        edit->totals.expired++;
        swept->expired++;
        return JOBTAB_OK;
    case TOO_FAR:
        job->run_at = edit->now + (job->run_at - job->updated_at);
        edit_put(edit, &old, &record, NULL);
        return JOBTAB_OK;
    case LOST:
        if (!owner_gone(&hot, &edit->table->boot, edit->boot, answers))
            return JOBTAB_OK;
        rc = end_lost(edit, &old, &record, &hot);
        swept->cancelled += job->state == JOBTAB_CANCELLED;
        swept->timed_out += job->reason == JOBTAB_BY_TIMEOUT;
        swept->lost += job->reason == JOBTAB_BY_OWNER_LOST;
        return rc;
    }
    return JOBTAB_OK;
}

/* In the lead: whoever waits to write meanwhile is in this commit, and loses no time by it. */
static int sweep_found(struct edit *edit, void *context)
{
    /* fresh answers: a process may have come or gone */
    struct known_owner answers[ANSWERS] = {{.pid = 0}};
    struct search *search = context;
    struct jobtab_swept *swept = search->swept;

    swept->due = swept->expired = swept->lost = swept->timed_out = swept->cancelled = 0;
    for (uint32_t i = 0; i < search->n && !store_error(edit->txn); i++) {
        /* A damaged job must not keep the others from their time. */
        if (sweep_one(edit, &search->found[i], search, answers) && !store_error(edit->txn))
            pass_over(swept, &search->found[i].id);
    }
    return store_error(edit->txn);
}

static int look_at_clocks(struct search *search)
{
    struct step *step = &search->table->shared->step;
    struct jobtab_options settings;

    int rc = table_settings(search->txn, &settings);
    if (!rc && step_look(step, search->now, search->boot, settings.retention) < 0)
        atomic_store(&search->table->timed, false);
    search->lag = step_lag(step, search->now, search->boot);
    return rc;
}

int jobtab_sweep(struct jobtab *table, uint32_t budget, struct jobtab_swept *swept)
{
    struct search search = {.table = table, .budget = budget, .swept = swept};
    struct totals totals;
    int rc = table_enter(table);

    if (!rc && (budget == 0 || budget > JOBTAB_APPLY_MAX))
        rc = fail(JOBTAB_INVALID, "budget: %u is not within 1 and %d", budget, JOBTAB_APPLY_MAX);
    if (rc)
        return rc;
    memset(swept, 0, sizeof *swept);
    search.found = calloc(budget, sizeof *search.found);
    if (!search.found)
        return fail(JOBTAB_SYSTEM, "out of memory");
    swept->readers = store_clear_readers(table->store);
    rc = store_read(table->store, &search.txn);
    if (!rc) {
        search.now = clock_wall();
        search.boot = clock_boot();
        rc = table_totals(search.txn, &totals);
        rc = rc ? rc : look_at_clocks(&search);
        /* Lost owners first: nothing else waits for somebody to notice. */
        find_lost(&search);
        if (!atomic_load(&table->timed))
            find_too_far(&search);
        find_instants(&search, STORE_SCHEDULED, DUE, 0);
        find_instants(&search, STORE_DONE, EXPIRED, search.lag);
        rc = rc ? rc : store_error(search.txn);
        rc = rc ? rc : find_passed_over(&search);
        store_end(search.txn);
    }
    /* A writer that died between its commit and the bell left its news untold. */
    if (!rc && totals.sequence > bell_version(&table->shared->bell))
        bell_ring(&table->shared->bell, totals.sequence);
    /* A doubt is not left to wait for the next one who writes. */
    if (!rc && (search.n || doubt_stands(table)))
        rc = lead_work(table, sweep_found, &search);
    free(search.found);
    return rc;
}
