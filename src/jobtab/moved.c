/* moved.c - from named values to a job. See moved.h. */
#include "moved.h"

#include "making.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void collect(struct making *making)
{
    for (size_t i = 0; i < making->row->n; i++) {
        const struct value *value = &making->row->values[i];
        enum target target = mapping_target(making->mapping, value->name);

        if (target < TARGETS && making->values[target] == NULL)
            making->values[target] = value;
    }
}

/* What the state says of the rest. */
static void settle(struct making *making)
{
    static const struct jobtab_id nobody;
    struct moved *moved = making->moved;
    struct jobtab_job *job = &moved->job;

    if (job->state == JOBTAB_SCHEDULED && job->run_at == 0)
        job->state = JOBTAB_PENDING;
    if (job->state == JOBTAB_COMPLETED && making->values[TO_PROGRESS] == NULL)
        job->progress = 100;
    if (job->expires_at == 0)
        job->expires_at = making->row->expires_at;
    if (job->expires_at <= jobtab_now()) /* what has expired long since stays a while to be seen */
        job->expires_at = 0;
    moved->was_running = job->state == JOBTAB_RUNNING || job->state == JOBTAB_CANCELLING;
    moved->nameless = *job->key == '\0' && memcmp(&job->id, &nobody, sizeof nobody) == 0;
}

bool moved_make(struct moved *moved, const struct mapping *mapping, const char *kind,
                struct row *row, char why[MOVED_WHY])
{
    struct making making = {.moved = moved, .mapping = mapping, .row = row, .why = why};
    struct jobtab_job *job = &moved->job;

    *moved = (struct moved){.job = {.state = JOBTAB_PENDING}};
    snprintf(moved->place, sizeof moved->place, "%s", row->place);
    collect(&making);
    if (!making_fields(&making))
        return false;
    if (*job->kind == '\0' && kind != NULL)
        snprintf(job->kind, sizeof job->kind, "%s", kind);
    if (*job->kind == '\0') {
        snprintf(why, MOVED_WHY, "kind: it has none; -k KIND gives one to all that lack it");
        return false;
    }
    if (!making_source_id(&making) || !making_params(&making) || !making_result(&making) ||
        !making_log(&making)) {
        moved_free(moved);
        return false;
    }
    settle(&making);
    return true;
}

void moved_free(struct moved *moved)
{
    free(moved->params);
    free(moved->result);
    free(moved->log);
    moved->params = moved->result = moved->log = NULL;
}

struct jobtab_op moved_op(const struct moved *moved, bool check_only)
{
    return (struct jobtab_op){.verb = JOBTAB_RESTORE,
                              .restore = {.job = &moved->job,
                                          .params = moved->params,
                                          .params_size = moved->params_size,
                                          .result = moved->result,
                                          .result_size = moved->result_size,
                                          .log = moved->log,
                                          .log_size = moved->log_size,
                                          .check_only = check_only}};
}
