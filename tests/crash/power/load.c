/* load.c - a client of the table that is recorded: all verbs, all sizes, and what it was told.
 *
 * Born:  forked by power.c, opens the table as any process does. Loop:  one action after another,
 * as the dice say; now and then it closes the table and opens it anew. Ends:  when the log is long
 * enough, or somebody noted a fault.
 *
 * What is in a job follows from its id, or from the seed that its submit logged, so that the story
 * can tell every byte of it.
 */
#include "power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDS     6 /* jobs that a client works on at once */
#define TEXT_MAX  20000
#define KINDS     3
#define LOG_PIECE 3000

struct hand {
    struct jobtab_job job;
    struct jobtab_token token;
    bool remote;
};

struct client {
    struct log *log;
    struct jobtab *table;
    const char *dir;
    unsigned number, random, keys;
    struct hand hands[HANDS];
    unsigned n_hands;
};

static const char *const kinds[KINDS] = {"copy", "move", "print"};

/* Inside the record, at its limit, in chunks of a page, in one that is full, and in many. */
static const unsigned sizes[] = {0, 2, 30, 90, 200, 255, 256, 400, 900, 2000, 2100, 4063, 4064,
                                 4065, 9000, TEXT_MAX};
#define SIZES (sizeof sizes / sizeof sizes[0])

struct jobtab_options load_options(void)
{
    return (struct jobtab_options){.map_size = FILE_MAX / 2,
                                   .max_jobs = 40,
                                   .retention = 1000,
                                   .log_max = LOG_MAX,
                                   .max_readers = 64};
}

char load_letter(uint64_t seed, uint64_t at)
{
    return (char)('a' + ((seed + at) * UINT64_C(0x9e3779b97f4a7c15) >> 33) % 26);
}

void load_text(char *text, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        text[i] = load_letter(seed, i);
    text[0] = text[size - 1] = '"';
}

bool load_makes(int verb)
{
    return verb == JOBTAB_SUBMIT || verb == JOBTAB_RESTORE;
}

uint64_t load_seed(const struct jobtab_id *id)
{
    uint64_t seed;

    memcpy(&seed, id->bytes + 8, sizeof seed);
    return seed;
}

/* ------------------------------------------------------------------- the dice */

static unsigned dice(struct client *c, unsigned below)
{
    c->random = c->random * 1103515245u + 12345u;
    return (c->random >> 8) % below;
}

/* The larger, the rarer. */
static size_t some_size(struct client *c)
{
    return sizes[dice(c, 1 + dice(c, SIZES))];
}

static void share(struct log *log, const struct jobtab_id *id)
{
    uint64_t halves[2];
    uint32_t place = atomic_fetch_add(&log->ring_next, 1) % RING;

    memcpy(halves, id->bytes, sizeof halves);
    log->ring[place][0] = halves[0];
    log->ring[place][1] = halves[1];
}

/* Halves of two jobs are no job's. */
static struct jobtab_id some_job(struct client *c)
{
    uint32_t place = dice(c, RING);
    uint64_t halves[2] = {c->log->ring[place][0], c->log->ring[place][1]};
    struct jobtab_id id;

    memcpy(id.bytes, halves, sizeof halves);
    return id;
}

/* ------------------------------------------------------------------ ask and note */

static void leave(struct client *c, const char *what, int rc, const char *why)
{
    log_fault(c->log, "client %u: %s: %s; %s", c->number, what, jobtab_strerror(rc), why);
    _exit(1);
}

static void note(struct client *c, uint64_t asked, int verb, int result, uint64_t seed,
                 const struct jobtab_job *job)
{
    uint32_t n = atomic_fetch_add(&c->log->n_told, 1);

    if (n >= TOLD_MAX)
        leave(c, "so many answers", JOBTAB_FULL, "");
    struct told *told = &c->log->told[n];
    *told = (struct told){
        .asked = asked, .verb = verb, .result = result, .seed = seed, .job = *job};
    told->answered = log_instant(c->log);
}

