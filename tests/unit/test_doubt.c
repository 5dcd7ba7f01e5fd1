/* test_doubt.c - after a commit that failed: who may write again, and when; and disks without
 * room. */
#include "fixture.h"

#include "../crash/disk/fault.h"
#include "clock.h"
#include "edit.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#define META_SIZE 152 /* of a meta page: its header and what it says */

/* A table with a running job, made before anything fails. */
struct trial {
    struct fixture *f;
    struct fault *fault;
    struct jobtab_job job;
    struct jobtab_token token;
};

static struct trial begin(void **state)
{
    struct trial t = {.f = *state, .fault = fault_in_force()};

    fault_disarm(t.fault);
    atomic_store(&t.fault->only, FAULT_ALL);
    snprintf(t.fault->dir, sizeof t.fault->dir, "%s/", t.f->dir);
    fixture_reopen(t.f, NULL);
    submit(t.f, "k");
    t.job = claim(t.f, "k", &t.token);
    return t;
}

static int report(struct trial *t, uint32_t progress)
{
    return jobtab_report(t->f->table, &t->job.id, &t->token, progress, NULL);
}

static void reopen(struct trial *t)
{
    jobtab_close(t->f->table);
    t->f->table = NULL;
    assert_ok(jobtab_open(t->f->dir, NULL, &t->f->table));
}

/* Until the table has been tried again: not more often than twice a second. */
static int await_report(struct trial *t, uint32_t progress)
{
    int rc = report(t, progress);

    for (int tries = 0; rc == JOBTAB_SYSTEM && tries < 200; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        rc = report(t, progress);
    }
    return rc;
}

static void only(struct trial *t, enum fault_call call, uint32_t from, uint32_t times)
{
    atomic_store(&t->fault->only, 1u << call);
    fault_arm(t->fault, EIO, from, times);
}

static void a_handle_whose_commit_failed_is_of_no_use_and_opens_again(void **state)
{
    struct trial t = begin(state);
    struct jobtab_job job;

    only(&t, FAULT_FDATASYNC, 1, 1);
    assert_int_equal(report(&t, 10), JOBTAB_BROKEN);
    fault_disarm(t.fault);
    assert_int_equal(report(&t, 20), JOBTAB_BROKEN);
    assert_int_equal(jobtab_get(t.f->table, &t.job.id, &job), JOBTAB_BROKEN);
    assert_int_equal(jobtab_writable(t.f->table), JOBTAB_BROKEN);
    reopen(&t);
    assert_int_equal(jobtab_writable(t.f->table), JOBTAB_SYSTEM);
    assert_int_equal(get(t.f, &t.job.id).progress, 0);
    assert_ok(report(&t, 30));
    assert_ok(jobtab_writable(t.f->table));
    assert_sound(t.f);
}

/* While the disk stays bad there are reads, and changes are refused without a process being
 * lost. */
static void a_disk_that_stays_bad_refuses_changes_and_lets_reads_be(void **state)
{
    struct trial t = begin(state);

    only(&t, FAULT_FDATASYNC, 1, FAULT_FOR_EVER);
    assert_int_equal(report(&t, 10), JOBTAB_BROKEN);
    reopen(&t);
    int64_t begun = clock_boot();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(report(&t, 20), JOBTAB_SYSTEM);
        assert_non_null(strstr(jobtab_why(), "cannot sync"));
        assert_int_equal(get(t.f, &t.job.id).progress, 0);
    }
    assert_true(atomic_load(&t.fault->failed) < 10); /* the disk was not asked each time */
    assert_true(clock_boot() - begun < slowed(500)); /* and nobody waited for anybody */
    fault_disarm(t.fault);
    assert_ok(await_report(&t, 30));
    assert_sound(t.f);
}

static void a_page_that_cannot_be_read_refuses_changes(void **state)
{
    struct trial t = begin(state);

    only(&t, FAULT_FDATASYNC, 1, 1);
    assert_int_equal(report(&t, 10), JOBTAB_BROKEN);
    reopen(&t);
    only(&t, FAULT_READ, 2, FAULT_FOR_EVER); /* the first is of a meta page */
    assert_int_equal(report(&t, 20), JOBTAB_SYSTEM);
    assert_non_null(strstr(jobtab_why(), "cannot read"));
    fault_disarm(t.fault);
    assert_ok(await_report(&t, 30));
}

/* --------------------------------------------------------------- the meta pages */

static void read_meta(struct trial *t, unsigned char pages[2][META_SIZE])
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", t->f->dir, store_file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pread(fd, pages[i], META_SIZE, i * sysconf(_SC_PAGESIZE)), META_SIZE);
    close(fd);
}

/* Fail the write of a meta page, which is a commit's last, and LMDB's own attempt to undo it. How
 * many writes come before it differs from commit to commit: it is as many as last time often
 * enough. */
