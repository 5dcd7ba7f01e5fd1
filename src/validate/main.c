/* main.c - jobtab-validate: prices are validated as a job, or by hand.
 *
 * Born:  spawned by a runner with a table in its environment, for one job or to claim one after
 *        another; or started by a user, with files, who has no table.
 * Loop:  validate, end the job and claim the next in one commit; waits without polling while there
 *        is nothing to claim.
 * Ends:  after its one job; SIGTERM stops the job at hand and hands it back, SIGQUIT lets it end.
 *        SIGTERM comes from the kernel, too, when the runner dies.
 * Crash: the table sees the owner gone; nothing is left behind (temporary files have no names).
 */
#include "config.h"

#include "fault.h"
#include "jobtab.h"
#include "params.h"
#include "validate.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum exit_code {
    EXIT_PASSED,     /* as a child: ended as it was told to */
    EXIT_VIOLATIONS,
    EXIT_USAGE,      /* arguments or params */
    EXIT_UNREADABLE, /* a source; as a child: the table */
    EXIT_SYSTEM,     /* memory, disk */
};

#define REPORT_EVERY 250 /* ms; a report costs a commit */

static volatile sig_atomic_t stop_asked, quit_asked;

/* The JSON library leaves out what it gets no memory for, and goes on: a result without some of its
 * members would be stored as a whole one. What it made once this is set counts for nothing. */
static bool starved;

static void *json_memory(size_t size)
{
    void *memory = malloc(size);
    starved |= memory == NULL;
    return memory;
}

