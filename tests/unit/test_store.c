/* test_store.c - the store where what is beneath it fails: each call of LMDB and of the system, one
 * after the other, is made to return an error, and what is promised of it must hold.
 *
 * The linker puts the functions below in front of the real ones (--wrap, see local.mk). */
#include "fixture.h"

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ------------------------------------------------------------- what is to fail */

static struct fault {
    const char *call; /* NULL: none */
    int after;        /* so many calls of it that do not fail */
    int code;
} faults[2]; /* the second in what is done about the first */

static const struct fault *fails(const char *call)
{
    static struct fault now;

    if (!faults[0].call || strcmp(call, faults[0].call) != 0 || faults[0].after-- > 0)
        return NULL;
    now = faults[0];
    faults[0] = faults[1];
    faults[1].call = NULL;
    return &now;
}

static void fail_at(const char *call, int after, int code)
{
    faults[0] = (struct fault){.call = call, .after = after, .code = code};
    faults[1].call = NULL;
}

static void then_fail_at(const char *call, int after, int code)
{
    faults[1] = (struct fault){.call = call, .after = after, .code = code};
}

/* What was to fail did. */
static void assert_failed(void)
{
    assert_null(faults[0].call);
}

#define WRAP(name, parameters, ...)                                                               \
    int __real_##name parameters;                                                                 \
    int __wrap_##name parameters;                                                                 \
    int __wrap_##name parameters                                                                  \
    {                                                                                             \
        const struct fault *fault = fails(#name);                                                 \
        return fault ? fault->code : __real_##name(__VA_ARGS__);                                  \
    }

WRAP(mdb_env_create, (MDB_env **env), env)
WRAP(mdb_env_set_maxdbs, (MDB_env *env, MDB_dbi n), env, n)
WRAP(mdb_env_set_maxreaders, (MDB_env *env, unsigned n), env, n)
WRAP(mdb_env_set_mapsize, (MDB_env *env, size_t size), env, size)
WRAP(mdb_env_open, (MDB_env *env, const char *dir, unsigned flags, mdb_mode_t mode), env, dir, flags,
     mode)
WRAP(mdb_env_get_fd, (MDB_env *env, mdb_filehandle_t *fd), env, fd)
WRAP(mdb_env_sync, (MDB_env *env, int force), env, force)
WRAP(mdb_env_copy2, (MDB_env *env, const char *dir, unsigned flags), env, dir, flags)
WRAP(mdb_reader_check, (MDB_env *env, int *dead), env, dead)
WRAP(mdb_txn_begin, (MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn), env, parent,
     flags, txn)
WRAP(mdb_txn_renew, (MDB_txn *txn), txn)
WRAP(mdb_dbi_open, (MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *dbi), txn, name, flags,
     dbi)
WRAP(mdb_get, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), txn, dbi, key, data)
WRAP(mdb_put, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags), txn, dbi,
     key, data, flags)
WRAP(mdb_del, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), txn, dbi, key, data)
WRAP(mdb_stat, (MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat), txn, dbi, stat)
WRAP(mdb_cursor_open, (MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor), txn, dbi, cursor)
WRAP(mdb_cursor_get, (MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op), cursor,
     key, data, op)
WRAP(mdb_cursor_del, (MDB_cursor *cursor, unsigned flags), cursor, flags)

/* Those of the system return -1 and set errno. */
#define WRAP_SYSTEM(name, result, parameters, ...)                                                \
    result __real_##name parameters;                                                              \
    result __wrap_##name parameters;                                                              \
    result __wrap_##name parameters                                                               \
    {                                                                                             \
        const struct fault *fault = fails(#name);                                                 \
        if (!fault)                                                                               \
            return __real_##name(__VA_ARGS__);                                                    \
        errno = fault->code;                                                                      \
        return -1;                                                                                \
    }

WRAP_SYSTEM(fallocate, int, (int fd, int mode, off_t offset, off_t size), fd, mode, offset, size)
WRAP_SYSTEM(getrlimit, int, (int resource, struct rlimit *limit), resource, limit)
WRAP_SYSTEM(rename, int, (const char *from, const char *to), from, to)
WRAP_SYSTEM(unlink, int, (const char *path), path)
WRAP_SYSTEM(stat, int, (const char *path, struct stat *file), path, file)
WRAP_SYSTEM(fstat, int, (int fd, struct stat *file), fd, file)
WRAP_SYSTEM(pread, ssize_t, (int fd, void *to, size_t size, off_t at), fd, to, size, at)
WRAP_SYSTEM(pwrite, ssize_t, (int fd, const void *from, size_t size, off_t at), fd, from, size, at)

/* Those that do not return their error. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    const struct fault *fault = fails("mdb_txn_commit");

    if (!fault)
        return __real_mdb_txn_commit(txn);
    mdb_txn_abort(txn); /* it is gone, whatever is returned */
    return fault->code;
}

