/* src/jobtabd/writer.c, over a table that is slow, breaks or blocks at the test's will. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>

#include "writer.h"

static struct {
    sem_t entered, go; /* one post each for a jobtab_apply */
    int answer;
    unsigned applied;
    size_t sizes[16]; /* of the transactions */
} table;

int jobtab_apply(struct jobtab *handle, struct jobtab_op *ops, size_t n)
{
    (void)handle;
    table.sizes[table.applied++ % 16] = n;
    sem_post(&table.entered);
    sem_wait(&table.go);
    for (size_t i = 0; i < n; i++)
        ops[i].result = table.answer;
    return table.answer;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned done, done_with[JOBTAB_BROKEN + 1];
static int32_t order[4096];

static void on_done(struct writer_call *calls, void *context)
{
    (void)context;
    pthread_mutex_lock(&mutex);
    for (struct writer_call *call = calls, *next; call != NULL; call = next) {
        next = call->next;
        if (done < 4096)
            order[done] = call->op.submit.priority;
        done++;
        done_with[call->op.result]++;
        free(call);
    }
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_done(unsigned n)
{
    pthread_mutex_lock(&mutex);
    while (done < n)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static bool put(struct writer *writer, int32_t number, size_t bytes)
{
    struct writer_call *call = calloc(1, sizeof(*call));

    assert_non_null(call);
    call->bytes = bytes;
    call->op.submit.priority = number;
    if (writer_put(writer, call))
        return true;
    free(call);
    return false;
}

static int begin(void **state)
{
    memset(&table, 0, sizeof(table));
    memset(done_with, 0, sizeof(done_with));
    done = 0;
    sem_init(&table.entered, 0, 0);
    sem_init(&table.go, 0, 0);
    *state = writer_start(NULL, on_done, NULL);
    return *state == NULL;
}

static int end(void **state)
{
    for (int i = 0; i < 16; i++)
        sem_post(&table.go);
    return writer_stop(*state, 10000) ? 0 : 1;
}

static void what_arrives_during_a_commit_shares_the_next(void **state)
{
    struct writer *writer = *state;

    assert_true(put(writer, 0, 1));
    writer_flush(writer);
    sem_wait(&table.entered); /* the first commit is under way */
    for (int32_t i = 1; i < 100; i++) {
        assert_true(put(writer, i, 1));
        writer_flush(writer);
    }
    sem_post(&table.go);
    sem_post(&table.go);
    wait_done(100);
    assert_int_equal(table.applied, 2);
    assert_int_equal(table.sizes[0], 1);
    assert_int_equal(table.sizes[1], 99);
    for (int32_t i = 0; i < 100; i++)
        assert_int_equal(order[i], i);
}

static void one_turn_of_the_loop_is_one_commit(void **state)
{
    struct writer *writer = *state;

    sem_post(&table.go);
    for (int32_t i = 0; i < 50; i++)
        assert_true(put(writer, i, 1));
    writer_flush(writer);
    wait_done(50);
    assert_int_equal(table.applied, 1);
}

static void more_than_the_bound_is_refused_until_there_is_room(void **state)
{
    struct writer *writer = *state;

    assert_true(put(writer, 0, 1));
    writer_flush(writer);
    sem_wait(&table.entered);
    for (int32_t i = 1; i < WRITER_CALLS_MAX; i++)
        assert_true(put(writer, i, 1));
    assert_false(put(writer, 0, 1));
    sem_post(&table.go);
    wait_done(1);
    for (int i = 0; i < 16; i++)
        sem_post(&table.go);
    writer_flush(writer);
    wait_done(WRITER_CALLS_MAX);
    assert_int_equal(done, WRITER_CALLS_MAX);
}

static void memory_is_bounded_too(void **state)
{
    struct writer *writer = *state;

    assert_true(put(writer, 0, WRITER_BYTES_MAX - 10));
    assert_false(put(writer, 1, 11));
    assert_true(put(writer, 1, 10));
}

static void a_broken_table_is_not_tried_again(void **state)
{
    struct writer *writer = *state;

    table.answer = JOBTAB_BROKEN;
    sem_post(&table.go);
    assert_true(put(writer, 0, 1));
    writer_flush(writer);
    wait_done(1);
    table.answer = JOBTAB_OK;
    sem_post(&table.go);
    assert_true(put(writer, 1, 1));
    writer_flush(writer);
    wait_done(2);
    assert_int_equal(table.applied, 1);
    assert_int_equal(done_with[JOBTAB_BROKEN], 2);
}

static void a_stop_applies_what_waits_and_gives_up_at_its_bound(void **state)
{
    struct writer *writer = *state;

    assert_true(put(writer, 0, 1));
    assert_false(writer_stop(writer, 1)); /* the table blocks */
    assert_int_equal(done, 0);
    sem_post(&table.go);
    wait_done(1);
    assert_int_equal(done_with[JOBTAB_OK], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_arrives_during_a_commit_shares_the_next, begin, end),
        cmocka_unit_test_setup_teardown(one_turn_of_the_loop_is_one_commit, begin, end),
        cmocka_unit_test_setup_teardown(more_than_the_bound_is_refused_until_there_is_room, begin,
                                        end),
        cmocka_unit_test_setup_teardown(memory_is_bounded_too, begin, end),
        cmocka_unit_test_setup_teardown(a_broken_table_is_not_tried_again, begin, end),
        cmocka_unit_test_setup_teardown(a_stop_applies_what_waits_and_gives_up_at_its_bound, begin,
                                        end),
    };

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
