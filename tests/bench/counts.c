/* counts.c - the hot paths, each run many times between two marks of callgrind's, so that
 * counts.py can say how many instructions one operation takes. See there for how to use it.
 *
 *   counts DIR CSV_DIR [control]
 *
 * makes a table in DIR, prints what the machine is and one line for each path: its name and the
 * number of operations between its marks. CSV_DIR holds the prices to validate, and nothing else.
 * With `control` every path does its work 1.2 times and does not say so: that must be noticed.
 *
 * One process, one thread that measures, the same operations in the same order each time: what is
 * counted differs from run to run by what random ids and times make different, below 0.1 %.
 */
#include "config.h"

#include "jobtab.h"
#include "json_scan.h"
#include "params.h"
#include "validate.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <lmdb.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#define JOBS   6000 /* enough for a tree of three levels, and for all that is claimed */
#define BATCH  64
#define LISTED 100
#define ROWS   20000 /* of the prices: as many as counts.py writes */
#define KIND   "work"

static const char params[] =
    "{\"sources\":[\"broker.csv\",\"exchange.csv\",\"vendor.csv\"],\"max_age\":\"2d\","
    "\"max_deviation_bps\":100,\"max_jump_mad\":12,\"min_sources\":2,\"note\":\"the prices of the "
    "day before, as they came in until midnight; the vendor's file comes last and is looked at "
    "only when the other two do not agree about a symbol, or have none\"}";
static const char result[] = "{\"valid\":true,\"rows\":4000,\"violations\":0,\"symbols\":12}";

