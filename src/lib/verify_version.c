/* verify_version.c - which job has which version: noted once as the jobs are walked, so that the
 * feed, which names each of them many times, is held against memory and not against the store. */
#include "verify_check.h"

#include "error.h"

#include <stdlib.h>

#define FIRST_ROOM 1024 /* jobs; doubled when it is filled */

static uint64_t number(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < sizeof value; i++)
        value = value << 8 | bytes[i];
    return value;
}

static struct job_version of_job(const struct jobtab_id *id, uint64_t version)
{
    return (struct job_version){
        .high = number(id->bytes), .low = number(id->bytes + 8), .version = version};
}

/* Jobs come in the order of their ids, as the store has them: see verify_version_of. */
void verify_note_version(struct check *check, const struct jobtab_job *job)
{
    if (check->n_versions == check->versions_room) {
        size_t room = check->versions_room ? 2 * check->versions_room : FIRST_ROOM;
        struct job_version *versions = realloc(check->versions, room * sizeof *versions);
        if (!versions) {
            store_fail(check->txn, fail(JOBTAB_SYSTEM, "out of memory"));
            return;
        }
        check->versions = versions;
        check->versions_room = room;
    }
    check->versions[check->n_versions++] = of_job(&job->id, job->version);
}

/* Asked for every change of the feed, mostly of jobs that are gone: a search whose steps depend on
 * no guess of the processor's, since every other one would be wrong. */
uint64_t verify_version_of(const struct check *check, const struct jobtab_id *id)
{
    const struct job_version wanted = of_job(id, 0), *at = check->versions;

    for (size_t n = check->n_versions, half; n > 1; n -= half) {
        half = n / 2;
        bool above = at[half].high < wanted.high;
        bool same = at[half].high == wanted.high;
        bool not_below = above | (same & (at[half].low <= wanted.low));
        at += half * not_below;
    }
    bool found = check->n_versions && at->high == wanted.high && at->low == wanted.low;
    return found ? at->version : 0;
}

static int by_version(const void *a, const void *b)
{
    uint64_t left = ((const struct job_version *)a)->version;
    uint64_t right = ((const struct job_version *)b)->version;

    return (left > right) - (left < right);
}

void verify_versions(struct check *check)
{
    struct job_version *versions = check->versions;

    if (check->n_versions)
        qsort(versions, check->n_versions, sizeof *versions, by_version);
    for (size_t i = 1; i < check->n_versions; i++)
        if (versions[i].version == versions[i - 1].version)
            verify_fault(check, NULL, "two jobs have version %llu",
                         (unsigned long long)versions[i].version);
}
