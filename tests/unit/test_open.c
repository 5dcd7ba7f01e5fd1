/* test_open.c - opening, closing, forking, and what of LMDB the library relies on. */
#include "fixture.h"

#include "store.h"

#include <dirent.h>
#include <fcntl.h>
#include <lmdb.h>
#include <poll.h>
#include <printf.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, fixture_directory, fixture_close)

static const struct jobtab_options existing = {.must_exist = true};

static void a_table_is_made_with_its_parents_and_found_again(void **state)
{
    struct fixture *f = *state;
    struct jobtab *table;
    struct jobtab_job job;
    char dir[128];

    snprintf(dir, sizeof dir, "%s/a/b/c", f->dir);
    assert_ok(jobtab_open(dir, NULL, &table));
    assert_ok(jobtab_submit(table, &(struct jobtab_submit){.kind = "k"}, &job));
    jobtab_close(table);
    assert_ok(jobtab_open(dir, &existing, &table));
    assert_ok(jobtab_get(table, &job.id, &job));
    jobtab_close(table);
}

static void a_typo_makes_no_table(void **state)
{
    struct fixture *f = *state;
    struct jobtab *table;
    struct stat st;
    char dir[128];

    snprintf(dir, sizeof dir, "%s/typo", f->dir);
    assert_int_equal(jobtab_open(dir, &existing, &table), JOBTAB_NOTABLE);
    assert_non_null(strstr(jobtab_why(), dir));
    assert_int_equal(stat(dir, &st), -1);
    assert_int_equal(jobtab_open(f->dir, &existing, &table), JOBTAB_NOTABLE);
    snprintf(dir, sizeof dir, "%s/open.lock", f->dir);
    assert_int_equal(stat(dir, &st), -1);
}

static void what_cannot_be_opened_is_named(void **state)
{
    struct fixture *f = *state;
    struct jobtab *table;
    char file[128], dir[160];

    snprintf(file, sizeof file, "%s/file", f->dir);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    snprintf(dir, sizeof dir, "%s/x", file);
    assert_int_equal(jobtab_open(dir, NULL, &table), JOBTAB_SYSTEM);
    assert_non_null(strstr(jobtab_why(), file));
    assert_non_null(strstr(jobtab_why(), "Not a directory"));
}

static void options_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;
    struct jobtab *table;
    const struct jobtab_policy bad = {.kind = "a b"}, late = {.kind = "k", .timeout = -1};
    const struct {
        struct jobtab_options options;
        const char *field;
    } rows[] = {
        {{.map_size = 4096}, "map_size"},
        {{.high_water = 96}, "high_water"},
        {{.retention = -1}, "retention"},
        {{.max_readers = 40000}, "max_readers"},
        {{.policies = &bad, .n_policies = 1}, "kind"},
        {{.policies = &late, .n_policies = 1}, "timeout"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(jobtab_open(f->dir, &rows[i].options, &table), JOBTAB_INVALID);
        assert_memory_equal(jobtab_why(), rows[i].field, strlen(rows[i].field));
    }
}

static void write_file(const struct fixture *f, const char *name, size_t size)
{
    static const char rubbish[4096] = {1, 2, 3};
    char path[128];

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, rubbish, size), size);
    close(fd);
}

/* What a crash may leave of a table in the making: an unnamed file, or, from earlier versions, an
 * empty one of its name. (tests/crash/power has all that a power failure may leave.) */
