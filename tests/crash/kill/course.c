/* course.c - the lives that the sweep leads jobs through: every verb, every state. */
#include "stage.h"

#include <string.h>

const char *const act_names[ACTS] = {
    [JOBTAB_SUBMIT] = "submit",   [JOBTAB_CLAIM] = "claim",   [JOBTAB_REPORT] = "report",
    [JOBTAB_RENEW] = "renew",     [JOBTAB_LOG] = "log",       [JOBTAB_FINISH] = "finish",
    [JOBTAB_RELEASE] = "release", [JOBTAB_CANCEL] = "cancel", [JOBTAB_RETRY] = "retry",
    [JOBTAB_DELETE] = "delete",   [ACT_SWEEP] = "sweep",      [ACT_BACKUP] = "backup",
    [ACT_LATE] = "late report",
};

const struct course courses[COURSES] = {
    {.n = 5,
     .steps = {[1] = {JOBTAB_SUBMIT, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_REPORT, JOBTAB_RUNNING, 1, 0, 20},
               {JOBTAB_REPORT, JOBTAB_RUNNING, 1, 0, 30},
               {JOBTAB_FINISH, JOBTAB_COMPLETED, 1, 0, 100}}},
    /* handed back, failed, tried again, not wanted any more */
    {.n = 11,
     .steps = {[1] = {JOBTAB_SUBMIT, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_LOG, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_RELEASE, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 1, 0, 0},
               {ACT_LATE, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_REPORT, JOBTAB_RUNNING, 1, 0, 40},
               {JOBTAB_FINISH, JOBTAB_FAILED, 1, 0, 40},
               {JOBTAB_RETRY, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CANCEL, JOBTAB_CANCELLED, 0, 0, 0},
               {JOBTAB_DELETE, JOBTAB_CANCELLED, 0, 0, 0}}},
    /* cancelled while it runs */
    {.n = 6,
     .steps = {[1] = {JOBTAB_SUBMIT, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_CANCEL, JOBTAB_CANCELLING, 1, 0, 0},
               {JOBTAB_REPORT, JOBTAB_CANCELLING, 1, 0, 50},
               {JOBTAB_FINISH, JOBTAB_CANCELLED, 1, 0, 50},
               {JOBTAB_DELETE, JOBTAB_CANCELLED, 1, 0, 50}}},
    /* of a remote owner that fails once and is then lost */
    {.remote = true,
     .n = 10,
     .steps = {[1] = {JOBTAB_SUBMIT, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_RENEW, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_LOG, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_FINISH, JOBTAB_SCHEDULED, 1, 0, 0},
               {ACT_SWEEP, JOBTAB_PENDING, 1, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 2, 0, 0},
               {JOBTAB_LOG, JOBTAB_RUNNING, 2, 0, 0},
               {ACT_SWEEP, JOBTAB_PENDING, 1, 1, 0},
               {JOBTAB_CANCEL, JOBTAB_CANCELLED, 1, 1, 0}}},
    /* delayed; and a copy of the table is made meanwhile */
    {.n = 5,
     .steps = {[1] = {JOBTAB_SUBMIT, JOBTAB_SCHEDULED, 0, 0, 0},
               {ACT_SWEEP, JOBTAB_PENDING, 0, 0, 0},
               {ACT_BACKUP, JOBTAB_PENDING, 0, 0, 0},
               {JOBTAB_CLAIM, JOBTAB_RUNNING, 1, 0, 0},
               {JOBTAB_FINISH, JOBTAB_COMPLETED, 1, 0, 100}}},
};

bool step_counts(const struct step *step)
{
    return step->act != ACT_BACKUP && step->act != ACT_LATE;
}

size_t stage_log(const struct course *course, unsigned step, char text[STEPS_MAX * LOG_SIZE])
{
    size_t size = 0;

    for (unsigned n = 1; n <= step; n++)
        if (course->steps[n].act == JOBTAB_LOG) {
            memset(text + size, 'a' + (int)n, LOG_SIZE);
            size += LOG_SIZE;
        }
    return size;
}
