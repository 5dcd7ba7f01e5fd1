/* test_lead.c - commits that are shared: who leads, what the others get, what a dead leader
 * leaves. */
#include "fixture.h"

#include "batch.h"
#include "lead.h"
#include "parcel.h"
#include "verbs.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

static struct queue *queue_in(struct fixture *f)
{
    return &f->table->shared->queue;
}

/* An operation in a thread of its own. */
struct caller {
    pthread_t thread;
    struct jobtab *table;
    struct jobtab_op op;
    struct jobtab_job job;
    int rc;
};

static void *apply(void *argument)
{
    struct caller *caller = argument;

    caller->op.job = &caller->job;
    caller->rc = jobtab_apply(caller->table, &caller->op, 1);
    return NULL;
}

static bool arrived(struct fixture *f, uint32_t arrivals)
{
    for (int64_t end = clock_boot() + slowed(5000); clock_boot() < end; poll(NULL, 0, 1))
        if ((int32_t)(atomic_load(&queue_in(f)->arrivals) - arrivals) >= 0)
            return true;
    return false;
}

static void await_arrivals(struct fixture *f, uint32_t arrivals)
{
    assert_true(arrived(f, arrivals));
}

/* Start the caller and wait until it is queued. Somebody has the lead. */
static void begin(struct fixture *f, struct caller *caller, const struct jobtab_op *op)
{
    uint32_t before = atomic_load(&queue_in(f)->arrivals);

    *caller = (struct caller){.table = f->table, .op = *op};
    assert_int_equal(pthread_create(&caller->thread, NULL, apply, caller), 0);
    await_arrivals(f, before + 1);
}

static const struct jobtab_op some_submit = {
    .verb = JOBTAB_SUBMIT, .submit = {.kind = "k", .params = "[1]", .params_size = 3}};

static uint64_t jobs(struct fixture *f)
{
    struct jobtab_stat stat;

    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    return stat.jobs;
}

static void all_that_wait_share_one_commit(void **state)
{
    struct fixture *f = *state;
    struct caller callers[40];

    queue_lead(queue_in(f), &f->table->self);
    for (size_t i = 0; i < 40; i++)
        begin(f, &callers[i], &some_submit);
    queue_leave(queue_in(f), NULL, 0);
    for (size_t i = 0; i < 40; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_ok(callers[i].rc);
        assert_ok(callers[i].op.result);
        assert_string_equal(get(f, &callers[i].op.id).kind, "k");
    }
    assert_int_equal(queue_in(f)->served, 40);
    assert_int_equal(jobs(f), 40);
    assert_sound(f);
}

/* Have the operation applied by another thread that leads. */
static void follow(struct fixture *f, struct jobtab_op *op, struct jobtab_job *job)
{
    struct caller leader, follower;

    queue_lead(queue_in(f), &f->table->self);
    begin(f, &leader, &(struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = "nothing"}});
    begin(f, &follower, op);
    queue_leave(queue_in(f), NULL, 0);
    pthread_join(leader.thread, NULL);
    pthread_join(follower.thread, NULL);
    assert_int_equal(queue_in(f)->served, 2);
    assert_ok(follower.rc);
    *op = follower.op;
    *job = follower.job;
}

static void who_follows_gets_what_the_leader_would_have(void **state)
{
    struct fixture *f = *state;
    struct jobtab_job job;
    struct jobtab_op op = some_submit;

    op.submit.key = "once";
    follow(f, &op, &job);
    assert_ok(op.result);
    assert_int_equal(job.state, JOBTAB_PENDING);
    assert_memory_equal(&job.id, &op.id, sizeof job.id);
    struct jobtab_id id = op.id;

    follow(f, &op, &job);
    assert_true(op.repeated);
    assert_memory_equal(&job.id, &id, sizeof id);

    op.submit.priority = 1;
    follow(f, &op, &job);
    assert_int_equal(op.result, JOBTAB_CONFLICT);
    assert_non_null(strstr(op.why, "idempotency_key"));

    op = (struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = "k"}};
    follow(f, &op, &job);
    assert_ok(op.result);
    assert_memory_equal(&op.id, &id, sizeof id);
    struct jobtab_token token = op.token;

    op = (struct jobtab_op){.verb = JOBTAB_RELEASE, .id = id, .token = token};
    follow(f, &op, &job);
    assert_ok(op.result);
    op = (struct jobtab_op){.verb = JOBTAB_TAKE, .id = id};
    follow(f, &op, &job);
    assert_ok(op.result);
    assert_int_equal(job.state, JOBTAB_RUNNING);
    token = op.token;

    op = (struct jobtab_op){.verb = JOBTAB_REPORT, .id = id, .token = token, .report = {30, "x"}};
    follow(f, &op, &job);
    assert_ok(op.result);
    assert_int_equal(job.progress, 30);

    op.token.secret++;
    follow(f, &op, &job);
    assert_int_equal(op.result, JOBTAB_STALE);

    op = (struct jobtab_op){.verb = JOBTAB_CANCEL, .id = id};
    follow(f, &op, &job);
    assert_int_equal(job.state, JOBTAB_CANCELLING);

    op = (struct jobtab_op){.verb = JOBTAB_REPORT, .id = id, .token = token, .report = {31, NULL}};
    follow(f, &op, &job);
    assert_int_equal(op.result, JOBTAB_STOP);
    assert_int_equal(job.progress, 31);

    op = (struct jobtab_op){.verb = JOBTAB_FINISH,
                            .id = id,
                            .token = token,
                            .finish = {.result = "{}", .result_size = 2, .format = JOBTAB_JSON}};
    follow(f, &op, &job);
    assert_ok(op.result);
    assert_int_equal(job.state, JOBTAB_COMPLETED);
    assert_int_equal(get(f, &id).result_size, 2);
    assert_sound(f);
}

