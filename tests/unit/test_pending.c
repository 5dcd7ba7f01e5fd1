/* test_pending.c - damage at the head of a queue: claims go past it to the next sound job, in
 * order, who waits for work is told what a claim would find, and a sweep names what is passed over. */
#include "beneath.h"

#include "clock.h"
#include "pending.h"

#define JOBS 6

/* ------------------------------------------------------------------- the damage */

/* Its entry in the queue is no id. */
static void spoil_entry(struct fixture *f, const struct jobtab_job *job)
{
    struct key key = key_pending(job->kind, job->priority, job->version);

    put_beneath(f, STORE_PENDING, key_slice(&key), "x", 1);
}

/* It was taken, and its entry was not: a write that the disk forgot. */
static void stale_entry(struct fixture *f, const struct jobtab_job *job)
{
    struct key key = key_pending(job->kind, job->priority, job->version);
    struct jobtab_token token;

    assert_ok(jobtab_take(f->table, &job->id, &token, NULL));
    put_beneath(f, STORE_PENDING, key_slice(&key), &job->id, sizeof job->id);
}

/* The entry of another job, which stands behind. */
static void entry_twice(struct fixture *f, const struct jobtab_job *job)
{
    struct key key = key_pending(job->kind, job->priority, job->version);

    put_beneath(f, STORE_PENDING, key_slice(&key), &(job + 1)->id, sizeof job->id);
}

static const struct damage {
    void (*do_it)(struct fixture *f, const struct jobtab_job *job);
    const char *says;
    bool names; /* the job */
} damages[] = {
    {spoil_record, "image", true},
    {lose_record, "there is no job", true},
    {spoil_entry, "an entry of `pending` is no id", false},
    {stale_entry, "an entry of `pending` that is not its own", true},
    {entry_twice, "an entry of `pending` that is not its own", false},
};

/* ------------------------------------------------------------------------ tests */

static void assert_claimable(struct fixture *f, const char *kind, bool expected)
{
    bool claimable = !expected;

    assert_ok(jobtab_claimable(f->table, kind, &claimable));
    assert_string_equal(jobtab_why(), "");
    assert_int_equal(claimable, expected);
    assert_int_equal(jobtab_wait_work(f->table, kind, 1), expected ? JOBTAB_OK : JOBTAB_TIMEOUT);
}

/* JOBS jobs of kind `k`, two of them damaged at the head of their queue; those behind come in
 * order. */
static void a_claim_goes_past(struct fixture *f, const struct damage *damage)
{
    struct jobtab_job jobs[JOBS];
    struct jobtab_swept swept;
    struct jobtab_token token;
    char id[JOBTAB_ID_TEXT];

    for (int i = 0; i < JOBS; i++)
        jobs[i] = submit(f, "k");
    submit(f, "other");
    damage->do_it(f, &jobs[1]);
    damage->do_it(f, &jobs[0]);
    assert_ok(jobtab_sweep(f->table, 10, &swept));
    assert_non_null(strstr(swept.passed_over, damage->says));
    jobtab_id_format(&jobs[0].id, id);
    assert_int_equal(strstr(swept.passed_over, id) != NULL, damage->names);
    for (int i = 2; i < JOBS; i++) {
        assert_claimable(f, "k", true);
        struct jobtab_job job = claim(f, "k", &token);
        assert_memory_equal(&job.id, &jobs[i].id, sizeof job.id);
        assert_ok(jobtab_report(f->table, &job.id, &token, 1, NULL));
    }
    /* What is left is the damaged alone: nobody is told to claim, and a claim says that. */
    assert_claimable(f, "k", false);
    assert_int_equal(jobtab_claim(f->table, "k", &token, NULL), JOBTAB_EMPTY);
    assert_non_null(strstr(jobtab_why(), "verify"));
    assert_claimable(f, "other", true);
    claim(f, "other", &token);
}

static void a_claim_goes_past_damage_to_the_next_sound_job(void **state)
{
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        assert_int_equal(fixture_open(state), 0);
        a_claim_goes_past(*state, &damages[i]);
        assert_int_equal(fixture_close(state), 0);
    }
}

/* A higher priority is a queue of its own, and its damage is passed over to the lower one. */
static void priorities_keep_their_order_around_damage(void **state)
{
    struct fixture *f = *state;
    struct jobtab_submit wanted = {.kind = "k"};
    static const int32_t priorities[] = {0, 50, 50, 100, -100};
    static const int order[] = {2, 0, 4};
    struct jobtab_job jobs[5], job;
    struct jobtab_token token;

    for (int i = 0; i < 5; i++) {
        wanted.priority = priorities[i];
        assert_ok(jobtab_submit(f->table, &wanted, &jobs[i]));
    }
    spoil_record(f, &jobs[3]);
    spoil_record(f, &jobs[1]);
    for (int i = 0; i < 3; i++) {
        job = claim(f, "k", &token);
        assert_memory_equal(&job.id, &jobs[order[i]].id, sizeof job.id);
    }
    assert_int_equal(jobtab_claim(f->table, "k", &token, NULL), JOBTAB_EMPTY);
}

