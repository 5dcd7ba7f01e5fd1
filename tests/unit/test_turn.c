/* test_turn.c - the turn to write passes on, whoever of those that have it or wait for it dies. */
#include "fixture.h"

#include "clock.h"
#include "table.h"
#include "turn.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define ROUNDS 4

/* ------------------------------------------------------------- the lock alone */

static struct turn *new_turn(void)
{
    struct turn *turn = mmap(NULL, sizeof *turn, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(turn, MAP_FAILED);
    turn_make(turn);
    return turn;
}

static int take_and_die(void *turn)
{
    bool died;

    turn_try(turn, &died);
    kill(getpid(), SIGKILL);
    return 0;
}

static int take_and_give(void *turn)
{
    bool died;

    if (!turn_wait(turn, &died))
        return 2;
    turn_give(turn);
    return died;
}

static void a_holder_s_death_is_told_once_to_the_next(void **state)
{
    struct turn *turn = new_turn();

    (void)state;
    assert_int_equal(take_and_give(turn), 0);
    assert_int_equal(in_child(take_and_give, turn), 0);
    assert_int_equal(in_child(take_and_die, turn), 128 + SIGKILL);
    assert_int_equal(in_child(take_and_give, turn), 1);
    assert_int_equal(take_and_give(turn), 0);
    munmap(turn, sizeof *turn);
}

/* ------------------------------------------------------- a wake-up that dies */

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* All on one processor, so that whoever is idle there runs only when nobody else wants to. */
static void stay_on_one_processor(void)
{
    cpu_set_t all, one;
    size_t cpu = 0;

    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

/* What the processes of a round share. */
struct round {
    const char *dir;
    _Atomic int wait, through;
};

static pid_t start(void (*body)(struct round *round), struct round *round)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    body(round);
    _exit(0);
}

static void write_one(struct round *round, bool idly)
{
    static const struct sched_param none;
    struct jobtab *table;
    struct jobtab_job job;

    if (jobtab_open(round->dir, NULL, &table) != JOBTAB_OK)
        return;
    if (idly) {
        stay_on_one_processor();
        sched_setscheduler(0, SCHED_IDLE, &none);
    }
    atomic_fetch_add(&round->wait, 1);
    if (jobtab_submit(table, &(struct jobtab_submit){.kind = "k"}, &job) == JOBTAB_OK)
        atomic_fetch_add(&round->through, 1);
}

static void write_idly(struct round *round)
{
    write_one(round, true);
}

static void write_at_once(struct round *round)
{
    write_one(round, false);
}

static void keep_busy(struct round *round)
{
    (void)round;
    stay_on_one_processor();
    for (;;)
        continue;
}

static void until(const _Atomic int *number, int wanted)
{
    int64_t deadline = clock_boot() + slowed(5000);

    while (atomic_load(number) < wanted && clock_boot() < deadline)
        pause_ms(1);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The first in line is woken and killed before it runs, while the one who woke it has taken the
 * turn again. The second in line is not forgotten: nobody else comes who could wake it by
 * chance. */
static void a_writer_killed_as_it_wakes_takes_no_other_s_wake_up_with_it(void **state)
{
    struct fixture *f = *state;
    struct round *round = mmap(NULL, sizeof *round, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct queue *queue = &f->table->shared->queue;
    struct turn *turn = &queue->turn;

    int faster = 0;

    assert_ptr_not_equal(round, MAP_FAILED);
    for (int n = 0; n < ROUNDS; n++) {
        *round = (struct round){.dir = f->dir};
        queue_lead(queue, &f->table->self);
        pid_t first = start(write_idly, round);
        until(&round->wait, 1);
        pause_ms(slowed(50)); /* it is about to sleep */
        pid_t second = start(write_at_once, round);
        until(&round->wait, 2);
        pause_ms(slowed(10));
        pid_t busy = start(keep_busy, round);
        pause_ms(10);
        queue_leave(queue, NULL, 0);
        bool died;
        if (!turn_try(turn, &died)) { /* who was woken was faster: this round shows nothing */
            end(busy);
            end(first);
            end(second);
            assert_true(++faster < 10 * ROUNDS);
            n--;
            continue;
        }
        kill(first, SIGKILL);
        end(busy);
        assert_int_equal(waitpid(first, NULL, 0), first);
        turn_give(turn);
        until(&round->through, 1);
        end(second);
        assert_int_equal(atomic_load(&round->through), 1);
    }
    munmap(round, sizeof *round);
    assert_sound(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_holder_s_death_is_told_once_to_the_next),
        cmocka_unit_test_setup_teardown(
            a_writer_killed_as_it_wakes_takes_no_other_s_wake_up_with_it, fixture_open,
            fixture_close),
    };
    return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
