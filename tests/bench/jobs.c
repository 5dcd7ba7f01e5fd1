/* jobs.c - jobs from one end to the other, as their client sees them.
 *
 *   jobs run TABLE KIND SECONDS JOBS PARAMS   submits for SECONDS, or JOBS if they come first, 64
 *                       in a transaction, while children work on them; the time ends with the last
 *   job jobs start TABLE KIND SECONDS PAUSE_MS PORT   one job after another on an idle daemon: from
 *                       before the POST /run to the child's first instruction (empty_child stamp)
 *   jobs spawn PROGRAM JOBS AT_ONCE           no table: posix_spawn and waitpid of as many
 *
 * Prints one line of JSON. */
#include "config.h"

#include "lib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH   64
#define SAMPLES 100000
#define BOUND   60000 /* ms without any change after which nothing will come */

static struct jobtab *open_table(const char *dir)
{
    struct jobtab_options options = {.must_exist = true};
    struct jobtab *table;

    must(jobtab_open(dir, &options, &table), dir);
    return table;
}

static void print_rate(uint64_t jobs, uint64_t ns, const char *more)
{
    printf("{\"jobs\": %llu, \"seconds\": %.3f, \"rate\": %.1f%s}\n", (unsigned long long)jobs,
           (double)ns / 1e9, (double)jobs / (double)ns * 1e9, more);
}

/* ------------------------------------------------------------------- throughput */

static uint64_t finished(struct jobtab *table)
{
    struct jobtab_stat stat;

    must(jobtab_stat(table, &stat, NULL, 0), "stat");
    if (stat.failed > 0)
        die("%llu jobs failed", (unsigned long long)stat.failed);
    return stat.completed;
}

static void submit(struct jobtab *table, const char *kind, const char *params, size_t n)
{
    struct jobtab_op ops[BATCH];

    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < n; i++) {
        ops[i].verb = JOBTAB_SUBMIT;
        ops[i].submit.kind = kind;
        ops[i].submit.params = params;
        ops[i].submit.params_size = strlen(params);
    }
    must(jobtab_apply(table, ops, n), "submit");
    for (size_t i = 0; i < n; i++)
        must(ops[i].result, "submit");
}

static void run(const char *dir, const char *kind, double seconds, uint64_t most,
                const char *params)
{
    struct jobtab *table = open_table(dir);
    uint64_t before = finished(table), seen = 0, jobs = 0, begin = now_ns();
    char adding[48];

    while (jobs < most && (double)(now_ns() - begin) < seconds * 1e9) {
        size_t n = most - jobs < BATCH ? (size_t)(most - jobs) : BATCH;
        submit(table, kind, params, n);
        jobs += n;
    }
    snprintf(adding, sizeof adding, ", \"adding\": %.3f", (double)(now_ns() - begin) / 1e9);
    while (finished(table) - before < jobs)
        must(jobtab_wait(table, &seen, BOUND), "waiting for the last job");
    print_rate(jobs, now_ns() - begin, adding);
    jobtab_close(table);
}

/* ---------------------------------------------------------------------- latency */

static int connect_to(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        die("connect: %s", strerror(errno));
    return fd;
}

/* One POST /run on a kept connection; the id of the answer. */
static struct jobtab_id post(int fd, const char *kind)
{
    static const char location[] = "location: /status/";
    char text[4096], body[64];
    struct jobtab_id id;
    size_t size = 0;

    int body_size = snprintf(body, sizeof body, "{\"kind\":\"%s\"}", kind);
    int length = snprintf(text, sizeof text,
                          "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                          "application/json\r\nContent-Length: %d\r\n\r\n%s",
                          body_size, body);
    if (write(fd, text, (size_t)length) != length)
        die("write: %s", strerror(errno));
    do { /* an answer ends with the job's closing brace */
        ssize_t n = read(fd, text + size, sizeof text - 1 - size);
        if (n <= 0)
            die("read: %s", n < 0 ? strerror(errno) : "the connection was closed");
        size += (size_t)n;
        text[size] = '\0';
    } while (text[size - 1] != '}' || strstr(text, "\r\n\r\n") == NULL);
    char *found = strcasestr(text, location);
    if (found == NULL)
        die("POST /run: %s", text);
    found += sizeof location - 1;
    found[JOBTAB_ID_TEXT - 1] = '\0';
    must(jobtab_id_parse(found, &id), "POST /run");
    return id;
}

/* When the child had the job; waits for its end, so that all are asleep when the next one comes. */
static uint64_t began_at(struct jobtab *table, const struct jobtab_id *id)
{
    struct jobtab_job job;
    char *result = NULL;
    uint64_t offset = 0, seen;
    size_t size;
    unsigned long long began;

    must(jobtab_get(table, id, &job), "get");
    while (!jobtab_state_done(job.state)) {
        seen = job.version;
        must(jobtab_wait(table, &seen, BOUND), "waiting for the job");
        must(jobtab_get(table, id, &job), "get");
    }
    must(jobtab_read(table, id, JOBTAB_RESULT, &offset, 100, &result, &size), "result");
    if (sscanf(result, "{\"began\":%llu}", &began) != 1)
        die("the job's result is %s", result);
    free(result);
    return began;
}

static void start(const char *dir, const char *kind, double seconds, const char *pause_ms,
                  const char *port)
{
    static uint64_t samples[SAMPLES];
    struct timespec pause = {.tv_nsec = atoi(pause_ms) * 1000000L};
    struct jobtab *table = open_table(dir);
    int fd = connect_to(port);
    size_t n = 0;

    for (uint64_t end = now_ns() + (uint64_t)(seconds * 1e9); now_ns() < end && n < SAMPLES; n++) {
        nanosleep(&pause, NULL);
        uint64_t before = now_ns();
        struct jobtab_id id = post(fd, kind);
        samples[n] = began_at(table, &id) - before;
    }
    if (n == 0)
        die("no sample");
    double p50 = (double)percentile(samples, n, 50) / 1e3;
    printf("{\"samples\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", n, p50,
           (double)percentile(samples, n, 99) / 1e3);
    close(fd);
    jobtab_close(table);
}

/* ---------------------------------------------------------------- the bare spawn */

static void spawn(const char *program, uint64_t jobs, uint64_t at_once)
{
    char *argv[] = {(char *)program, NULL};
    uint64_t begin = now_ns(), started = 0, running = 0;
    pid_t pid;

    while (started < jobs || running > 0) {
        if (started < jobs && running < at_once) {
            int error = posix_spawn(&pid, program, NULL, NULL, argv, environ);
            if (error != 0)
                die("%s: %s", program, strerror(error));
            started++;
            running++;
        } else {
            if (waitpid(-1, NULL, 0) < 0)
                die("waitpid: %s", strerror(errno));
            running--;
        }
    }
    print_rate(jobs, now_ns() - begin, "");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 7 && strcmp(what, "run") == 0)
        run(argv[2], argv[3], seconds_of(argv[4]), strtoull(argv[5], NULL, 10), argv[6]);
    else if (argc == 7 && strcmp(what, "start") == 0)
        start(argv[2], argv[3], seconds_of(argv[4]), argv[5], argv[6]);
    else if (argc == 5 && strcmp(what, "spawn") == 0)
        spawn(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    else
        die("usage: jobs run|start|spawn: see the head of jobs.c");
    return 0;
}
