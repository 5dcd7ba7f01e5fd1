/* story.c - the log read back: the table after each commit, and what every answer needs.
 *
 * Each commit is looked at once, with nothing lost, and every answer is held against it: a job is
 * as the answer of its version said, its parts are what was given, a change that was answered is
 * there, what is gone was deleted or had ended. After that a number stands for all of it: the
 * digest of a table tells which commit it is, and an answer tells which commit must be there.
 */
#include "power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 4096
#define NOWHERE  UINT32_MAX

/* A job in a commit. */
struct present {
    struct jobtab_id id;
    enum jobtab_state state;
};

struct reading {
    struct story *story;
    struct told **told; /* by version; deletions apart */
    uint32_t n_told;
    struct told **of_job; /* the same by id, then version */
    struct told **deletions;
    uint32_t *gone; /* the commit that each of them is in, or NOWHERE */
    uint32_t n_deletions;
    struct present now[JOBS_MAX], before[JOBS_MAX];
    uint32_t n_now, n_before;
    uint64_t sequence, last; /* of this commit, of the one before */
    uint64_t removed;        /* by now, at the end of their retention and to make room */
    uint32_t commit;
};

/* --------------------------------------------------------- what was told, in order */

static int by_version(const void *a, const void *b)
{
    const struct told *x = *(struct told *const *)a, *y = *(struct told *const *)b;

    return compare(x->job.version, y->job.version);
}

static int by_job(const void *a, const void *b)
{
    const struct told *x = *(struct told *const *)a, *y = *(struct told *const *)b;
    int order = memcmp(&x->job.id, &y->job.id, sizeof x->job.id);

    return order ? order : compare(x->job.version, y->job.version);
}

static void sort_told(struct reading *reading)
{
    struct log *log = reading->story->log;
    uint32_t n = log->n_told;

    reading->told = room(n, sizeof *reading->told);
    reading->of_job = room(n, sizeof *reading->of_job);
    reading->deletions = room(n, sizeof *reading->deletions);
    for (uint32_t i = 0; i < n; i++) {
        struct told *told = &log->told[i];
        if (!told->answered)
            continue;
        if (told->verb == JOBTAB_DELETE)
            reading->deletions[reading->n_deletions++] = told;
        else
            reading->told[reading->n_told++] = told;
    }
    memcpy(reading->of_job, reading->told, reading->n_told * sizeof *reading->told);
    qsort(reading->told, reading->n_told, sizeof *reading->told, by_version);
    qsort(reading->of_job, reading->n_told, sizeof *reading->of_job, by_job);
    reading->gone = room(reading->n_deletions, sizeof *reading->gone);
    memset(reading->gone, 0xff, reading->n_deletions * sizeof *reading->gone);
}

