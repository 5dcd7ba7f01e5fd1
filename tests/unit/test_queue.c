/* test_queue.c - slots, whose turn it is to lead, leaders that die or are stopped. */
#include "fixture.h"

#include "clock.h"
#include "shared.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

static struct shared *shared;
static int use;

static int open_shared(void **state)
{
    if (fixture_directory(state))
        return -1;
    return shared_open(((struct fixture *)*state)->dir, &shared, &use);
}

static int close_shared(void **state)
{
    shared_close(shared, use);
    return fixture_close(state);
}

static struct jobtab_owner self(void)
{
    return (struct jobtab_owner){.pid = getpid(), .start_time = process_start(getpid())};
}

static struct slot *take(size_t size, size_t n)
{
    struct jobtab_owner owner = self();

    return queue_take(&shared->queue, &owner, size, n);
}

/* True, once `*word` is `value`. */
static bool becomes(_Atomic uint32_t *word, uint32_t value)
{
    int64_t end = clock_boot() + slowed(5000);

    while (atomic_load(word) != value && clock_boot() < end)
        usleep(100);
    return atomic_load(word) == value;
}

/* True, once the process leads. */
static bool leads(pid_t pid)
{
    int64_t end = clock_boot() + slowed(5000);

    while (turn_holder(&shared->queue.turn) != pid && clock_boot() < end)
        usleep(100);
    return turn_holder(&shared->queue.turn) == pid;
}

static void a_slot_is_as_large_as_its_request(void **state)
{
    (void)state;
    struct slot *small = take(SMALL_REQUEST, 1), *large = take(SMALL_REQUEST + 1, 1);
    struct slot *many = take(100, LARGE_ANSWERS), *more = take(100, LARGE_ANSWERS + 1);
    assert_int_equal(slot_room(&shared->queue, small), SMALL_REQUEST);
    assert_int_equal(slot_room(&shared->queue, large), LARGE_REQUEST);
    assert_int_equal(slot_answers(&shared->queue, many), LARGE_ANSWERS);
    assert_int_equal(many->n, LARGE_ANSWERS);
    assert_int_equal(more->n, 0); /* a place to wait in, no more */
    assert_true((char *)(slot_answer(&shared->queue, large) + LARGE_ANSWERS) <=
                (char *)(&shared->queue + 1));
}

static void every_use_of_a_slot_has_a_ticket_of_its_own(void **state)
{
    uint64_t last = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct slot *slot = take(10, 1);
        assert_true(slot->ticket > last);
        last = slot->ticket;
        queue_put_back(slot);
    }
}

static int take_all_and_die(void *context)
{
    (void)context;
    for (int i = 0; i < QUEUE_SMALL; i++)
        if (!take(10, 1))
            return 1;
    return take(10, 1) ? 1 : 0;
}

static void slots_of_the_dead_are_taken_by_the_living(void **state)
{
    (void)state;
    struct slot *own = take(10, 1);
    queue_put_back(own);
    assert_int_equal(in_child(take_all_and_die, NULL), 0);
    assert_non_null(take(10, 1));
}

static void slots_of_the_living_are_not(void **state)
{
    (void)state;
    for (int i = 0; i < QUEUE_SMALL; i++)
        assert_non_null(take(10, 1));
    assert_null(take(10, 1));
}

/* A caller in a thread of its own: it waits, notes when it led, and gives the lead up. */
struct caller {
    pthread_t thread;
    struct slot *slot;
    bool led;
    uint32_t turn; /* the how-manieth to lead */
};

static _Atomic uint32_t turns;

static void *call(void *argument)
{
    struct caller *caller = argument;

    caller->led = queue_wait(&shared->queue, caller->slot);
    if (caller->led) {
        caller->turn = ++turns;
        queue_withdraw(caller->slot);
        queue_leave(&shared->queue, NULL, 0);
    }
    queue_put_back(caller->slot);
    return NULL;
}