static int claim_and_tell(void *context)
{
    struct jobtab *table;
    struct jobtab_token token;
    struct jobtab_job job;

    if (jobtab_open(context, NULL, &table) || jobtab_claim(table, "k", &token, &job))
        return 1;
    return job.owner.pid == getpid() ? 0 : 2;
}

static void who_claims_is_the_owner_whoever_leads(void **state)
{
    struct fixture *f = *state;
    struct caller leader;
    int status;

    submit(f, "k");
    queue_lead(queue_in(f), &f->table->self);
    begin(f, &leader, &some_submit);
    uint32_t before = atomic_load(&queue_in(f)->arrivals);
    pid_t pid = fork();
    if (pid == 0)
        _exit(claim_and_tell(f->dir));
    await_arrivals(f, before + 1);
    queue_leave(queue_in(f), NULL, 0);
    pthread_join(leader.thread, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A sweep in a thread of its own. */
static void *sweep(void *argument)
{
    struct caller *caller = argument;
    struct jobtab_swept swept;

    caller->rc = jobtab_sweep(caller->table, 64, &swept);
    caller->job.progress = swept.due;
    return NULL;
}

/* A sweep that has something to do comes first, then three submits. Returns what it moved. */
static uint32_t sweep_before_submits(struct fixture *f, struct slot *damaged)
{
    struct caller sweeper = {.table = f->table}, callers[3];

    queue_lead(queue_in(f), &f->table->self);
    uint32_t before = atomic_load(&queue_in(f)->arrivals);
    assert_int_equal(pthread_create(&sweeper.thread, NULL, sweep, &sweeper), 0);
    await_arrivals(f, before + 1);
    for (size_t i = 0; i < 3; i++)
        begin(f, &callers[i], &some_submit);
    if (damaged)
        atomic_store(&damaged->state, SLOT_QUEUED);
    queue_leave(queue_in(f), NULL, 0);
    pthread_join(sweeper.thread, NULL);
    assert_ok(sweeper.rc);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_ok(callers[i].rc);
        assert_ok(callers[i].op.result);
    }
    return sweeper.job.progress;
}

static void make_due(struct fixture *f)
{
    struct jobtab_job job;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .delay = 1}, &job));
    while (jobtab_now() < job.run_at)
        poll(NULL, 0, 1);
}

static void who_waits_for_a_sweep_is_in_its_commit(void **state)
{
    struct fixture *f = *state;

    make_due(f);
    assert_int_equal(sweep_before_submits(f, NULL), 1);
    assert_int_equal(queue_in(f)->served, 4);
    assert_int_equal(jobs(f), 4);
    assert_sound(f);
}

static void a_request_that_spoils_the_transaction_spoils_no_sweep(void **state)
{
    struct fixture *f = *state;

    make_due(f);
    struct slot *damaged = queue_take(queue_in(f), &f->table->self, SMALL_REQUEST, 1);
    memset(slot_request(queue_in(f), damaged), 0xff, SMALL_REQUEST);
    assert_int_equal(sweep_before_submits(f, damaged), 1);
    assert_int_equal(jobs(f), 4);
    queue_put_back(damaged);
    assert_sound(f);
}

/* ---------------------------------------------------------- leaders that die */

/* What a leader does for those who have come when there are so many arrivals, and dies: before its
 * commit, or between that and the answers. */