/* The first that was told of that version or a later one. */
static uint32_t told_from(const struct reading *reading, uint64_t version)
{
    uint32_t low = 0, high = reading->n_told;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (reading->told[middle]->job.version < version)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The newest told of a job that this commit must have; NULL: none. */
static const struct told *newest(const struct reading *reading, const struct jobtab_id *id)
{
    const struct told wanted = {.job = {.id = *id, .version = reading->sequence + 1}};
    const struct told *key = &wanted;
    uint32_t low = 0, high = reading->n_told;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (by_job(&reading->of_job[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct told *found = low ? reading->of_job[low - 1] : NULL;
    return found && memcmp(&found->job.id, id, sizeof *id) == 0 ? found : NULL;
}

/* ------------------------------------------------------------------- a job's truth */

static void fault(const struct reading *reading, const struct jobtab_id *id, const char *what)
{
    char text[JOBTAB_ID_TEXT];

    jobtab_id_format(id, text);
    log_fault(reading->story->log, "commit %u (version %llu): job %s %s", reading->commit,
              (unsigned long long)reading->sequence, text, what);
}

static bool same_job(const struct jobtab_job *a, const struct jobtab_job *b)
{
    char one[4096], other[4096];

    jobtab_job_json(a, NULL, NULL, one, sizeof one);
    jobtab_job_json(b, NULL, NULL, other, sizeof other);
    return strcmp(one, other) == 0 && a->params_size == b->params_size &&
           a->result_size == b->result_size && a->log_begin == b->log_begin &&
           a->log_end == b->log_end;
}

static bool is_text(const char *part, size_t size, uint64_t seed)
{
    if (size == 0)
        return true;
    if (size < 2 || part[0] != '"' || part[size - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < size; i++)
        if (part[i] != load_letter(seed, i))
            return false;
    return true;
}

static bool is_log(const char *part, size_t size, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < size; i++)
        if (part[i] != load_letter(seed, at + i))
            return false;
    return true;
}

/* The seed that was logged when it was made. */
static bool params_seed(const struct reading *reading, const struct told *newest_told,
                        uint64_t *seed)
{
    struct told *const *at = reading->of_job;
    const struct jobtab_id *id = &newest_told->job.id;

    while (*at != newest_told)
        at++;
    for (; at >= reading->of_job && memcmp(&(*at)->job.id, id, sizeof *id) == 0; at--) {
        if (load_makes((*at)->verb)) {
            *seed = (*at)->seed;
            return true;
        }
    }
    return false;
}

/* Of the job as one commit has it. */
static void look_at(const struct jobtab_job *job, const char *parts[3], const size_t sizes[3],
                    void *context)
{
    struct reading *reading = context;
    const struct told *told = newest(reading, &job->id);
    uint64_t seed;

    if (reading->n_now == JOBS_MAX) {
        fault(reading, &job->id, "is one too many for this test");
        return;
    }
    reading->now[reading->n_now++] = (struct present){.id = job->id, .state = job->state};
    if (!told || !params_seed(reading, told, &seed)) {
        fault(reading, &job->id, "is there, and nobody was told so");
        return;
    }
    if (told->job.version > job->version)
        fault(reading, &job->id, "is older than what was answered");
    for (uint32_t i = told_from(reading, job->version);
         i < reading->n_told && reading->told[i]->job.version == job->version; i++)
        if (!same_job(&reading->told[i]->job, job))
            fault(reading, &job->id, "is not as the answer of its version said");
    if (sizes[0] != job->params_size || !is_text(parts[0], sizes[0], seed))
        fault(reading, &job->id, "has other params than it was given");
    if (sizes[1] != job->result_size || !is_text(parts[1], sizes[1], load_seed(&job->id)))
        fault(reading, &job->id, "has another result than it was given");
    if (sizes[2] != job->log_end - job->log_begin ||
        !is_log(parts[2], sizes[2], load_seed(&job->id), job->log_begin))
        fault(reading, &job->id, "has another log than it was given");
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct jobtab_id));
}

static const struct present *find(const struct present *jobs, uint32_t n,
                                  const struct jobtab_id *id)
{
    return bsearch(id, jobs, n, sizeof *jobs, by_id);
}

/* Versions up to and with `until` that were told. */
static uint64_t count_told(const struct reading *reading, uint64_t from, uint64_t until)
{
    uint64_t n = 0, last = 0;

    for (uint32_t i = told_from(reading, from);
         i < reading->n_told && reading->told[i]->job.version <= until; i++) {
        n += reading->told[i]->job.version != last;
        last = reading->told[i]->job.version;
    }
    return n;
}

/* Jobs that were there before this commit: each of their deletions took a version. */
static uint64_t count_gone(const struct reading *reading)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < reading->n_before; i++)
        n += find(reading->now, reading->n_now, &reading->before[i].id) == NULL;
    return n;
}

/* Of the versions of this commit neither answers nor deletions show all: a sweep is in it. */
static bool was_swept(const struct reading *reading)
{
    return count_told(reading, reading->last + 1, reading->sequence) + count_gone(reading) <
           reading->sequence - reading->last;
}