int __real_mdb_env_info(MDB_env *env, MDB_envinfo *info);
int __wrap_mdb_env_info(MDB_env *env, MDB_envinfo *info);
int __wrap_mdb_env_info(MDB_env *env, MDB_envinfo *info)
{
    const struct fault *fault = fails("mdb_env_info");
    int rc = __real_mdb_env_info(env, info);

    if (fault) /* the lock file is behind the data */
        info->me_last_txnid += (size_t)fault->code;
    return rc;
}

int __real_mdb_reader_list(MDB_env *env, MDB_msg_func *tell, void *context);
int __wrap_mdb_reader_list(MDB_env *env, MDB_msg_func *tell, void *context);
int __wrap_mdb_reader_list(MDB_env *env, MDB_msg_func *tell, void *context)
{
    char line[64];

    if (!fails("mdb_reader_list"))
        return __real_mdb_reader_list(env, tell, context);
    /* slots that a process left which had our pid */
    tell("    pid     thread     txnid\n", context);
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "%10d %x 7\n", i == 0 ? 1 : (int)getpid(), i);
        tell(line, context);
    }
    return 0;
}

size_t __real_mdb_txn_id(MDB_txn *txn);
size_t __wrap_mdb_txn_id(MDB_txn *txn);
size_t __wrap_mdb_txn_id(MDB_txn *txn)
{
    const struct fault *fault = fails("mdb_txn_id");

    /* of a commit that others have passed by since */
    return __real_mdb_txn_id(txn) - (fault ? (size_t)fault->code : 0);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails("calloc") ? NULL : __real_calloc(n, size);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails("malloc") ? NULL : __real_malloc(size);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    const struct fault *fault = strstr(path, "lock.mdb") ? fails("open") : NULL;
    va_list args;

    if (fault) {
        errno = fault->code;
        return -1;
    }
    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    const struct fault *fault = command == F_SETFD ? fails("fcntl") : NULL;
    va_list args;

    if (fault) {
        errno = fault->code;
        return -1;
    }
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    return __real_fcntl(fd, command, argument);
}

/* ------------------------------------------------------------------- a store */

struct home {
    struct fixture *f;
    struct store *store;
};

#define READERS 10

static int open_home(void **state)
{
    struct home *home = calloc(1, sizeof *home);

    if (!home || fixture_directory((void **)&home->f) ||
        store_open(home->f->dir, 8 << 20, READERS, false, &home->store))
        return -1;
    *state = home;
    return 0;
}

static int close_home(void **state)
{
    struct home *home = *state;

    faults[0].call = NULL;
    store_close(home->store, false);
    int rc = fixture_close((void **)&home->f);
    free(home);
    return rc;
}

static const struct slice nothing = {.data = "", .size = 0};

static struct slice text(const char *bytes)
{
    return (struct slice){.data = bytes, .size = strlen(bytes)};
}

static struct store_txn *begin_write(struct home *home)
{
    struct store_txn *txn;

    assert_ok(store_write(home->store, &txn));
    return txn;
}

static struct store_txn *begin_read(struct home *home)
{
    struct store_txn *txn;

    assert_ok(store_read(home->store, &txn));
    return txn;
}

static void put_one(struct home *home, const char *key)
{
    struct store_txn *txn = begin_write(home);

    store_put(txn, STORE_JOBS, text(key), text("value"));
    assert_ok(store_commit(txn));
}

static bool has(struct home *home, const char *key)
{
    struct store_txn *txn = begin_read(home);
    struct slice value;
    bool found = store_get(txn, STORE_JOBS, text(key), &value);

    assert_ok(store_error(txn));
    store_end(txn);
    return found;
}

static void reopen(struct home *home)
{
    store_close(home->store, false);
    home->store = NULL;
    assert_ok(store_open(home->f->dir, 0, READERS, true, &home->store));
}

/* ----------------------------------------------------------------------- open */