static struct jobtab *table;
static struct jobtab_id ids[JOBS * 2];
static struct jobtab_token tokens[JOBS * 2];
static size_t submitted, claimed, finished; /* each a prefix of ids: claims come in order */
static struct jobtab_op ops[BATCH];
static struct jobtab_job jobs[BATCH];
static char body[1024];
static int csv_dir;

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("counts: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void must(int rc, const char *what)
{
    if (rc)
        die("%s: %s: %s", what, jobtab_strerror(rc), jobtab_why());
}

/* ------------------------------------------------------------------ writing */

static void apply(size_t n)
{
    must(jobtab_apply(table, ops, n), "apply");
    for (size_t i = 0; i < n; i++)
        if (ops[i].result)
            die("operation %d: %s", (int)ops[i].verb, ops[i].why);
}

static void submit(size_t n)
{
    if (submitted + n > JOBS * 2)
        die("too many jobs");
    for (size_t i = 0; i < n; i++)
        ops[i] = (struct jobtab_op){
            .verb = JOBTAB_SUBMIT,
            .submit = {.kind = KIND, .params = params, .params_size = sizeof params - 1},
        };
    apply(n);
    for (size_t i = 0; i < n; i++)
        ids[submitted++] = ops[i].id;
}

static void claim(size_t n)
{
    for (size_t i = 0; i < n; i++)
        ops[i] = (struct jobtab_op){
            .verb = JOBTAB_CLAIM, .claim = {.kind = KIND}, .job = &jobs[i]};
    apply(n);
    for (size_t i = 0; i < n; i++, claimed++) {
        if (memcmp(&ids[claimed], &ops[i].id, sizeof ids[0]) != 0)
            die("claims do not come in order");
        tokens[claimed] = ops[i].token;
    }
}

static void report(size_t n)
{
    static size_t next;

    for (size_t i = 0; i < n; i++, next++) {
        size_t at = finished + next % (claimed - finished);

        ops[i] = (struct jobtab_op){
            .verb = JOBTAB_REPORT,
            .id = ids[at],
            .token = tokens[at],
            .report = {.progress = (uint32_t)(next % 100), .message = "Collecting prices..."},
        };
    }
    apply(n);
}

static void finish(size_t n)
{
    if (finished + n > claimed)
        die("too few claimed jobs");
    for (size_t i = 0; i < n; i++, finished++)
        ops[i] = (struct jobtab_op){
            .verb = JOBTAB_FINISH,
            .id = ids[finished],
            .token = tokens[finished],
            .finish = {.outcome = JOBTAB_SUCCEEDED,
                       .message = "All prices are sound",
                       .result = result,
                       .result_size = sizeof result - 1,
                       .format = JOBTAB_JSON},
        };
    apply(n);
}

/* ------------------------------------------------------------------ reading */

/* One of ids[from..to), no two after each other in one page. */
static const struct jobtab_id *some(size_t from, size_t to)
{
    static size_t next;

    return &ids[from + (next += 7919) % (to - from)];
}

static void get(size_t from, size_t to, enum jobtab_state state)
{
    struct jobtab_job job;

    must(jobtab_get(table, some(from, to), &job), "get");
    if (job.state != state)
        die("a job is %s", jobtab_state_name(job.state));
}

static void get_pending(size_t n)
{
    (void)n;
    get(claimed, submitted, JOBTAB_PENDING);
}

static void get_running(size_t n)
{
    (void)n;
    get(finished, claimed, JOBTAB_RUNNING);
}

static void get_done(size_t n)
{
    (void)n;
    get(0, finished, JOBTAB_COMPLETED);
}

/* As in one turn of an event loop. */
static void get_held(size_t n)
{
    must(jobtab_hold(table), "hold");
    for (size_t i = 0; i < n; i++)
        get(claimed, submitted, JOBTAB_PENDING);
    jobtab_rest(table);
}

/* What GET /status/{id} does for a client that has the newest version, but for HTTP. */
static void version(size_t n)
{
    uint64_t is;

    must(jobtab_hold(table), "hold");
    for (size_t i = 0; i < n; i++)
        must(jobtab_version(table, some(finished, submitted), &is), "version");
    jobtab_rest(table);
}

/* And for one that has not. */
static void whole_json(size_t n)
{
    uint64_t version;
    char text[4096];
    size_t length;

    (void)n;
    must(jobtab_get_json(table, some(0, finished), text, sizeof text, &length, &version),
         "get_json");
    if (length >= sizeof text)
        die("a job's JSON is too long");
}

static void list(size_t n)
{
    static struct jobtab_job page[LISTED];
    struct jobtab_filter filter = {.kind = KIND};
    struct jobtab_id cursor;
    bool more;

    (void)n;
    n = LISTED;
    must(jobtab_list(table, &filter, page, &n, &cursor, &more), "list");
    if (n != LISTED)
        die("a list of %zu", n);
}

/* ------------------------------------------------------------ JSON and prices */

static void scan(size_t n)
{
    struct json_fault fault;

    (void)n;
    if (!json_scan(body, sizeof body, &fault))
        die("byte %zu: %s expected", fault.offset, fault.expected);
}

static void make_body(void)
{
    size_t at = (size_t)snprintf(body, sizeof body,
                                 "{\"kind\":\"validate\",\"params\":%s,\"all\":[", params);

    for (unsigned i = 0; at < sizeof body - 60; i++)
        at += (size_t)snprintf(body + at, sizeof body - at, "{\"n\":%u,\"x\":-1.5e3},", i % 10);
    at += (size_t)snprintf(body + at, sizeof body - at, "\"");
    memset(body + at, 'x', sizeof body - at - 3);
    memcpy(body + sizeof body - 3, "\"]}", 3);
}

static bool go_on(unsigned percent, const char *message, void *context)
{
    (void)percent, (void)message, (void)context;
    return true;
}

static void check_prices(size_t n)
{
    struct progress progress = {.tell = go_on};
    struct params asked;
    struct fault fault;
    json_t *found = NULL;

    (void)n;
    if (params_read(&asked, "{}", 2, &fault) != 0 ||
        validate(csv_dir, &asked, INT64_C(1704190000000000000), &progress, &found, &fault) != 0)
        die("validation: %s", fault.text);
    if (json_integer_value(json_object_get(found, "rows")) != ROWS)
        die("the prices do not have %d rows", ROWS);
    json_decref(found);
    params_free(&asked);
}

/* ----------------------------------------------------------------- the paths */

/* In this order: each finds what those before it left. `times` is a multiple of 5, for the
 * control. */
static const struct path {
    const char *name;
    void (*run)(size_t n);
    size_t n; /* given to run */
    unsigned operations, times;
} paths[] = {
    {"submit-64", submit, BATCH, BATCH, 20},
    {"submit-1", submit, 1, 1, 50},
    {"claim-64", claim, BATCH, BATCH, 20},
    {"report-64", report, BATCH, BATCH, 20},
    {"finish-64", finish, BATCH, BATCH, 10},
    {"claim-1", claim, 1, 1, 50},
    {"report-1", report, 1, 1, 50},
    {"finish-1", finish, 1, 1, 50},
    {"get-pending", get_pending, 1, 1, 1000},
    {"get-running", get_running, 1, 1, 1000},
    {"get-done", get_done, 1, 1, 1000},
    {"get-held", get_held, 16, 16, 100},
    {"version-held", version, 16, 16, 100},
    {"whole-json", whole_json, 1, 1, 1000},
    {"list-100", list, LISTED, 1, 20},
    {"json-scan-1k", scan, 1, 1, 100},
    {"validate-row", check_prices, 1, ROWS, 5},
};

/* Twice unmeasured: what is done once, such as binding a symbol, is no part of an operation. */
static void measure(const struct path *path, bool control)
{
    unsigned times = control ? path->times * 6 / 5 : path->times;

    path->run(path->n);
    path->run(path->n);
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    for (unsigned i = 0; i < times; i++)
        path->run(path->n);
    CALLGRIND_DUMP_STATS_AT(path->name);
    CALLGRIND_STOP_INSTRUMENTATION;
    printf("%s %u\n", path->name, path->operations * path->times);
}

int main(int argc, char **argv)
{
    struct utsname machine;

    if (argc < 3)
        die("usage: counts DIR CSV_DIR [control]");
    bool control = argc > 3 && strcmp(argv[3], "control") == 0;
    csv_dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (csv_dir < 0)
        die("%s cannot be opened", argv[2]);
    uname(&machine);
    printf("machine %s, compiler %s, glibc %s, %s\n", machine.machine, __VERSION__,
           gnu_get_libc_version(), mdb_version(NULL, NULL, NULL));
    make_body();
    must(jobtab_open(argv[1], NULL, &table), "open");
    while (submitted < JOBS)
        submit(submitted + BATCH <= JOBS ? BATCH : JOBS - submitted);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        measure(&paths[i], control);
    jobtab_close(table);
    return 0;
}