static void a_table_that_was_half_made_is_made_anew(void **state)
{
    struct fixture *f = *state;
    char path[128];

    write_file(f, "data.new", 4096);
    write_file(f, "data.mdb", 0);
    assert_int_equal(jobtab_open(f->dir, &existing, &f->table), JOBTAB_NOTABLE);
    fixture_reopen(f, NULL);
    submit(f, "k");
    assert_sound(f);
    snprintf(path, sizeof path, "%s/data.new", f->dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void bounds_stay_with_the_table(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat stat;

    fixture_reopen(f, &(struct jobtab_options){.max_jobs = 7, .retention = 1234});
    fixture_reopen(f, &(struct jobtab_options){.max_jobs = 8});
    fixture_reopen(f, NULL);
    assert_ok(jobtab_stat(f->table, &stat, NULL, 0));
    assert_int_equal(stat.options.max_jobs, 8);
    assert_int_equal(stat.options.retention, 1234);
    assert_int_equal(stat.options.high_water, 80);
    assert_int_equal(stat.max_readers, 1022);
}

static void a_process_opens_a_table_once(void **state)
{
    struct fixture *f = *state;
    struct jobtab *second;

    assert_int_equal(jobtab_open(f->dir, NULL, &second), JOBTAB_BUSY);
    jobtab_close(f->table);
    f->table = NULL;
    assert_ok(jobtab_open(f->dir, NULL, &f->table));
}

static void a_later_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct store_txn *txn;

    jobtab_close(f->table);
    f->table = NULL;
    assert_ok(store_open(f->dir, 0, 10, true, &store));
    assert_ok(store_write(store, &txn));
    store_put(txn, STORE_META, (struct slice){"schema", 6}, (struct slice){"2", 1});
    assert_ok(store_commit(txn));
    store_close(store, false);
    assert_int_equal(jobtab_open(f->dir, NULL, &f->table), JOBTAB_SCHEMA);
    assert_non_null(strstr(jobtab_why(), "schema 2"));
}

/* ------------------------------------------------------------------------- fork */

/* In the child: every call is refused, and closing and opening anew works. */
static int use_inherited(void *context)
{
    struct fixture *f = context;
    struct jobtab_job job;
    struct jobtab_id id = {{1}};
    struct jobtab_token token = {1, 1};
    struct jobtab_stat stat;
    struct jobtab_swept swept;
    char *bytes, *more, text[8];
    size_t n = 1;
    uint64_t seen = 0, records, faults, offset = 0;
    bool any;
    const int results[] = {
        jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k"}, &job),
        jobtab_claim(f->table, "k", &token, &job),
        jobtab_take(f->table, &id, &token, &job),
        jobtab_report(f->table, &id, &token, 1, NULL),
        jobtab_renew(f->table, &id, &token, 1),
        jobtab_log(f->table, &id, &token, "", 0),
        jobtab_finish(f->table, &id, &token, &(struct jobtab_finish){.error = NULL}),
        jobtab_release(f->table, &id, &token),
        jobtab_cancel(f->table, &id, NULL),
        jobtab_retry(f->table, &id, NULL),
        jobtab_delete(f->table, &id),
        jobtab_get(f->table, &id, &job),
        jobtab_find(f->table, "K", &id),
        jobtab_get_whole(f->table, &id, &job, &bytes, &more),
        jobtab_version(f->table, &id, &seen),
        jobtab_get_json(f->table, &id, text, sizeof text, &n, &seen),
        jobtab_hold(f->table),
        jobtab_read(f->table, &id, JOBTAB_PARAMS, &offset, 1, &bytes, &n),
        jobtab_list(f->table, NULL, &job, &n, NULL, &any),
        jobtab_stat(f->table, &stat, NULL, 0),
        jobtab_wait(f->table, &seen, 0),
        jobtab_wait_work(f->table, "k", 0),
        jobtab_claimable(f->table, "k", &any),
        jobtab_sweep(f->table, 1, &swept),
        jobtab_backup(f->table, "/nowhere"),
        jobtab_writable(f->table),
        jobtab_verify(f->table, NULL, NULL, NULL, &records, &faults),
    };

    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i] != JOBTAB_FORKED)
            return 10 + (int)i;
    jobtab_close(f->table);
    if (jobtab_open(f->dir, NULL, &f->table))
        return 1;
    if (jobtab_submit(f->table, &(struct jobtab_submit){.kind = "child"}, &job))
        return 2;
    jobtab_close(f->table);
    return 0;
}

static _Thread_local bool slow;

/* What %s does in this program: in a thread that asks for it, slowly. */
static int write_string(FILE *stream, const struct printf_info *info, const void *const *args)
{
    const char *text = *(const char *const *)args[0];

    (void)info;
    if (slow)
        poll(NULL, 0, 2);
    return fputs(text, stream) < 0 ? -1 : (int)strlen(text);
}

static int string_argument(const struct printf_info *info, size_t n, int *types, int *size)
{
    (void)info;
    (void)size;
    if (n > 0)
        types[0] = PA_STRING;
    return 1;
}

struct opener {
    struct fixture *fixture;
    atomic_bool stop;
};

/* Refused each time, in words that are written under the lock of the list of open tables. */
static void *open_again_and_again(void *context)
{
    struct opener *opener = context;
    struct jobtab *table;

    slow = true;
    while (!atomic_load(&opener->stop))
        if (jobtab_open(opener->fixture->dir, &existing, &table) != JOBTAB_BUSY)
            return context;
    return NULL;
}

static int close_inherited(void *context)
{
    struct fixture *f = context;

    alarm((unsigned)slowed(5)); /* what it must not wait for has no end */
    jobtab_close(f->table);
    kill(getpid(), SIGKILL); /* what the other thread had in memory is no leak of the child's */
    return 0;
}

