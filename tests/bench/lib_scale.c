/* lib_scale.c - a table of any size through jobtab.h: fills it, and measures what should not depend
 * on how much is in it. One verb a run, one line of JSON; see `usage`.
 *
 * A filled table holds finished jobs only, but for the last PENDING: one in RARE is of another
 * kind, one in RARE failed. Every job has the parameters and the result that a price validation
 * has, in short. The ids stand in a file beside the table's, so that a random one is found at no
 * cost that grows with the table.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"

#define PENDING  1000   /* of a filled table, its newest */
#define RARE     50
#define PAGE     100
#define DRAW     1000   /* random ids that are drawn before they are timed */
#define TOUCH    32     /* of so many jobs one is read before reads are timed: pages are mapped */
#define SAMPLES  100000 /* durations kept */
#define KIND     "scale"
#define KIND_TWO "other"

static const char usage[] =
    "usage: lib_scale fill DIR JOBS RETENTION_MS    make a table of JOBS\n"
    "       lib_scale get DIR SECONDS               random jobs\n"
    "       lib_scale submit DIR SECONDS BATCH      BATCH jobs a commit; they are deleted after\n"
    "       lib_scale list DIR SECONDS all|state|kind   pages of 100, newest first\n"
    "       lib_scale open DIR TIMES                open and close\n"
    "       lib_scale verify DIR                    once\n"
    "       lib_scale stat DIR TIMES                the table at a glance\n";

static const char params[] =
    "{\"sources\":[\"alpha.csv\",\"beta.csv\",\"gamma.csv\"],\"max_age\":\"2d\","
    "\"max_deviation_bps\":100}";
static const char result[] =
    "{\"verdict\":\"passed\",\"rows\":1200,\"symbols\":3,\"sources\":3,\"violations\":0}";

static struct jobtab *table;
static uint64_t durations[SAMPLES]; /* ns */
static size_t n_durations;

static void open_table(const char *dir)
{
    must(jobtab_open(dir, &(struct jobtab_options){.must_exist = true}, &table), "open");
}

/* All must have been done: a benchmark of refusals measures nothing. */
static void apply(struct jobtab_op *ops, size_t n)
{
    must(jobtab_apply(table, ops, n), "apply");
    for (size_t i = 0; i < n; i++)
        if (ops[i].result != JOBTAB_OK)
            die("an operation: %s", ops[i].why);
}

static struct jobtab_op submission(const char *kind)
{
    return (struct jobtab_op){
        .verb = JOBTAB_SUBMIT,
        .submit = {.kind = kind, .params = params, .params_size = sizeof params - 1}};
}

/* ---------------------------------------------------------------------- times */

static void note(uint64_t begun)
{
    if (n_durations < SAMPLES)
        durations[n_durations++] = now_ns() - begun;
}

/* `expired`: jobs that somebody else removed meanwhile. */
static void print_rate(uint64_t count, uint64_t ns, uint64_t expired)
{
    double median = n_durations ? (double)percentile(durations, n_durations, 50) : 0;
    double p99 = n_durations ? (double)percentile(durations, n_durations, 99) : 0;

    printf("{\"count\": %" PRIu64 ", \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, "
           "\"p99_us\": %.2f, \"expired\": %" PRIu64 "}\n",
           count, (double)ns / 1e9, (double)count * 1e9 / (double)ns, median / 1e3, p99 / 1e3,
           expired);
}

/* ----------------------------------------------------------------------- fill */

