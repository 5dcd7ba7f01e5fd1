/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <ftw.h>

/* s in which a test must end, under valgrind on a busy machine, too. SIGALRM ends the program if it
 * does not, and its log tells which test was the last that did. */
#define BOUND 240

int fixture_directory(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");

    if (!f)
        return -1;
    alarm(BOUND);
    snprintf(f->dir, sizeof f->dir, "%.30s/jobtab-unit-XXXXXX", tmp ? tmp : "/tmp");
    *state = f;
    return mkdtemp(f->dir) ? 0 : -1;
}

void fixture_reopen(struct fixture *f, const struct jobtab_options *options)
{
    jobtab_close(f->table);
    f->table = NULL;
    assert_ok(jobtab_open(f->dir, options, &f->table));
}

int fixture_open(void **state)
{
    if (fixture_directory(state))
        return -1;
    fixture_reopen(*state, NULL);
    return 0;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

int fixture_close(void **state)
{
    struct fixture *f = *state;

    jobtab_close(f->table);
    int rc = nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    alarm(0);
    return rc;
}

void assert_ok(int rc)
{
    if (rc)
        print_error("%s: %s\n", jobtab_strerror(rc), jobtab_why());
    assert_int_equal(rc, JOBTAB_OK);
}

struct jobtab_job submit(struct fixture *f, const char *kind)
{
    struct jobtab_job job;

    assert_ok(jobtab_submit(f->table, &(struct jobtab_submit){.kind = kind}, &job));
    return job;
}

struct jobtab_job claim(struct fixture *f, const char *kind, struct jobtab_token *token)
{
    struct jobtab_job job;

    assert_ok(jobtab_claim(f->table, kind, token, &job));
    return job;
}

struct jobtab_job get(struct fixture *f, const struct jobtab_id *id)
{
    struct jobtab_job job;

    assert_ok(jobtab_get(f->table, id, &job));
    return job;
}

int finish(struct fixture *f, const struct jobtab_id *id, const struct jobtab_token *token,
           enum jobtab_outcome outcome)
{
    return jobtab_finish(f->table, id, token,
                         &(struct jobtab_finish){.outcome = outcome,
                                                 .reason = JOBTAB_BY_EXIT,
                                                 .error = "exit code 1"});
}

static void print_fault(const char *fault, void *context)
{
    (void)context;
    print_error("%s\n", fault);
}

void assert_sound(struct fixture *f)
{
    uint64_t records, faults;

    assert_ok(jobtab_verify(f->table, print_fault, NULL, NULL, &records, &faults));
    assert_int_equal(faults, 0);
}

int in_child(int (*body)(void *context), void *context)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(context));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int64_t slowed(int64_t ms)
{
    const char *factor = getenv("JOBTAB_TEST_SLOW");

    return factor && atoi(factor) > 1 ? ms * atoi(factor) : ms;
}
