/* test_sweep.c - what time moves: due, expired, lost, lapsed. */
#include "beneath.h"

#include "clock.h"

#include <signal.h>
#include <sys/prctl.h>

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

static struct jobtab_swept sweep(struct fixture *f)
{
    struct jobtab_swept swept;

    assert_ok(jobtab_sweep(f->table, 100, &swept));
    return swept;
}

/* A process that opens the table, claims jobs of `kind`, says so, and waits to be killed. */
struct owner {
    pid_t pid;
    int said;
};

static struct owner start_owner(struct fixture *f, const char *kind, int claims)
{
    int fds[2];
    char byte;

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct jobtab *table;
        struct jobtab_token token;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        int rc = jobtab_open(f->dir, NULL, &table);
        for (int i = 0; i < claims; i++)
            rc = rc ? rc : jobtab_claim(table, kind, &token, NULL);
        byte = (char)rc;
        if (write(fds[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 0);
    close(fds[1]);
    return (struct owner){.pid = pid, .said = fds[0]};
}

static void kill_owner(struct owner *owner)
{
    kill(owner->pid, SIGKILL);
    assert_int_equal(waitpid(owner->pid, NULL, 0), owner->pid);
    close(owner->said);
}

static void a_due_job_becomes_pending_and_not_before(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job;
    struct jobtab_token token;
    char kind[16];
    struct jobtab_submit later = {.kind = kind, .delay = 30};
    struct jobtab_swept swept;
    int rc;

    do { /* another and a longer one, if its time came meanwhile */
        sweep(f);
        later.delay *= 2;
        snprintf(kind, sizeof kind, "k%d", (int)later.delay);
        assert_ok(jobtab_submit(f->table, &later, &job));
        swept = sweep(f);
        rc = jobtab_claim(f->table, kind, &token, NULL);
    } while (jobtab_now() >= job.run_at);
    assert_int_equal(swept.due, 0);
    assert_int_equal(swept.next, job.run_at);
    assert_int_equal(rc, JOBTAB_EMPTY);
    while (jobtab_now() < job.run_at)
        usleep(1000);
    assert_int_equal(sweep(f).due, 1);
    assert_ok(jobtab_claim(f->table, kind, &token, &job));
    assert_true(job.run_at > 0);
    assert_sound(f);
}

static void finished_jobs_expire_by_age(void **state)
{
    struct fixture *f = *state;
    struct jobtab_options options = {.retention = 20};
    struct jobtab_job job, live = submit(f, "k");
    uint32_t expired;

    do { /* another and a longer one, if its time came meanwhile */
        sweep(f);
        options.retention *= 2;
        fixture_reopen(f, &options);
        job = submit(f, "k");
        assert_ok(jobtab_cancel(f->table, &job.id, &job));
        expired = sweep(f).expired;
    } while (jobtab_now() >= job.expires_at);
    assert_int_equal(expired, 0);
    while (jobtab_now() < job.expires_at)
        usleep(1000);
    assert_int_equal(sweep(f).expired, 1);
    assert_int_equal(jobtab_get(f->table, &job.id, &job), JOBTAB_NOTFOUND);
    assert_int_equal(get(f, &live.id).state, JOBTAB_PENDING);
    assert_sound(f);
}

static void an_idle_sweep_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat before, after;

    submit(f, "k");
    struct jobtab_token token;
    claim(f, "k", &token);
    assert_ok(jobtab_stat(f->table, &before, NULL, 0));
    for (int i = 0; i < 10; i++)
        sweep(f);
    assert_ok(jobtab_stat(f->table, &after, NULL, 0));
    assert_int_equal(after.version, before.version);
}

static void a_job_whose_owner_died_goes_back_and_costs_no_attempt(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job first = submit(f, "k");
    struct jobtab_token token;

    submit(f, "k");
    struct owner owner = start_owner(f, "k", 1);
    assert_int_equal(get(f, &first.id).owner.pid, owner.pid);
    assert_int_equal(sweep(f).lost, 0); /* it lives */
    kill_owner(&owner);
    struct jobtab_swept swept = sweep(f);
    assert_int_equal(swept.lost, 1);
    struct jobtab_job job = get(f, &first.id);
    assert_int_equal(job.state, JOBTAB_PENDING);
    assert_int_equal(job.reason, JOBTAB_BY_OWNER_LOST);
    assert_int_equal(job.attempt, 0);
    assert_int_equal(job.crashes, 1);
    job = claim(f, "k", &token); /* its old place: first of the queue */
    assert_memory_equal(&job.id, &first.id, sizeof job.id);
    assert_sound(f);
}

static void an_owner_that_only_waits_to_be_reaped_is_dead(void **state)
{
    struct fixture *f = *state;
    siginfo_t info;

    submit(f, "k");
    struct owner owner = start_owner(f, "k", 1);
    kill(owner.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)owner.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(sweep(f).lost, 1);
    kill_owner(&owner);
}

static void a_poison_job_ends_at_max_crashes(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k");

    for (uint32_t crash = 1; crash <= 3; crash++) {
        struct owner owner = start_owner(f, "k", 1);
        kill_owner(&owner);
        assert_int_equal(sweep(f).lost, 1);
        job = get(f, &job.id);
        assert_int_equal(job.crashes, crash);
        assert_int_equal(job.state, crash < 3 ? JOBTAB_PENDING : JOBTAB_FAILED);
    }
    assert_int_equal(job.reason, JOBTAB_BY_OWNER_LOST);
    assert_int_equal(job.attempt, 0);
    assert_sound(f);
}

static void a_cancelling_job_whose_owner_died_is_cancelled(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job = submit(f, "k");
    struct owner owner = start_owner(f, "k", 1);

    assert_ok(jobtab_cancel(f->table, &job.id, NULL));
    kill_owner(&owner);
    struct jobtab_swept swept = sweep(f);
    assert_int_equal(swept.cancelled, 1);
    assert_int_equal(swept.lost, 0);
    assert_int_equal(get(f, &job.id).state, JOBTAB_CANCELLED);
}

static void a_job_over_its_time_whose_owner_died_timed_out(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .timeout = 1,
                                                              .max_attempts = 2}, &job));
    struct owner owner = start_owner(f, "k", 1);
    for (int64_t begin = clock_boot(); clock_boot() < begin + 2;)
        usleep(500);
    assert_int_equal(sweep(f).lost, 0); /* ending it is for its supervisor */
    kill_owner(&owner);
    assert_int_equal(sweep(f).timed_out, 1);
    job = get(f, &job.id);
    assert_int_equal(job.state, JOBTAB_SCHEDULED);
    assert_int_equal(job.reason, JOBTAB_BY_TIMEOUT);
    assert_int_equal(job.attempt, 1); /* this one counts */
}