static bool has_owner(enum jobtab_state state)
{
    return state == JOBTAB_RUNNING || state == JOBTAB_CANCELLING;
}

/* It was deleted; or had ended, and then expired or made room. It ended before this commit, or in
 * it: by its owner's word, or by a sweep that found the owner gone. */
static bool may_be_gone(const struct reading *reading, const struct jobtab_id *id,
                        const struct present *before)
{
    const struct told *told = newest(reading, id);

    if (before && (jobtab_state_done(before->state) ||
                   (has_owner(before->state) && was_swept(reading))))
        return true;
    if (told && jobtab_state_done(told->job.state))
        return true;
    for (uint32_t i = 0; i < reading->n_deletions; i++)
        if (memcmp(&reading->deletions[i]->job.id, id, sizeof *id) == 0)
            return true;
    return false;
}

static void compare_with_before(struct reading *reading)
{
    for (uint32_t i = 0; i < reading->n_before; i++) {
        const struct present *was = &reading->before[i];
        if (!find(reading->now, reading->n_now, &was->id) && !may_be_gone(reading, &was->id, was))
            fault(reading, &was->id, "is gone, and nobody had deleted it");
    }
    /* What was answered with a version of this commit is in it. */
    for (uint32_t i = told_from(reading, reading->last + 1);
         i < reading->n_told && reading->told[i]->job.version <= reading->sequence; i++) {
        const struct jobtab_id *id = &reading->told[i]->job.id;
        if (!find(reading->now, reading->n_now, id) && !may_be_gone(reading, id, NULL))
            fault(reading, id, "was answered, and is not there");
    }
    for (uint32_t i = 0; i < reading->n_deletions; i++) {
        const struct jobtab_job *job = &reading->deletions[i]->job;
        bool there = find(reading->now, reading->n_now, &job->id);
        if (there && reading->gone[i] != NOWHERE)
            fault(reading, &job->id, "was deleted, and is there again");
        if (!there && reading->gone[i] == NOWHERE && job->version <= reading->sequence)
            reading->gone[i] = reading->commit;
    }
}

/* ------------------------------------------------------------------------- commits */

static void note_fault(const char *words, void *context)
{
    const struct reading *reading = context;

    log_fault(reading->story->log, "commit %u, with nothing lost: verify: %s", reading->commit,
              words);
}

static void look_at_commit(struct reading *reading, struct place *place, const char *bytes,
                           uint64_t size)
{
    struct story *story = reading->story;
    struct commit *commit = &story->commits[story->n_commits++];
    uint64_t records, faults = 0;
    struct jobtab_stat stat;
    struct jobtab *table;

    place_put(place, bytes, size);
    reading->commit = story->n_commits - 1;
    reading->n_now = 0;
    int rc = jobtab_open(place->dir, NULL, &table);
    if (!rc) {
        rc = jobtab_verify(table, note_fault, NULL, reading, &records, &faults);
        if (!rc)
            rc = jobtab_stat(table, &stat, NULL, 0);
        if (!rc && !faults) {
            reading->sequence = stat.version;
            reading->removed = stat.expired + stat.evicted;
            rc = story_digest(table, &commit->digest, look_at, reading);
        }
        jobtab_close(table);
    }
    if (rc)
        log_fault(story->log, "commit %u, with nothing lost: %s; %s", reading->commit,
                  jobtab_strerror(rc), jobtab_why());
    if (rc || faults)
        return;
    commit->sequence = reading->sequence;
    compare_with_before(reading);
    memcpy(reading->before, reading->now, reading->n_now * sizeof *reading->now);
    reading->n_before = reading->n_now;
    reading->last = reading->sequence;
}

/* The first write makes both meta pages of an empty file, and is no commit. */
static bool ends_commit(const struct io *write)
{
    return write->at < META_END && write->size < META_END;
}

