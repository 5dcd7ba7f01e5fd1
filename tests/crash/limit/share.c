/* share.c - memory is refused to those that share commits with others, leaders among them.
 *
 * Every request has a key of its own, so that at its end the table itself tells what was done: a
 * request that was answered is there once, one that was told that nothing was done is not there. */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEIGHBORS 3
#define DEPTH     12 /* allocations of a submit, at most */
#define QUIET     20 /* ms in which what is still on its way to be done would show */

/* A submit with a key of its own: was it there already? */
static int submit_key(struct jobtab *table, const char *key, bool *repeated)
{
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT, .submit = {.kind = "shared", .key = key}};

    int rc = jobtab_apply(table, &op, 1);
    *repeated = op.repeated;
    return rc ? rc : op.result;
}

/* Submits without end, until it is told; then all that it was told of must be there, once. */
static void be_sharer(const char *dir, int number, _Atomic int *done)
{
    struct jobtab *table;
    bool repeated;
    char key[64];
    int n = 0, code = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    need(jobtab_open(dir, NULL, &table), "a sharer's open");
    for (; !*done; n++) {
        snprintf(key, sizeof key, "sharer-%d-%d", number, n);
        int rc = submit_key(table, key, &repeated);
        if (rc == JOBTAB_BROKEN) { /* a commit that it shared: its outcome is unknown */
            jobtab_close(table);
            need(jobtab_open(dir, NULL, &table), "a sharer's open");
            rc = submit_key(table, key, &repeated);
        } else if (repeated) {
            code = 2;
        }
        if (rc)
            code = 3;
    }
    for (int i = 0; i < n && !code; i++) {
        snprintf(key, sizeof key, "sharer-%d-%d", number, i);
        if (submit_key(table, key, &repeated) || !repeated)
            code = 4;
    }
    _exit(code);
}

/* The first allocation of a call that leads is that of its transaction. */
static void refuse(long round)
{
    long at = round % 2 ? 1 : 1 + round / 2 % DEPTH;

    nomem_arm(at, (int)(round / 4 % 2));
}

/* One call after the other, each with an allocation that fails. How many failed; which, into
 * `refused`. */
static long call_all(struct stage *stage, bool *refused, long rounds)
{
    long failures = 0;
    bool repeated;
    char key[64];

    for (long i = 0; i < rounds && !fault[0]; i++) {
        if (!stage->table)
            need(jobtab_open(stage->copy, NULL, &stage->table), "open");
        snprintf(key, sizeof key, "victim-%ld", i);
        refuse(i);
        int rc = submit_key(stage->table, key, &repeated);
        nomem_disarm();
        refused[i] = rc != JOBTAB_OK;
        failures += refused[i];
        if (rc && rc != JOBTAB_SYSTEM && rc != JOBTAB_BROKEN)
            note("it returned \"%s\" (%s)", jobtab_strerror(rc), jobtab_why());
        if (!rc && repeated)
            note("it was answered for another's request");
        if (rc == JOBTAB_BROKEN || i % DEPTH == DEPTH - 1) { /* to begin with no memory in reserve */
            jobtab_close(stage->table);
            stage->table = NULL;
        }
    }
    return failures;
}

/* What each call was told is so. */
static void judge(struct stage *stage, const bool *refused, long rounds)
{
    bool repeated;
    char key[64];

    if (!stage->table)
        need(jobtab_open(stage->copy, NULL, &stage->table), "open");
    for (long i = 0; i < rounds && !fault[0]; i++) {
        snprintf(key, sizeof key, "victim-%ld", i);
        need(submit_key(stage->table, key, &repeated), "submit");
        if (repeated == refused[i])
            note("call %ld: %s", i,
                 repeated ? "it was told that nothing was done, and it was done" : "its job is lost");
    }
    need(make_verify(stage), "verify");
    jobtab_close(stage->table);
    stage->table = NULL;
}

static void await_neighbors(const pid_t pids[NEIGHBORS])
{
    static const char *const ends[] = {"", "an error outside of its calls",
                                       "an answer for another's request", "an error",
                                       "an acknowledged job that is lost"};
    const int n = sizeof ends / sizeof ends[0];
    int status;

    for (int i = 0; i < NEIGHBORS; i++)
        if (waitpid(pids[i], &status, 0) == pids[i] && status)
            note("a neighbour had %s", WIFEXITED(status) && WEXITSTATUS(status) < n
                                           ? ends[WEXITSTATUS(status)]
                                           : "an end that it did not choose");
}

bool run_shared(struct stage *stage, long rounds)
{
    _Atomic int *done = mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool *refused = calloc((size_t)rounds, sizeof *refused);
    pid_t pids[NEIGHBORS];

    fault[0] = '\0';
    for (int i = 0; i < NEIGHBORS; i++)
        if ((pids[i] = fork()) == 0)
            be_sharer(stage->copy, i, done);
    long failures = call_all(stage, refused, rounds);
    usleep(QUIET * 1000);
    *done = 1;
    await_neighbors(pids);
    judge(stage, refused, rounds);
    clear(stage->copy);
    if (!failures)
        note("no call failed");
    if (fault[0])
        printf("# %s\n", fault);
    printf("%s - a leader of a shared commit, its allocations refused: %ld calls, %ld failed\n",
           fault[0] ? "not ok" : "ok", rounds, failures);
    free(refused);
    munmap(done, sizeof *done);
    return !fault[0];
}