static void a_lapsed_lease_is_claimed_once(void **state)
{
    struct fixture *f = *state;
    char kind[16];
    struct jobtab_op op = {.verb = JOBTAB_CLAIM, .claim = {.kind = kind, .lease = 25}};
    struct jobtab_token token;
    int64_t begun;
    uint32_t lost;

    do { /* another and a longer one, if it lapsed meanwhile */
        sweep(f);
        op.claim.lease *= 2;
        snprintf(kind, sizeof kind, "k%d", (int)op.claim.lease);
        submit(f, kind);
        begun = clock_boot();
        assert_ok(jobtab_apply(f->table, &op, 1));
        assert_ok(op.result);
        lost = sweep(f).lost;
    } while (clock_boot() >= begun + op.claim.lease);
    assert_int_equal(lost, 0);
    assert_ok(jobtab_renew(f->table, &op.id, &op.token, 30));
    for (int64_t begin = clock_boot(); clock_boot() < begin + 31;)
        usleep(1000);
    assert_int_equal(sweep(f).lost, 1);
    claim(f, kind, &token);
    assert_int_equal(jobtab_claim(f->table, kind, &token, NULL), JOBTAB_EMPTY);
    assert_int_equal(jobtab_renew(f->table, &op.id, &op.token, 1000), JOBTAB_STALE);
    assert_sound(f);
}

static void a_sweep_keeps_to_its_budget_and_says_so(void **state)
{
    struct fixture *f = *state;
    struct jobtab_swept swept;

    for (int i = 0; i < 5; i++)
        submit(f, "k");
    struct owner owner = start_owner(f, "k", 5);
    kill_owner(&owner);
    assert_ok(jobtab_sweep(f->table, 2, &swept));
    assert_int_equal(swept.lost, 2);
    assert_true(swept.more);
    assert_ok(jobtab_sweep(f->table, 3, &swept));
    assert_int_equal(swept.lost, 3);
    assert_int_equal(jobtab_sweep(f->table, 0, &swept), JOBTAB_INVALID);
}

/* Six jobs whose time has come, in this order. */
static void make_due(struct fixture *f, struct jobtab_job jobs[6])
{
    struct jobtab_submit later = {.kind = "k", .delay = 1};

    for (int i = 0; i < 6; i++)
        assert_ok(jobtab_submit(f->table, &later, &jobs[i]));
    while (jobtab_now() < jobs[5].run_at)
        usleep(1000);
}

static void make_expired(struct fixture *f, struct jobtab_job jobs[6])
{
    fixture_reopen(f, &(struct jobtab_options){.retention = 1});
    for (int i = 0; i < 6; i++) {
        jobs[i] = submit(f, "k");
        assert_ok(jobtab_cancel(f->table, &jobs[i].id, &jobs[i]));
    }
    while (jobtab_now() < jobs[5].expires_at)
        usleep(1000);
}