static int lead_and_die(struct fixture *f, uint32_t arrivals, bool commit)
{
    struct jobtab *table;
    struct slot *slots[QUEUE_SLOTS];
    struct batch batch = {.size = 0};
    struct jobtab_op ops[LARGE_ANSWERS];
    struct edit edit;

    if (jobtab_open(f->dir, NULL, &table))
        return 1;
    struct queue *queue = &table->shared->queue;
    queue_lead(queue, &table->self);
    if (!arrived(f, arrivals) || edit_begin(table, &edit))
        return 2;
    size_t n = queue_collect(queue, slots);
    for (size_t i = 0; i < n; i++) {
        if (!parcel_unpack(queue, slots[i], ops))
            return 3;
        edit.self = &slots[i]->self;
        for (uint32_t k = 0; k < slots[i]->n; k++)
            parcel_expect(&ops[k], &slot_answer(queue, slots[i])[k]);
        if (ops_apply(&edit, ops, slots[i]->n))
            return 4;
        batch_add(&batch, slots[i], ops);
    }
    batch_put(&edit, &batch, queue->epoch);
    if (commit && edit_commit(&edit))
        return 5;
    kill(getpid(), SIGKILL);
    return 6;
}

/* A process that leads, for those who come now. */
static pid_t start_to_lead_and_die(struct fixture *f, size_t callers, bool commit)
{
    /* Its own, and theirs. Counted here: they begin as soon as it leads, and may be there before it
     * looks. */
    uint32_t arrivals = atomic_load(&queue_in(f)->arrivals) + 1 + (uint32_t)callers;

    queue_in(f)->alone = 2; /* who leads then does nothing for others, but answers what is done */
    pid_t pid = fork();
    if (pid == 0)
        _exit(lead_and_die(f, arrivals, commit));
    for (int64_t end = clock_boot() + slowed(5000); clock_boot() < end; poll(NULL, 0, 1))
        if (turn_holder(&queue_in(f)->turn) == pid)
            break;
    return pid;
}

static void await_answers(struct fixture *f, struct caller *callers, size_t n, pid_t leader)
{
    int status;

    for (size_t i = 0; i < n; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_ok(callers[i].rc);
        assert_ok(callers[i].op.result);
    }
    assert_int_equal(waitpid(leader, &status, 0), leader);
    assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), SIGKILL);
    assert_int_equal(queue_in(f)->heal, 0);
}

static void a_leader_that_dies_leaves_all_done_once(struct fixture *f, bool commit)
{
    static const struct jobtab_job old = {.kind = "old", .state = JOBTAB_COMPLETED, .created_at = 1};
    struct caller callers[6];
    struct jobtab_token token;

    struct jobtab_job job = submit(f, "k");
    struct jobtab_job waiting = submit(f, "third");
    struct jobtab_job running = submit(f, "other");
    claim(f, "other", &token);
    pid_t leader = start_to_lead_and_die(f, 6, commit);
    begin(f, &callers[0], &some_submit);
    begin(f, &callers[1], &(struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = "k"}});
    begin(f, &callers[2], &(struct jobtab_op){.verb = JOBTAB_REPORT,
                                              .id = running.id,
                                              .token = token,
                                              .report = {50, "half"}});
    begin(f, &callers[3], &(struct jobtab_op){.verb = JOBTAB_TAKE, .id = waiting.id});
    begin(f, &callers[4], &(struct jobtab_op){.verb = JOBTAB_SUBMIT,
                                              .submit = {.kind = "fourth", .take = true}});
    /* Without an id, it would come in a second time under another. */
    begin(f, &callers[5], &(struct jobtab_op){.verb = JOBTAB_RESTORE, .restore = {.job = &old}});
    await_answers(f, callers, 6, leader);

    assert_int_equal(jobs(f), 6);
    assert_int_equal(get(f, &callers[5].op.id).state, JOBTAB_COMPLETED);
    assert_string_equal(callers[5].job.kind, "old");
    assert_int_equal(get(f, &callers[0].op.id).state, JOBTAB_PENDING);
    assert_int_equal(callers[0].job.state, JOBTAB_PENDING);
    assert_memory_equal(&callers[1].op.id, &job.id, sizeof job.id);
    assert_int_equal(callers[1].job.owner.pid, getpid());
    /* The token is good, and the job was claimed once. */
    assert_int_equal(get(f, &job.id).attempt, 1);
    assert_ok(finish(f, &job.id, &callers[1].op.token, JOBTAB_SUCCEEDED));
    for (size_t i = 3; i < 5; i++) { /* so for those that were taken */
        assert_int_equal(callers[i].job.owner.pid, getpid());
        assert_int_equal(get(f, &callers[i].op.id).attempt, 1);
        assert_ok(finish(f, &callers[i].op.id, &callers[i].op.token, JOBTAB_SUCCEEDED));
    }
    assert_memory_equal(&callers[3].op.id, &waiting.id, sizeof waiting.id);
    assert_int_equal(callers[2].job.progress, 50);
    assert_int_equal(get(f, &running.id).progress, 50);
    assert_sound(f);
}

static void a_leader_that_dies_before_its_commit_leaves_all_to_the_next(void **state)
{
    a_leader_that_dies_leaves_all_done_once(*state, false);
}