static const struct {
    const char *call;
    int after, code, returns;
    bool fresh; /* where there is no store yet */
} openings[] = {
    {"calloc", 0, 0, JOBTAB_SYSTEM, false},
    {"calloc", 1, 0, JOBTAB_SYSTEM, false}, /* to look at pages */
    {"mdb_env_create", 0, ENOMEM, JOBTAB_SYSTEM, false},
    {"mdb_env_set_maxdbs", 0, EINVAL, JOBTAB_SYSTEM, false},
    {"mdb_env_set_maxreaders", 0, EINVAL, JOBTAB_SYSTEM, false},
    {"mdb_env_create", 0, ENOMEM, JOBTAB_SYSTEM, true}, /* of the file that is to be named */
    {"mdb_env_set_maxdbs", 0, EINVAL, JOBTAB_SYSTEM, true},
    {"mdb_env_set_mapsize", 0, EINVAL, JOBTAB_SYSTEM, true},
    {"mdb_env_set_mapsize", 1, EINVAL, JOBTAB_SYSTEM, true},
    {"mdb_env_open", 0, ENOSPC, JOBTAB_SYSTEM, true},
    {"mdb_txn_begin", 0, ENOMEM, JOBTAB_SYSTEM, true},
    {"mdb_dbi_open", 1, MDB_MAP_FULL, JOBTAB_FULL, true},
    {"mdb_txn_commit", 0, EIO, JOBTAB_SYSTEM, true},
    {"rename", 0, EIO, JOBTAB_SYSTEM, true},
    {"unlink", 0, EACCES, JOBTAB_SYSTEM, true},
    {"mdb_env_open", 0, MDB_VERSION_MISMATCH, JOBTAB_SCHEMA, false},
    {"mdb_env_open", 0, MDB_INVALID, JOBTAB_DAMAGED, false},
    {"mdb_env_open", 0, MDB_CORRUPTED, JOBTAB_DAMAGED, false},
    {"mdb_env_open", 0, MDB_PAGE_NOTFOUND, JOBTAB_DAMAGED, false},
    {"mdb_env_open", 0, MDB_BAD_VALSIZE, JOBTAB_DAMAGED, false},
    {"mdb_env_open", 0, MDB_INCOMPATIBLE, JOBTAB_DAMAGED, false},
    {"mdb_env_open", 0, MDB_PANIC, JOBTAB_BROKEN, false},
    {"mdb_env_open", 0, EACCES, JOBTAB_SYSTEM, false},
    {"mdb_env_get_fd", 0, EINVAL, JOBTAB_SYSTEM, false},
    {"fcntl", 0, EBADF, JOBTAB_SYSTEM, false},
    {"stat", 0, EACCES, JOBTAB_SYSTEM, true},
    {"open", 0, EACCES, JOBTAB_SYSTEM, false}, /* the lock file */
    {"fstat", 0, EIO, JOBTAB_SYSTEM, false},
    {"fallocate", 0, ENOSPC, JOBTAB_SYSTEM, false},
    {"mdb_reader_check", 0, EINVAL, JOBTAB_SYSTEM, false},
    {"mdb_txn_begin", 0, MDB_READERS_FULL, JOBTAB_SYSTEM, false}, /* to compare numbers */
    {"mdb_env_info", 0, 2, JOBTAB_SYSTEM, false},
    {"mdb_txn_begin", 1, MDB_READERS_FULL, JOBTAB_SYSTEM, false}, /* to look at pages */
    {"mdb_txn_begin", 2, MDB_READERS_FULL, JOBTAB_SYSTEM, false}, /* to open databases */
    {"mdb_dbi_open", 0, MDB_DBS_FULL, JOBTAB_SYSTEM, false},
    {"mdb_dbi_open", STORE_DBS - 1, MDB_INCOMPATIBLE, JOBTAB_DAMAGED, false},
    {"mdb_txn_commit", 0, ENOMEM, JOBTAB_SYSTEM, false},
    {"fallocate", 0, ENOSPC, JOBTAB_SYSTEM, true}, /* the lock file, made by this opener */
};

static void a_failed_open_says_why_and_the_next_one_succeeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        struct home *home;
        struct fixture *f;
        struct store *store = NULL;

        if (openings[i].fresh) {
            assert_int_equal(fixture_directory((void **)&f), 0);
        } else {
            assert_int_equal(open_home((void **)&home), 0);
            put_one(home, "kept");
            store_close(home->store, false);
            f = home->f;
            free(home);
        }
        fail_at(openings[i].call, openings[i].after, openings[i].code);
        int rc = store_open(f->dir, openings[i].fresh ? 1 << 20 : 0, READERS, false, &store);
        if (rc != openings[i].returns)
            print_error("%s after %d: %d (%s)\n", openings[i].call, openings[i].after, rc,
                        jobtab_why());
        assert_int_equal(rc, openings[i].returns);
        assert_true(jobtab_why()[0] != '\0');
        assert_failed();
        assert_null(store);
        home = &(struct home){.f = f};
        assert_ok(store_open(f->dir, 0, READERS, false, &home->store));
        assert_true(openings[i].fresh || has(home, "kept"));
        store_close(home->store, false);
        assert_int_equal(fixture_close((void **)&f), 0);
    }
}

static void count_fault(const char *line, void *context)
{
    (void)context;
    print_error("%s\n", line);
}

static void a_check_that_commits_pass_by_is_made_again(void **state)
{
    struct home *home = *state;
    struct store_txn *txn;
    uint64_t faults;
    bool passed;

    for (int i = 0; i < 3; i++)
        put_one(home, "k");
    store_close(home->store, false);
    home->store = NULL;
    fail_at("mdb_txn_id", 1, 2); /* the first call is to compare numbers */
    assert_ok(store_open(home->f->dir, 0, READERS, true, &home->store));
    assert_failed();
    txn = begin_read(home);
    fail_at("mdb_txn_id", 0, 2);
    assert_ok(store_check(txn, count_fault, NULL, &faults, &passed));
    assert_failed();
    assert_true(passed);
    assert_ok(store_check(txn, count_fault, NULL, &faults, &passed));
    assert_false(passed);
    assert_int_equal(faults, 0);
    fail_at("calloc", 0, 0);
    assert_int_equal(store_check(txn, count_fault, NULL, &faults, &passed), JOBTAB_SYSTEM);
    assert_failed();
    store_end(txn);
}

