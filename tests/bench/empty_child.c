/* empty_child.c - a warm child whose work is nothing: what remains is the way of a job.
 *
 *   empty_child [stamp]   with "stamp" the result is {"began": ns}, the monotonic clock at the
 *                         first instruction that belongs to the job
 *
 * Born:  spawned by a runner as a warm child (table = true, children = N).
 * Loop:  ends the job at hand and claims the next in one transaction; waits when there is none.
 * Ends:  SIGTERM and SIGQUIT, after the job at hand, which is no work.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jobtab.h"

static volatile sig_atomic_t told;

/* A signal between the look at the flag and the wait wakes nobody: the alarm repeats it. */
static void on_signal(int number)
{
    told |= number != SIGALRM;
    alarm(1);
}

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "empty_child: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    bool stamp = argc > 1 && strcmp(argv[1], "stamp") == 0, has_job = false;
    struct sigaction action = {.sa_handler = on_signal};
    const char *kind = getenv("JOBTAB_KIND");
    struct jobtab *table = NULL;
    struct jobtab_op ops[2]; /* the end of one job, the claim of the next */
    char result[48];

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    memset(ops, 0, sizeof ops);
    ops[0].verb = JOBTAB_FINISH;
    ops[0].finish.outcome = JOBTAB_SUCCEEDED;
    ops[1].verb = JOBTAB_CLAIM;
    ops[1].claim.kind = kind;
    if (jobtab_attach(&table, &has_job, &ops[0].id, &ops[0].token) != JOBTAB_OK)
        return fail("attach", jobtab_why());
    while (!told || has_job) {
        int error = jobtab_apply(table, has_job ? ops : ops + 1, (size_t)has_job + !told);
        if (error != JOBTAB_OK)
            return fail("apply", jobtab_why());
        if (has_job && ops[0].result != JOBTAB_OK)
            return fail("finish", ops[0].why);
        if (told && has_job)
            break;
        has_job = ops[1].result == JOBTAB_OK;
        if (has_job && stamp) {
            int size = snprintf(result, sizeof result, "{\"began\":%lld}", (long long)monotonic_ns());
            ops[0].finish.result = result;
            ops[0].finish.result_size = (size_t)size;
            ops[0].finish.format = JOBTAB_JSON;
        }
        if (has_job) {
            ops[0].id = ops[1].id;
            ops[0].token = ops[1].token;
        } else if (ops[1].result != JOBTAB_EMPTY) {
            return fail("claim", ops[1].why);
        } else {
            error = jobtab_wait_work(table, kind, -1);
            if (error != JOBTAB_OK && error != JOBTAB_TIMEOUT)
                return fail("wait", jobtab_why());
        }
    }
    jobtab_close(table);
    return EXIT_SUCCESS;
}