/* In a batch, too, and what stands beside the claims is done. */
static void a_batch_of_claims_goes_past_damage(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job jobs[3], taken[3];
    struct jobtab_op ops[4];

    for (int i = 0; i < 3; i++)
        jobs[i] = submit(f, "k");
    spoil_record(f, &jobs[0]);
    for (int i = 0; i < 3; i++)
        ops[i] = (struct jobtab_op){
            .verb = JOBTAB_CLAIM, .claim = {.kind = "k"}, .job = &taken[i]};
    ops[3] = (struct jobtab_op){.verb = JOBTAB_SUBMIT, .submit = {.kind = "other"}};
    assert_ok(jobtab_apply(f->table, ops, 4));
    assert_ok(ops[0].result);
    assert_ok(ops[1].result);
    assert_int_equal(ops[2].result, JOBTAB_EMPTY);
    assert_ok(ops[3].result);
    assert_memory_equal(&taken[0].id, &jobs[1].id, sizeof jobs[1].id);
    assert_memory_equal(&taken[1].id, &jobs[2].id, sizeof jobs[2].id);
}

/* The oldest that waits is the oldest that can be claimed, and the listing names the damaged. */
static void note_damaged(const struct jobtab_id *id, void *context)
{
    *(struct jobtab_id *)context = *id;
}

static void the_damaged_job_is_left_for_list_and_verify(void **state)
{
    struct fixture *f = *state;
    struct jobtab_id named = {{0}};
    struct jobtab_filter filter = {.damaged = note_damaged, .context = &named};
    struct jobtab_job first = submit(f, "k"), second = submit(f, "k"), page[4];
    uint64_t records, faults = 0;
    struct jobtab_token token;
    struct jobtab_stat stat;
    bool more;
    size_t n = 4;

    spoil_record(f, &first);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.oldest_pending, second.updated_at);
    claim(f, "k", &token);
    assert_ok(jobtab_list(f->table, &filter, page, &n, NULL, &more));
    assert_int_equal(n, 1);
    assert_memory_equal(&named, &first.id, sizeof named);
    assert_ok(jobtab_verify(f->table, NULL, NULL, NULL, &records, &faults));
    assert_true(faults > 0);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.oldest_pending, 0);
}

/* Not for ever: a claim holds the writer's lock. */
static void a_claim_passes_over_a_bounded_number(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct store_txn *txn;

    struct jobtab_job job = submit(f, "k");
    struct jobtab_job last = submit(f, "k");
    assert_ok(store_write(f->table->store, &txn));
    for (uint64_t i = 0; i < PENDING_PASSED; i++) {
        struct key key = key_pending("k", 100, i);
        store_put(txn, STORE_PENDING, key_slice(&key), (struct slice){"x", 1});
    }
    assert_ok(store_commit(txn));
    assert_claimable(f, "k", false);
    assert_int_equal(jobtab_claim(f->table, "k", &token, NULL), JOBTAB_EMPTY);
    struct key key = key_pending("k", 100, 7);
    put_beneath(f, STORE_PENDING, key_slice(&key), NULL, 0);
    assert_claimable(f, "k", true);
    struct jobtab_job got = claim(f, "k", &token);
    assert_memory_equal(&got.id, &job.id, sizeof got.id);
    got = claim(f, "k", &token);
    assert_memory_equal(&got.id, &last.id, sizeof got.id);
}

/* Keys that no queue has are in nobody's way. */
static void a_key_of_no_queue_is_passed_by(void **state)
{
    static const char *const keys[] = {"k", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    struct fixture *f = *state;
    char longest[400];
    struct jobtab_swept swept;
    struct jobtab_token token;
    struct jobtab_stat stat;

    memset(longest, 'k', sizeof longest);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put_beneath(f, STORE_PENDING, text_slice(keys[i]), "x", 1);
    put_beneath(f, STORE_PENDING, (struct slice){longest, sizeof longest}, "x", 1);
    struct jobtab_job job = submit(f, "k");
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.oldest_pending, job.updated_at);
    assert_ok(jobtab_sweep(f->table, 10, &swept));
    claim(f, "k", &token);
}

static void a_sound_table_has_nothing_passed_over(void **state)
{
    struct fixture *f = *state;
    struct jobtab_swept swept;

    submit(f, "k");
    assert_ok(jobtab_sweep(f->table, 10, &swept));
    assert_string_equal(swept.passed_over, "");
    assert_sound(f);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_goes_past_damage_to_the_next_sound_job),
        WITH_TABLE(priorities_keep_their_order_around_damage),
        WITH_TABLE(a_batch_of_claims_goes_past_damage),
        WITH_TABLE(the_damaged_job_is_left_for_list_and_verify),
        WITH_TABLE(a_claim_passes_over_a_bounded_number),
        WITH_TABLE(a_key_of_no_queue_is_passed_by),
        WITH_TABLE(a_sound_table_has_nothing_passed_over),
    };
    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