static void a_leader_that_dies_before_its_answers_has_done_nothing_twice(void **state)
{
    a_leader_that_dies_leaves_all_done_once(*state, true);
}

static void what_is_told_of_a_job_that_a_dead_leader_deleted_is_its_id(void **state)
{
    struct fixture *f = *state;
    struct caller callers[3];

    struct jobtab_job job = submit(f, "k");
    pid_t leader = start_to_lead_and_die(f, 3, true);
    begin(f, &callers[0], &(struct jobtab_op){.verb = JOBTAB_CANCEL, .id = job.id});
    begin(f, &callers[1], &(struct jobtab_op){.verb = JOBTAB_DELETE, .id = job.id});
    begin(f, &callers[2], &some_submit);
    await_answers(f, callers, 3, leader);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(&callers[i].job.id, &job.id, sizeof job.id);
        assert_int_equal(callers[i].job.version, 0);
    }
    assert_int_equal(jobs(f), 1);
    assert_sound(f);
}

static void a_healer_takes_no_answer_of_another_boot(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    /* The same ticket, of an earlier life of the shared file. */
    queue_lead(queue_in(f), &f->table->self);
    begin(f, &caller, &some_submit);
    queue_in(f)->epoch++;
    queue_in(f)->heal = 1;
    queue_leave(queue_in(f), NULL, 0);
    pthread_join(caller.thread, NULL);
    assert_ok(caller.rc);
    assert_int_equal(jobs(f), 1);
    assert_int_equal(queue_in(f)->heal, 0);
}

/* --------------------------------------------------------------------- faults */

static void a_request_that_spoils_the_transaction_spoils_no_other(void **state)
{
    struct fixture *f = *state;
    struct caller callers[3];

    queue_lead(queue_in(f), &f->table->self);
    struct slot *damaged = queue_take(queue_in(f), &f->table->self, SMALL_REQUEST, 1);
    memset(slot_request(queue_in(f), damaged), 0xff, SMALL_REQUEST);
    for (size_t i = 0; i < 3; i++)
        begin(f, &callers[i], &some_submit);
    atomic_store(&damaged->state, SLOT_QUEUED); /* the oldest of them, with nobody to lead for it */
    queue_leave(queue_in(f), NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_ok(callers[i].rc);
        assert_ok(callers[i].op.result);
    }
    assert_int_equal(jobs(f), 3);
    queue_put_back(damaged);
    assert_sound(f);
}

static void a_commit_with_unknown_outcome_is_so_for_all_that_were_in_it(void **state)
{
    struct fixture *f = *state;
    struct slot *slots[QUEUE_SLOTS];
    struct caller caller;

    queue_lead(queue_in(f), &f->table->self);
    begin(f, &caller, &some_submit);
    assert_int_equal(queue_collect(queue_in(f), slots), 1);
    queue_post(slots[0], JOBTAB_BROKEN);
    queue_leave(queue_in(f), slots, 1);
    pthread_join(caller.thread, NULL);
    assert_int_equal(caller.rc, JOBTAB_BROKEN);
    assert_int_equal(caller.op.result, JOBTAB_BROKEN);
    assert_int_equal(jobtab_submit(f->table, &some_submit.submit, NULL), JOBTAB_BROKEN);
}

/* Its request would be done by the next leader, and it was told that nothing was done. */
static void who_cannot_begin_to_lead_is_out_of_the_line_before_it_gives_up_the_lead(void **state)
{
    struct fixture *f = *state;

    store_break(f->table->store);
    assert_int_equal(jobtab_submit(f->table, &some_submit.submit, NULL), JOBTAB_BROKEN);
    assert_int_equal(queue_in(f)->called, 0);
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_TABLE(all_that_wait_share_one_commit),
        WITH_TABLE(who_follows_gets_what_the_leader_would_have),
        WITH_TABLE(who_claims_is_the_owner_whoever_leads),
        WITH_TABLE(a_leader_that_dies_before_its_commit_leaves_all_to_the_next),
        WITH_TABLE(a_leader_that_dies_before_its_answers_has_done_nothing_twice),
        WITH_TABLE(what_is_told_of_a_job_that_a_dead_leader_deleted_is_its_id),
        WITH_TABLE(a_healer_takes_no_answer_of_another_boot),
        WITH_TABLE(a_request_that_spoils_the_transaction_spoils_no_other),
        WITH_TABLE(who_waits_for_a_sweep_is_in_its_commit),
        WITH_TABLE(a_request_that_spoils_the_transaction_spoils_no_sweep),
        WITH_TABLE(a_commit_with_unknown_outcome_is_so_for_all_that_were_in_it),
        WITH_TABLE(who_cannot_begin_to_lead_is_out_of_the_line_before_it_gives_up_the_lead),
    };
    return cmocka_run_group_tests_name("lead", tests, NULL, NULL);
}
