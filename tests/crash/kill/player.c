/* player.c - one process that moves jobs of its own kind through their lives, one call in flight.
 *
 * Nobody else touches these jobs: every answer is known beforehand, and any other is a fault.
 */
#include "stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct move {
    struct stage *stage;
    struct jobtab *table;
    int number;
    unsigned first, n; /* jobs */
    struct jobtab_token tokens[BATCH];
};

void stage_nap(long us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

void stage_fault(struct stage *stage, const char *format, ...)
{
    va_list arguments;

    if (atomic_exchange(&stage->faulty, true))
        return;
    va_start(arguments, format);
    vsnprintf(stage->words, sizeof stage->words, format, arguments);
    va_end(arguments);
}

void stage_kind(int player, char kind[JOBTAB_KIND_MAX + 1])
{
    snprintf(kind, JOBTAB_KIND_MAX + 1, "kind-%d", player);
}

size_t stage_params(const struct stage *stage, int player, unsigned job, char text[PARAMS_MAX])
{
    /* Inside the record, of a slot's size, of chunks of their own, larger than any slot. */
    static const int sizes[] = {0, 10, 90, 300, 900, 0, 2500, 40, 20000, 5000, 150};
    int pad = sizes[(job + stage->played) % (sizeof sizes / sizeof sizes[0])];

    return (size_t)snprintf(text, PARAMS_MAX, "{\"player\":%d,\"job\":%u,\"pad\":\"%0*u\"}", player,
                            job, pad, job);
}

size_t stage_result(int player, unsigned job, char text[64])
{
    return (size_t)snprintf(text, 64, "{\"done\":\"%d.%u\"}", player, job);
}

static void leave(struct move *move, const char *what, unsigned job, int rc, const char *why)
{
    stage_fault(move->stage, "player %d, job %u: %s: %s; %s", move->number, job, what,
                jobtab_strerror(rc), why);
    _exit(1);
}

static void fill(const struct move *move, unsigned i, enum step step, struct jobtab_op *op)
{
    static char params[BATCH][PARAMS_MAX], results[BATCH][64], kind[JOBTAB_KIND_MAX + 1];
    unsigned job = move->first + i;

    stage_kind(move->number, kind);
    if (step > CLAIMED) {
        op->id = move->stage->player[move->number].entries[job].id;
        op->token = move->tokens[i];
    }
    switch (step) {
    case SUBMITTED:
        op->verb = JOBTAB_SUBMIT;
        op->submit = (struct jobtab_submit){.kind = kind, .params = params[i]};
        op->submit.params_size = stage_params(move->stage, move->number, job, params[i]);
        break;
    case CLAIMED:
        op->verb = JOBTAB_CLAIM;
        op->claim = (struct jobtab_claim){.kind = kind};
        break;
    case REPORTED:
    case REPORTED_AGAIN:
        op->verb = JOBTAB_REPORT;
        op->report = (struct jobtab_report){.progress = step * 10, .message = params[i]};
        snprintf(params[i], JOBTAB_MESSAGE_MAX, "job %u, step %d", job, step);
        break;
    default:
        op->verb = JOBTAB_FINISH;
        op->finish = (struct jobtab_finish){
            .outcome = JOBTAB_SUCCEEDED, .format = JOBTAB_JSON, .result = results[i]};
        op->finish.result_size = stage_result(move->number, job, results[i]);
    }
}

/* What is wrong with an answer, or NULL. */
static const char *wrong(const struct entry *entry, enum step step, const struct jobtab_op *op)
{
    static const enum jobtab_state states[] = {
        [SUBMITTED] = JOBTAB_PENDING,      [CLAIMED] = JOBTAB_RUNNING,
        [REPORTED] = JOBTAB_RUNNING,       [REPORTED_AGAIN] = JOBTAB_RUNNING,
        [FINISHED] = JOBTAB_COMPLETED,
    };

    if (op->result != JOBTAB_OK)
        return "refused";
    if (step == CLAIMED && memcmp(&op->id, &entry->id, sizeof op->id) != 0)
        return "the claim got another job";
    if (memcmp(&op->job->id, &op->id, sizeof op->id) != 0 || op->job->state != states[step])
        return "the answer is another's";
    return op->job->version > entry->version ? NULL : "the version did not grow";
}

static void make_step(struct move *move, enum step step)
{
    struct player *player = &move->stage->player[move->number];
    struct entry *entries = &player->entries[move->first];
    struct jobtab_op ops[BATCH] = {0};
    struct jobtab_job jobs[BATCH];

    for (unsigned i = 0; i < move->n; i++) {
        fill(move, i, step, &ops[i]);
        ops[i].job = &jobs[i];
        atomic_store(&entries[i].asked, step);
    }
    int rc = jobtab_apply(move->table, ops, move->n);
    if (rc != JOBTAB_OK)
        leave(move, "apply", move->first, rc, jobtab_why());
    for (unsigned i = 0; i < move->n; i++) {
        const char *fault = wrong(&entries[i], step, &ops[i]);
        if (fault)
            leave(move, fault, move->first + i, ops[i].result, ops[i].why);
        if (step == SUBMITTED)
            entries[i].id = ops[i].id;
        if (step == CLAIMED)
            move->tokens[i] = ops[i].token;
        entries[i].version = jobs[i].version;
        atomic_store(&entries[i].acked, step);
    }
    atomic_fetch_add(&player->answers, 1);
}

/* What was finished is read as it was written. */
static void look(struct move *move, unsigned job)
{
    const struct entry *entry = &move->stage->player[move->number].entries[job];
    char *params = NULL, *result = NULL, wanted[64];
    static char text[PARAMS_MAX];
    struct jobtab_job found;

    int rc = jobtab_get_whole(move->table, &entry->id, &found, &params, &result);
    stage_params(move->stage, move->number, job, text);
    stage_result(move->number, job, wanted);
    if (rc != JOBTAB_OK || found.version != entry->version || strcmp(params, text) != 0 ||
        strcmp(result, wanted) != 0)
        leave(move, "what is read is not what was written", job, rc, jobtab_why());
    free(params);
    free(result);
}

static void park(struct stage *stage, struct player *player)
{
    uint32_t played = atomic_load(&stage->played);

    if (!atomic_load(&player->full) && atomic_load(&stage->round) == played)
        return;
    while (atomic_load(&stage->round) == played)
        stage_nap(200);
    atomic_store(&player->parked, atomic_load(&stage->round));
    while (atomic_load(&stage->played) == played)
        stage_nap(200);
}

void player_main(struct stage *stage, int number, unsigned jobs, void (*opened)(void))
{
    struct player *player = &stage->player[number];
    struct move move = {.stage = stage, .number = number};

    int rc = jobtab_open(stage->dir, NULL, &move.table);
    if (rc != JOBTAB_OK)
        leave(&move, "cannot open the table", 0, rc, jobtab_why());
    if (opened)
        opened();
    for (unsigned moves = 0; jobs == 0 || player->jobs < jobs; moves++) {
        move.first = player->jobs;
        move.n = moves % 2 ? BATCH : 1;
        if (move.first + move.n > JOBS_MAX)
            atomic_store(&player->full, true);
        else
            atomic_store(&player->jobs, move.first + move.n);
        for (int step = SUBMITTED; !player->full && step <= FINISHED; step++) {
            make_step(&move, (enum step)step);
            stage_nap(rand() % 100);
        }
        for (unsigned i = 0; !player->full && i < move.n; i++)
            look(&move, move.first + i);
        park(stage, player);
    }
}
