/* open.c - opening a table: one opener at a time on a machine, one handle a process.
 *
 * Under an flock on `open.lock`: the store (whose own opening has races that lose commits), the
 * bounds and policies that this opener brings, the shared file. The lock is the kernel's and dies
 * with its holder, so an opener killed at any instruction leaves the next one a sound table.
 */
#include "doubt.h"
#include "error.h"
#include "lead.h"
#include "locks.h"
#include "mutant.h"
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How the open lock is waited for: ms of a slice, slices from one look to the next, and looks in a
 * row that find its holder stopped before it is ended. */
#define OPENER_SLICE 2
#define OPENER_LOOK_EVERY 50
#define OPENER_LOOKS 4

#define SCHEMA "1" /* of keys and databases; record*.c have the versions of the images */

/* LMDB forbids a second environment of the same file in one process. */
static struct jobtab *open_tables;
static pthread_mutex_t open_tables_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static const struct jobtab_options defaults = {
    .map_size = UINT64_C(1) << 30,
    .max_jobs = 100000,
    .retention = INT64_C(24) * 3600 * 1000,
    .params_max = 64 << 10,
    .result_max = 1 << 20,
    .log_max = 256 << 10,
    .high_water = 80,
    .max_readers = 1022,
};

static void lock_open_tables(void)
{
    pthread_mutex_lock(&open_tables_lock);
}

static void unlock_open_tables(void)
{
    pthread_mutex_unlock(&open_tables_lock);
}

/* A fork waits for the list: in the child nobody would ever give the lock up. */
static void prepare_for_forks(void)
{
    pthread_atfork(lock_open_tables, unlock_open_tables, unlock_open_tables);
}

/* Add to this process's open tables, unless it is there. */
static int enlist(struct jobtab *table)
{
    int rc = JOBTAB_OK;

    pthread_once(&fork_once, prepare_for_forks);
    lock_open_tables();
    for (const struct jobtab *t = open_tables; t; t = t->next_open)
        if (t->pid == table->pid && t->device == table->device && t->inode == table->inode)
            rc = fail(JOBTAB_BUSY, "this process has %s open already", table->dir);
    if (rc == JOBTAB_OK) {
        table->next_open = open_tables;
        open_tables = table;
    }
    unlock_open_tables();
    return rc;
}

static void delist(const struct jobtab *table)
{
    lock_open_tables();
    for (struct jobtab **at = &open_tables; *at; at = &(*at)->next_open) {
        if (*at == table) {
            *at = table->next_open;
            break;
        }
    }
    unlock_open_tables();
}

/* Make the directory, parents too. */
static int make_directory(const char *dir)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s", dir) >= sizeof path)
        return fail(JOBTAB_INVALID, "directory: its name is too long");
    for (char *p = path + 1;; p++) {
        char was = *p;
        if (was != '/' && was != '\0')
            continue;
        *p = '\0';
        int rc = mkdir(path, 0700);
        if (rc < 0 && errno != EEXIST)
            return fail_errno(JOBTAB_SYSTEM, errno, "cannot make directory %s", path);
        if (rc == 0 && (rc = sync_parent(path)))
            return rc;
        if (!was)
            return JOBTAB_OK;
        *p = was;
    }
}

/* A holder of the open lock that is stopped would keep everybody out for ever, a keeper that is to
 * end it too. Who waits looks, as those do who wait for a leader (queue.c), and ends it. */
static void end_stopped_opener(const char *dir, int32_t *suspect, int *looks)
{
    int32_t opener = locks_look(dir).opener;
    struct process_look look;

    if (!opener || !process_look(opener, &look) || !look.stopped || opener != *suspect) {
        *suspect = opener;
        *looks = 0;
    } else if (++*looks >= OPENER_LOOKS && locks_look(dir).opener == opener) {
        kill(opener, SIGKILL);
    }
}

/* Wait for the open lock, in slices. */
static int wait_open_lock(const char *dir, int fd)
{
    const struct timespec slice = {.tv_nsec = OPENER_SLICE * 1000000L};
    int32_t suspect = 0;
    int looks = 0, rc;

    for (int slices = 1; (rc = flock(fd, LOCK_EX | LOCK_NB)) < 0; slices++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        nanosleep(&slice, NULL);
        if (slices % OPENER_LOOK_EVERY == 0)
            end_stopped_opener(dir, &suspect, &looks);
    }
    return rc;
}

