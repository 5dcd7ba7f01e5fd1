/* calls.c - the calls of the memory sweep: what each needs, and the call itself.
 *
 * A call may be made again after it failed; what a read shows is kept as a number. See stage.h. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char big[BIG + 1]; /* {"x": "xxx..."}, made by main */

static uint64_t mix(uint64_t sum, const void *bytes, size_t size)
{
    for (const uint8_t *p = bytes; size--; p++)
        sum = (sum ^ *p) * UINT64_C(1099511628211);
    return sum;
}

static void submit_one(struct stage *stage)
{
    struct jobtab_submit submit = {.kind = "sweep", .params = big, .params_size = BIG};
    struct jobtab_job job;

    need(jobtab_submit(stage->table, &submit, &job), "submit");
    stage->id = job.id;
}

static void claim_one(struct stage *stage)
{
    struct jobtab_job job;

    submit_one(stage);
    need(jobtab_claim(stage->table, "sweep", &stage->token, &job), "claim");
    stage->id = job.id;
    stage->unfinished = true;
}

static void claim_remote(struct stage *stage)
{
    struct jobtab_op op = {.verb = JOBTAB_CLAIM, .claim = {.kind = "sweep", .lease = 60000}};

    submit_one(stage);
    need(jobtab_apply(stage->table, &op, 1), "claim");
    need(op.result, "claim with a lease");
    stage->id = op.id;
    stage->token = op.token;
    stage->unfinished = true;
}

static int finish_it(struct stage *stage)
{
    struct jobtab_finish finish = {
        .outcome = JOBTAB_SUCCEEDED, .result = big, .result_size = BIG, .format = JOBTAB_TEXT};

    int rc = jobtab_finish(stage->table, &stage->id, &stage->token, &finish);
    stage->unfinished = stage->unfinished && rc != JOBTAB_OK;
    return rc;
}

void finish_one(struct stage *stage)
{
    claim_one(stage);
    need(jobtab_log(stage->table, &stage->id, &stage->token, big, BIG), "log");
    need(finish_it(stage), "finish");
}

static void cancel_one(struct stage *stage)
{
    submit_one(stage);
    need(jobtab_cancel(stage->table, &stage->id, NULL), "cancel");
}

/* Delayed jobs that are due, and nothing else to sweep. */
static void make_due(struct stage *stage)
{
    struct jobtab_submit submit = {.kind = "due", .delay = 1};

    need(jobtab_submit(stage->table, &submit, NULL), "submit");
    usleep(3000);
}

static int make_submit(struct stage *stage)
{
    struct jobtab_submit submit = {
        .kind = "sweep", .params = big, .params_size = BIG, .key = "a key of its own"};

    return jobtab_submit(stage->table, &submit, NULL);
}

static int make_claim(struct stage *stage)
{
    struct jobtab_job job;

    int rc = jobtab_claim(stage->table, "sweep", &stage->token, &job);
    if (rc == JOBTAB_OK) {
        stage->id = job.id;
        stage->unfinished = true;
    }
    return rc;
}

static int make_report(struct stage *stage)
{
    return jobtab_report(stage->table, &stage->id, &stage->token, 50, "half");
}

static int make_renew(struct stage *stage)
{
    return jobtab_renew(stage->table, &stage->id, &stage->token, 30000);
}

static int make_log(struct stage *stage)
{
    return jobtab_log(stage->table, &stage->id, &stage->token, big, BIG);
}

static int make_release(struct stage *stage)
{
    int rc = jobtab_release(stage->table, &stage->id, &stage->token);

    stage->unfinished = stage->unfinished && rc != JOBTAB_OK;
    return rc;
}

static int make_cancel(struct stage *stage)
{
    return jobtab_cancel(stage->table, &stage->id, NULL);
}

static int make_retry(struct stage *stage)
{
    return jobtab_retry(stage->table, &stage->id, NULL);
}

static int make_delete(struct stage *stage)
{
    return jobtab_delete(stage->table, &stage->id);
}