static void begin(struct caller *caller, size_t n)
{
    uint32_t before = atomic_load(&shared->queue.arrivals);

    caller->slot = take(0, n);
    assert_non_null(caller->slot);
    assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
    assert_true(becomes(&shared->queue.arrivals, before + 1));
}

static void those_that_wait_lead_in_the_order_in_which_they_came(void **state)
{
    struct jobtab_owner owner = self();
    struct caller callers[8];

    (void)state;
    turns = 0;
    queue_lead(&shared->queue, &owner);
    for (size_t i = 0; i < 8; i++)
        begin(&callers[i], i % 2); /* with operations and without */
    queue_leave(&shared->queue, NULL, 0);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].led);
        assert_int_equal(callers[i].turn, i + 1);
    }
}

static void a_leader_answers_all_that_wait_longest_first(void **state)
{
    struct jobtab_owner owner = self();
    struct slot *slots[QUEUE_SLOTS];
    struct caller callers[8];

    (void)state;
    queue_lead(&shared->queue, &owner);
    for (size_t i = 0; i < 8; i++)
        begin(&callers[i], 1);
    size_t n = queue_collect(&shared->queue, slots);
    assert_int_equal(n, 8);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(slots[i], callers[i].slot);
        queue_post(slots[i], JOBTAB_OK);
    }
    queue_leave(&shared->queue, slots, n);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_false(callers[i].led);
    }
}

static int lead_and_die(void *context)
{
    struct jobtab_owner owner = self();

    (void)context;
    queue_lead(&shared->queue, &owner);
    kill(getpid(), SIGKILL);
    return 0;
}

static void who_leads_after_one_that_died_is_told_until_it_has_healed(void **state)
{
    struct jobtab_owner owner = self();

    (void)state;
    for (int i = 0; i < 2; i++) { /* the healer may die, too */
        assert_int_equal(in_child(lead_and_die, NULL), 128 + SIGKILL);
        assert_int_equal(shared->queue.heal, i ? 1 : 0);
    }
    queue_lead(&shared->queue, &owner);
    assert_int_equal(shared->queue.heal, 1);
    shared->queue.heal = 0;
    queue_leave(&shared->queue, NULL, 0);
    queue_lead(&shared->queue, &owner);
    assert_int_equal(shared->queue.heal, 0);
    queue_leave(&shared->queue, NULL, 0);
}

static void a_leader_that_is_killed_while_others_wait_is_followed_at_once(void **state)
{
    struct caller caller;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct jobtab_owner owner = self();
        queue_lead(&shared->queue, &owner);
        pause();
        _exit(0);
    }
    assert_true(leads(pid));
    begin(&caller, 1);
    int64_t killed = clock_boot();
    kill(pid, SIGKILL);
    pthread_join(caller.thread, NULL);
    assert_true(caller.led);
    assert_in_range(clock_boot() - killed, 0, slowed(200));
    waitpid(pid, NULL, 0);
}

static void a_leader_that_is_stopped_is_ended_and_one_that_is_slow_is_not(void **state)
{
    struct caller caller;

    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        int status, gate[2];
        char byte = 0;
        assert_int_equal(pipe(gate), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct jobtab_owner owner = self();
            queue_lead(&shared->queue, &owner);
            if (stopped)
                raise(SIGSTOP);
            if (read(gate[0], &byte, 1) == 1)
                queue_leave(&shared->queue, NULL, 0);
            _exit(0);
        }
        assert_true(leads(pid));
        begin(&caller, 1);
        int64_t begun = clock_boot();
        if (!stopped) { /* as long as a stopped one would have lived, and then some */
            poll(NULL, 0, 1500);
            assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
            assert_int_equal(write(gate[1], &byte, 1), 1);
        }
        pthread_join(caller.thread, NULL);
        assert_true(caller.led);
        if (stopped)
            assert_in_range(clock_boot() - begun, 0, slowed(2000));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, stopped ? SIGKILL : 0);
        close(gate[0]);
        close(gate[1]);
    }
}

/* Stopped between the lock and the first word about it, or between the last and the unlock, in a
 * process with a thread of its own for that. */