static void slots_of_a_namesake_are_cleared_by_opening_again(void **state)
{
    struct home *home = *state;

    put_one(home, "k");
    store_close(home->store, false);
    home->store = NULL;
    fail_at("mdb_reader_list", 0, 0);
    assert_ok(store_open(home->f->dir, 0, READERS, true, &home->store));
    assert_failed();
    assert_true(has(home, "k"));
}

static void a_file_system_that_cannot_take_blocks_ahead_is_used_without(void **state)
{
    struct home *home = *state;

    put_one(home, "k");
    store_close(home->store, false);
    home->store = NULL;
    fail_at("fallocate", 0, EOPNOTSUPP);
    assert_ok(store_open(home->f->dir, 0, READERS, false, &home->store));
    assert_failed();
    assert_true(has(home, "k"));
}

/* ------------------------------------------------------------ room, and doubt */

#define MEGABYTE (UINT64_C(1) << 20)

/* As a writer does it, before it puts anything. */
static int reserve(struct home *home, uint64_t bytes)
{
    struct store_txn *txn = begin_write(home);
    int rc = store_reserve(txn, bytes);

    store_end(txn);
    return rc;
}

static void the_disk_says_whether_there_is_room(void **state)
{
    static const struct {
        int first, second, returns;
    } answers[] = {
        {ENOSPC, ENOSPC, JOBTAB_FULL}, {ENOSPC, EDQUOT, JOBTAB_FULL}, {EIO, EFBIG, JOBTAB_FULL},
        {EIO, EIO, JOBTAB_SYSTEM},     {ENOSPC, 0, JOBTAB_OK},
    };
    struct home *home = *state;

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        reopen(home);
        fail_at("fallocate", 0, answers[i].first);
        if (answers[i].second)
            then_fail_at("fallocate", 0, answers[i].second);
        assert_int_equal(reserve(home, MEGABYTE), answers[i].returns);
        assert_failed();
    }
    reopen(home);
    fail_at("getrlimit", 0, EINVAL); /* no limit is known: the disk is asked */
    assert_ok(reserve(home, MEGABYTE));
    assert_failed();
    struct rlimit was, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    reopen(home);
    tight = was;
    tight.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int limited = reserve(home, MEGABYTE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(limited, JOBTAB_FULL);
    assert_ok(reserve(home, MEGABYTE));
    assert_ok(reserve(home, UINT64_C(1) << 40)); /* to the end of the map */
}

static void what_is_free_within_the_file_is_room_on_a_full_disk(void **state)
{
    static char large[1500000];
    struct home *home = *state;

    struct store_txn *txn = begin_write(home);
    store_put(txn, STORE_PAYLOAD, text("large"), (struct slice){large, sizeof large});
    assert_ok(store_commit(txn));
    txn = begin_write(home);
    assert_true(store_delete(txn, STORE_PAYLOAD, text("large")));
    assert_ok(store_commit(txn));
    reopen(home);
    fail_at("fallocate", 0, ENOSPC);
    then_fail_at("fallocate", 0, ENOSPC);
    assert_ok(reserve(home, MEGABYTE / 2)); /* not all of what is free is counted on */
    assert_failed();
    fail_at("fallocate", 0, ENOSPC);
    then_fail_at("fallocate", 0, ENOSPC);
    assert_int_equal(reserve(home, 2 * MEGABYTE), JOBTAB_FULL);
    assert_failed();
}

static void a_failed_settlement_can_be_tried_again(void **state)
{
    static const struct {
        const char *call;
        int after;
    } failures[] = {{"malloc", 0}, {"malloc", 1},       {"pread", 0},
                    {"pread", 1},  {"pwrite", 0}, {"mdb_env_sync", 0}};
    static char large[1500000]; /* more than is read at once */
    struct home *home = *state;

    put_one(home, "k");
    struct store_txn *put = begin_write(home);
    store_put(put, STORE_PAYLOAD, text("large"), (struct slice){large, sizeof large});
    assert_ok(store_commit(put));
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct store_txn *txn = begin_write(home);
        fail_at(failures[i].call, failures[i].after, EIO);
        assert_int_equal(store_settle(txn), JOBTAB_SYSTEM);
        assert_failed();
        assert_ok(store_settle(txn));
        store_end(txn);
    }
    assert_true(has(home, "k"));
}

