/* player.c - one process that leads jobs of its own kind through their courses, one call in flight.
 *
 * Nobody else touches these jobs: every answer is known beforehand, and any other is a fault.
 */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEASE  1    /* ms */
#define DELAY  1    /* ms, of a delayed job and before another attempt */
#define MATURE 3000 /* us after which both are over */

struct move {
    struct stage *stage;
    struct jobtab *table;
    int number;
    const struct course *course;
    unsigned first, n; /* jobs */
    struct jobtab_token tokens[BATCH],
        earlier[BATCH]; /* of the last claim, and of the one before */
};

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

static struct player *self(const struct move *move)
{
    return &move->stage->player[move->number];
}

static struct entry *entry_of(const struct move *move, unsigned i)
{
    return &self(move)->entries[move->first + i];
}

static void leave(const struct move *move, const char *what, unsigned job, int rc, const char *why)
{
    int act = move->number < 0 ? -1 : self(move)->act;

    fault_note(&move->stage->fault, "player %d, job %u, %s: %s: %s; %s", move->number, job,
               act < 0 ? "no verb" : act_names[act], what, jobtab_strerror(rc), why);
    _exit(1);
}

/* -------------------------------------------------------------------- one verb */

static enum jobtab_outcome outcome_of(enum jobtab_state state)
{
    switch (state) {
    case JOBTAB_COMPLETED:
        return JOBTAB_SUCCEEDED;
    case JOBTAB_SCHEDULED:
        return JOBTAB_TRY_AGAIN;
    case JOBTAB_FAILED:
        return JOBTAB_GIVE_UP;
    default:
        return JOBTAB_STOPPED;
    }
}

static void fill(const struct move *move, unsigned i, unsigned number, struct jobtab_op *op)
{
    static char texts[BATCH][PARAMS_MAX], results[BATCH][64], kind[JOBTAB_KIND_MAX + 1];
    const struct step *step = &move->course->steps[number];
    unsigned job = move->first + i;
    char *text = texts[i];

    stage_kind(move->number, kind);
    op->verb = step->act == ACT_LATE ? JOBTAB_REPORT : (enum jobtab_verb)step->act;
    op->id = entry_of(move, i)->id;
    op->token = step->act == ACT_LATE ? move->earlier[i] : move->tokens[i];
    switch (op->verb) {
    case JOBTAB_SUBMIT:
        op->submit = (struct jobtab_submit){
            .kind = kind, .params = text, .max_attempts = 2, .backoff = DELAY};
        op->submit.params_size = stage_params(move->stage, move->number, job, text);
        if (step->state == JOBTAB_SCHEDULED)
            op->submit.delay = DELAY;
        break;
    case JOBTAB_CLAIM:
        op->claim = (struct jobtab_claim){.kind = kind, .lease = move->course->remote ? LEASE : 0};
        break;
    case JOBTAB_RENEW:
        op->lease = LEASE;
        break;
    case JOBTAB_LOG:
        op->log = (struct jobtab_bytes){.data = text, .size = LOG_SIZE};
        memset(text, 'a' + (int)number, LOG_SIZE);
        break;
    case JOBTAB_REPORT:
        op->report = (struct jobtab_report){.progress = step->progress, .message = text};
        snprintf(text, JOBTAB_MESSAGE_MAX, "job %u, step %u", job, number);
        break;
    case JOBTAB_FINISH:
        op->finish = (struct jobtab_finish){.outcome = outcome_of(step->state)};
        if (step->state == JOBTAB_COMPLETED) {
            op->finish.format = JOBTAB_JSON;
            op->finish.result = results[i];
            op->finish.result_size = stage_result(move->number, job, results[i]);
        }
        break;
    default: /* the id says all */
        break;
    }
}

static int wanted_result(const struct step *step)
{
    if (step->act == ACT_LATE)
        return JOBTAB_STALE;
    return step->state == JOBTAB_CANCELLING && step->act == JOBTAB_REPORT ? JOBTAB_STOP : JOBTAB_OK;
}

/* What is wrong with an answer, or NULL. */
static const char *wrong(const struct entry *entry, const struct step *step,
                         const struct jobtab_op *op)
{
    if (op->result != wanted_result(step))
        return "another answer";
    if (step->act == ACT_LATE)
        return NULL;
    if (step->act != JOBTAB_SUBMIT && memcmp(&op->id, &entry->id, sizeof op->id) != 0)
        return "the claim got another job";
    if (memcmp(&op->job->id, &op->id, sizeof op->id) != 0)
        return "the answer is another's";
    if (step->act == JOBTAB_DELETE)
        return NULL;
    if (op->job->state != step->state)
        return "the answer is of another state";
    return op->job->version > acked_version(entry) ? NULL : "the version did not grow";
}

static void make_operations(struct move *move, unsigned number)
{
    const struct step *step = &move->course->steps[number];
    struct jobtab_op ops[BATCH] = {0};
    struct jobtab_job jobs[BATCH];

    for (unsigned i = 0; i < move->n; i++) {
        fill(move, i, number, &ops[i]);
        ops[i].job = &jobs[i];
    }
    int rc = jobtab_apply(move->table, ops, move->n);
    if (rc != JOBTAB_OK)
        leave(move, "apply", move->first, rc, jobtab_why());
    for (unsigned i = 0; i < move->n; i++) {
        struct entry *entry = entry_of(move, i);
        const char *fault = wrong(entry, step, &ops[i]);
        if (fault)
            leave(move, fault, move->first + i, ops[i].result, ops[i].why);
        entry->id = ops[i].id;
        if (step->act == JOBTAB_CLAIM) {
            move->earlier[i] = move->tokens[i];
            move->tokens[i] = ops[i].token;
        }
        bool has_version = step_counts(step) && step->act != JOBTAB_DELETE;
        uint64_t version = has_version ? jobs[i].version : acked_version(entry);
        atomic_store(&entry->answered, answer_of(number, version));
    }
}

