/* feed.c - fills a table for the rows that read, and writes reports while they do.
 *
 *   feed fill DIR N IDS PARAMS     N pending jobs with these parameters; "ID VERSION" lines to IDS
 *   feed report DIR RATE SECONDS   claims JOBS jobs and reports on them in turn, RATE reports a second,
 *                                  A_COMMIT at once or, when late, more; says what it reached
 *
 * Prints one line of JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void sleep_until(double when)
{
    struct timespec t = {.tv_sec = (time_t)when};
    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
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

static void report(struct jobtab *table, double rate, double seconds)
{
    static struct jobtab_token tokens[JOBS];
    size_t written = 0, commits = 0;
    for (int i = 0; i < JOBS; i++)
        check(jobtab_claim(table, "noop", &tokens[i], &jobs[i]), "claim");
    double begin = now(), end = begin + seconds;
    for (double at = now(); at < end; at = now()) {
        size_t due = (size_t)((at - begin) * rate), n = due - written;
        if (n > JOBS) /* one report a job and commit */
            n = JOBS;
        for (size_t i = 0; i < n; i++) {
            size_t job = (written + i) % JOBS;
            ops[i] = (struct jobtab_op){
                .verb = JOBTAB_REPORT,
                .id = jobs[job].id,
                .token = tokens[job],
                .report = {.progress = (uint32_t)(commits % 101), .message = "Collecting prices..."},
            };
        }
        if (n > 0) {
            apply(table, n);
            commits++;
        }
        written += n;
        sleep_until(begin + (double)(written + A_COMMIT) / rate);
    }
    seconds = now() - begin;
    for (int i = 0; i < JOBS; i++)
        check(jobtab_apply(table, &(struct jobtab_op){.verb = JOBTAB_RELEASE,
                                                      .id = jobs[i].id,
                                                      .token = tokens[i]}, 1), "release");
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
    } else if (argc == 5 && strcmp(argv[1], "report") == 0) {
        options.must_exist = true;
        check(jobtab_open(argv[2], &options, &table), argv[2]);
        report(table, strtod(argv[3], NULL), strtod(argv[4], NULL));
    } else {
        fputs("usage: feed fill DIR N IDS PARAMS | feed report DIR RATE SECONDS\n", stderr);
        return 2;
    }
    jobtab_close(table);
    return 0;
}