/* A child has no thread that would give up the lock which another thread of its parent held. */
static void a_fork_while_another_thread_opens_leaves_the_child_able_to_close(void **state)
{
    struct opener opener = {.fixture = *state};
    int ended = 128 + SIGKILL;
    pthread_t thread;
    void *failed;

    assert_int_equal(register_printf_specifier('s', write_string, string_argument), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_again_and_again, &opener), 0);
    for (int i = 0; i < 10 && ended == 128 + SIGKILL; i++) {
        poll(NULL, 0, 3);
        ended = in_child(close_inherited, *state);
    }
    atomic_store(&opener.stop, true);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_int_equal(register_printf_specifier('s', NULL, NULL), 0);
    assert_null(failed);
    assert_int_equal(ended, 128 + SIGKILL);
}

static void a_handle_used_after_fork_is_an_error_and_never_a_corruption(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token;
    struct jobtab_job job;

    submit(f, "k");
    assert_int_equal(in_child(use_inherited, f), 0);
    /* the parent's handle is as sound as before, reads and writes */
    assert_ok(jobtab_claim(f->table, "child", &token, &job));
    submit(f, "k");
    assert_sound(f);
    fixture_reopen(f, NULL);
    assert_sound(f);
}

static void no_descriptor_of_the_table_survives_exec(void **state)
{
    struct fixture *f = *state;
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *entry;
    int of_table = 0;

    assert_non_null(fds);
    while ((entry = readdir(fds))) {
        char path[300], target[300];
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        if (strncmp(target, f->dir, strlen(f->dir)) != 0)
            continue;
        of_table++;
        assert_true(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC);
    }
    closedir(fds);
    assert_true(of_table >= 2); /* the test looked at something */
}

/* ------------------------------------------------------------ openers that race */

static int open_and_submit(void *context)
{
    struct fixture *f = context;
    struct jobtab *table;

    for (int i = 0; i < 5; i++) {
        if (jobtab_open(f->dir, NULL, &table))
            return 1;
        if (jobtab_submit(table, &(struct jobtab_submit){.kind = "k"}, NULL))
            return 2;
        jobtab_close(table);
    }
    return 0;
}

/* Openers and writers that come and go, some of them killed anywhere: no acknowledged job is
 * lost. */
static void openers_killed_anywhere_lose_no_commit(void **state)
{
    struct fixture *f = *state;
    struct jobtab_stat stat;
    uint64_t acknowledged = 0;

    for (int round = 0; round < 40; round++) {
        pid_t victim = fork();
        assert_true(victim >= 0);
        if (victim == 0)
            _exit(open_and_submit(f));
        usleep((useconds_t)(random() % 3000));
        kill(victim, SIGKILL);
        /* the next opener does not wait for the dead one */
        struct jobtab *table;
        assert_ok(jobtab_open(f->dir, NULL, &table));
        assert_ok(jobtab_submit(table, &(struct jobtab_submit){.kind = "mine"}, NULL));
        acknowledged++;
        jobtab_close(table);
        assert_int_equal(waitpid(victim, NULL, 0), victim);
    }
    fixture_reopen(f, NULL);
    struct jobtab_kind_count kinds[2];
    assert_ok(jobtab_stat(f->table, &stat, kinds, 2));
    for (size_t i = 0; i < stat.n_kinds; i++)
        if (strcmp(kinds[i].kind, "mine") == 0)
            assert_int_equal(kinds[i].states[JOBTAB_PENDING], acknowledged);
    assert_true(stat.jobs >= acknowledged);
    assert_sound(f);
}

static void a_map_that_another_process_grew_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct jobtab *table;
    static char params[60000];
    int pipes[2][2];
    char byte = 0;

    jobtab_close(f->table);
    f->table = NULL;
    assert_int_equal(pipe(pipes[0]) | pipe(pipes[1]), 0);
    memset(params, ' ', sizeof params);
    params[0] = '1';
    pid_t child = fork();
    if (child == 0) { /* opens small, and is still there when the map has grown */
        struct jobtab_job job;
        int rc = jobtab_open(f->dir, &(struct jobtab_options){.map_size = 2 << 20}, &table);
        rc = rc ? rc : jobtab_submit(table, &(struct jobtab_submit){.kind = "k"}, &job);
        if (write(pipes[0][1], &byte, 1) != 1 || read(pipes[1][0], &byte, 1) != 1)
            _exit(99);
        rc = rc ? rc : jobtab_get(table, &job.id, &job);
        rc = rc ? rc : jobtab_submit(table, &(struct jobtab_submit){.kind = "k"}, &job);
        _exit(rc);
    }
    assert_int_equal(read(pipes[0][0], &byte, 1), 1);
    fixture_reopen(f, &(struct jobtab_options){.map_size = 64 << 20});
    for (int i = 0; i < 100; i++) /* 6 MB */
        assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = "k", .params = params,
                                                                  .params_size = sizeof params},
                                NULL));
    assert_int_equal(write(pipes[1][1], &byte, 1), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_sound(f);
}