/* Take the open lock; its descriptor, or -1 with the words set. */
static int lock_open(const char *dir)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/open.lock", dir) >= sizeof path) {
        fail(JOBTAB_INVALID, "directory: its name is too long");
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = fd < 0 || mutant(MUTANT_NO_OPEN_LOCK) ? fd : wait_open_lock(dir, fd);
    if (rc < 0) {
        fail_errno(JOBTAB_SYSTEM, errno, "cannot lock %s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* ------------------------------------------------------- bounds and policies */

static uint64_t or_else(uint64_t value, uint64_t otherwise)
{
    return value ? value : otherwise;
}

/* What the opener asks for, else what the table has, else the default. */
static struct jobtab_options merge(const struct jobtab_options *asked,
                                   const struct jobtab_options *has)
{
    const struct jobtab_options *d = &defaults;
    static const struct jobtab_options none;

    if (!asked)
        asked = &none;
    return (struct jobtab_options){
        .map_size = or_else(asked->map_size, or_else(has->map_size, d->map_size)),
        .max_jobs = or_else(asked->max_jobs, or_else(has->max_jobs, d->max_jobs)),
        .retention = asked->retention ? asked->retention
                     : has->retention ? has->retention
                                      : d->retention,
        .params_max = or_else(asked->params_max, or_else(has->params_max, d->params_max)),
        .result_max = or_else(asked->result_max, or_else(has->result_max, d->result_max)),
        .log_max = or_else(asked->log_max, or_else(has->log_max, d->log_max)),
        .high_water = (uint32_t)or_else(asked->high_water, or_else(has->high_water, d->high_water)),
        .max_readers =
            (uint32_t)or_else(has->max_readers, or_else(asked->max_readers, d->max_readers)),
    };
}

int options_check(const struct jobtab_options *options)
{
    if (!options)
        return JOBTAB_OK;
    if (options->map_size && options->map_size < (1 << 20))
        return fail(JOBTAB_INVALID, "map_size: it is below 1 MiB");
    if (options->high_water > 95)
        return fail(JOBTAB_INVALID, "high_water: %u is above 95 percent", options->high_water);
    if (options->retention < 0 || options->retention > JOBTAB_DURATION_MAX)
        return fail(JOBTAB_INVALID, "retention: %s", NOT_A_DURATION);
    if (options->max_readers > 32766)
        return fail(JOBTAB_INVALID, "max_readers: %u is above 32766", options->max_readers);
    for (size_t i = 0; i < options->n_policies; i++) {
        const struct jobtab_policy *policy = &options->policies[i];
        int rc = table_check_kind(policy->kind);
        if (rc)
            return rc;
        bool backoff = policy->backoff >= 0 && policy->backoff <= JOBTAB_DURATION_MAX;
        if (!backoff || policy->timeout < 0 || policy->timeout > JOBTAB_DURATION_MAX)
            return fail(JOBTAB_INVALID, "%s of kind %s: %s", backoff ? "timeout" : "backoff",
                        policy->kind, NOT_A_DURATION);
    }
    return JOBTAB_OK;
}

static bool same_bytes(struct store_txn *txn, struct slice key, struct slice wanted)
{
    struct slice found;

    return store_get(txn, STORE_META, key, &found) && found.size == wanted.size &&
           memcmp(found.data, wanted.data, wanted.size) == 0;
}

/* Put what is not yet so. The same pass looks (in a reading transaction, with `write` false: true
 * when there is something to do) and writes. */
static bool settle(struct store_txn *txn, struct slice key, struct slice wanted, bool write)
{
    if (same_bytes(txn, key, wanted))
        return false;
    if (write)
        store_put(txn, STORE_META, key, wanted);
    return true;
}

static int settle_all(struct store_txn *txn, const struct jobtab_options *asked, bool write,
                      bool *any)
{
    struct jobtab_options has, settings;
    struct image image;

    int rc = table_settings(txn, &has);
    if (rc)
        return rc;
    settings = merge(asked, &has);
    settings_encode(&settings, &image);
    *any = settle(txn, text_slice("schema"), text_slice(SCHEMA), write);
    *any |= settle(txn, text_slice("settings"), image_slice(&image), write);
    for (size_t i = 0; asked && i < asked->n_policies; i++) {
        struct key key = key_meta("policy", asked->policies[i].kind);
        policy_encode(&asked->policies[i], &image);
        *any |= settle(txn, key_slice(&key), image_slice(&image), write);
    }
    return store_error(txn);
}

/* In the lead. */
static int settle_work(struct edit *edit, void *context)
{
    bool any;
    int rc = settle_all(edit->txn, context, true, &any);

    return rc ? store_fail(edit->txn, rc) : JOBTAB_OK;
}

/* Look first: an opener that brings nothing new waits for no writer. The schema goes into a file
 * whose name is on disk: an opener that finds none may come after one that was killed before it had
 * seen to that. */
static int settle_table(struct jobtab *table, const struct jobtab_options *asked)
{
    struct store_txn *txn;
    struct slice schema;
    bool any = false;

    int rc = store_read(table->store, &txn);
    if (rc)
        return rc;
    bool has_schema = store_get(txn, STORE_META, text_slice("schema"), &schema);
    if (has_schema && !same_bytes(txn, text_slice("schema"), text_slice(SCHEMA)))
        rc = fail(JOBTAB_SCHEMA, "the table in %s has schema %.*s; this library knows %s",
                  table->dir, (int)schema.size, (const char *)schema.data, SCHEMA);
    if (!rc)
        rc = settle_all(txn, asked, false, &any);
    store_end(txn);
    if (!rc && !has_schema)
        rc = sync_path(table->dir);
    if (!rc && !has_schema)
        rc = sync_parent(table->dir);
    return rc || !any ? rc : lead_work(table, settle_work, (void *)(uintptr_t)asked);
}

/* ---------------------------------------------------------------- open, close */

/* After a boot the bell begins at 0, and the table does not. */
static int announce(struct jobtab *table)
{
    struct store_txn *txn;
    struct totals totals;

    int rc = store_read(table->store, &txn);
    if (rc)
        return rc;
    rc = table_totals(txn, &totals);
    store_end(txn);
    if (!rc && totals.sequence > bell_version(&table->shared->bell))
        bell_ring(&table->shared->bell, totals.sequence);
    return rc;
}

static void free_table(struct jobtab *table, bool forked)
{
    store_close(table->store, forked);
    shared_close(table->shared, table->use);
    free(table->dir);
    free(table);
}

int jobtab_open(const char *dir, const struct jobtab_options *options, struct jobtab **result)
{
    struct stat stat_buf;
    int lock = -1;

    fail_clear();
    int rc = options_check(options);
    if (rc)
        return rc;
    bool must_exist = options && options->must_exist;
    if (!must_exist && (rc = make_directory(dir)))
        return rc;
    if (stat(dir, &stat_buf) < 0)
        return errno == ENOENT ? fail(JOBTAB_NOTABLE, "there is no directory %s", dir)
                               : fail_errno(JOBTAB_SYSTEM, errno, "cannot open %s", dir);
    struct jobtab *table = calloc(1, sizeof *table);
    if (!table || !(table->dir = strdup(dir))) {
        free(table);
        return fail(JOBTAB_SYSTEM, "out of memory");
    }
    table->use = -1;
    table->pid = process_self();
    table->device = stat_buf.st_dev;
    table->inode = stat_buf.st_ino;
    table->boot = clock_boot_id();
    table->self = (struct jobtab_owner){.pid = table->pid,
                                        .start_time = process_start(table->pid),
                                        .instance = random_u64()};
    rc = enlist(table);
    if (rc) {
        free_table(table, false);
        return rc;
    }
    if (must_exist) { /* not even a lock file where there is no table */
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", dir, store_file);
        if (access(path, F_OK) < 0)
            rc = fail(JOBTAB_NOTABLE, "there is no table in %s", dir);
    }
    if (!rc && (lock = lock_open(dir)) < 0)
        rc = JOBTAB_SYSTEM;
    if (!rc) {
        uint32_t readers = options && options->max_readers ? options->max_readers
                                                           : defaults.max_readers;
        rc = store_open(dir, options ? options->map_size : 0, readers, must_exist, &table->store);
    }
    if (!rc)
        rc = shared_open(dir, &table->shared, &table->use);
    if (!rc && !store_synced(table->store))
        doubt_raise(table);
    if (!rc)
        rc = settle_table(table, options);
    if (!rc)
        rc = announce(table);
    if (lock >= 0)
        close(lock);
    if (rc) {
        delist(table);
        free_table(table, false);
        return rc == JOBTAB_BROKEN ? JOBTAB_SYSTEM : rc; /* closed it is: the next open looks anew */
    }
    *result = table;
    return JOBTAB_OK;
}

void jobtab_close(struct jobtab *table)
{
    if (!table)
        return;
    delist(table);
    free_table(table, table->pid != process_self());
}

int jobtab_attach(struct jobtab **table, bool *has_job, struct jobtab_id *id,
                  struct jobtab_token *token)
{
    const char *dir = getenv("JOBTAB_TABLE");
    const char *job = getenv("JOBTAB_JOB_ID"), *secret = getenv("JOBTAB_TOKEN");
    struct jobtab_id parsed;
    struct jobtab_token parsed_token;

    fail_clear();
    if (!dir)
        return fail(JOBTAB_NOTABLE, "JOBTAB_TABLE is not set: this is no child of jobtabd");
    if (job && !secret)
        return fail(JOBTAB_INVALID, "JOBTAB_JOB_ID is set and JOBTAB_TOKEN is not");
    int rc = job ? jobtab_id_parse(job, &parsed) : JOBTAB_OK;
    if (!rc && job)
        rc = jobtab_token_parse(secret, &parsed_token);
    if (!rc)
        rc = jobtab_open(dir, &(struct jobtab_options){.must_exist = true}, table);
    if (rc)
        return rc;
    *has_job = job != NULL;
    if (job) {
        *id = parsed;
        *token = parsed_token;
    }
    return JOBTAB_OK;
}
