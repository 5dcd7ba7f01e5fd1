/* verify_version.c - which job has which version: noted once as the jobs are walked, so that the
 * feed, which names each of them many times, is held against memory and not against the store. */
#include "verify_check.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 1024 /* jobs; doubled when it is filled */

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
    check->versions[check->n_versions++] =
        (struct job_version){.id = job->id, .version = job->version};
}

static int by_id(const void *id, const void *noted)
{
    return memcmp(id, &((const struct job_version *)noted)->id, sizeof(struct jobtab_id));
}

uint64_t verify_version_of(const struct check *check, const struct jobtab_id *id)
{
    const struct job_version *noted = NULL;

    if (check->n_versions)
        noted = bsearch(id, check->versions, check->n_versions, sizeof *noted, by_id);
    return noted ? noted->version : 0;
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
