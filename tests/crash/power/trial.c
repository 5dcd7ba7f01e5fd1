/* trial.c - an image is opened as after a boot, looked at, and written to.
 *
 * Beside it lie the lock file and the shared file of the boot before: as they were, torn, cut
 * short, or gone. Whoever opens the table gets along with any of them.
 */
#include "power.h"

#include <fcntl.h>
#include <malloc.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RARELY 16   /* one image in so many gets leavings of its own, and is opened twice */
#define SELDOM 2000 /* is shown to LMDB's tools */
#define HEADER 64   /* of the shared file: magic, boot, device */
#define LARGE  (1 << 20)

extern char **environ;

struct attempt {
    struct trial *trial;
    const struct image *image;
    struct jobtab *table;
};

static void fault(struct attempt *attempt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fault(struct attempt *attempt, const char *format, ...)
{
    char words[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    log_fault(attempt->trial->story->log, "%s (%s)", words, attempt->image->what);
}

static unsigned dice(struct trial *trial, unsigned below)
{
    return (unsigned)rand_r(&trial->seed) % below;
}

void trial_begin(struct trial *trial, const struct story *story, const struct leavings *leavings,
                 const char *dir, unsigned seed)
{
    *trial = (struct trial){.story = story, .leavings = leavings, .seed = seed};
    /* Opening takes some 2 MB, of which it uses little. From a map of their own they are zeros that
     * nobody had to write. */
    mallopt(M_MMAP_THRESHOLD, LARGE);
    place_begin(&trial->place, dir);
}

/* -------------------------------------------------------------- what lies beside it */

static void put_file(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    /* into the blocks that it has */
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || ftruncate(fd, (off_t)size) < 0) {
        perror(path);
        exit(1);
    }
    close(fd);
}

/* As it was, with sectors missing, short, empty, or gone. */
static void put_leaving(struct trial *trial, const char *file, const char *bytes, size_t size)
{
    char path[512], *torn;

    place_name(&trial->place, file, path);
    switch (dice(trial, 5)) {
    case 0:
        put_file(path, bytes, size);
        break;
    case 1:
        if (!(torn = malloc(size))) {
            perror("malloc");
            exit(1);
        }
        memcpy(torn, bytes, size);
        for (size_t at = 0; at + SECTOR <= size; at += SECTOR)
            if (dice(trial, 2))
                memset(torn + at, 0, SECTOR);
        put_file(path, torn, size);
        free(torn);
        break;
    case 2:
        put_file(path, bytes, dice(trial, (unsigned)size));
        break;
    case 3:
        put_file(path, bytes, 0);
        break;
    default:
        unlink(path);
        break;
    }
}

/* What the last trial left, and the words of another boot at its head. */
static void make_stale(const struct trial *trial)
{
    char path[512];

    place_name(&trial->place, "shared", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (pwrite(fd, trial->leavings->shared, HEADER, 0) != HEADER)
            perror(path);
        close(fd);
    }
}

static void put(struct trial *trial, const struct image *image)
{
    char path[512], begun[512];

    place_put(&trial->place, image->bytes, image->size);
    if (!image->named) {
        place_name(&trial->place, TABLE_FILE, path);
        place_name(&trial->place, NEW_FILE, begun);
        if (dice(trial, 2))
            unlink(path);
        else
            rename(path, begun);
    }
    blocks_assume(trial->images % RARELY != 0);
    if (trial->images % RARELY == 0) {
        put_leaving(trial, "lock.mdb", trial->leavings->lock, trial->leavings->lock_size);
        put_leaving(trial, "shared", trial->leavings->shared, trial->leavings->shared_size);
    } else {
        make_stale(trial);
    }
}

/* ------------------------------------------------------------------------ the look */

static bool open_it(struct attempt *attempt)
{
    int rc = jobtab_open(attempt->trial->place.dir, NULL, &attempt->table);

    if (rc)
        fault(attempt, "it cannot be opened: %s; %s", jobtab_strerror(rc), jobtab_why());
    return rc == JOBTAB_OK;
}

static void told_fault(const char *words, void *context)
{
    fault(context, "verify: %s", words);
}

static bool verify(struct attempt *attempt)
{
    uint64_t records, faults;

    int rc = jobtab_verify(attempt->table, told_fault, NULL, attempt, &records, &faults);
    if (rc)
        fault(attempt, "verify: %s; %s", jobtab_strerror(rc), jobtab_why());
    return rc == JOBTAB_OK && faults == 0;
}

/* It is the table as one commit left it, and all that was answered is in that. */
static bool is_complete(struct attempt *attempt, uint64_t instant)
{
    const struct story *story = attempt->trial->story;
    uint32_t need = story_need(story, instant);
    uint64_t digest;

    int rc = story_digest(attempt->table, &digest, NULL, NULL);
    if (rc) {
        fault(attempt, "it cannot be read: %s; %s", jobtab_strerror(rc), jobtab_why());
        return false;
    }
    int64_t found = story_find(story, digest);
    if (found < 0)
        fault(attempt, "it is like no commit; %u was answered", need);
    else if (found < need)
        fault(attempt, "it is commit %lld, and %u was answered", (long long)found, need);
    return found >= need;
}

/* ----------------------------------------------------------------------- the writes */

static bool done(struct attempt *attempt, const char *what, int rc)
{
    if (rc)
        fault(attempt, "%s: %s; %s", what, jobtab_strerror(rc), jobtab_why());
    return rc == JOBTAB_OK;
}

static bool is_finished(struct attempt *attempt, const struct jobtab_id *id)
{
    struct jobtab_job job;

    if (!done(attempt, "a new job is read", jobtab_get(attempt->table, id, &job)))
        return false;
    if (job.state != JOBTAB_COMPLETED)
        fault(attempt, "a new job was finished, and is %s", jobtab_state_name(job.state));
    return job.state == JOBTAB_COMPLETED;
}

/* A whole life of a job that was not there before the boot. */
static bool write_to_it(struct attempt *attempt, struct jobtab_id *id)
{
    static const char params[] = "{\"after\":\"the power came back\"}";
    const struct jobtab_submit submit = {
        .kind = "after", .params = params, .params_size = sizeof params - 1};
    const struct jobtab_finish finish = {
        .result = params, .result_size = sizeof params - 1, .format = JOBTAB_JSON};
    struct jobtab_token token;
    struct jobtab_job job;

    if (!done(attempt, "a submit", jobtab_submit(attempt->table, &submit, &job)))
        return false;
    *id = job.id;
    if (!done(attempt, "a claim", jobtab_claim(attempt->table, "after", &token, &job)))
        return false;
    if (memcmp(&job.id, id, sizeof *id) != 0) {
        fault(attempt, "a claim got a job that nobody had submitted");
        return false;
    }
    return done(attempt, "a finish", jobtab_finish(attempt->table, id, &token, &finish)) &&
           is_finished(attempt, id);
}

static bool delete_oldest(struct attempt *attempt)
{
    struct jobtab_filter filter = {.oldest_first = true};
    struct jobtab_id cursor;
    struct jobtab_job job;
    size_t n = 1;
    bool more;

    return done(attempt, "list", jobtab_list(attempt->table, &filter, &job, &n, &cursor, &more)) &&
           done(attempt, "delete", jobtab_delete(attempt->table, &job.id));
}

/* Whoever had a job is of another boot, and so is his lease: none keeps it. And a table that was
 * full has room again. */
static bool tidy_up(struct attempt *attempt)
{
    struct jobtab_swept swept;
    struct jobtab_stat stat;

    if (!done(attempt, "sweep", jobtab_sweep(attempt->table, 1000, &swept)) ||
        !done(attempt, "stat", jobtab_stat(attempt->table, &stat, NULL, 0)))
        return false;
    uint64_t owned = stat.states[JOBTAB_RUNNING] + stat.states[JOBTAB_CANCELLING];
    if (owned)
        fault(attempt, "%llu jobs have an owner of another boot", (unsigned long long)owned);
    return owned == 0 && (stat.jobs < stat.options.max_jobs || delete_oldest(attempt));
}

/* ------------------------------------------------------------- a second opinion */

static bool run(struct attempt *attempt, char *const words[])
{
    posix_spawn_file_actions_t actions;
    int status = -1;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc == 0)
        waitpid(pid, &status, 0);
    if (status != 0)
        fault(attempt, "%s ended with %#x", words[0], (unsigned)status);
    return status == 0;
}