/* What others did to the job meanwhile is no fault, nor is a table that is full. */
static bool expected(int result)
{
    static const int fine[] = {JOBTAB_OK,        JOBTAB_STOP,  JOBTAB_NOTFOUND, JOBTAB_EMPTY,
                               JOBTAB_FORBIDDEN, JOBTAB_STALE, JOBTAB_FULL};

    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (fine[i] == result)
            return true;
    return false;
}

static void ask(struct client *c, struct jobtab_op *ops, struct jobtab_job *jobs, size_t n,
                uint64_t seed)
{
    uint64_t asked = log_instant(c->log);

    for (size_t i = 0; i < n; i++)
        ops[i].job = &jobs[i];
    int rc = jobtab_apply(c->table, ops, n);
    if (rc)
        leave(c, "apply", rc, jobtab_why());
    for (size_t i = 0; i < n; i++) {
        int result = ops[i].result;
        if (!expected(result))
            leave(c, "an operation", result, ops[i].why);
        if (result == JOBTAB_OK || result == JOBTAB_STOP)
            note(c, asked, (int)ops[i].verb, result, load_makes((int)ops[i].verb) ? seed + i : 0,
                 &jobs[i]);
    }
}

static int ask_one(struct client *c, struct jobtab_op *op, struct jobtab_job *job)
{
    ask(c, op, job, 1, 0);
    return op->result;
}

/* ------------------------------------------------------------------- the actions */

static uint64_t some_seed(struct client *c)
{
    return (uint64_t)c->number << 56 | (uint64_t)dice(c, 1 << 24) << 32 | c->keys * 16;
}

static void submit_several(struct client *c, size_t n)
{
    static char texts[4][TEXT_MAX];
    char key[32];
    struct jobtab_op ops[4] = {0};
    struct jobtab_job jobs[4];
    uint64_t seed = some_seed(c);

    for (size_t i = 0; i < n; i++) {
        size_t size = some_size(c);
        if (size)
            load_text(texts[i], size, seed + i);
        ops[i].verb = JOBTAB_SUBMIT;
        ops[i].submit = (struct jobtab_submit){.kind = kinds[dice(c, KINDS)],
                                               .params = size ? texts[i] : NULL,
                                               .params_size = size,
                                               .priority = (int32_t)dice(c, 3) - 1,
                                               .delay = dice(c, 6) ? 0 : 1 + dice(c, 40),
                                               .max_attempts = 1 + dice(c, 3),
                                               .backoff = 5};
    }
    c->keys++;
    if (n == 1 && dice(c, 3) == 0) {
        snprintf(key, sizeof key, "%u.%u", c->number, c->keys);
        ops[0].submit.key = key;
    }
    ask(c, ops, jobs, n, seed);
    for (size_t i = 0; i < n; i++)
        if (!ops[i].result)
            share(c->log, &jobs[i].id);
    if (ops[0].submit.key && !ops[0].result && dice(c, 2)) /* it did not hear the answer */
        ask(c, ops, jobs, 1, seed);
}

static void submit(struct client *c)
{
    submit_several(c, 1);
}

static void submit_many(struct client *c)
{
    submit_several(c, 2 + dice(c, 3));
}

/* As from another table. */
static void restore(struct client *c)
{
    static char text[TEXT_MAX];
    struct jobtab_job job, as = {.state = dice(c, 2) ? JOBTAB_PENDING : JOBTAB_CANCELLED,
                                 .created_at = jobtab_now()};
    struct jobtab_op op = {.verb = JOBTAB_RESTORE};
    uint64_t seed = some_seed(c);
    size_t size = some_size(c);

    if (size)
        load_text(text, size, seed);
    snprintf(as.kind, sizeof as.kind, "%s", kinds[dice(c, KINDS)]);
    op.restore = (struct jobtab_restore){
        .job = &as, .params = size ? text : NULL, .params_size = size};
    c->keys++;
    ask(c, &op, &job, 1, seed);
    if (!op.result)
        share(c->log, &job.id);
}