static void a_place_that_cannot_be_is_refused(void **state)
{
    struct home *home = *state;
    struct store *store;
    char dir[5000], path[128];

    memset(dir, 'x', sizeof dir);
    dir[sizeof dir - 1] = '\0';
    assert_int_equal(store_open(dir, 0, READERS, false, &store), JOBTAB_INVALID);
    assert_int_equal(store_copy(home->store, dir), JOBTAB_INVALID);
    snprintf(dir, sizeof dir, "%s/none", home->f->dir);
    assert_int_equal(store_open(dir, 0, READERS, false, &store), JOBTAB_SYSTEM);
    assert_int_equal(store_open(dir, 0, READERS, true, &store), JOBTAB_NOTABLE);
    assert_int_equal(store_copy(home->store, dir), JOBTAB_SYSTEM);
    /* what is there is a file of LMDB's and no table */
    assert_int_equal(mkdir(dir, 0700), 0);
    MDB_env *env;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
    mdb_env_close(env);
    assert_int_equal(store_open(dir, 0, READERS, true, &store), JOBTAB_NOTABLE);
    assert_ok(store_open(dir, 0, READERS, false, &store)); /* and becomes one */
    store_close(store, false);
    snprintf(path, sizeof path, "%.64s/none/data.mdb", home->f->dir);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(store_open(dir, 0, READERS, true, &store), JOBTAB_DAMAGED);
    store_close(NULL, false);
}

/* --------------------------------------------------------------- transactions */

static void a_transaction_that_cannot_begin_leaves_the_store_usable(void **state)
{
    static const struct {
        const char *call;
        int after, code, returns;
    } beginnings[] = {
        {"calloc", 0, 0, JOBTAB_SYSTEM},
        {"mdb_txn_begin", 0, ENOMEM, JOBTAB_SYSTEM},
        {"mdb_txn_begin", 0, MDB_BAD_RSLOT, JOBTAB_SYSTEM},
    };
    struct home *home = *state;
    struct store_txn *txn;

    for (size_t i = 0; i < 2 * sizeof beginnings / sizeof *beginnings; i++) {
        const char *call = beginnings[i / 2].call;
        reopen(home); /* with no transaction that could be renewed */
        fail_at(call, beginnings[i / 2].after, beginnings[i / 2].code);
        int rc = i % 2 ? store_write(home->store, &txn) : store_read(home->store, &txn);
        assert_int_equal(rc, beginnings[i / 2].returns);
        assert_failed();
        put_one(home, "k");
        assert_true(has(home, "k"));
    }
    fail_at("mdb_txn_renew", 0, ENOMEM);
    assert_int_equal(store_read(home->store, &txn), JOBTAB_SYSTEM);
    assert_failed();
    assert_true(has(home, "k"));
    assert_ok(store_hold(home->store));
    fail_at("mdb_txn_renew", 0, ENOMEM);
    assert_int_equal(store_read(home->store, &txn), JOBTAB_SYSTEM);
    assert_failed();
    assert_true(has(home, "k"));
    store_rest(home->store);
}

static void a_grown_map_is_adopted_and_dead_readers_make_room(void **state)
{
    static const struct {
        int code;
        const char *help;
    } hindrances[] = {{MDB_MAP_RESIZED, "mdb_env_set_mapsize"}, {MDB_READERS_FULL, "mdb_reader_check"}};
    struct home *home = *state;
    struct store_txn *txn;

    for (size_t i = 0; i < 2; i++) {
        reopen(home);
        fail_at("mdb_txn_begin", 0, hindrances[i].code);
        store_end(begin_read(home));
        assert_failed();
        reopen(home);
        fail_at("mdb_txn_begin", 0, hindrances[i].code); /* and what should help fails, too */
        then_fail_at(hindrances[i].help, 0, EINVAL);
        assert_int_equal(store_read(home->store, &txn), JOBTAB_SYSTEM);
        assert_failed();
    }
    /* as many readers as there may be, all alive */
    struct store_txn *txns[READERS];
    for (size_t i = 0; i < READERS; i++)
        txns[i] = begin_read(home);
    assert_int_equal(store_read(home->store, &txn), JOBTAB_SYSTEM);
    for (size_t i = 0; i < READERS; i++)
        store_end(txns[i]);
}

static void a_panic_breaks_the_store(void **state)
{
    struct home *home = *state;
    struct store_txn *txn;

    put_one(home, "k");
    fail_at("mdb_txn_begin", 0, MDB_PANIC);
    assert_int_equal(store_write(home->store, &txn), JOBTAB_BROKEN);
    assert_failed();
    assert_int_equal(store_write(home->store, &txn), JOBTAB_BROKEN);
    assert_int_equal(store_read(home->store, &txn), JOBTAB_BROKEN);
    reopen(home);
    assert_true(has(home, "k"));
}

static void a_commit_of_unknown_outcome_breaks_the_store_and_a_full_map_does_not(void **state)
{
    struct home *home = *state;
    struct store_txn *txn = begin_write(home);

    store_put(txn, STORE_JOBS, text("full"), text("v"));
    fail_at("mdb_txn_commit", 0, MDB_MAP_FULL);
    assert_int_equal(store_commit(txn), JOBTAB_FULL);
    assert_failed();
    assert_false(has(home, "full"));
    put_one(home, "k");
    txn = begin_write(home);
    store_put(txn, STORE_JOBS, text("lost"), text("v"));
    fail_at("mdb_txn_commit", 0, EIO);
    assert_int_equal(store_commit(txn), JOBTAB_BROKEN);
    assert_failed();
    assert_int_equal(store_read(home->store, &txn), JOBTAB_BROKEN);
    reopen(home);
    assert_true(has(home, "k"));
    fail_at("mdb_env_sync", 0, EIO);
    assert_int_equal(store_sync(home->store), JOBTAB_BROKEN);
    assert_failed();
    assert_int_equal(store_read(home->store, &txn), JOBTAB_BROKEN);
    reopen(home);
    assert_ok(store_sync(home->store));
    store_break(home->store);
    assert_int_equal(store_write(home->store, &txn), JOBTAB_BROKEN);
}