static int fail_in_meta(void *context)
{
    struct trial *t = context;
    uint32_t writes = UINT32_MAX;

    jobtab_close(t->f->table);
    for (int tries = 0; tries < 50; tries++) {
        if (jobtab_open(t->f->dir, NULL, &t->f->table))
            return 1;
        atomic_store(&t->fault->only, 1u << FAULT_PWRITE | 1u << FAULT_WRITEV);
        fault_arm(t->fault, 0, 0, 0);
        if (report(t, 10))
            return 2;
        writes = atomic_load(&t->fault->calls);
        fault_arm(t->fault, FAULT_SHORT, writes, FAULT_FOR_EVER);
        int rc = report(t, 20);
        fault_disarm(t->fault);
        if (rc == JOBTAB_BROKEN && atomic_load(&t->fault->failed) == 2)
            return 0;
        jobtab_close(t->f->table);
    }
    return 3;
}

/* What a failed commit may have left in the meta page that the next one takes is undone before any
 * page is written which it could name, and by a process that had no part in it. */
static void a_meta_page_of_a_failed_commit_is_undone_before_the_next(void **state)
{
    struct trial t = begin(state);
    unsigned char failed[2][META_SIZE], after[2][META_SIZE];

    assert_int_equal(in_child(fail_in_meta, &t), 0);
    read_meta(&t, failed);
    assert_int_equal(jobtab_writable(t.f->table), JOBTAB_SYSTEM);
    only(&t, FAULT_WRITEV, 1, FAULT_FOR_EVER); /* stop the commit where it would write its pages */
    atomic_fetch_or(&t.fault->only, 1u << FAULT_FDATASYNC);
    fault_arm(t.fault, EIO, 2, FAULT_FOR_EVER); /* after the sync of what was undone */
    assert_int_equal(report(&t, 30), JOBTAB_BROKEN);
    fault_disarm(t.fault);
    read_meta(&t, after);
    assert_memory_equal(after[0] + 16, after[1] + 16, META_SIZE - 16);
    assert_true(memcmp(failed[0] + 16, failed[1] + 16, META_SIZE - 16) != 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(after[i][0], i); /* the page's own number stays */
    reopen(&t);
    assert_int_equal(get(t.f, &t.job.id).progress, 10);
    assert_ok(await_report(&t, 40));
    assert_sound(t.f);
}

/* ------------------------------------------------------------------- what is damaged */

static void damage(struct trial *t)
{
    struct slice key = {.data = &t->job.id, .size = sizeof t->job.id};
    struct store_txn *txn;
    struct store *store;

    jobtab_close(t->f->table);
    t->f->table = NULL;
    assert_ok(store_open(t->f->dir, 0, 1022, true, &store));
    assert_ok(store_write(store, &txn));
    store_delete(txn, STORE_RUNNING, key);
    assert_ok(store_commit(txn));
    store_close(store, false);
}

static void repair(struct trial *t)
{
    char path[128];

    jobtab_close(t->f->table);
    t->f->table = NULL;
    snprintf(path, sizeof path, "%s/%s", t->f->dir, store_file);
    assert_int_equal(unlink(path), 0);
}

static void a_damaged_table_is_read_and_not_written_to_until_it_is_another(void **state)
{
    struct trial t = begin(state);
    struct jobtab_submit other = {.kind = "k"};
    struct jobtab_stat stat;

    only(&t, FAULT_FDATASYNC, 1, 1);
    assert_int_equal(report(&t, 10), JOBTAB_BROKEN);
    fault_disarm(t.fault);
    damage(&t);
    assert_ok(jobtab_open(t.f->dir, NULL, &t.f->table));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(jobtab_submit(t.f->table, &other, NULL), JOBTAB_DAMAGED);
        assert_non_null(strstr(jobtab_why(), "faults, see verify"));
        assert_int_equal(jobtab_writable(t.f->table), JOBTAB_DAMAGED);
        assert_ok(jobtab_stat(t.f->table, &stat, NULL, 0));
        assert_int_equal(stat.jobs, 1);
    }
    reopen(&t); /* nobody has it open: looked at again, and no better */
    assert_int_equal(jobtab_writable(t.f->table), JOBTAB_SYSTEM);
    assert_int_equal(jobtab_submit(t.f->table, &other, NULL), JOBTAB_DAMAGED);
    repair(&t);
    fixture_reopen(t.f, NULL);
    assert_ok(jobtab_submit(t.f->table, &other, NULL));
    assert_ok(jobtab_writable(t.f->table));
    assert_sound(t.f);
}

static int fail_report(void *context)
{
    struct trial *t = context;

    jobtab_close(t->f->table);
    if (jobtab_open(t->f->dir, NULL, &t->f->table))
        return 1;
    only(t, FAULT_FDATASYNC, 1, 1);
    return report(t, 20) == JOBTAB_BROKEN ? 0 : 2;
}