/* LMDB's own tools read all of it. */
static bool ask_others(struct attempt *attempt)
{
    char *dir = attempt->trial->place.dir, copy[300], file[320];

    snprintf(copy, sizeof copy, "%s-copy", dir);
    snprintf(file, sizeof file, "%s/" TABLE_FILE, copy);
    if (mkdir(copy, 0700) < 0) {
        perror(copy);
        exit(1);
    }
    bool fine = run(attempt, (char *[]){"mdb_stat", "-a", dir, NULL}) &&
                run(attempt, (char *[]){"mdb_copy", dir, copy, NULL});
    unlink(file);
    rmdir(copy);
    attempt->trial->others++;
    return fine;
}

/* ------------------------------------------------------------------------ all of it */

static bool look_and_write(struct attempt *attempt, uint64_t instant, struct jobtab_id *id)
{
    bool fine = open_it(attempt);

    if (!fine)
        return false;
    fine = verify(attempt) && is_complete(attempt, instant) && tidy_up(attempt) &&
           write_to_it(attempt, id) && verify(attempt);
    jobtab_close(attempt->table);
    return fine;
}

static void open_again(struct attempt *attempt, const struct jobtab_id *id)
{
    if (!open_it(attempt))
        return;
    if (verify(attempt))
        is_finished(attempt, id);
    jobtab_close(attempt->table);
}

void trial_run(struct trial *trial, const struct image *image, uint64_t instant)
{
    struct attempt attempt = {.trial = trial, .image = image};
    struct jobtab_id id;
    bool fine = true;

    put(trial, image);
    if (trial->images % SELDOM == SELDOM / 2 && story_need(trial->story, instant))
        fine = ask_others(&attempt);
    if (fine && look_and_write(&attempt, instant, &id) && trial->images % RARELY == RARELY / 2)
        open_again(&attempt, &id);
    trial->images++;
}