/* All jobs of a move become due, or lose their owner, at one instant: one sweep moves them. */
static void make_sweep(struct move *move, unsigned number)
{
    struct jobtab_swept swept;
    struct jobtab_job job;

    round_nap(MATURE);
    int rc = jobtab_sweep(move->table, 1000, &swept);
    if (rc != JOBTAB_OK)
        leave(move, "sweep", move->first, rc, jobtab_why());
    for (unsigned i = 0; i < move->n; i++) {
        struct entry *entry = entry_of(move, i);
        rc = jobtab_get(move->table, &entry->id, &job);
        if (rc != JOBTAB_OK || job.state != move->course->steps[number].state)
            leave(move, "it was not swept", move->first + i, rc, jobtab_why());
        atomic_store(&entry->answered, answer_of(number, job.version));
    }
}

static void make_backup(struct move *move, unsigned number)
{
    int rc = jobtab_backup(move->table, move->stage->backup);

    if (rc != JOBTAB_OK)
        leave(move, "backup", move->first, rc, jobtab_why());
    for (unsigned i = 0; i < move->n; i++) {
        struct entry *entry = entry_of(move, i);
        atomic_store(&entry->answered, answer_of(number, acked_version(entry)));
    }
}

/* ------------------------------------------------------------------------ moves */

static void make_step(struct move *move, unsigned number)
{
    int act = move->course->steps[number].act;

    self(move)->act = act;
    for (unsigned i = 0; i < move->n; i++)
        atomic_store(&entry_of(move, i)->asked, (uint8_t)number);
    if (act == ACT_SWEEP)
        make_sweep(move, number);
    else if (act == ACT_BACKUP)
        make_backup(move, number);
    else
        make_operations(move, number);
    self(move)->act = -1;
    atomic_fetch_add(&self(move)->answers, 1);
}

/* What has ended is read as it was written, or is gone. */
static void look(struct move *move, unsigned i)
{
    const struct step *last = &move->course->steps[move->course->n];
    const struct entry *entry = entry_of(move, i);
    char *params = NULL, *result = NULL, wanted[64] = "";
    static char text[PARAMS_MAX];
    struct jobtab_job found;

    int rc = jobtab_get_whole(move->table, &entry->id, &found, &params, &result);
    if (last->act == JOBTAB_DELETE) {
        if (rc != JOBTAB_NOTFOUND)
            leave(move, "it was deleted and is read", move->first + i, rc, jobtab_why());
        return;
    }
    stage_params(move->stage, move->number, move->first + i, text);
    if (last->state == JOBTAB_COMPLETED)
        stage_result(move->number, move->first + i, wanted);
    if (rc != JOBTAB_OK || found.version != acked_version(entry) || strcmp(params, text) != 0 ||
        strcmp(result ? result : "", wanted) != 0)
        leave(move, "what is read is not what was written", move->first + i, rc, jobtab_why());
    free(params);
    free(result);
}

static void park(struct stage *stage, struct player *player)
{
    uint32_t played = atomic_load(&stage->played);

    if (!atomic_load(&player->full) && atomic_load(&stage->round) == played)
        return;
    while (atomic_load(&stage->round) == played)
        round_nap(200);
    atomic_store(&player->parked, atomic_load(&stage->round));
    while (atomic_load(&stage->played) == played)
        round_nap(200);
}

static void make_move(struct move *move, uint8_t course)
{
    move->course = &courses[course];
    for (unsigned i = 0; i < move->n; i++)
        entry_of(move, i)->course = course;
    atomic_store(&self(move)->jobs, move->first + move->n);
    for (unsigned step = 1; step <= move->course->n; step++) {
        make_step(move, step);
        round_nap(rand() % 100);
    }
    for (unsigned i = 0; i < move->n; i++)
        look(move, i);
}

void player_main(struct stage *stage, int number, unsigned n, unsigned moves, void (*opened)(void))
{
    struct player *player = &stage->player[number];
    struct move move = {.stage = stage, .number = number};

    player->act = -1;
    int rc = jobtab_open(stage->dir, NULL, &move.table);
    if (rc != JOBTAB_OK)
        leave(&move, "cannot open the table", 0, rc, jobtab_why());
    if (opened)
        opened();
    for (unsigned made = 0; moves == 0 || made < moves; made++) {
        move.first = player->jobs;
        move.n = made % 2 ? BATCH : 1;
        if (move.first + move.n > JOBS_MAX)
            atomic_store(&player->full, true);
        else
            make_move(&move, (uint8_t)(made % n));
        park(stage, player);
    }
}

void listener_main(struct stage *stage)
{
    struct move move = {.stage = stage, .number = -1};
    struct jobtab_stat stat;
    uint64_t seen = 0;

    int rc = jobtab_open(stage->dir, NULL, &move.table);
    while (rc == JOBTAB_OK || rc == JOBTAB_TIMEOUT) {
        rc = jobtab_wait(move.table, &seen, 1000);
        if (rc == JOBTAB_OK)
            rc = jobtab_stat(move.table, &stat, NULL, 0);
        if (rc == JOBTAB_OK && stat.version < seen) {
            fault_note(&stage->fault, "the bell rang for version %llu, and the table is at %llu",
                       (unsigned long long)seen, (unsigned long long)stat.version);
            _exit(1);
        }
    }
    leave(&move, "it cannot listen", 0, rc, jobtab_why());
}