static void look_at_commits(struct reading *reading, const char *dir)
{
    struct story *story = reading->story;
    char *bytes = room(FILE_MAX, 1);
    struct place place;
    uint64_t size = 0;

    place_begin(&place, dir);
    story->commits = room(story->n_writes + 1, sizeof *story->commits);
    story->n_commits = 1;
    for (uint32_t i = 0; i < story->n_writes && !story->log->faulty; i++) {
        const struct io *write = &story->writes[i];
        memcpy(bytes + write->at, story->log->bytes + write->bytes, write->size);
        if (write->at + write->size > size)
            size = write->at + write->size;
        if (ends_commit(write))
            look_at_commit(reading, &place, bytes, size);
    }
    place_end(&place);
    free(bytes);
}

/* A version that no answer shows is a sweep's, or a deletion's: by hand, or as the table counts
 * them. Some of a sweep's were read, and are told of so. */
static void count_versions(const struct reading *reading)
{
    uint64_t told = count_told(reading, 1, reading->sequence);
    uint64_t deleted = reading->n_deletions + reading->removed;

    if (reading->sequence - told > reading->story->log->swept + deleted)
        log_fault(reading->story->log,
                  "of %llu changes %llu were told, %u swept and %llu deletions",
                  (unsigned long long)reading->sequence, (unsigned long long)told,
                  reading->story->log->swept, (unsigned long long)deleted);
}

/* --------------------------------------------------------------------------- needs */

static int by_instant(const void *a, const void *b)
{
    return compare(((const struct need *)a)->answered, ((const struct need *)b)->answered);
}

static uint32_t commit_of(const struct story *story, uint64_t version)
{
    uint32_t low = 0, high = story->n_commits;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (story->commits[middle].sequence < version)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_need(struct story *story, const struct told *told, uint32_t commit)
{
    if (commit >= story->n_commits)
        log_fault(story->log, "version %llu was answered, and no commit has it",
                  (unsigned long long)told->job.version);
    story->needs[story->n_needs++] = (struct need){.answered = told->answered, .commit = commit};
}

static void make_needs(struct reading *reading)
{
    struct story *story = reading->story;

    story->needs = room(reading->n_told + reading->n_deletions, sizeof *story->needs);
    for (uint32_t i = 0; i < reading->n_told; i++)
        add_need(story, reading->told[i], commit_of(story, reading->told[i]->job.version));
    for (uint32_t i = 0; i < reading->n_deletions; i++)
        add_need(story, reading->deletions[i], reading->gone[i]);
    qsort(story->needs, story->n_needs, sizeof *story->needs, by_instant);
    for (uint32_t i = 1; i < story->n_needs; i++)
        if (story->needs[i].commit < story->needs[i - 1].commit)
            story->needs[i].commit = story->needs[i - 1].commit;
}

uint32_t story_need(const struct story *story, uint64_t instant)
{
    uint32_t low = 0, high = story->n_needs;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (story->needs[middle].answered < instant)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? story->needs[low - 1].commit : 0;
}

int64_t story_find(const struct story *story, uint64_t digest)
{
    for (int64_t i = (int64_t)story->n_commits - 1; i >= 0; i--)
        if (story->commits[i].digest == digest)
            return i;
    return -1;
}

void story_make(struct story *story, struct log *log, const char *dir)
{
    struct reading *reading = room(1, sizeof *reading);

    memset(story, 0, sizeof *story);
    story->log = log;
    reading->story = story;
    story_sort(story);
    story_names(story);
    sort_told(reading);
    look_at_commits(reading, dir);
    if (!log->faulty) {
        count_versions(reading);
        make_needs(reading);
    }
    free(reading->told);
    free(reading->of_job);
    free(reading->deletions);
    free(reading->gone);
    free(reading);
}

void story_free(struct story *story)
{
    free(story->writes);
    free(story->syncs);
    free(story->commits);
    free(story->needs);
}