static void *stop_with_the_turn(void *context)
{
    bool died;

    (void)context;
    if (turn_try(&shared->queue.turn, &died))
        kill(getpid(), SIGSTOP);
    pause();
    return NULL;
}

static void who_has_the_turn_and_has_not_said_so_is_ended_when_stopped(void **state)
{
    struct caller caller;
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, stop_with_the_turn, NULL);
        pthread_join(thread, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    int64_t begun = clock_boot();
    begin(&caller, 1);
    pthread_join(caller.thread, NULL);
    assert_in_range(clock_boot() - begun, 0, slowed(2000));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_copy_of_the_file_has_none_of_its_locks(void **state)
{
    struct fixture *f = *state;
    struct jobtab_owner owner = self();
    struct shared *copy;
    int copy_use;
    char command[256], dir[80];

    queue_lead(&shared->queue, &owner);
    snprintf(dir, sizeof dir, "%s/copy", f->dir);
    snprintf(command, sizeof command, "mkdir %s && cp %s/shared %s/shared", dir, f->dir, dir);
    assert_int_equal(system(command), 0);
    assert_ok(shared_open(dir, &copy, &copy_use));
    assert_int_equal(turn_holder(&copy->queue.turn), 0);
    shared_close(copy, copy_use);
    assert_int_equal(turn_holder(&shared->queue.turn), getpid());
    queue_leave(&shared->queue, NULL, 0);
}

/* Who can only lead, and is called after it was killed or stopped, is waited for once. */
static void who_does_not_come_when_called_is_not_called_again(void **state)
{
    struct jobtab_owner owner = self();
    struct caller caller;

    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        uint32_t arrivals = atomic_load(&shared->queue.arrivals);
        int status;
        queue_lead(&shared->queue, &owner);
        pid_t pid = fork();
        if (pid == 0) {
            owner = self();
            queue_lead(&shared->queue, &owner);
            queue_leave(&shared->queue, NULL, 0);
            _exit(0);
        }
        assert_true(becomes(&shared->queue.arrivals, arrivals + 2));
        kill(pid, stopped ? SIGSTOP : SIGKILL);
        waitpid(pid, &status, WUNTRACED);
        begin(&caller, 1);
        queue_leave(&shared->queue, NULL, 0);
        pthread_join(caller.thread, NULL);
        assert_true(caller.led);
        assert_int_equal(atomic_load(&shared->queue.called), 0);
        if (stopped) { /* it has lost nothing but its place */
            kill(pid, SIGCONT);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }
    int taken = 0; /* a dead one's slot is found at the latest when no other is left */
    for (int i = 0; i < 2 * QUEUE_SMALL; i++)
        taken += take(10, 1) != NULL;
    assert_int_equal(taken, QUEUE_SMALL);
}

int main(void)
{
#define WITH_SHARED(test) cmocka_unit_test_setup_teardown(test, open_shared, close_shared)
    const struct CMUnitTest tests[] = {
        WITH_SHARED(a_slot_is_as_large_as_its_request),
        WITH_SHARED(every_use_of_a_slot_has_a_ticket_of_its_own),
        WITH_SHARED(slots_of_the_dead_are_taken_by_the_living),
        WITH_SHARED(slots_of_the_living_are_not),
        WITH_SHARED(those_that_wait_lead_in_the_order_in_which_they_came),
        WITH_SHARED(a_leader_answers_all_that_wait_longest_first),
        WITH_SHARED(who_leads_after_one_that_died_is_told_until_it_has_healed),
        WITH_SHARED(a_leader_that_is_killed_while_others_wait_is_followed_at_once),
        WITH_SHARED(who_has_the_turn_and_has_not_said_so_is_ended_when_stopped),
        WITH_SHARED(a_copy_of_the_file_has_none_of_its_locks),
        WITH_SHARED(who_does_not_come_when_called_is_not_called_again),
        WITH_SHARED(a_leader_that_is_stopped_is_ended_and_one_that_is_slow_is_not),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
