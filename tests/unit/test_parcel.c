/* test_parcel.c - operations through a slot and back, whole or not at all. */
#include "fixture.h"

#include "parcel.h"

static struct queue *queue;

static int make_queue(void **state)
{
    (void)state;
    queue = calloc(1, sizeof *queue);
    if (!queue)
        return -1;
    queue_make(queue);
    return 0;
}

static int free_queue(void **state)
{
    (void)state;
    free(queue);
    return 0;
}

/* Static: what lies between its fields is zero, and travels. */
static const struct jobtab_job restored = {
    .id = {{4, 5}}, .kind = "moved", .key = "42", .message = "m", .error = "e", .expires_at = 77};

/* One of each verb, every pointer set. */
static const struct jobtab_op all[] = {
    {.verb = JOBTAB_SUBMIT,
     .submit = {.kind = "report", .params = "{\"a\": [1, 2]}", .params_size = 13, .priority = -3, .take = true,
                .delay = 5000, .key = "order 66", .max_attempts = 4}},
    {.verb = JOBTAB_SUBMIT, .submit = {.kind = "k"}},
    {.verb = JOBTAB_CLAIM, .claim = {.kind = "report", .lease = 7}},
    {.verb = JOBTAB_REPORT, .id = {{1, 2, 3}}, .token = {3, 99}, .report = {40, "Collecting..."}},
    {.verb = JOBTAB_REPORT, .report = {41, NULL}},
    {.verb = JOBTAB_RENEW, .lease = 1234},
    {.verb = JOBTAB_LOG, .log = {.data = "line\0two", .size = 8}},
    {.verb = JOBTAB_FINISH,
     .finish = {.outcome = JOBTAB_GIVE_UP, .reason = JOBTAB_BY_EXIT, .error = "exit 3",
                .message = "", .result = "\"x\"", .result_size = 3, .format = JOBTAB_JSON}},
    {.verb = JOBTAB_RELEASE, .token = {1, 2}},
    {.verb = JOBTAB_DELETE, .id = {{9}}},
    {.verb = JOBTAB_TAKE, .id = {{8}}, .lease = 77},
    {.verb = JOBTAB_RESTORE,
     .restore = {.job = &restored, .params = "[]", .params_size = 2, .result = "\0x",
                 .result_size = 2, .log = "one\n", .log_size = 4, .check_only = true}},
};
#define ALL (sizeof all / sizeof *all)

static struct slot *packed(const struct jobtab_op *ops, size_t n)
{
    static const struct jobtab_owner self = {.pid = 1, .start_time = 1};
    size_t left, size = parcel_size(ops, n, &left);
    struct slot *slot = queue_take(queue, &self, size, left);

    assert_non_null(slot);
    assert_int_equal(slot->n, left);
    parcel_pack(queue, slot, ops, n);
    return slot;
}

static void assert_same_text(const char *a, const char *b)
{
    if (a && b)
        assert_string_equal(a, b);
    else
        assert_ptr_equal(a, b);
}

static void assert_same(const struct jobtab_op *a, const struct jobtab_op *b)
{
    assert_int_equal(a->verb, b->verb);
    assert_memory_equal(&a->id, &b->id, sizeof a->id);
    assert_int_equal(a->token.attempt, b->token.attempt);
    assert_int_equal(a->token.secret, b->token.secret);
    switch (a->verb) {
    case JOBTAB_SUBMIT:
        assert_same_text(a->submit.kind, b->submit.kind);
        assert_same_text(a->submit.key, b->submit.key);
        assert_int_equal(a->submit.params_size, b->submit.params_size);
        assert_int_equal(!a->submit.params, !b->submit.params);
        assert_memory_equal(a->submit.params ? a->submit.params : "",
                            b->submit.params ? b->submit.params : "", a->submit.params_size);
        assert_int_equal(a->submit.priority, b->submit.priority);
        assert_int_equal(a->submit.take, b->submit.take);
        assert_int_equal(a->submit.delay, b->submit.delay);
        assert_int_equal(a->submit.max_attempts, b->submit.max_attempts);
        break;
    case JOBTAB_CLAIM:
        assert_same_text(a->claim.kind, b->claim.kind);
        assert_int_equal(a->claim.lease, b->claim.lease);
        break;
    case JOBTAB_REPORT:
        assert_int_equal(a->report.progress, b->report.progress);
        assert_same_text(a->report.message, b->report.message);
        break;
    case JOBTAB_LOG:
        assert_int_equal(a->log.size, b->log.size);
        assert_memory_equal(a->log.data, b->log.data, a->log.size);
        break;
    case JOBTAB_FINISH:
        assert_int_equal(a->finish.outcome, b->finish.outcome);
        assert_int_equal(a->finish.reason, b->finish.reason);
        assert_same_text(a->finish.error, b->finish.error);
        assert_same_text(a->finish.message, b->finish.message);
        assert_int_equal(a->finish.format, b->finish.format);
        assert_int_equal(a->finish.result_size, b->finish.result_size);
        assert_memory_equal(a->finish.result, b->finish.result, a->finish.result_size);
        break;
    case JOBTAB_RESTORE:
        assert_memory_equal(a->restore.job, b->restore.job, sizeof *a->restore.job);
        assert_int_equal(a->restore.params_size, b->restore.params_size);
        assert_memory_equal(a->restore.params, b->restore.params, a->restore.params_size);
        assert_int_equal(a->restore.result_size, b->restore.result_size);
        assert_memory_equal(a->restore.result, b->restore.result, a->restore.result_size);
        assert_int_equal(a->restore.log_size, b->restore.log_size);
        assert_memory_equal(a->restore.log, b->restore.log, a->restore.log_size);
        assert_int_equal(a->restore.check_only, b->restore.check_only);
        break;
    default:
        assert_int_equal(a->lease, b->lease);
    }
}