/* All the verbs that need no token, of several kinds, in one. */
static int make_apply(struct stage *stage)
{
    struct jobtab_op ops[40];
    char kinds[40][16];

    for (size_t i = 0; i < 40; i++) {
        snprintf(kinds[i], sizeof kinds[i], "kind-%zu", i);
        ops[i] = (struct jobtab_op){.verb = JOBTAB_SUBMIT, .submit = {.kind = kinds[i]}};
    }
    ops[39] = (struct jobtab_op){.verb = JOBTAB_CANCEL, .id = stage->id};
    int rc = jobtab_apply(stage->table, ops, 40);
    for (size_t i = 0; i < 40; i++)
        if (ops[i].result != rc)
            note("operation %zu has result %d of a call that returned %d", i, ops[i].result, rc);
    return rc;
}

static int make_sweep(struct stage *stage)
{
    struct jobtab_swept swept;

    return jobtab_sweep(stage->table, 100, &swept);
}

static int make_get(struct stage *stage)
{
    struct jobtab_job job;

    int rc = jobtab_get(stage->table, &stage->id, &job);
    if (rc == JOBTAB_OK)
        stage->seen = job.version;
    return rc;
}

static int make_get_whole(struct stage *stage)
{
    struct jobtab_job job;
    char *params, *result;

    int rc = jobtab_get_whole(stage->table, &stage->id, &job, &params, &result);
    if (rc == JOBTAB_OK) {
        stage->seen = mix(mix(job.version, params, job.params_size), result, job.result_size);
        free(params);
        free(result);
    }
    return rc;
}

static int make_read_log(struct stage *stage)
{
    uint64_t offset = 0;
    size_t size;
    char *bytes;

    int rc = jobtab_read(stage->table, &stage->id, JOBTAB_LOGTEXT, &offset, BIG, &bytes, &size);
    if (rc == JOBTAB_OK) {
        stage->seen = mix(1, bytes, size);
        free(bytes);
    }
    return rc;
}

static int make_get_json(struct stage *stage)
{
    static char text[2 * BIG + 4096];
    uint64_t version;
    size_t length;

    int rc = jobtab_get_json(stage->table, &stage->id, text, sizeof text, &length, &version);
    if (rc == JOBTAB_OK)
        stage->seen = mix(version, text, length);
    return rc;
}

static int make_version(struct stage *stage)
{
    return jobtab_version(stage->table, &stage->id, &stage->seen);
}

/* Two reads that share a snapshot, a write in between that takes it away. */
static int make_hold(struct stage *stage)
{
    uint64_t one, other;

    int rc = jobtab_hold(stage->table);
    if (rc == JOBTAB_OK)
        rc = jobtab_version(stage->table, &stage->id, &one);
    if (rc == JOBTAB_OK)
        rc = jobtab_version(stage->table, &stage->id, &other);
    jobtab_rest(stage->table);
    if (rc == JOBTAB_OK)
        stage->seen = one + other;
    return rc;
}

static int make_list(struct stage *stage)
{
    struct jobtab_filter filter = {0};
    struct jobtab_job jobs[PAGE];
    uint64_t sum = 0;
    bool more = true;
    int rc = JOBTAB_OK;

    while (more && rc == JOBTAB_OK) {
        size_t n = PAGE;
        rc = jobtab_list(stage->table, &filter, jobs, &n, &filter.after, &more);
        for (size_t i = 0; rc == JOBTAB_OK && i < n; i++)
            sum = mix(sum, &jobs[i].version, sizeof jobs[i].version);
        filter.after_set = true;
    }
    if (rc == JOBTAB_OK)
        stage->seen = sum;
    return rc;
}

static int make_stat(struct stage *stage)
{
    struct jobtab_kind_count kinds[PAGE];
    struct jobtab_stat stat;

    int rc = jobtab_stat(stage->table, &stat, kinds, PAGE);
    if (rc == JOBTAB_OK)
        stage->seen = mix(stat.version, &stat.states, sizeof stat.states) + stat.owners;
    return rc;
}

