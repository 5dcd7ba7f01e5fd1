/* judge.c - the table against the story, after somebody was killed.
 *
 * What was acknowledged is there once, as it was asked for; what was asked for and not acknowledged
 * is there once or not at all, a call's operations all or none. Only the victim may have such a
 * call.
 */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 200
#define POKE "poke"

struct trial {
    struct stage *stage;
    struct jobtab *table;
    unsigned found[PLAYERS_MAX][JOBS_MAX]; /* numbers of steps */
    uint64_t changes;                      /* of all jobs, by their steps */
};

static void fail_call(const struct trial *trial, const char *what)
{
    fault_note(&trial->stage->fault, "the judge cannot %s: %s", what, jobtab_why());
}

static const struct step *step_at(const struct entry *entry, unsigned number)
{
    return &courses[entry->course].steps[number];
}

/* ------------------------------------------------------------------------- jobs */

static bool looks_so(const struct jobtab_job *job, const struct step *step)
{
    return job->state == step->state && job->attempt == step->attempt &&
           job->crashes == step->crashes && job->progress == step->progress;
}

static bool log_is(const struct trial *trial, const struct entry *entry, unsigned step,
                   const struct jobtab_id *id)
{
    static char wanted[STEPS_MAX * LOG_SIZE];
    uint64_t offset = 0;
    char *bytes;
    size_t size;

    if (jobtab_read(trial->table, id, JOBTAB_LOGTEXT, &offset, sizeof wanted, &bytes, &size)) {
        fail_call(trial, "read a log");
        return true;
    }
    bool same = size == stage_log(&courses[entry->course], step, wanted) &&
                memcmp(bytes, wanted, size) == 0;
    free(bytes);
    return same;
}

static void judge_job(struct trial *trial, const struct jobtab_job *job, const char *params,
                      const char *result)
{
    static char wanted[PARAMS_MAX];
    struct stage *stage = trial->stage;
    char finished[64] = "";
    unsigned number;
    int player;

    if (sscanf(params, "{\"player\":%d,\"job\":%u,", &player, &number) != 2 || player < 0 ||
        player >= stage->players || number >= JOBS_MAX) {
        fault_note(&stage->fault, "a job that nobody asked for: %.100s", params);
        return;
    }
    const struct entry *entry = &stage->player[player].entries[number];
    unsigned acked = acked_step(entry), asked = entry->asked;
    /* One is in flight: a version that was not told is that one's. */
    unsigned step = acked && job->version == acked_version(entry) ? acked : asked;
    stage_params(stage, player, number, wanted);
    if (job->state == JOBTAB_COMPLETED)
        stage_result(player, number, finished);
    if (trial->found[player][number])
        fault_note(&stage->fault, "player %d, job %u: it is there twice", player, number);
    else if (step == 0 || step_at(entry, step)->act == JOBTAB_DELETE)
        fault_note(&stage->fault, "player %d, job %u: %s, and it is there", player, number,
                   step ? "it was deleted" : "nobody asked for it");
    else if (step == acked && job->version != acked_version(entry))
        fault_note(&stage->fault, "player %d, job %u: its version is %llu, and %llu was told",
                   player, number, (unsigned long long)job->version,
                   (unsigned long long)acked_version(entry));
    else if (!looks_so(job, step_at(entry, step)))
        fault_note(&stage->fault,
                   "player %d, job %u: it is %s, attempt %u, progress %u, and not as step %u left "
                   "it; asked %u, acknowledged %u",
                   player, number, jobtab_state_name(job->state), job->attempt, job->progress, step,
                   asked, acked);
    else if (strcmp(params, wanted) != 0 || strcmp(result ? result : "", finished) != 0 ||
             !log_is(trial, entry, step, &job->id))
        fault_note(&stage->fault, "player %d, job %u: its content is another", player, number);
    trial->found[player][number] = step;
}

/* Jobs of a call are moved all or none; only the victim may have one without an answer. */
static void judge_player(struct trial *trial, int number)
{
    struct player *player = &trial->stage->player[number];
    unsigned open = 0, applied = 0;

    for (unsigned job = 0; job < player->jobs; job++) {
        const struct entry *entry = &player->entries[job];
        unsigned *found = &trial->found[number][job], asked = entry->asked;
        bool in_flight = asked > acked_step(entry);
        if (!*found && asked && step_at(entry, asked)->act == JOBTAB_DELETE)
            *found = asked;
        if (*found < acked_step(entry))
            fault_note(&trial->stage->fault, "player %d, job %u: acknowledged and not there",
                       number, job);
        if (in_flight &&
            step_counts(step_at(entry, asked))) {
            open++;
            applied += *found == asked;
        }
        if (in_flight && number != VICTIM)
            fault_note(&trial->stage->fault, "player %d: it has no answer, and nobody killed it",
                       number);
        for (unsigned step = 1; step <= *found; step++)
            trial->changes += step_counts(step_at(entry, step));
    }
    if (applied != 0 && applied != open)
        fault_note(&trial->stage->fault, "player %d: %u operations of a call for %u were done",
                   number, applied, open);
}

/* --------------------------------------------------------------------- the table */