static void take(struct client *c, const struct jobtab_op *op, const struct jobtab_job *job)
{
    c->hands[c->n_hands++] =
        (struct hand){.job = *job,
                      .token = op->token,
                      .remote = op->verb == JOBTAB_CLAIM && op->claim.lease > 0};
}

static void claim(struct client *c)
{
    struct jobtab_op op = {.verb = JOBTAB_CLAIM};
    struct jobtab_job job;

    if (c->n_hands == HANDS)
        return;
    op.claim = (struct jobtab_claim){.kind = kinds[dice(c, KINDS)],
                                     .lease = dice(c, 4) ? 0 : 1 + dice(c, 60)};
    if (ask_one(c, &op, &job) == JOBTAB_OK)
        take(c, &op, &job);
}

static void take_one(struct client *c)
{
    struct jobtab_op op = {.verb = JOBTAB_TAKE, .id = some_job(c)};
    struct jobtab_job job;

    if (c->n_hands < HANDS && ask_one(c, &op, &job) == JOBTAB_OK)
        take(c, &op, &job);
}

static void drop(struct client *c, struct hand *hand)
{
    *hand = c->hands[--c->n_hands];
}

/* With the token of a job in hand; it is let go when the operation ends it, or was refused. */
static void speak(struct client *c, struct jobtab_op *op, struct hand *hand, bool ends)
{
    struct jobtab_job job;

    op->id = hand->job.id;
    op->token = hand->token;
    int result = ask_one(c, op, &job);
    if (ends || (result != JOBTAB_OK && result != JOBTAB_STOP))
        drop(c, hand);
    else
        hand->job = job;
}

static struct hand *some_hand(struct client *c)
{
    return c->n_hands ? &c->hands[dice(c, c->n_hands)] : NULL;
}

static void report(struct client *c)
{
    struct hand *hand = some_hand(c);
    struct jobtab_op op = {.verb = JOBTAB_REPORT};
    char message[64];

    if (!hand)
        return;
    op.report = (struct jobtab_report){.progress = dice(c, 101), .message = message};
    snprintf(message, sizeof message, "step %u of client %u", op.report.progress, c->number);
    speak(c, &op, hand, false);
}

static void renew(struct client *c)
{
    struct hand *hand = some_hand(c);
    struct jobtab_op op = {.verb = JOBTAB_RENEW, .lease = 1 + dice(c, 60)};

    if (hand && hand->remote)
        speak(c, &op, hand, false);
}

static void append_log(struct client *c)
{
    static char text[LOG_PIECE];
    struct hand *hand = some_hand(c);
    struct jobtab_op op = {.verb = JOBTAB_LOG};
    size_t size = 1 + dice(c, 1 + dice(c, LOG_PIECE));

    if (!hand)
        return;
    for (size_t i = 0; i < size; i++)
        text[i] = load_letter(load_seed(&hand->job.id), hand->job.log_end + i);
    op.log = (struct jobtab_bytes){.data = text, .size = size};
    speak(c, &op, hand, false);
}

static void fill_finish(struct client *c, struct jobtab_op *op, const struct jobtab_id *id)
{
    static char text[TEXT_MAX];
    static const enum jobtab_outcome outcomes[] = {JOBTAB_SUCCEEDED, JOBTAB_SUCCEEDED,
                                                   JOBTAB_SUCCEEDED, JOBTAB_TRY_AGAIN,
                                                   JOBTAB_GIVE_UP,   JOBTAB_STOPPED};
    enum jobtab_outcome outcome = outcomes[dice(c, 6)];
    size_t size = some_size(c);

    op->verb = JOBTAB_FINISH;
    op->finish = (struct jobtab_finish){.outcome = outcome};
    if (outcome == JOBTAB_SUCCEEDED && size) {
        load_text(text, size, load_seed(id));
        op->finish.result = text;
        op->finish.result_size = size;
        op->finish.format = JOBTAB_JSON;
    } else if (outcome != JOBTAB_SUCCEEDED) {
        op->finish.reason = JOBTAB_BY_EXIT;
        op->finish.error = "it ended with code 1";
    }
}