static int make_wait(struct stage *stage)
{
    uint64_t seen = 0;

    int rc = jobtab_wait(stage->table, &seen, 1000);
    if (rc == JOBTAB_OK)
        stage->seen = seen;
    return rc;
}

static int make_wait_work(struct stage *stage)
{
    return jobtab_wait_work(stage->table, "sweep", 1000);
}

static int make_claimable(struct stage *stage)
{
    bool claimable = false;

    int rc = jobtab_claimable(stage->table, "sweep", &claimable);
    if (rc == JOBTAB_OK)
        stage->seen = claimable;
    return rc;
}

int make_verify(struct stage *stage)
{
    uint64_t records, faults = 1;

    int rc = jobtab_verify(stage->table, NULL, NULL, NULL, &records, &faults);
    if (rc == JOBTAB_OK && faults)
        note("verify found %llu faults in a sound table", (unsigned long long)faults);
    return rc;
}

static int make_backup(struct stage *stage)
{
    return jobtab_backup(stage->table, stage->copy);
}

uint64_t picture(struct stage *stage)
{
    uint64_t seen = stage->seen, sum;

    need(make_list(stage), "list");
    sum = stage->seen;
    need(make_stat(stage), "stat");
    sum = sum * 31 + stage->seen;
    stage->seen = seen;
    return sum;
}

static const struct jobtab_policy policy = {.kind = "sweep", .max_attempts = 3};

int make_open(struct stage *stage)
{
    return jobtab_open(stage->dir, NULL, &stage->table);
}

/* With bounds that are new to it. */
static int make_open_with(struct stage *stage)
{
    struct jobtab_options options = {.retention = 1 + rand(), .policies = &policy, .n_policies = 1};

    return jobtab_open(stage->dir, &options, &stage->table);
}

static int make_open_new(struct stage *stage)
{
    return jobtab_open(stage->copy, NULL, &stage->table);
}

static int make_attach(struct stage *stage)
{
    struct jobtab_token token;
    struct jobtab_id id;
    bool has_job;

    return jobtab_attach(&stage->table, &has_job, &id, &token);
}

static int make_close(struct stage *stage)
{
    jobtab_close(stage->table);
    stage->table = NULL;
    return JOBTAB_OK;
}

const struct call calls[] = {
    {"submit", NULL, make_submit, WRITE},
    {"claim", submit_one, make_claim, WRITE},
    {"report", claim_one, make_report, WRITE},
    {"renew", claim_remote, make_renew, WRITE},
    {"log", claim_one, make_log, WRITE},
    {"finish", claim_one, finish_it, WRITE},
    {"release", claim_one, make_release, WRITE},
    {"cancel", submit_one, make_cancel, WRITE},
    {"retry", cancel_one, make_retry, WRITE},
    {"delete", cancel_one, make_delete, WRITE},
    {"apply", submit_one, make_apply, WRITE},
    {"sweep", make_due, make_sweep, WRITE},
    {"get", finish_one, make_get, READ},
    {"get_whole", finish_one, make_get_whole, READ},
    {"read", finish_one, make_read_log, READ},
    {"get_json", finish_one, make_get_json, READ},
    {"version", finish_one, make_version, READ},
    {"hold", finish_one, make_hold, READ},
    {"list", finish_one, make_list, READ},
    {"stat", claim_one, make_stat, READ},
    {"wait", submit_one, make_wait, READ},
    {"wait_work", submit_one, make_wait_work, READ},
    {"claimable", submit_one, make_claimable, READ},
    {"verify", finish_one, make_verify, READ},
    {"backup", finish_one, make_backup, READ},
    {"open", NULL, make_open, OPEN},
    {"open_with_bounds", NULL, make_open_with, OPEN},
    {"open_a_new_one", NULL, make_open_new, OPEN},
    {"attach", NULL, make_attach, OPEN},
    {"close", finish_one, make_close, CLOSE},
    {NULL, NULL, NULL, READ},
};