static void nothing_put_means_nothing_committed(void **state)
{
    struct home *home = *state;
    struct store_txn *txn = begin_write(home);

    fail_at("mdb_txn_commit", 0, EIO);
    assert_ok(store_commit(txn));
    assert_non_null(faults[0].call); /* not asked */
    store_end(NULL);
}

/* -------------------------------------------------------- an error that sticks */

/* After an error nothing is found, nothing is put, and the commit says the first one. */
static void assert_sticks(struct store_txn *txn, int code)
{
    struct slice key, value;

    assert_int_equal(store_error(txn), code);
    assert_false(store_get(txn, STORE_JOBS, text("k"), &value));
    assert_false(store_delete(txn, STORE_JOBS, text("k")));
    store_put(txn, STORE_JOBS, text("more"), text("v"));
    assert_int_equal(store_count(txn, STORE_JOBS), 0);
    assert_null(store_cursor(txn, STORE_JOBS));
    assert_false(store_seek(NULL, nothing, &key, &value));
    assert_false(store_seek_below(NULL, text("k"), &key, &value));
    assert_false(store_delete_next(NULL, &key, &value));
    assert_true(store_used(txn, 0) > 0);
    assert_int_equal(store_fail(txn, JOBTAB_FULL), JOBTAB_FULL);
    assert_int_equal(store_error(txn), code);
    store_cursor_end(NULL);
}

static void failing_get(struct store_txn *txn)
{
    struct slice value;

    assert_false(store_get(txn, STORE_JOBS, text("k"), &value));
}

static void failing_put(struct store_txn *txn)
{
    store_append(txn, STORE_JOBS, text("z"), text("v"));
}

static void failing_del(struct store_txn *txn)
{
    assert_false(store_delete(txn, STORE_JOBS, text("k")));
}

static void failing_count(struct store_txn *txn)
{
    store_count(txn, STORE_JOBS);
}

static void failing_used(struct store_txn *txn)
{
    assert_true(store_used(txn, 0) > 0);
}

static void failing_cursor(struct store_txn *txn)
{
    assert_null(store_cursor(txn, STORE_JOBS));
}

static void failing_seek(struct store_txn *txn)
{
    struct store_cursor *at = store_cursor(txn, STORE_JOBS);
    struct slice key, value;

    assert_false(store_seek(at, nothing, &key, &value));
    assert_false(store_next(at, &key, &value)); /* the transaction has failed */
    assert_false(store_delete_next(at, &key, &value));
    store_cursor_end(at);
}

static void failing_delete_next(struct store_txn *txn)
{
    struct store_cursor *at = store_cursor(txn, STORE_JOBS);
    struct slice key, value;

    assert_true(store_seek(at, nothing, &key, &value));
    assert_false(store_delete_next(at, &key, &value));
    store_cursor_end(at);
}

static void an_error_sticks_to_its_transaction(void **state)
{
    static const struct {
        const char *call;
        int after, code, returns;
        void (*make)(struct store_txn *txn);
    } errors[] = {
        {"mdb_get", 0, MDB_CORRUPTED, JOBTAB_DAMAGED, failing_get},
        {"mdb_put", 0, MDB_MAP_FULL, JOBTAB_FULL, failing_put},
        {"mdb_del", 0, MDB_PAGE_NOTFOUND, JOBTAB_DAMAGED, failing_del},
        {"mdb_stat", 0, MDB_BAD_TXN, JOBTAB_SYSTEM, failing_count},
        {"mdb_stat", 0, MDB_BAD_TXN, JOBTAB_SYSTEM, failing_used},
        {"mdb_stat", 1, MDB_BAD_TXN, JOBTAB_SYSTEM, failing_used},
        {"calloc", 0, 0, JOBTAB_SYSTEM, failing_cursor},
        {"mdb_cursor_open", 0, ENOMEM, JOBTAB_SYSTEM, failing_cursor},
        {"mdb_cursor_get", 0, MDB_CORRUPTED, JOBTAB_DAMAGED, failing_seek},
        {"mdb_cursor_del", 0, MDB_MAP_FULL, JOBTAB_FULL, failing_delete_next},
    };
    struct home *home = *state;

    put_one(home, "k");
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct store_txn *txn = begin_write(home);
        fail_at(errors[i].call, errors[i].after, errors[i].code);
        errors[i].make(txn);
        assert_failed();
        assert_sticks(txn, errors[i].returns);
        assert_int_equal(store_commit(txn), errors[i].returns);
        assert_true(has(home, "k"));
        assert_false(has(home, "z"));
    }
    /* one that is held is not used again */
    assert_ok(store_hold(home->store));
    struct store_txn *held = begin_read(home);
    store_fail(held, JOBTAB_DAMAGED);
    store_end(held);
    assert_true(has(home, "k"));
    held = begin_read(home);
    store_rest(home->store); /* while a read goes on in it */
    store_end(held);
}

