/* stage.c - the steps of the story: every verb once, small and large, on three jobs. */
#include "stage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LARGE 20000 /* bytes: chunks of their own, and a commit of many pages */

/* Job number i is known by its key, whatever its submit was answered. */
static void job_key(unsigned i, char key[16])
{
    snprintf(key, 16, "job-%u", i);
}

static const char *large(void)
{
    static char text[LARGE + 1];

    if (!text[0]) {
        memset(text, '7', LARGE);
        text[0] = text[LARGE - 1] = '"';
    }
    return text;
}

int stage_open(struct stage *stage)
{
    char dir[PATH_ROOM];

    if (stage->table)
        return JOBTAB_OK;
    snprintf(dir, sizeof dir, "%s/table", stage->folder);
    return jobtab_open(dir, &(struct jobtab_options){.map_size = 16 << 20}, &stage->table);
}

static int close_and_open(struct stage *stage)
{
    jobtab_close(stage->table);
    stage->table = NULL;
    return stage_open(stage);
}

static int submit(struct stage *stage, unsigned i, size_t params_size, int64_t delay)
{
    struct jobtab_job job;
    char key[16];

    job_key(i, key);
    int rc = jobtab_submit(stage->table,
                           &(struct jobtab_submit){.kind = STAGE_KIND, .key = key, .delay = delay,
                                                   .params = params_size ? large() : NULL,
                                                   .params_size = params_size},
                           &job);
    if (rc == JOBTAB_OK)
        stage->ids[i] = job.id;
    return rc;
}

static int submit_small(struct stage *stage)
{
    return submit(stage, 0, 0, 0);
}

static int submit_large(struct stage *stage)
{
    return submit(stage, 1, LARGE, 0);
}

static int submit_delayed(struct stage *stage)
{
    return submit(stage, 2, 0, 3600000);
}

static int claim(struct stage *stage)
{
    struct jobtab_job job;

    return jobtab_claim(stage->table, STAGE_KIND, &stage->token, &job);
}

static int report(struct stage *stage)
{
    return jobtab_report(stage->table, &stage->ids[0], &stage->token, 50, "half");
}

static int append_log(struct stage *stage)
{
    return jobtab_log(stage->table, &stage->ids[0], &stage->token, large(), 6000);
}

static int finish(struct stage *stage)
{
    return jobtab_finish(stage->table, &stage->ids[0], &stage->token,
                         &(struct jobtab_finish){.result = large(), .result_size = LARGE,
                                                 .format = JOBTAB_JSON});
}

static int cancel(struct stage *stage)
{
    return jobtab_cancel(stage->table, &stage->ids[1], NULL);
}

static int retry(struct stage *stage)
{
    return jobtab_retry(stage->table, &stage->ids[1], NULL);
}

static int sweep(struct stage *stage)
{
    struct jobtab_swept swept;

    return jobtab_sweep(stage->table, 10, &swept);
}

static int delete(struct stage *stage)
{
    return jobtab_delete(stage->table, &stage->ids[1]);
}

static int backup(struct stage *stage)
{
    char dir[PATH_ROOM];

    snprintf(dir, sizeof dir, "%s/backup", stage->folder);
    return jobtab_backup(stage->table, dir);
}

static int verify(struct stage *stage)
{
    uint64_t records, faults;
    int rc = jobtab_verify(stage->table, NULL, NULL, NULL, &records, &faults);

    return rc ? rc : faults ? JOBTAB_DAMAGED : JOBTAB_OK;
}

const struct step steps[] = {
    {"open a new table", stage_open},
    {"submit", submit_small},
    {"submit much", submit_large},
    {"claim", claim},
    {"report", report},
    {"log", append_log},
    {"finish with much", finish},
    {"cancel", cancel},
    {"retry", retry},
    {"submit for later", submit_delayed},
    {"sweep", sweep},
    {"delete", delete},
    {"back up", backup},
    {"verify", verify},
    {"open a table", close_and_open},
};
const unsigned n_steps = sizeof steps / sizeof steps[0];

/* ------------------------------------------------------------------------- the view */

static void look_at(struct view *view, const struct jobtab_job *job)
{
    char key[16];

    for (unsigned i = 0; i < STAGE_JOBS; i++) {
        job_key(i, key);
        if (strcmp(job->key, key) != 0)
            continue;
        view->others += view->jobs[i].there;
        view->jobs[i].there = true;
        view->jobs[i].state = job->state;
        view->jobs[i].attempt = job->attempt;
        view->jobs[i].progress = job->progress;
        view->jobs[i].params = job->params_size;
        view->jobs[i].result = job->result_size;
        view->jobs[i].log = job->log_end;
        return;
    }
    view->others++;
}

int stage_view(struct stage *stage, struct view *view)
{
    struct jobtab_job jobs[STAGE_JOBS + 2];
    size_t n = sizeof jobs / sizeof jobs[0];
    struct jobtab_filter filter = {.kind = STAGE_KIND};
    struct jobtab_id cursor;
    char path[PATH_ROOM];
    bool more;

    memset(view, 0, sizeof *view);
    int rc = jobtab_list(stage->table, &filter, jobs, &n, &cursor, &more);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        look_at(view, &jobs[i]);
    snprintf(path, sizeof path, "%s/backup/data.mdb", stage->folder);
    view->backup = access(path, F_OK) == 0;
    return JOBTAB_OK;
}