static void finish(struct client *c)
{
    struct hand *hand = some_hand(c);
    struct jobtab_op op = {0};

    if (!hand)
        return;
    fill_finish(c, &op, &hand->job.id);
    speak(c, &op, hand, true);
}

/* As warm children do: the end of one job and the next one, in one call. */
static void finish_and_claim(struct client *c)
{
    struct hand *hand = some_hand(c);
    struct jobtab_op ops[2] = {{.verb = JOBTAB_FINISH}, {.verb = JOBTAB_CLAIM}};
    struct jobtab_job jobs[2];

    if (!hand)
        return;
    fill_finish(c, &ops[0], &hand->job.id);
    ops[0].id = hand->job.id;
    ops[0].token = hand->token;
    ops[1].claim = (struct jobtab_claim){.kind = kinds[dice(c, KINDS)]};
    ask(c, ops, jobs, 2, 0);
    drop(c, hand);
    if (ops[1].result == JOBTAB_OK)
        take(c, &ops[1], &jobs[1]);
}

static void release(struct client *c)
{
    struct hand *hand = some_hand(c);
    struct jobtab_op op = {.verb = JOBTAB_RELEASE};

    if (hand)
        speak(c, &op, hand, true);
}

static void meddle(struct client *c)
{
    static const enum jobtab_verb verbs[] = {JOBTAB_CANCEL, JOBTAB_RETRY, JOBTAB_DELETE};
    struct jobtab_op op = {.verb = verbs[dice(c, 3)], .id = some_job(c)};
    struct jobtab_job job;

    ask_one(c, &op, &job);
}

static void look(struct client *c)
{
    struct jobtab_id id = some_job(c);
    uint64_t asked = log_instant(c->log);
    struct jobtab_job job;

    int rc = jobtab_get(c->table, &id, &job);
    if (rc == JOBTAB_OK)
        note(c, asked, READ_VERB, rc, 0, &job);
    else if (rc != JOBTAB_NOTFOUND)
        leave(c, "get", rc, jobtab_why());
}

static void sweep(struct client *c)
{
    struct jobtab_swept swept;

    int rc = jobtab_sweep(c->table, 20, &swept);
    if (rc)
        leave(c, "sweep", rc, jobtab_why());
    atomic_fetch_add(&c->log->swept, swept.due + swept.lost + swept.timed_out + swept.cancelled);
}

static void open_table(struct client *c)
{
    struct jobtab_options options = load_options();

    int rc = jobtab_open(c->dir, &options, &c->table);
    if (rc)
        leave(c, "open", rc, jobtab_why());
}

/* What it had claimed is lost to it: the process lives on, and nobody else will end those jobs. */
static void reopen(struct client *c)
{
    while (c->n_hands)
        release(c);
    jobtab_close(c->table);
    open_table(c);
}

static const struct {
    void (*act)(struct client *c);
    unsigned often;
} actions[] = {
    {submit, 14}, {submit_many, 2}, {claim, 14},           {report, 10},
    {renew, 3},   {append_log, 6},  {finish, 10},          {finish_and_claim, 4},
    {release, 2}, {meddle, 12},      {look, 6},             {sweep, 3},
    {reopen, 1},  {take_one, 4},     {restore, 3},
};

void load_client(struct log *log, const char *dir, unsigned number, unsigned seed, uint32_t limit)
{
    static struct client c;
    unsigned all = 0;

    c = (struct client){.log = log, .dir = dir, .number = number, .random = seed + number * 7919u};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        all += actions[i].often;
    open_table(&c);
    while (log->n_io < limit && !log->faulty) {
        unsigned which = dice(&c, all);
        size_t i = 0;
        while (which >= actions[i].often)
            which -= actions[i++].often;
        actions[i].act(&c);
    }
    jobtab_close(c.table);
    _exit(0);
}