static void make_lost(struct fixture *f, struct jobtab_job jobs[6])
{
    for (int i = 0; i < 6; i++)
        jobs[i] = submit(f, "k");
    struct owner owner = start_owner(f, "k", 6);
    kill_owner(&owner);
}

/* Its entries say what it does not. */
static void swap_record(struct fixture *f, const struct jobtab_job *job)
{
    struct store_txn *txn;
    struct slice bytes;
    struct record record = {.job.id = job->id};
    struct image image;

    assert_ok(store_write(f->table->store, &txn));
    assert_true(store_get(txn, STORE_JOBS, id_slice(&job->id), &bytes));
    assert_ok(record_decode(bytes, &record));
    record.job.state = JOBTAB_PENDING;
    record_encode(&record, &image);
    store_put(txn, STORE_JOBS, id_slice(&job->id), image_slice(&image));
    assert_ok(store_commit(txn));
}

static void damaged_jobs_take_none_of_a_sweeps_budget(void **state)
{
    static void (*const makes[])(struct fixture *, struct jobtab_job[6]) = {make_due, make_expired,
                                                                           make_lost};
    static void (*const spoils[])(struct fixture *, const struct jobtab_job *) = {
        spoil_record, lose_record, swap_record};

    (void)state;
    for (size_t n = 0; n < 9; n++) {
        struct fixture *f;
        struct jobtab_job jobs[6];
        struct jobtab_swept swept;
        char id[JOBTAB_ID_TEXT];

        assert_int_equal(fixture_open((void **)&f), 0);
        makes[n / 3](f, jobs);
        for (int i = 0; i < 4; i++)
            spoils[n % 3](f, &jobs[i]);
        assert_ok(jobtab_sweep(f->table, 2, &swept));
        assert_int_equal(swept.due + swept.expired + swept.lost, 2);
        jobtab_id_format(&jobs[0].id, id);
        assert_non_null(strstr(swept.passed_over, id));
        assert_string_equal(jobtab_why(), "");
        assert_ok(jobtab_sweep(f->table, 2, &swept));
        assert_int_equal(swept.due + swept.expired + swept.lost, 0);
        assert_false(swept.more);
        assert_non_null(strstr(swept.passed_over, id));
        assert_int_equal(fixture_close((void **)&f), 0);
    }
}

/* Calls of read(2) and its like that this process has made; 0 where the kernel does not say. */
static unsigned long reads_so_far(void)
{
    unsigned long reads = 0;
    char line[64];
    FILE *io = fopen("/proc/self/io", "r");

    while (io && !reads && fgets(line, sizeof line, io))
        sscanf(line, "syscr: %lu", &reads);
    if (io)
        fclose(io);
    return reads;
}

static void a_sweep_asks_for_each_owner_and_not_for_each_job(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_swept swept;

    for (int i = 0; i < 100; i++)
        submit(f, "k");
    struct owner owner = start_owner(f, "k", 30);
    for (int i = 30; i < 100; i++)
        claim(f, "k", &token);
    unsigned long before = reads_so_far();
    if (!before)
        skip();
    sweep(f);
    assert_in_range(reads_so_far() - before, 1, 20);
    kill_owner(&owner);
    swept = sweep(f); /* and what it was told before says nothing of now */
    assert_int_equal(swept.lost, 30);
    assert_sound(f);
}

static void slots_of_dead_readers_are_cleared(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat stat;
    uint32_t cleared = 0;

    for (int i = 0; i < 3; i++) {
        struct owner owner = start_owner(f, "k", 0);
        kill_owner(&owner);
    }
    for (int i = 0; i < 3; i++) { /* an opener clears them, too: whoever comes first */
        cleared += sweep(f).readers;
    }
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_true(stat.readers <= 2);
    assert_true(cleared >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(a_due_job_becomes_pending_and_not_before),
        WITH_TABLE(finished_jobs_expire_by_age),
        WITH_TABLE(an_idle_sweep_writes_nothing),
        WITH_TABLE(a_job_whose_owner_died_goes_back_and_costs_no_attempt),
        WITH_TABLE(an_owner_that_only_waits_to_be_reaped_is_dead),
        WITH_TABLE(a_poison_job_ends_at_max_crashes),
        WITH_TABLE(a_cancelling_job_whose_owner_died_is_cancelled),
        WITH_TABLE(a_job_over_its_time_whose_owner_died_timed_out),
        WITH_TABLE(a_lapsed_lease_is_claimed_once),
        WITH_TABLE(a_sweep_keeps_to_its_budget_and_says_so),
        cmocka_unit_test(damaged_jobs_take_none_of_a_sweeps_budget),
        WITH_TABLE(a_sweep_asks_for_each_owner_and_not_for_each_job),
        WITH_TABLE(slots_of_dead_readers_are_cleared),
    };
    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