/* -------------------------------------------------------- what LMDB must go on doing */

static void the_writer_holder_stands_at_byte_64_of_the_lock_file(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct store_txn *txn;
    char path[128];
    int32_t holder;

    jobtab_close(f->table);
    f->table = NULL;
    assert_ok(store_open(f->dir, 0, 10, true, &store));
    assert_ok(store_write(store, &txn));
    snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, &holder, sizeof holder, 64), sizeof holder);
    assert_int_equal(holder & 0x3fffffff, gettid());
    store_end(txn);
    assert_int_equal(pread(fd, &holder, sizeof holder, 64), sizeof holder);
    assert_int_equal(holder, 0);
    close(fd);
    store_close(store, false);
}

static void the_lock_file_has_all_its_blocks(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[128];

    snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1022 * 64 + 128);
    assert_true(st.st_blocks * 512 >= st.st_size);
}

static void debian_s_lmdb_is_one_that_keeps_the_mutex_when_a_process_closes(void **state)
{
    int major, minor, patch;

    (void)state;
    mdb_version(&major, &minor, &patch);
    assert_false(major == 0 && minor == 9 && patch >= 26 && patch <= 31);
}

/* ------------------------------------------------------------------------ attach */

static void a_child_attaches_by_its_environment(void **state)
{
    struct fixture *f = *state;
    struct jobtab_token token, handed;
    struct jobtab_id id;
    char text[JOBTAB_TOKEN_TEXT], id_text[JOBTAB_ID_TEXT];
    bool has_job;

    submit(f, "k");
    struct jobtab_job job = claim(f, "k", &token);
    jobtab_close(f->table);
    f->table = NULL;
    unsetenv("JOBTAB_TABLE");
    assert_int_equal(jobtab_attach(&f->table, &has_job, &id, &handed), JOBTAB_NOTABLE);
    setenv("JOBTAB_TABLE", f->dir, 1);
    assert_ok(jobtab_attach(&f->table, &has_job, &id, &handed));
    assert_false(has_job);
    jobtab_close(f->table);
    f->table = NULL;
    jobtab_id_format(&job.id, id_text);
    jobtab_token_format(&token, text);
    setenv("JOBTAB_JOB_ID", id_text, 1);
    assert_int_equal(jobtab_attach(&f->table, &has_job, &id, &handed), JOBTAB_INVALID);
    setenv("JOBTAB_TOKEN", text, 1);
    assert_ok(jobtab_attach(&f->table, &has_job, &id, &handed));
    assert_true(has_job);
    assert_ok(jobtab_report(f->table, &id, &handed, 10, "attached"));
    unsetenv("JOBTAB_TABLE");
    unsetenv("JOBTAB_JOB_ID");
    unsetenv("JOBTAB_TOKEN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(a_table_is_made_with_its_parents_and_found_again),
        WITH_DIRECTORY(a_typo_makes_no_table),
        WITH_DIRECTORY(what_cannot_be_opened_is_named),
        WITH_DIRECTORY(options_out_of_range_are_refused),
        WITH_DIRECTORY(a_table_that_was_half_made_is_made_anew),
        WITH_DIRECTORY(bounds_stay_with_the_table),
        WITH_TABLE(a_process_opens_a_table_once),
        WITH_TABLE(a_later_schema_is_refused),
        WITH_TABLE(a_fork_while_another_thread_opens_leaves_the_child_able_to_close),
        WITH_TABLE(a_handle_used_after_fork_is_an_error_and_never_a_corruption),
        WITH_TABLE(no_descriptor_of_the_table_survives_exec),
        WITH_DIRECTORY(openers_killed_anywhere_lose_no_commit),
        WITH_DIRECTORY(a_map_that_another_process_grew_is_adopted),
        WITH_TABLE(the_writer_holder_stands_at_byte_64_of_the_lock_file),
        WITH_TABLE(the_lock_file_has_all_its_blocks),
        WITH_TABLE(debian_s_lmdb_is_one_that_keeps_the_mutex_when_a_process_closes),
        WITH_TABLE(a_child_attaches_by_its_environment),
    };
    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
