/* jobs.c - jobs from one end to the other, as their client sees them. One JSON line a run.
 *
 *   jobs run TABLE KIND JOBS       submits JOBS jobs, 64 in a transaction, while children work on
 *                                  them; the time ends when all have finished
 *   jobs start TABLE KIND JOBS PORT  one job after another on an idle daemon: from before the
 *                                  POST /run to the child's first instruction (empty_child stamp)
 *   jobs spawn PROGRAM JOBS AT_ONCE  no table: posix_spawn and waitpid of as many
 */
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

#include "jobtab.h"

#define BATCH 64
#define QUIET 3 /* ms between two jobs of `start`: everyone is asleep again */
#define BOUND 60000 /* ms without any change after which nothing will come */

extern char **environ;

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "jobs: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static struct jobtab *open_table(const char *dir)
{
    struct jobtab_options options = {.must_exist = true};
    struct jobtab *table;

    if (jobtab_open(dir, &options, &table) != JOBTAB_OK)
        die(dir, jobtab_why());
    return table;
}

static void print_rate(long jobs, int64_t ns)
{
    double seconds = (double)ns / 1e9;

    printf("{\"jobs\": %ld, \"seconds\": %.3f, \"per_second\": %.1f}\n", jobs, seconds,
           (double)jobs / seconds);
}

/* ------------------------------------------------------------------- throughput */

static uint64_t finished(struct jobtab *table)
{
    struct jobtab_stat stat;

    if (jobtab_stat(table, &stat, NULL, 0) != JOBTAB_OK)
        die("stat", jobtab_why());
    if (stat.failed > 0)
        die("run", "a job failed");
    return stat.completed;
}

static void submit(struct jobtab *table, const char *kind, size_t n)
{
    struct jobtab_op ops[BATCH];

    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < n; i++) {
        ops[i].verb = JOBTAB_SUBMIT;
        ops[i].submit.kind = kind;
    }
    int error = jobtab_apply(table, ops, n);
    for (size_t i = 0; i < n && error == JOBTAB_OK; i++)
        error = ops[i].result;
    if (error != JOBTAB_OK)
        die("submit", jobtab_strerror(error));
}

static void run(const char *dir, const char *kind, long jobs)
{
    struct jobtab *table = open_table(dir);
    uint64_t before = finished(table), seen = 0;
    int64_t began = monotonic_ns();

    for (long left = jobs; left > 0; left -= BATCH)
        submit(table, kind, left < BATCH ? (size_t)left : BATCH);
    while (finished(table) - before < (uint64_t)jobs)
        if (jobtab_wait(table, &seen, BOUND) != JOBTAB_OK)
            die("wait", jobtab_why());
    print_rate(jobs, monotonic_ns() - began);
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
        die("connect", strerror(errno));
    return fd;
}

/* One POST /run on a kept connection; the id of the answer. */
static struct jobtab_id post(int fd, const char *kind)
{
    char text[4096], body[64], *location;
    struct jobtab_id id;
    size_t size = 0;

    snprintf(body, sizeof body, "{\"kind\":\"%s\"}", kind);
    int length = snprintf(text, sizeof text,
                          "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                          "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          strlen(body), body);
    if (write(fd, text, (size_t)length) != length)
        die("write", strerror(errno));
    /* An answer ends with the job's closing brace. */
    do {
        ssize_t n = read(fd, text + size, sizeof text - 1 - size);
        if (n <= 0)
            die("read", n < 0 ? strerror(errno) : "the connection was closed");
        size += (size_t)n;
        text[size] = '\0';
    } while (text[size - 1] != '}' || strstr(text, "\r\n\r\n") == NULL);
    location = strcasestr(text, "location: /status/");
    if (location == NULL)
        die("POST /run", text);
    location += strlen("location: /status/");
    location[JOBTAB_ID_TEXT - 1] = '\0';
    if (jobtab_id_parse(location, &id) != JOBTAB_OK)
        die("POST /run", jobtab_why());
    return id;
}

static int64_t began_at(struct jobtab *table, const struct jobtab_id *id)
{
    struct jobtab_job job = {0};
    char *params, *result;
    long long began;

    for (uint64_t seen = 0;; seen = job.version) {
        if (jobtab_get_whole(table, id, &job, &params, &result) != JOBTAB_OK)
            die("get", jobtab_why());
        if (jobtab_state_done(job.state))
            break;
        free(params);
        free(result);
        if (jobtab_wait(table, &seen, BOUND) != JOBTAB_OK)
            die("wait", jobtab_why());
    }
    if (sscanf(result, "{\"began\":%lld}", &began) != 1)
        die("result", result);
    free(params);
    free(result);
    return began;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void start(const char *dir, const char *kind, long jobs, const char *port)
{
    struct jobtab *table = open_table(dir);
    int64_t *times = calloc((size_t)jobs, sizeof *times);
    int fd = connect_to(port);

    if (times == NULL)
        die("start", "out of memory");
    for (long i = 0; i < jobs; i++) {
        struct timespec quiet = {.tv_nsec = QUIET * 1000000L};
        nanosleep(&quiet, NULL);
        int64_t posted = monotonic_ns();
        struct jobtab_id id = post(fd, kind);
        times[i] = began_at(table, &id) - posted;
    }
    qsort(times, (size_t)jobs, sizeof *times, by_size);
    printf("{\"jobs\": %ld, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", jobs,
           (double)times[jobs / 2] / 1e3, (double)times[jobs * 99 / 100] / 1e3);
    free(times);
    close(fd);
    jobtab_close(table);
}

/* ---------------------------------------------------------------- the bare spawn */

static void spawn(const char *program, long jobs, long at_once)
{
    char *argv[] = {(char *)program, NULL};
    int64_t began = monotonic_ns();
    long running = 0;
    pid_t pid;

    for (long started = 0; started < jobs || running > 0;) {
        if (started < jobs && running < at_once) {
            int error = posix_spawn(&pid, program, NULL, NULL, argv, environ);
            if (error != 0)
                die(program, strerror(error));
            started++;
            running++;
        } else {
            if (waitpid(-1, NULL, 0) < 0)
                die("waitpid", strerror(errno));
            running--;
        }
    }
    print_rate(jobs, monotonic_ns() - began);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 5 && strcmp(what, "run") == 0)
        run(argv[2], argv[3], atol(argv[4]));
    else if (argc == 6 && strcmp(what, "start") == 0)
        start(argv[2], argv[3], atol(argv[4]), argv[5]);
    else if (argc == 5 && strcmp(what, "spawn") == 0)
        spawn(argv[2], atol(argv[3]), atol(argv[4]));
    else
        die("usage", "see the head of tests/bench/jobs.c");
    return 0;
}
