/* churn.c - library users whose table stays as large as it is.
 *
 *   churn -d TABLE fill N    N finished jobs, and leave
 *   churn -d TABLE write     submit a job and cancel it, again and again: the oldest make room
 *   churn -d TABLE read      read page after page
 *   churn -d TABLE claim MS  submit a job and claim it with a lease of so long (0: as its owner),
 *                            print its id, and wait
 *   churn -d TABLE sweep     sweep once, print how many jobs were lost and how many readers cleared
 *
 * write and read print "at work", go on until standard input ends, and for each line there answer
 * with a line: how often they have done it since the last one, and the longest that it took in ms.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "jobtab.h"

#define BATCH 2048
#define PAGE 100

/* As a job that somebody wants done has them. */
static const char params[] =
    "{\"sources\": [\"exchange/2026-11-23.csv\", \"broker/2026-11-23.csv\", \"vendor/2026-11-23.csv\"],"
    " \"max_age\": \"2d\", \"max_deviation_bps\": 100, \"max_jump_mad\": 12, \"min_sources\": 2,"
    " \"symbols\": [\"AAA\", \"BBB\", \"CCC\", \"DDD\", \"EEE\", \"FFF\", \"GGG\", \"HHH\", \"III\", \"JJJ\"],"
    " \"report_to\": \"https://prices.example.org/validated/2026-11-23\", \"asked_by\": \"nightly\"}";

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const char *what)
{
    fprintf(stderr, "churn: %s: %s\n", what, jobtab_why());
    return 1;
}

static int apply(struct jobtab *table, struct jobtab_op *ops, size_t n, enum jobtab_verb verb)
{
    for (size_t i = 0; i < n; i++) {
        ops[i].verb = verb;
        if (verb == JOBTAB_SUBMIT)
            ops[i].submit = (struct jobtab_submit){
                .kind = "churn", .params = params, .params_size = sizeof params - 1};
    }
    int rc = jobtab_apply(table, ops, n);
    for (size_t i = 0; rc == JOBTAB_OK && i < n; i++) {
        rc = ops[i].result;
        if (rc != JOBTAB_OK)
            fprintf(stderr, "churn: %s: %s\n", jobtab_strerror(rc), ops[i].why);
    }
    return rc;
}

static int fill(struct jobtab *table, size_t n)
{
    static struct jobtab_op ops[BATCH];

    for (size_t done = 0; done < n; done += BATCH) {
        size_t some = n - done < BATCH ? n - done : BATCH;
        if (apply(table, ops, some, JOBTAB_SUBMIT) != JOBTAB_OK ||
            apply(table, ops, some, JOBTAB_CANCEL) != JOBTAB_OK)
            return fail("filling");
    }
    return 0;
}

static int write_once(struct jobtab *table, struct jobtab_filter *filter)
{
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT};

    (void)filter;
    int rc = apply(table, &op, 1, JOBTAB_SUBMIT);
    return rc ? rc : apply(table, &op, 1, JOBTAB_CANCEL);
}

static int read_once(struct jobtab *table, struct jobtab_filter *filter)
{
    static struct jobtab_job jobs[PAGE];
    size_t n = PAGE;
    bool more;

    int rc = jobtab_list(table, filter, jobs, &n, &filter->after, &more);
    filter->after_set = more;
    return rc;
}

/* False when standard input has ended. */
static bool answer(unsigned long *times, int64_t *longest)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[64];

    if (poll(&in, 1, 0) <= 0)
        return true;
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    if (n <= 0)
        return false;
    printf("%lu %lld\n", *times, (long long)*longest);
    *times = 0;
    *longest = 0;
    return true;
}

static int work(struct jobtab *table, int (*once)(struct jobtab *, struct jobtab_filter *))
{
    struct jobtab_filter filter = {.states = 0};
    unsigned long times = 0;
    int64_t longest = 0, before = now_ms(), after;

    puts("at work");
    while (answer(&times, &longest)) {
        if (once(table, &filter) != JOBTAB_OK)
            return fail("working");
        after = now_ms();
        longest = after - before > longest ? after - before : longest;
        before = after;
        times++;
    }
    return 0;
}

static int claim(struct jobtab *table, int64_t lease)
{
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT};
    char id[JOBTAB_ID_TEXT], line[64];

    if (apply(table, &op, 1, JOBTAB_SUBMIT) != JOBTAB_OK)
        return fail("submitting");
    op = (struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = "churn", .lease = lease}};
    if (apply(table, &op, 1, JOBTAB_CLAIM) != JOBTAB_OK)
        return fail("claiming");
    jobtab_id_format(&op.id, id);
    puts(id);
    while (read(STDIN_FILENO, line, sizeof line) > 0)
        continue;
    return 0;
}

static int sweep(struct jobtab *table)
{
    struct jobtab_swept swept;

    if (jobtab_sweep(table, BATCH, &swept) != JOBTAB_OK)
        return fail("sweeping");
    printf("%u %u\n", swept.lost, swept.readers);
    return 0;
}

int main(int argc, char **argv)
{
    struct jobtab *table;

    if (argc < 4 || strcmp(argv[1], "-d") != 0) {
        fputs("usage: churn -d TABLE fill N | write | read | claim MS | sweep\n", stderr);
        return 2;
    }
    setlinebuf(stdout);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody stopped outlives the test */
    if (jobtab_open(argv[2], NULL, &table) != JOBTAB_OK)
        return fail("opening");
    long number = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    int code = strcmp(argv[3], "fill") == 0    ? fill(table, (size_t)number)
               : strcmp(argv[3], "write") == 0 ? work(table, write_once)
               : strcmp(argv[3], "claim") == 0 ? claim(table, number)
               : strcmp(argv[3], "sweep") == 0 ? sweep(table)
                                               : work(table, read_once);
    jobtab_close(table);
    return code;
}