static int ids_file(const char *dir, int flags)
{
    const char *path = path_in(dir, "ids");
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

static void finish_kind(struct jobtab_op *ops, const char *kind, size_t n, bool failed)
{
    for (size_t i = 0; i < n; i++)
        ops[i] = (struct jobtab_op){.verb = JOBTAB_CLAIM, .claim = {.kind = kind}};
    apply(ops, n);
    for (size_t i = 0; i < n; i++) {
        ops[i].verb = JOBTAB_FINISH;
        ops[i].finish = (struct jobtab_finish){.outcome = JOBTAB_SUCCEEDED,
                                               .result = result,
                                               .result_size = sizeof result - 1,
                                               .format = JOBTAB_JSON};
        if (failed && i % RARE == 0)
            ops[i].finish = (struct jobtab_finish){
                .outcome = JOBTAB_GIVE_UP, .reason = JOBTAB_BY_EXIT, .error = "exit code 1"};
    }
    apply(ops, n);
}

static void fill_batch(struct jobtab_op *ops, size_t n, int ids, bool finished)
{
    size_t others = 0;

    for (size_t i = 0; i < n; i++) {
        bool other = i % RARE == RARE - 1;
        ops[i] = submission(other ? KIND_TWO : KIND);
        others += other;
    }
    apply(ops, n);
    for (size_t i = 0; i < n; i++)
        if (write(ids, &ops[i].id, sizeof ops[i].id) != (ssize_t)sizeof ops[i].id)
            die("ids: %s", strerror(errno));
    if (!finished)
        return;
    finish_kind(ops, KIND, n - others, true);
    if (others)
        finish_kind(ops, KIND_TWO, others, false);
}

static void print_file(const char *dir, uint64_t jobs, uint64_t ns)
{
    struct jobtab_stat stat_now;
    struct stat file;
    const char *path = path_in(dir, "data.mdb");

    must(jobtab_stat(table, &stat_now, NULL, 0), "stat");
    if (stat(path, &file) < 0)
        die("%s: %s", path, strerror(errno));
    printf("{\"jobs\": %" PRIu64 ", \"seconds\": %.3f, \"file_bytes_a_job\": %.1f, "
           "\"used_bytes_a_job\": %.1f}\n",
           jobs, (double)ns / 1e9, (double)file.st_size / (double)jobs,
           (double)stat_now.map_used / (double)jobs);
}

static int do_fill(const char *dir, char **arguments)
{
    static struct jobtab_op ops[JOBTAB_APPLY_MAX];
    uint64_t jobs = strtoull(arguments[0], NULL, 10);
    struct jobtab_options options = {.map_size = (jobs << 11) + (UINT64_C(1) << 30),
                                     .max_jobs = jobs + (UINT64_C(1) << 24),
                                     .retention = strtoll(arguments[1], NULL, 10)};
    uint64_t begun = now_ns();

    must(jobtab_open(dir, &options, &table), "open");
    int ids = ids_file(dir, O_WRONLY | O_CREAT | O_TRUNC);
    uint64_t pending = jobs < 2 * PENDING ? 0 : PENDING;
    for (uint64_t left = jobs - pending; left > 0;) {
        size_t n = left < JOBTAB_APPLY_MAX ? left : JOBTAB_APPLY_MAX;
        fill_batch(ops, n, ids, true);
        left -= n;
    }
    if (pending)
        fill_batch(ops, pending, ids, false);
    close(ids);
    print_file(dir, jobs, now_ns() - begun);
    return 0;
}

/* -------------------------------------------------------------------- measures */

static int do_get(const char *dir, char **arguments)
{
    int fd = ids_file(dir, O_RDONLY);
    struct jobtab_id drawn[DRAW];
    struct jobtab_job job;
    struct stat file;
    uint64_t state = UINT64_C(88172645463325252), timed = 0, count = 0;
    uint64_t bound = (uint64_t)(seconds_of(arguments[0]) * 1e9);

    if (fstat(fd, &file) < 0 || file.st_size == 0)
        die("the file of ids is empty: fill the table first");
    size_t n = (size_t)file.st_size / sizeof *drawn;
    const struct jobtab_id *ids = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (ids == MAP_FAILED)
        die("ids: %s", strerror(errno));
    open_table(dir);
    for (size_t i = 0; i < n; i += TOUCH)
        must(jobtab_get(table, &ids[i], &job), "get");
    while (timed < bound) {
        for (int i = 0; i < DRAW; i++)
            drawn[i] = ids[random_next(&state) % n];
        uint64_t begun = now_ns();
        for (int i = 0; i < DRAW; i++)
            must(jobtab_get(table, &drawn[i], &job), "get");
        uint64_t took = now_ns() - begun;
        timed += took;
        count += DRAW;
        if (n_durations < SAMPLES)
            durations[n_durations++] = took / DRAW;
    }
    print_rate(count, timed, 0);
    return 0;
}

static void delete_all(const struct jobtab_id *ids, size_t n)
{
    static struct jobtab_op ops[JOBTAB_APPLY_MAX];

    for (size_t at = 0; at < n;) {
        size_t some = n - at < JOBTAB_APPLY_MAX ? n - at : JOBTAB_APPLY_MAX;
        for (size_t i = 0; i < some; i++)
            ops[i] = (struct jobtab_op){.verb = JOBTAB_DELETE, .id = ids[at + i]};
        apply(ops, some);
        at += some;
    }
}

static uint64_t expired_ever(void)
{
    struct jobtab_stat stat_now;

    must(jobtab_stat(table, &stat_now, NULL, 0), "stat");
    return stat_now.expired;
}

static int do_submit(const char *dir, char **arguments)
{
    uint64_t bound = (uint64_t)(seconds_of(arguments[0]) * 1e9);
    size_t batch = strtoul(arguments[1], NULL, 10), made = 0, room = 1 << 20;
    struct jobtab_op *ops = calloc(batch, sizeof *ops);
    struct jobtab_id *ids = calloc(room, sizeof *ids);

    if (batch == 0 || batch > JOBTAB_APPLY_MAX || !ops || !ids) {
        fputs(usage, stderr);
        return 2;
    }
    open_table(dir);
    uint64_t expired = expired_ever(), start = now_ns(), end = start;
    while (end - start < bound && made + batch <= room) {
        for (size_t i = 0; i < batch; i++)
            ops[i] = submission(KIND);
        uint64_t begun = now_ns();
        apply(ops, batch);
        note(begun);
        end = now_ns();
        for (size_t i = 0; i < batch; i++)
            ids[made++] = ops[i].id;
    }
    expired = expired_ever() - expired;
    delete_all(ids, made);
    print_rate(made, end - start, expired);
    free(ops);
    free(ids);
    return 0;
}

static int do_list(const char *dir, char **arguments)
{
    struct jobtab_filter filter = {.states = 0};
    struct jobtab_job jobs[PAGE];
    struct jobtab_id cursor;
    uint64_t bound = (uint64_t)(seconds_of(arguments[0]) * 1e9), count = 0;
    bool more;

    if (strcmp(arguments[1], "state") == 0)
        filter.states = JOBTAB_STATE_BIT(JOBTAB_FAILED);
    else if (strcmp(arguments[1], "kind") == 0)
        filter.kind = KIND_TWO;
    open_table(dir);
    uint64_t start = now_ns();
    while (now_ns() - start < bound) {
        size_t n = PAGE;
        uint64_t begun = now_ns();
        must(jobtab_list(table, &filter, jobs, &n, &cursor, &more), "list");
        note(begun);
        if (n != PAGE)
            die("a page of %zu jobs", n);
        count++;
    }
    print_rate(count, now_ns() - start, 0);
    return 0;
}

static int do_open(const char *dir, char **arguments)
{
    uint64_t times = strtoull(arguments[0], NULL, 10), start = now_ns();

    for (uint64_t i = 0; i < times; i++) {
        uint64_t begun = now_ns();
        open_table(dir);
        note(begun);
        jobtab_close(table);
    }
    print_rate(times, now_ns() - start, 0);
    return 0;
}

static int do_stat(const char *dir, char **arguments)
{
    uint64_t times = strtoull(arguments[0], NULL, 10);
    struct jobtab_stat stat_now;

    open_table(dir);
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < times; i++) {
        uint64_t begun = now_ns();
        must(jobtab_stat(table, &stat_now, NULL, 0), "stat");
        note(begun);
    }
    print_rate(times, now_ns() - start, 0);
    return 0;
}

static int do_verify(const char *dir, char **arguments)
{
    uint64_t records, faults;

    (void)arguments;
    open_table(dir);
    uint64_t start = now_ns();
    must(jobtab_verify(table, NULL, NULL, NULL, &records, &faults), "verify");
    if (faults)
        die("verify found %" PRIu64 " faults", faults);
    print_rate(records, now_ns() - start, 0);
    return 0;
}

static const struct {
    const char *name;
    int arguments;
    int (*measure)(const char *dir, char **arguments);
} verbs[] = {
    {"fill", 2, do_fill}, {"get", 1, do_get},       {"submit", 2, do_submit}, {"list", 2, do_list},
    {"open", 1, do_open}, {"verify", 0, do_verify}, {"stat", 1, do_stat},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 2 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0 && argc == 3 + verbs[i].arguments)
            return verbs[i].measure(argv[2], argv + 3);
    fputs(usage, stderr);
    return 2;
}