static void every_operation_comes_out_as_it_went_in(void **state)
{
    struct jobtab_op out[LARGE_ANSWERS];

    (void)state;
    struct slot *slot = packed(all, ALL);
    assert_true(parcel_unpack(queue, slot, out));
    for (size_t i = 0; i < ALL; i++) {
        assert_same(&all[i], &out[i]);
        assert_null(out[i].job);
        assert_int_equal(out[i].result, JOBTAB_OK);
    }
    queue_put_back(slot);
}

static void what_is_refused_already_does_not_travel(void **state)
{
    struct jobtab_op ops[3] = {all[3], all[3], all[5]}, out[LARGE_ANSWERS];

    (void)state;
    ops[0].result = ops[1].result = JOBTAB_INVALID;
    struct slot *slot = packed(ops, 3);
    assert_int_equal(slot->n, 1);
    assert_true(parcel_unpack(queue, slot, out));
    assert_same(&ops[2], &out[0]);
    queue_put_back(slot);
}

static void answers_come_back_whole(void **state)
{
    struct jobtab_job job = {.kind = "untouched"};
    struct jobtab_op led = {.verb = JOBTAB_CLAIM}, own = {.verb = JOBTAB_CLAIM, .job = &job};
    struct answer answer;

    (void)state;
    parcel_expect(&led, &answer);
    led.result = JOBTAB_EMPTY;
    snprintf(led.why, sizeof led.why, "no job of kind x is pending");
    parcel_answer(&led, &answer);
    parcel_accept(&answer, &own);
    assert_int_equal(own.result, JOBTAB_EMPTY);
    assert_string_equal(own.why, "no job of kind x is pending");
    assert_string_equal(job.kind, "untouched");

    parcel_expect(&led, &answer);
    led.result = JOBTAB_OK;
    led.why[0] = '\0';
    led.repeated = true;
    led.id.bytes[0] = led.job->id.bytes[0] = 7;
    led.token = (struct jobtab_token){.attempt = 2, .secret = 3};
    snprintf(led.job->kind, sizeof led.job->kind, "new");
    parcel_answer(&led, &answer);
    parcel_accept(&answer, &own);
    assert_int_equal(own.result, JOBTAB_OK);
    assert_true(own.repeated);
    assert_int_equal(own.id.bytes[0], 7);
    assert_int_equal(own.token.secret, 3);
    assert_string_equal(job.kind, "new");
}

/* Whatever the bytes: texts end within the request, and bytes lie in it. */
static void damaged_requests_are_refused_or_read_within_their_bounds(void **state)
{
    struct jobtab_op out[LARGE_ANSWERS];
    unsigned refused = 0, seed = 20261123;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct slot *slot = packed(all, ALL);
        char *request = slot_request(queue, slot), *end = request + slot->size;
        for (int hits = 1 + rand_r(&seed) % 4; hits > 0; hits--)
            request[(unsigned)rand_r(&seed) % slot->size] = (char)rand_r(&seed);
        if (!parcel_unpack(queue, slot, out)) {
            refused++;
        } else {
            for (size_t i = 0; i < ALL; i++) {
                const char *text = out[i].verb == JOBTAB_CLAIM ? out[i].claim.kind : NULL;
                if (text)
                    assert_true(text > request && text + strlen(text) < end);
                const char *bytes = out[i].verb == JOBTAB_LOG ? out[i].log.data : NULL;
                if (bytes)
                    assert_true(bytes > request && out[i].log.size <= (size_t)(end - bytes));
                bytes = out[i].verb == JOBTAB_RESTORE ? (const char *)out[i].restore.job : NULL;
                if (bytes)
                    assert_true(bytes > request &&
                                sizeof(struct jobtab_job) <= (size_t)(end - bytes));
            }
        }
        queue_put_back(slot);
    }
    assert_in_range(refused, 100, 19900);
}

int main(void)
{
#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, make_queue, free_queue)
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(every_operation_comes_out_as_it_went_in),
        WITH_QUEUE(what_is_refused_already_does_not_travel),
        WITH_QUEUE(answers_come_back_whole),
        WITH_QUEUE(damaged_requests_are_refused_or_read_within_their_bounds),
    };
    return cmocka_run_group_tests_name("parcel", tests, NULL, NULL);
}
