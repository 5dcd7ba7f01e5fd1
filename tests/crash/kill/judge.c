/* judge.c - the table against the story, after somebody was killed.
 *
 * What was acknowledged is there once, as it was asked for; what was asked for and not acknowledged is
 * there once or not at all, a call's operations all or none. Only the victim may have such a call.
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
    enum step found[PLAYERS_MAX][JOBS_MAX];
    uint64_t steps; /* of all jobs found */
};

static void fail_call(const struct trial *trial, const char *what)
{
    stage_fault(trial->stage, "the judge cannot %s: %s", what, jobtab_why());
}

/* How far a job has come, by what it holds. */
static enum step step_of(const struct jobtab_job *job)
{
    if (job->state == JOBTAB_PENDING && job->attempt == 0)
        return SUBMITTED;
    if (job->state == JOBTAB_COMPLETED)
        return FINISHED;
    if (job->state != JOBTAB_RUNNING || job->attempt != 1)
        return NO_STEP;
    return job->progress == 0 ? CLAIMED : (enum step)(job->progress / 10);
}

static void judge_job(struct trial *trial, const struct jobtab_job *job, const char *params,
                      const char *result)
{
    static char wanted[PARAMS_MAX];
    char finished[64] = "";
    unsigned number;
    int player;

    if (sscanf(params, "{\"player\":%d,\"job\":%u,", &player, &number) != 2 || player < 0 ||
        player >= trial->stage->players || number >= JOBS_MAX) {
        stage_fault(trial->stage, "a job that nobody asked for: %.100s", params);
        return;
    }
    const struct entry *entry = &trial->stage->player[player].entries[number];
    enum step step = step_of(job), asked = entry->asked, acked = entry->acked;
    stage_params(trial->stage, player, number, wanted);
    if (step == FINISHED)
        stage_result(player, number, finished);
    if (trial->found[player][number] != NO_STEP)
        stage_fault(trial->stage, "player %d, job %u: it is there twice", player, number);
    else if (step < acked || step > asked || step == NO_STEP)
        stage_fault(trial->stage, "player %d, job %u: it is at step %d; asked %d, acknowledged %d",
                    player, number, step, asked, acked);
    else if (step == acked && job->version != entry->version)
        stage_fault(trial->stage, "player %d, job %u: its version is %llu, and %llu was told",
                    player, number, (unsigned long long)job->version,
                    (unsigned long long)entry->version);
    else if (strcmp(params, wanted) != 0 || strcmp(result ? result : "", finished) != 0)
        stage_fault(trial->stage, "player %d, job %u: its content is another", player, number);
    trial->found[player][number] = step;
    trial->steps += step;
}

static void judge_player(struct trial *trial, int number)
{
    struct player *player = &trial->stage->player[number];
    unsigned open = 0, applied = 0;

    for (unsigned job = 0; job < player->jobs; job++) {
        const struct entry *entry = &player->entries[job];
        enum step found = trial->found[number][job];
        if (found < entry->acked)
            stage_fault(trial->stage, "player %d, job %u: acknowledged and not there", number, job);
        open += entry->asked > entry->acked;
        applied += found > entry->acked;
    }
    if (applied != 0 && applied != open)
        stage_fault(trial->stage, "player %d: %u operations of a call for %u were done", number,
                    applied, open);
    if (open != 0 && number != VICTIM)
        stage_fault(trial->stage, "player %d: it has no answer, and nobody killed it", number);
}

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
            stage_fault(trial->stage, "a job cannot be deleted: %s", ops[i].why);
}

static void tell_fault(const char *fault, void *stage)
{
    stage_fault(stage, "verify: %s", fault);
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
        stage_fault(trial->stage, "%llu jobs remain that no listing has",
                    (unsigned long long)stat.jobs);
    trial->stage->version = stat.version;
}

void judge(struct stage *stage)
{
    static struct trial trial;
    uint64_t records, faults;
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
    if (poke.version != stage->version + trial.steps + 1)
        stage_fault(stage, "the table made %llu changes for %llu steps: not each exactly once",
                    (unsigned long long)(poke.version - stage->version - 1),
                    (unsigned long long)trial.steps);
    if (jobtab_verify(trial.table, tell_fault, NULL, stage, &records, &faults) != JOBTAB_OK)
        fail_call(&trial, "verify");
    if (!stage->faulty)
        empty(&trial);
    jobtab_close(trial.table);
}
