/* feed.c - fills a table for the rows that read, and writes reports while they do.
 *
 *   feed fill DIR N IDS PARAMS   N pending jobs with these parameters, "ID VERSION" lines to IDS
 *   feed report DIR RATE         claims JOBS jobs, prints a line, and reports on them in turn, RATE
 *                                reports a second, A_COMMIT at once or, when late, more; until its
 *                                standard input ends. Says what it reached.
 *
 * Prints one line of JSON.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jobtab.h"

enum { BATCH = JOBTAB_APPLY_MAX, JOBS = 256, A_COMMIT = 64 };

static struct jobtab_op ops[BATCH];
static struct jobtab_job jobs[BATCH];

static void check(int error, const char *what)
{
    if (error == JOBTAB_OK)
        return;
    fprintf(stderr, "feed: %s: %s: %s\n", what, jobtab_strerror(error), jobtab_why());
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Sleep until `when`, which may have passed. false: standard input has ended. */
static bool sleep_until(double when)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    double left = when - now();
    if (left < 0)
        left = 0;
    struct timespec t = {.tv_sec = (time_t)left};
    t.tv_nsec = (long)((left - (double)t.tv_sec) * 1e9);
    return ppoll(&input, 1, &t, NULL) == 0;
}

static void apply(struct jobtab *table, size_t n)
{
    check(jobtab_apply(table, ops, n), "apply");
    for (size_t i = 0; i < n; i++)
        if (ops[i].result != JOBTAB_OK) {
            fprintf(stderr, "feed: %s: %s\n", jobtab_strerror(ops[i].result), ops[i].why);
            exit(1);
        }
}

static void fill(struct jobtab *table, size_t wanted, const char *ids, const char *params)
{
    FILE *out = fopen(ids, "w");
    if (out == NULL) {
        perror(ids);
        exit(1);
    }
    double begin = now();
    for (size_t done = 0, n; done < wanted; done += n) {
        n = wanted - done < BATCH ? wanted - done : BATCH;
        for (size_t i = 0; i < n; i++)
            ops[i] = (struct jobtab_op){
                .verb = JOBTAB_SUBMIT,
                .submit = {.kind = "noop", .params = params, .params_size = strlen(params)},
                .job = &jobs[i],
            };
        apply(table, n);
        for (size_t i = 0; i < n; i++) {
            char text[JOBTAB_ID_TEXT];
            jobtab_id_format(&jobs[i].id, text);
            fprintf(out, "%s %" PRIu64 "\n", text, jobs[i].version);
        }
    }
    if (fclose(out) != 0) {
        perror(ids);
        exit(1);
    }
    printf("{\"jobs\": %zu, \"seconds\": %.3f}\n", wanted, now() - begin);
}

static void report(struct jobtab *table, double rate)
{
    static struct jobtab_token tokens[JOBS];
    size_t written = 0, commits = 0;
    for (size_t i = 0; i < JOBS; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_CLAIM, .claim.kind = "noop", .job = &jobs[i]};
    apply(table, JOBS);
    for (size_t i = 0; i < JOBS; i++)
        tokens[i] = ops[i].token;
    puts("claimed");
    fflush(stdout);

    double begin = now();
    while (sleep_until(begin + (double)(written + A_COMMIT) / rate)) {
        size_t due = (size_t)((now() - begin) * rate), n = due - written;
        if (n > JOBS) /* one report a job and commit */
            n = JOBS;
        for (size_t i = 0; i < n; i++) {
            size_t job = (written + i) % JOBS;
            ops[i] = (struct jobtab_op){
                .verb = JOBTAB_REPORT,
                .id = jobs[job].id,
                .token = tokens[job],
                .report = {.progress = (uint32_t)(commits % 101), .message = "Collecting"},
            };
        }
        if (n == 0) /* the clock was read a moment too early */
            continue;
        apply(table, n);
        commits++;
        written += n;
    }
    double seconds = now() - begin;

    for (size_t i = 0; i < JOBS; i++)
        ops[i] = (struct jobtab_op){
            .verb = JOBTAB_RELEASE, .id = jobs[i].id, .token = tokens[i]};
    apply(table, JOBS);
    printf("{\"rate\": %.1f, \"commits\": %zu, \"seconds\": %.3f}\n", (double)written / seconds,
           commits, seconds);
}

int main(int argc, char **argv)
{
    struct jobtab_options options = {.map_size = (uint64_t)8 << 30, .max_jobs = 20000000};
    struct jobtab *table = NULL;
    if (argc == 6 && strcmp(argv[1], "fill") == 0) {
        check(jobtab_open(argv[2], &options, &table), argv[2]);
        fill(table, strtoul(argv[3], NULL, 10), argv[4], argv[5]);
    } else if (argc == 4 && strcmp(argv[1], "report") == 0) {
        options.must_exist = true;
        check(jobtab_open(argv[2], &options, &table), argv[2]);
        report(table, strtod(argv[3], NULL));
    } else {
        fputs("usage: feed fill DIR N IDS PARAMS | feed report DIR RATE\n", stderr);
        return 2;
    }
    jobtab_close(table);
    return 0;
}