/* -------------------------------------------------------------- the rest of it */

static void cursors_go_both_ways_from_anywhere(void **state)
{
    struct home *home = *state;
    struct slice key, value;

    struct store_txn *txn = begin_write(home);
    for (const char *k = "bdf"; *k; k++)
        store_append(txn, STORE_JOBS, (struct slice){.data = k, .size = 1}, text("v"));
    struct store_cursor *at = store_cursor(txn, STORE_JOBS);
    assert_true(store_seek(at, text("c"), &key, &value));
    assert_int_equal(*(const char *)key.data, 'd');
    assert_true(store_previous(at, &key, &value));
    assert_int_equal(*(const char *)key.data, 'b');
    assert_false(store_previous(at, &key, &value));
    assert_true(store_seek_below(at, nothing, &key, &value));
    assert_int_equal(*(const char *)key.data, 'f');
    assert_true(store_seek_below(at, text("z"), &key, &value));
    assert_int_equal(*(const char *)key.data, 'f');
    assert_true(store_seek_below(at, text("f"), &key, &value));
    assert_int_equal(*(const char *)key.data, 'd');
    assert_false(store_seek_below(at, text("b"), &key, &value));
    assert_true(store_seek(at, nothing, &key, &value));
    assert_true(store_delete_next(at, &key, &value));
    assert_int_equal(*(const char *)key.data, 'd');
    assert_true(store_seek_below(at, nothing, &key, &value));
    assert_false(store_delete_next(at, &key, &value)); /* the last */
    store_cursor_end(at);
    assert_false(store_delete(txn, STORE_JOBS, text("b")));
    assert_int_equal(store_count(txn, STORE_JOBS), 1);
    assert_ok(store_commit(txn));
}

/* ------------------------------------------------------------------------ with care */

static void put_letters(struct home *home, const char *letters)
{
    for (const char *k = letters; *k; k++)
        put_one(home, (char[]){*k, '\0'});
}

/* A page that cannot be read makes it one. */
static void read_with_care(struct home *home)
{
    fail_at("pread", 0, EIO);
    assert_ok(store_be_careful(home->store, count_fault, NULL));
    assert_failed();
}

static void whoever_is_careful_goes_both_ways_from_anywhere(void **state)
{
    struct home *home = *state;
    struct slice key, value;

    put_letters(home, "bdf");
    read_with_care(home);
    struct store_txn *txn = begin_read(home);
    assert_true(store_get(txn, STORE_JOBS, text("d"), &value));
    assert_memory_equal(value.data, "value", 5);
    assert_false(store_get(txn, STORE_JOBS, text("c"), &value));
    struct store_cursor *at = store_cursor(txn, STORE_JOBS);
    assert_true(store_seek(at, text("c"), &key, &value));
    assert_int_equal(*(const char *)key.data, 'd');
    assert_true(store_next(at, &key, &value));
    assert_int_equal(*(const char *)key.data, 'f');
    assert_false(store_next(at, &key, &value));
    assert_true(store_seek_below(at, text("f"), &key, &value));
    assert_int_equal(*(const char *)key.data, 'd');
    assert_true(store_previous(at, &key, &value));
    assert_int_equal(*(const char *)key.data, 'b');
    assert_false(store_previous(at, &key, &value));
    assert_true(store_seek(at, nothing, &key, &value));
    assert_int_equal(*(const char *)key.data, 'b');
    assert_true(store_seek_below(at, nothing, &key, &value));
    assert_int_equal(*(const char *)key.data, 'f');
    store_cursor_end(at);
    assert_ok(store_error(txn));
    store_end(txn);
    assert_int_equal(store_write(home->store, &txn), JOBTAB_FORBIDDEN);
}

static void whoever_is_careful_takes_another_snapshot_when_commits_pass_by(void **state)
{
    struct home *home = *state;

    put_letters(home, "bdf");
    fail_at("mdb_txn_id", 0, 2);
    then_fail_at("mdb_txn_id", 0, 2); /* never seen whole: so it is read with care */
    assert_ok(store_be_careful(home->store, count_fault, NULL));
    assert_failed();
    fail_at("mdb_txn_id", 0, 2);
    assert_true(has(home, "d"));
    assert_failed();
}

static void care_that_has_no_memory_says_so(void **state)
{
    struct home *home = *state;
    struct store_txn *txn;
    struct slice value;

    put_letters(home, "bdf");
    fail_at("pread", 0, EIO);
    then_fail_at("calloc", 0, 0);
    assert_int_equal(store_be_careful(home->store, count_fault, NULL), JOBTAB_SYSTEM);
    assert_failed();
    store_end(begin_read(home)); /* one for the pool */
    fail_at("mdb_txn_renew", 0, EINVAL); /* no snapshot to look at is no reason to believe */
    assert_ok(store_be_careful(home->store, count_fault, NULL));
    assert_failed();
    store_end(begin_read(home));
    fail_at("calloc", 0, 0);
    assert_int_equal(store_read(home->store, &txn), JOBTAB_SYSTEM);
    assert_failed();
    txn = begin_read(home);
    fail_at("malloc", 0, 0);
    assert_false(store_get(txn, STORE_JOBS, text("d"), &value));
    assert_failed();
    assert_int_equal(store_error(txn), JOBTAB_SYSTEM);
    store_end(txn);
}