/* Every page of the table's jobs. */
static void each_page(struct trial *trial,
                      void (*call)(struct trial *, const struct jobtab_job *jobs, size_t n))
{
    static struct jobtab_job jobs[PAGE];
    struct jobtab_filter filter = {.oldest_first = true};
    size_t n = PAGE;
    bool more = true;

    for (; more; filter.after_set = true, n = PAGE) {
        if (jobtab_list(trial->table, &filter, jobs, &n, &filter.after, &more) != JOBTAB_OK) {
            fail_call(trial, "list");
            return;
        }
        call(trial, jobs, n);
    }
}

static void look_at(struct trial *trial, const struct jobtab_job *listed, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *params = NULL, *result = NULL;
        struct jobtab_job job;
        if (strcmp(listed[i].kind, POKE) == 0)
            continue;
        if (jobtab_get_whole(trial->table, &listed[i].id, &job, &params, &result) == JOBTAB_OK)
            judge_job(trial, &job, params, result);
        else
            fail_call(trial, "read a job");
        free(params);
        free(result);
    }
}

static void remove_all(struct trial *trial, const struct jobtab_job *jobs, size_t n)
{
    static struct jobtab_op ops[PAGE];

    for (size_t i = 0; i < n; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_DELETE, .id = jobs[i].id};
    if (jobtab_apply(trial->table, ops, n) != JOBTAB_OK)
        fail_call(trial, "delete");
    for (size_t i = 0; i < n; i++)
        if (ops[i].result != JOBTAB_OK)
            fault_note(&trial->stage->fault, "a job cannot be deleted: %s", ops[i].why);
}

static void tell_fault(const char *text, void *context)
{
    struct stage *stage = context;

    fault_note(&stage->fault, "verify: %s", text);
}

static void verify(const struct trial *trial, struct jobtab *table)
{
    uint64_t records, faults;

    if (jobtab_verify(table, tell_fault, NULL, trial->stage, &records, &faults) != JOBTAB_OK)
        fail_call(trial, "verify");
}

/* ------------------------------------------------------------------------ a copy */

/* The step that copies the table, of the victim's newest job; NULL when that is not about it. */
static const struct entry *copied(const struct stage *stage, bool *acked)
{
    const struct player *victim = &stage->player[VICTIM];
    const struct entry *entry = victim->jobs ? &victim->entries[victim->jobs - 1] : NULL;
    const struct course *course = entry ? &courses[entry->course] : NULL;

    for (unsigned step = 1; course && step <= entry->asked; step++)
        if (course->steps[step].act == ACT_BACKUP) {
            *acked = acked_step(entry) >= step;
            return entry;
        }
    return NULL;
}

/* All of it or nothing, all of it if it was told; and what is left of one that was cut short is in
 * nobody's way. */
static void judge_backup(const struct trial *trial)
{
    struct jobtab *copy;
    struct jobtab_job job;
    struct stage *stage = trial->stage;
    bool acked;
    const struct entry *entry = copied(stage, &acked);

    if (!entry)
        return;
    char path[320];
    snprintf(path, sizeof path, "%s/data.mdb", stage->backup);
    if (access(path, F_OK) < 0) {
        if (acked)
            fault_note(&stage->fault, "the copy was acknowledged and is not there");
        if (jobtab_backup(trial->table, stage->backup) != JOBTAB_OK)
            fail_call(trial, "copy where another was at it");
    }
    if (jobtab_open(stage->backup, &(struct jobtab_options){.must_exist = true}, &copy)) {
        fail_call(trial, "open the copy");
        return;
    }
    verify(trial, copy);
    if (jobtab_get(copy, &entry->id, &job) != JOBTAB_OK)
        fail_call(trial, "find in the copy what was acknowledged before it");
    jobtab_close(copy);
    round_remove(stage->backup);
}

/* Who is dead owns nothing; then all is deleted. */
static void empty(struct trial *trial)
{
    struct jobtab_swept swept = {.more = true};
    struct jobtab_stat stat;

    while (swept.more)
        if (jobtab_sweep(trial->table, 1000, &swept) != JOBTAB_OK) {
            fail_call(trial, "sweep");
            return;
        }
    each_page(trial, remove_all);
    if (jobtab_stat(trial->table, &stat, NULL, 0) != JOBTAB_OK)
        fail_call(trial, "count");
    else if (stat.jobs != 0)
        fault_note(&trial->stage->fault, "%llu jobs remain that no listing has",
                   (unsigned long long)stat.jobs);
    trial->stage->version = stat.version;
}

void judge(struct stage *stage)
{
    static struct trial trial;
    struct jobtab_job poke;

    trial.stage = stage;
    if (jobtab_open(stage->dir, NULL, &trial.table) != JOBTAB_OK) {
        fail_call(&trial, "open the table");
        return;
    }
    /* A commit after the death: what the dead still had in line is done now or never. */
    if (jobtab_submit(trial.table, &(struct jobtab_submit){.kind = POKE}, &poke) != JOBTAB_OK)
        fail_call(&trial, "submit");
    each_page(&trial, look_at);
    for (int i = 0; i < stage->players; i++)
        judge_player(&trial, i);
    if (poke.version != stage->version + trial.changes + 1)
        fault_note(&stage->fault,
                   "the table made %llu changes for %llu steps: not each exactly once",
                   (unsigned long long)(poke.version - stage->version - 1),
                   (unsigned long long)trial.changes);
    verify(&trial, trial.table);
    judge_backup(&trial);
    if (!stage->fault.is)
        empty(&trial);
    jobtab_close(trial.table);
}
