/* test_holders.c - who has what others need is named, whatever state it is in. */
#include "fixture.h"

#include "locks.h"
#include "store.h"
#include "table.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)
#define SLOT_BEGIN 128 /* of the list of readers in the lock file */
#define SLOT_SIZE 64
#define SLOT_PID 8

static const struct jobtab_options existing = {.must_exist = true};

/* What a child does before it stops itself; 0 when it has what it should have. */
typedef int take_fn(const struct fixture *f);

static int take_snapshot(const struct fixture *f)
{
    struct jobtab *table;
    struct jobtab_stat stat;

    return jobtab_open(f->dir, &existing, &table) || jobtab_hold(table) ||
           jobtab_stat(table, &stat, NULL, 0);
}

static int take_writer(const struct fixture *f)
{
    struct store *store;
    struct store_txn *txn;

    return store_open(f->dir, 0, 10, true, &store) || store_write(store, &txn);
}

/* LMDB has it for moments only, in the midst of its own functions. */
static int take_readers(const struct fixture *f)
{
    char path[128];

    snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED || pthread_mutex_lock((pthread_mutex_t *)(void *)(at + 8));
}

static int take_open(const struct fixture *f)
{
    char path[128];

    snprintf(path, sizeof path, "%s/open.lock", f->dir);
    return flock(open(path, O_RDWR | O_CLOEXEC), LOCK_EX);
}

static pid_t stopped_child(const struct fixture *f, take_fn *take)
{
    int status;

    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody stopped behind */
        if (take(f) == 0)
            raise(SIGSTOP);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* What the process has, as the table tells. */
static bool holder(struct fixture *f, pid_t pid, struct jobtab_holder *found)
{
    struct jobtab_holder holders[8];
    size_t n = 8;

    assert_ok(jobtab_holders(f->table, holders, &n));
    for (size_t i = 0; i < n; i++) {
        if (holders[i].pid == pid) {
            *found = holders[i];
            return true;
        }
    }
    return false;
}

static void who_is_stopped_with_a_snapshot_is_named_once_the_table_has_moved_on(void **state)
{
    struct fixture *f = *state;
    struct jobtab_holder one, other;

    pid_t child = stopped_child(f, take_snapshot);
    assert_false(holder(f, child, &one)); /* it keeps nothing from anybody */
    submit(f, "k");
    assert_true(holder(f, child, &one));
    assert_int_equal(one.what, JOBTAB_HOLDS_SNAPSHOT);
    assert_int_equal(one.behind, 1);
    assert_true(one.stopped);
    assert_false(one.busy);
    submit(f, "k");
    assert_true(holder(f, child, &other));
    assert_int_equal(other.number, one.number);
    assert_int_equal(other.behind, 2);
    assert_int_equal(other.start_time, one.start_time);
    assert_int_equal(other.cpu, one.cpu);
    end(child);
    assert_false(holder(f, child, &one));
}

static void who_has_a_lock_is_named(void **state)
{
    static const struct {
        take_fn *take;
        enum jobtab_holds what;
    } rows[] = {
        {take_writer, JOBTAB_HOLDS_WRITER},
        {take_readers, JOBTAB_HOLDS_READERS},
        {take_open, JOBTAB_HOLDS_OPEN},
    };
    struct fixture *f = *state;
    struct jobtab_holder found;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pid_t child = stopped_child(f, rows[i].take);
        assert_true(holder(f, child, &found));
        assert_int_equal(found.what, rows[i].what);
        assert_int_equal(found.number, child);
        assert_true(found.stopped);
        end(child);
        assert_false(holder(f, child, &found));
    }
    submit(f, "k"); /* the locks of the dead are there for others */
    assert_sound(f);
}

static int spin(const struct fixture *f)
{
    volatile uint64_t turns = 0;

    if (take_snapshot(f) == 0)
        for (;;)
            turns++;
    return 1;
}

static void who_runs_with_a_snapshot_is_busy_and_uses_the_processor(void **state)
{
    struct fixture *f = *state;
    struct jobtab_holder one = {.cpu = 0}, other;
    bool busy = false;

    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(spin(f));
    }
    for (int64_t until = jobtab_now() + slowed(10000); jobtab_now() < until && !busy;) {
        submit(f, "k");
        busy = holder(f, child, &other) && other.busy && !other.stopped && one.pid == child &&
               other.cpu > one.cpu;
        if (one.pid != child)
            holder(f, child, &one);
    }
    assert_true(busy);
    end(child);
}

static void no_more_are_told_than_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    struct jobtab_holder holders[2];
    pid_t children[3];
    size_t n = 2;

    for (int i = 0; i < 3; i++)
        children[i] = stopped_child(f, take_snapshot);
    submit(f, "k");
    assert_ok(jobtab_holders(f->table, holders, &n));
    assert_int_equal(n, 2);
    assert_int_not_equal(holders[0].pid, holders[1].pid);
    for (int i = 0; i < 3; i++)
        end(children[i]);
}

static void who_is_stopped_while_it_opens_is_ended_by_those_who_wait(void **state)
{
    struct fixture *f = *state;
    int status;

    jobtab_close(f->table);
    f->table = NULL;
    pid_t child = stopped_child(f, take_open);
    fixture_reopen(f, &existing);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_sound(f);
}

/* Give the slot of one process to another, as a pid that is used again does. */
static bool hand_slot_on(const struct fixture *f, int32_t from, int32_t to)
{
    char path[128];
    int32_t pid;
    bool done = false;

    snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    for (off_t at = SLOT_BEGIN + SLOT_PID;
         !done && pread(fd, &pid, sizeof pid, at) == (ssize_t)sizeof pid; at += SLOT_SIZE)
        done = pid == from && pwrite(fd, &to, sizeof to, at) == (ssize_t)sizeof to;
    close(fd);
    return done;
}

static void tell_pid(int32_t pid, uint64_t shows, void *context)
{
    int32_t *reading = context;

    if (shows && *reading != getpid())
        *reading = pid;
}

static void an_opener_clears_the_slot_of_one_that_had_its_pid(void **state)
{
    struct fixture *f = *state;
    int32_t reading = 0;

    pid_t child = stopped_child(f, take_snapshot);
    submit(f, "k");
    pid_t bystander = stopped_child(f, take_snapshot); /* the first to open finds an empty list */
    jobtab_close(f->table);
    f->table = NULL;
    end(child);
    assert_true(hand_slot_on(f, child, getpid()));
    fixture_reopen(f, &existing);
    store_each_reader(f->table->store, tell_pid, &reading);
    assert_int_equal(reading, bystander);
    end(bystander);
    submit(f, "k");
    assert_sound(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(who_is_stopped_with_a_snapshot_is_named_once_the_table_has_moved_on),
        WITH_TABLE(who_has_a_lock_is_named),
        WITH_TABLE(who_runs_with_a_snapshot_is_busy_and_uses_the_processor),
        WITH_TABLE(no_more_are_told_than_there_is_room_for),
        WITH_TABLE(who_is_stopped_while_it_opens_is_ended_by_those_who_wait),
        WITH_TABLE(an_opener_clears_the_slot_of_one_that_had_its_pid),
    };
    return cmocka_run_group_tests_name("holders", tests, NULL, NULL);
}