static void a_copy_that_fails_says_so(void **state)
{
    struct home *home = *state;
    char dir[128];

    snprintf(dir, sizeof dir, "%s/copy", home->f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    fail_at("mdb_env_copy2", 0, ENOSPC);
    assert_int_equal(store_copy(home->store, dir), JOBTAB_SYSTEM);
    assert_failed();
    fail_at("mdb_env_copy2", 0, MDB_SUCCESS); /* it makes no file, and says that it did */
    assert_int_equal(store_copy(home->store, dir), JOBTAB_SYSTEM);
    assert_failed();
    assert_ok(store_copy(home->store, dir));
}

static void dead_readers_that_cannot_be_cleared_are_none(void **state)
{
    struct home *home = *state;
    uint32_t readers, max;

    store_readers(home->store, &readers, &max);
    assert_int_equal(readers, 0);
    fail_at("mdb_reader_check", 0, EINVAL);
    assert_int_equal(store_clear_readers(home->store), 0);
    assert_failed();
    store_end(begin_read(home));
    store_readers(home->store, &readers, &max);
    assert_int_equal(readers, 1);
    assert_int_equal(max, READERS);
}

static int dies_within_a_read(void *context)
{
    struct home *home = context;
    struct store_txn *txn;

    return store_read(home->store, &txn);
}

static int opens_and_dies_within_a_read(void *context)
{
    const struct home *parent = context;
    struct home own = {.f = parent->f};

    if (store_open(own.f->dir, 0, READERS, true, &own.store))
        return 1;
    return dies_within_a_read(&own);
}

/* Closed in a child, the parent's transactions stay what they are. */
static int closes_a_copy(void *context)
{
    struct home *home = context;

    store_close(home->store, true);
    return 0;
}

static void a_copy_in_a_child_is_closed_without_harm(void **state)
{
    struct home *home = *state;

    put_one(home, "k");
    assert_true(has(home, "k"));
    assert_ok(store_hold(home->store));
    assert_true(has(home, "k"));
    assert_int_equal(in_child(closes_a_copy, home), 0);
    assert_true(has(home, "k"));
    store_close(home->store, false); /* and one that still holds */
    home->store = NULL;
    assert_ok(store_open(home->f->dir, 0, READERS, true, &home->store));
    assert_int_equal(in_child(opens_and_dies_within_a_read, home), 0);
    assert_int_equal(store_clear_readers(home->store), 1);
}

static void more_reads_at_once_than_are_kept_are_served(void **state)
{
    struct store_txn *txns[100];
    struct fixture *f;
    struct home home;

    (void)state;
    assert_int_equal(fixture_directory((void **)&f), 0);
    home = (struct home){.f = f};
    assert_ok(store_open(f->dir, 1 << 20, 200, false, &home.store));
    for (size_t i = 0; i < 100; i++)
        txns[i] = begin_read(&home);
    for (size_t i = 0; i < 100; i++)
        store_end(txns[i]);
    store_close(home.store, false);
    assert_int_equal(fixture_close((void **)&f), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_home, close_home)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_open_says_why_and_the_next_one_succeeds),
        TEST(a_check_that_commits_pass_by_is_made_again),
        TEST(slots_of_a_namesake_are_cleared_by_opening_again),
        TEST(a_file_system_that_cannot_take_blocks_ahead_is_used_without),
        TEST(the_disk_says_whether_there_is_room),
        TEST(what_is_free_within_the_file_is_room_on_a_full_disk),
        TEST(a_failed_settlement_can_be_tried_again),
        TEST(a_place_that_cannot_be_is_refused),
        TEST(a_transaction_that_cannot_begin_leaves_the_store_usable),
        TEST(a_grown_map_is_adopted_and_dead_readers_make_room),
        TEST(a_panic_breaks_the_store),
        TEST(a_commit_of_unknown_outcome_breaks_the_store_and_a_full_map_does_not),
        TEST(nothing_put_means_nothing_committed),
        TEST(an_error_sticks_to_its_transaction),
        TEST(cursors_go_both_ways_from_anywhere),
        TEST(whoever_is_careful_goes_both_ways_from_anywhere),
        TEST(whoever_is_careful_takes_another_snapshot_when_commits_pass_by),
        TEST(care_that_has_no_memory_says_so),
        TEST(a_copy_that_fails_says_so),
        TEST(dead_readers_that_cannot_be_cleared_are_none),
        TEST(a_copy_in_a_child_is_closed_without_harm),
        cmocka_unit_test(more_reads_at_once_than_are_kept_are_served),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