/* True when the result was dropped for that, with the fault saying so. */
static bool drop_if_starved(json_t **result, struct fault *fault)
{
    if (!starved)
        return false;
    starved = false;
    json_decref(*result);
    *result = NULL;
    fault_set(fault, FAULT_SYSTEM, "out of memory");
    return true;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int open_root(const char *path, struct fault *fault)
{
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root >= 0 ? root
                     : fault_set(fault, fault_of(errno), "the input root %s: %s", path,
                                 strerror(errno));
}

static int validate_in(const char *root_path, const struct params *params,
                       const struct progress *progress, json_t **result, struct fault *fault)
{
    int root = open_root(root_path, fault);
    if (root < 0)
        return -1;
    int status = validate(root, params, clock_ms(CLOCK_REALTIME) * 1000000, progress, result,
                          fault);
    close(root);
    return status;
}

/* ------------------------------------------------------------------- as a job */

struct job {
    struct jobtab *table;
    struct jobtab_id id;
    struct jobtab_token token;
    int64_t reported; /* when, on the monotonic clock */
    int error;        /* of the table, which ended the work */
    const char *kind; /* to go on with, NULL: this job and no other */
    bool has_next;    /* claimed */
    struct jobtab_id next_id;
    struct jobtab_token next_token;
};

/* The table's disk is full or fails, and nothing was done. */
static bool refused_for_now(int error)
{
    return error == JOBTAB_SYSTEM || error == JOBTAB_FULL;
}

/* Work that is done is not thrown away for that: the disk may get well. False when the process is
 * to stop, or there is nothing to wait for. */
static bool wait_for_disk(int error)
{
    if (!refused_for_now(error) || stop_asked)
        return false;
    sleep(1); /* or until a signal */
    return !stop_asked;
}

static bool tell_table(unsigned percent, const char *message, void *context)
{
    struct job *job = context;
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    if (stop_asked)
        return false;
    if (now - job->reported < REPORT_EVERY)
        return true;
    job->reported = now;
    int error = jobtab_report(job->table, &job->id, &job->token, percent, message);
    if (refused_for_now(error)) /* a later one will do */
        return true;
    if (error != JOBTAB_OK && error != JOBTAB_STOP)
        job->error = error;
    return error == JOBTAB_OK;
}

static int validate_job(struct job *job, json_t **result, struct fault *fault)
{
    const char *root = getenv("JOBTAB_INPUT_ROOT");
    const struct progress progress = {tell_table, job};
    struct params params = {0};
    uint64_t offset = 0;
    char *text = NULL;
    size_t size;
    int status = -1;
    job->error = jobtab_read(job->table, &job->id, JOBTAB_PARAMS, &offset, SIZE_MAX, &text, &size);
    if (job->error != JOBTAB_OK)
        return fault_set(fault, FAULT_SYSTEM, "params: %s", jobtab_why());
    if (root == NULL)
        fault_set(fault, FAULT_INVALID, "this kind of job has no input_root");
    else if (params_read(&params, size > 0 ? text : "{}", size > 0 ? size : 2, fault) == 0)
        status = validate_in(root, &params, &progress, result, fault);
    params_free(&params);
    free(text);
    return status;
}

/* End the job and claim the next, if there is to be one. */
static int end_job(struct job *job, const struct jobtab_finish *finish)
{
    struct jobtab_op ops[2] = {
        {.verb = JOBTAB_FINISH, .id = job->id, .token = job->token, .finish = *finish},
        {.verb = JOBTAB_CLAIM, .claim = {.kind = job->kind}},
    };
    int error;
    do {
        bool go_on = job->kind != NULL && !job->has_next && !stop_asked && !quit_asked;
        error = jobtab_apply(job->table, ops, go_on ? 2 : 1);
        if (error == JOBTAB_OK && go_on && ops[1].result == JOBTAB_OK) {
            job->has_next = true;
            job->next_id = ops[1].id;
            job->next_token = ops[1].token;
        }
        if (error == JOBTAB_OK)
            error = ops[0].result;
    } while (wait_for_disk(error));
    return error;
}

/* Store what came out. JOBTAB_OK, or the table's error. */
static int finish_job(struct job *job, const json_t *result, const struct fault *fault)
{
    static const struct {
        enum jobtab_outcome outcome;
        enum jobtab_reason reason;
    } ends[] = {
        [FAULT_INVALID] = {JOBTAB_GIVE_UP, JOBTAB_BY_INVALID},
        [FAULT_STOPPED] = {JOBTAB_STOPPED, JOBTAB_NO_REASON},
        [FAULT_SYSTEM] = {JOBTAB_TRY_AGAIN, JOBTAB_BY_EXIT},
    };
    static const struct fault no_memory = {.kind = FAULT_SYSTEM, .text = "out of memory"};
    struct jobtab_finish finish = {.outcome = JOBTAB_SUCCEEDED, .format = JOBTAB_JSON};
    char message[JOBTAB_MESSAGE_MAX + 1], *text = NULL;
    if (result != NULL) {
        snprintf(message, sizeof message, "%s: %" JSON_INTEGER_FORMAT " violations in %"
                 JSON_INTEGER_FORMAT " rows", json_string_value(json_object_get(result, "verdict")),
                 json_integer_value(json_object_get(result, "violations")),
                 json_integer_value(json_object_get(result, "rows")));
        text = json_dumps(result, JSON_COMPACT);
        finish.message = message;
        finish.result = text;
        finish.result_size = text != NULL ? strlen(text) : 0;
        if (text == NULL) /* what stands in the fault was overcome on the way */
            fault = &no_memory;
    }
    if (text == NULL) {
        finish = (struct jobtab_finish){
            .outcome = ends[fault->kind].outcome,
            .reason = ends[fault->kind].reason,
            .error = fault->kind != FAULT_STOPPED ? fault->text : NULL,
        };
    }
    int error = end_job(job, &finish);
    if (error == JOBTAB_TOOBIG) { /* the table takes less than the one that ships does */
        finish = (struct jobtab_finish){
            .outcome = JOBTAB_GIVE_UP,
            .reason = JOBTAB_BY_INVALID,
            .error = "the result is too big",
        };
        error = end_job(job, &finish);
    }
    free(text);
    return error;
}

static int work_on(struct job *job)
{
    struct fault fault = {.kind = FAULT_SYSTEM, .text = "out of memory"};
    json_t *result = NULL;
    job->reported = 0;
    job->error = JOBTAB_OK;
    validate_job(job, &result, &fault);
    drop_if_starved(&result, &fault);
    int error = job->error;
    if (error == JOBTAB_OK)
        error = finish_job(job, result, &fault);
    json_decref(result);
    /* Another attempt has the job, or it is gone: not ours any more, and no harm done. */
    return error == JOBTAB_STALE || error == JOBTAB_NOTFOUND || error == JOBTAB_FORBIDDEN
               ? JOBTAB_OK
               : error;
}

static int claim_next(struct job *job)
{
    struct jobtab_job claimed;
    int error = jobtab_claim(job->table, job->kind, &job->next_token, &claimed);
    job->has_next = error == JOBTAB_OK;
    if (job->has_next)
        job->next_id = claimed.id;
    if (error == JOBTAB_EMPTY)
        error = jobtab_wait_work(job->table, job->kind, -1);
    else if (!quit_asked && wait_for_disk(error))
        error = JOBTAB_OK;
    return error == JOBTAB_TIMEOUT ? JOBTAB_OK : error;
}

static int work_until_told(struct job *job, const char *kind)
{
    int error = JOBTAB_OK;
    job->kind = kind;
    while (error == JOBTAB_OK && (job->has_next || (!stop_asked && !quit_asked))) {
        if (job->has_next) {
            job->has_next = false;
            job->id = job->next_id;
            job->token = job->next_token;
            error = work_on(job);
        } else {
            error = claim_next(job);
        }
    }
    if (job->has_next) /* not worked on, so no attempt */
        jobtab_release(job->table, &job->next_id, &job->next_token);
    return error;
}

/* A signal that comes between a look at the flags and the wait wakes nobody. So once one has come,
 * an alarm repeats the waking every second until the process is gone. */
static void on_signal(int number)
{
    if (number == SIGTERM)
        stop_asked = 1;
    else if (number == SIGQUIT)
        quit_asked = 1;
    alarm(1);
}

static int be_child(const char *kind)
{
    struct job job = {0};
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: waits must end */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a table over the limit of file sizes is an error of its calls */
    prctl(PR_SET_PDEATHSIG, SIGTERM);

    bool has_job;
    int error = jobtab_attach(&job.table, &has_job, &job.id, &job.token);
    if (error == JOBTAB_OK)
        error = has_job ? work_on(&job) : work_until_told(&job, kind);
    if (error != JOBTAB_OK)
        fprintf(stderr, "jobtab-validate: %s: %s\n", jobtab_strerror(error), jobtab_why());
    jobtab_close(job.table);
    return error == JOBTAB_OK ? EXIT_PASSED : EXIT_UNREADABLE;
}

/* -------------------------------------------------------------------- by hand */

static bool tell_terminal(unsigned percent, const char *message, void *context)
{
    unsigned *shown = context;
    if (percent != *shown && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%3u%% %s\033[K", percent, message);
    *shown = percent;
    return true;
}

static int print_result(const json_t *result)
{
    if (json_dumpf(result, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF ||
        fflush(stdout) != 0) {
        fprintf(stderr, "jobtab-validate: standard output: %s\n", strerror(errno));
        return EXIT_SYSTEM;
    }
    return json_integer_value(json_object_get(result, "violations")) == 0 ? EXIT_PASSED
                                                                           : EXIT_VIOLATIONS;
}

static int by_hand(const char *root, const char *text, char **files, size_t n_files)
{
    unsigned shown = 100;
    const struct progress progress = {tell_terminal, &shown};
    struct params params;
    struct fault fault = {.kind = FAULT_SYSTEM};
    json_t *result = NULL;
    int code = EXIT_USAGE, status = -1;
    if (params_read(&params, text, strlen(text), &fault) != 0)
        goto out;
    if (n_files > 0 && params_sources(&params, files, n_files, &fault) != 0)
        goto out;
    status = validate_in(root, &params, &progress, &result, &fault);
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    code = fault.kind == FAULT_INVALID ? EXIT_UNREADABLE : EXIT_SYSTEM;
out:
    if (drop_if_starved(&result, &fault))
        code = EXIT_SYSTEM;
    else if (status == 0)
        code = print_result(result);
    if (result == NULL)
        fprintf(stderr, "jobtab-validate: %s\n", fault.text);
    json_decref(result);
    params_free(&params);
    return code;
}

static const char usage[] =
    "usage: jobtab-validate [-r DIR] [-p JSON] [FILE...]\n"
    "  -r, --root DIR     the folder all files are beneath (the current one)\n"
    "  -p, --params JSON  max_age, max_deviation_bps, max_jump_mad, min_sources, sources\n"
    "  FILE...            sources beneath the root; none: every *.csv there\n"
    "Prints the result as JSON. Exit: 0 passed, 1 violations, 2 usage, 3 a source cannot be\n"
    "read, 4 the system refused. With JOBTAB_TABLE and JOBTAB_KIND set and no arguments it\n"
    "works on jobs of that table instead. See jobtab-validate(1).\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},
        {"params", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    const char *root = ".", *text = "{}", *kind = getenv("JOBTAB_KIND");
    json_set_alloc_funcs(json_memory, free);
    if (argc == 1 && kind != NULL && getenv("JOBTAB_TABLE") != NULL)
        return be_child(kind);

    for (int option; (option = getopt_long(argc, argv, "r:p:hV", options, NULL)) != -1;) {
        switch (option) {
        case 'r':
            root = optarg;
            break;
        case 'p':
            text = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_PASSED;
        case 'V':
            puts("jobtab-validate " PACKAGE_VERSION);
            return EXIT_PASSED;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    return by_hand(root, text, argv + optind, (size_t)(argc - optind));
}
