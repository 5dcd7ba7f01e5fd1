/* digest.c - a table as one number: every job, and all that can be read of it. See power.h. */
#include "power.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t state, const char *bytes, size_t size)
{
    uint64_t word;

    state ^= size;
    for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        state = (state ^ word) * UINT64_C(0x9fb21c651e98df25);
        state ^= state >> 32;
    }
    word = 0;
    memcpy(&word, bytes, size);
    state = (state ^ word) * UINT64_C(0x9fb21c651e98df25);
    return state ^ state >> 29;
}

static int read_parts(struct jobtab *table, const struct jobtab_job *job, char *parts[3],
                      size_t sizes[3])
{
    static const enum jobtab_part which[3] = {JOBTAB_PARAMS, JOBTAB_RESULT, JOBTAB_LOGTEXT};
    const uint64_t size[3] = {job->params_size, job->result_size, job->log_end - job->log_begin};
    int rc = JOBTAB_OK;

    for (int i = 0; i < 3 && !rc; i++) {
        uint64_t offset = i == 2 ? job->log_begin : 0;
        if (size[i])
            rc = jobtab_read(table, &job->id, which[i], &offset, SIZE_MAX, &parts[i], &sizes[i]);
    }
    return rc;
}

static int digest_job(struct jobtab *table, const struct jobtab_job *job, uint64_t *digest,
                      look_fn *look, void *context)
{
    char *parts[3] = {NULL, NULL, NULL}, json[4096];
    size_t sizes[3] = {0, 0, 0};

    int rc = read_parts(table, job, parts, sizes);
    if (!rc) {
        size_t n = jobtab_job_json(job, NULL, NULL, json, sizeof json);
        *digest = mix(*digest, json, n < sizeof json ? n : sizeof json - 1);
        for (int i = 0; i < 3; i++)
            *digest = mix(*digest, parts[i] ? parts[i] : "", sizes[i]);
        if (look)
            look(job, (const char **)parts, sizes, context);
    }
    for (int i = 0; i < 3; i++)
        free(parts[i]);
    return rc;
}

int story_digest(struct jobtab *table, uint64_t *digest, look_fn *look, void *context)
{
    static struct jobtab_job jobs[64];
    struct jobtab_filter filter = {.oldest_first = true};
    bool more = true;

    *digest = 0;
    int rc = jobtab_hold(table);
    while (more && !rc) {
        size_t n = sizeof jobs / sizeof jobs[0];
        rc = jobtab_list(table, &filter, jobs, &n, &filter.after, &more);
        filter.after_set = true;
        for (size_t i = 0; i < n && !rc; i++)
            rc = digest_job(table, &jobs[i], digest, look, context);
    }
    jobtab_rest(table);
    return rc;
}