static void others_go_on_once_the_table_is_verified(void **state)
{
    struct trial t = begin(state);
    struct jobtab_swept swept;

    assert_int_equal(in_child(fail_report, &t), 0);
    assert_int_equal(jobtab_writable(t.f->table), JOBTAB_SYSTEM);
    assert_ok(jobtab_sweep(t.f->table, 10, &swept)); /* which has nothing else to do */
    assert_ok(jobtab_writable(t.f->table));
    assert_ok(report(&t, 40));
    assert_sound(t.f);
}

/* ----------------------------------------------------------------------- opening */

static void a_table_opens_on_a_disk_that_refuses_to_sync(void **state)
{
    struct trial t = begin(state);

    only(&t, FAULT_FDATASYNC, 1, FAULT_FOR_EVER);
    reopen(&t);
    assert_int_equal(get(t.f, &t.job.id).progress, 0);
    assert_int_equal(report(&t, 10), JOBTAB_SYSTEM);
    fault_disarm(t.fault);
    assert_ok(await_report(&t, 20));
}

static void a_lock_file_with_holes_gets_its_blocks(void **state)
{
    struct fixture *f = *state;
    struct stat file;
    char path[128];

    snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* as mdb_stat makes one */
    assert_int_equal(ftruncate(fd, 126 * 64 + 128), 0);
    fixture_reopen(f, NULL);
    assert_int_equal(fstat(fd, &file), 0);
    assert_true(file.st_blocks * 512 >= file.st_size);
    close(fd);
    submit(f, "k");
}

/* ------------------------------------------------------------------ room on the disk */

static int submit_large(struct fixture *f, struct jobtab_job *job)
{
    static char params[30000];

    memset(params, '1', sizeof params);
    return jobtab_submit(f->table, &(struct jobtab_submit){.kind = "large", .params = params,
                                                           .params_size = sizeof params}, job);
}

/* On a disk that has no more to give: room is made, and used again, within the file. */
static void what_is_deleted_on_a_full_disk_makes_room_for_others(void **state)
{
    struct trial t = begin(state);
    struct jobtab_job jobs[400];
    int n = 0, rc;

    atomic_store(&t.fault->only, 1u << FAULT_FALLOCATE);
    fault_arm(t.fault, ENOSPC, 5, FAULT_FOR_EVER);
    while ((rc = submit_large(t.f, &jobs[n])) == JOBTAB_OK)
        assert_true(++n < 400);
    assert_int_equal(rc, JOBTAB_FULL);
    assert_non_null(strstr(jobtab_why(), "No space left"));
    assert_ok(report(&t, 10)); /* what is there goes on */
    for (int i = 0; i < n; i++)
        assert_ok(jobtab_delete(t.f->table, &jobs[i].id));
    for (int i = 0; i < 3; i++) /* what was freed is to be had a few commits later */
        assert_ok(report(&t, 20));
    for (int i = 0; i < n / 4; i++)
        assert_ok(submit_large(t.f, &jobs[i]));
    assert_sound(t.f);
}

static void a_log_that_would_take_the_last_room_waits(void **state)
{
    static char text[2 << 20];
    struct trial t = begin(state);

    memset(text, 'x', sizeof text);
    fixture_reopen(t.f, &(struct jobtab_options){.log_max = 4 << 20});
    atomic_store(&t.fault->only, 1u << FAULT_FALLOCATE);
    fault_arm(t.fault, ENOSPC, 1, FAULT_FOR_EVER);
    assert_int_equal(jobtab_log(t.f->table, &t.job.id, &t.token, text, sizeof text), JOBTAB_FULL);
    assert_ok(finish(t.f, &t.job.id, &t.token, JOBTAB_GIVE_UP));
    assert_sound(t.f);
}

int main(void)
{
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_directory, fixture_close)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(a_handle_whose_commit_failed_is_of_no_use_and_opens_again),
        WITH_DIRECTORY(a_disk_that_stays_bad_refuses_changes_and_lets_reads_be),
        WITH_DIRECTORY(a_page_that_cannot_be_read_refuses_changes),
        WITH_DIRECTORY(a_meta_page_of_a_failed_commit_is_undone_before_the_next),
        WITH_DIRECTORY(a_damaged_table_is_read_and_not_written_to_until_it_is_another),
        WITH_DIRECTORY(others_go_on_once_the_table_is_verified),
        WITH_DIRECTORY(a_table_opens_on_a_disk_that_refuses_to_sync),
        WITH_DIRECTORY(a_lock_file_with_holes_gets_its_blocks),
        WITH_DIRECTORY(what_is_deleted_on_a_full_disk_makes_room_for_others),
        WITH_DIRECTORY(a_log_that_would_take_the_last_room_waits),
    };
    return cmocka_run_group_tests_name("doubt", tests, NULL, NULL);
}
