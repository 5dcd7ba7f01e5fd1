/* storm.c - many clients of one table at once, each logging what it saw (event.h).
 *
 *   storm -d TABLE -e EVENTS [-p PORT] [-c CLIENTS] [-n REQUESTS] [-t SECONDS] [-s SEED]
 *         [-k KINDS] [-x]
 *
 * Forks CLIENTS processes with the parts below, over HTTP to the daemon at PORT and through the
 * library; without a port all through the library. They share the ids of the newest jobs and a
 * budget of REQUESTS. KINDS ("warm", or more of them with commas between) are for the daemon's
 * children, kind "direct" for our own workers. At the end the rest is worked off and every job of
 * the table logged as "final". A client may be SIGKILLed. SIGUSR1 to the first process: the budget
 * is spent. -x: what an earlier storm has left in the table is deleted first.
 *
 * Exit: 0 when all others ended well and every job is done; 1 with a line on standard error.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "event.h"
#include "jobtab.h"

#define RING 512
#define CLIENTS_MAX 256
#define STEPS "3"
#define HOLD 16 /* parts that a snapshot is held for */
#define READS_A_WRITE 4
#define KINDS_MAX 8
#define PAGE 256

/* No lock in it: clients may be killed. An id whose halves are of two jobs is of none. */
struct shared {
    atomic_long requests; /* left */
    atomic_long reads, writes;
    atomic_int over, failed;
    atomic_uint next;
    _Atomic uint64_t ring[RING][2];
};

struct client {
    int number;
    unsigned random;
    unsigned jobs; /* submitted so far */
    struct events *events;
    struct jobtab *table;
    int fd;
    char body[256 * 1024]; /* of the last answer */
    size_t size;
    int status;
    uint64_t etag;
};

static struct shared *shared;
static const char *dir, *folder;
static int port;
static const char *kinds[KINDS_MAX] = { "warm" };
static unsigned n_kinds = 1;

/* --------------------------------------------------------------- what is shared */

static void remember(const char *text)
{
    struct jobtab_id id;
    uint64_t halves[2];
    unsigned place = atomic_fetch_add(&shared->next, 1) % RING;

    jobtab_id_parse(text, &id);
    memcpy(halves, id.bytes, sizeof halves);
    shared->ring[place][0] = halves[0];
    shared->ring[place][1] = halves[1];
}

static unsigned dice(struct client *c)
{
    c->random = c->random * 1103515245u + 12345u;
    return c->random >> 16;
}

/* One of the `span` newest jobs; false while there is none. */
static bool some_job(struct client *c, unsigned span, char text[JOBTAB_ID_TEXT])
{
    struct jobtab_id id;
    unsigned next = shared->next, n = next < span ? next : span;

    if (n == 0)
        return false;
    unsigned place = (next - 1 - dice(c) % n) % RING;
    uint64_t halves[2] = { shared->ring[place][0], shared->ring[place][1] };
    memcpy(id.bytes, halves, sizeof halves);
    jobtab_id_format(&id, text);
    return halves[0] && halves[1];
}

static void nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static bool budget(void)
{
    return shared->requests > 0 && !shared->over && !shared->failed;
}

/* A request is made. Reads are so much faster than durable writes that readers wait for these; not
 * for ever, since those who write read in between, and some of them may have been killed. */
static void spend(bool write)
{
    atomic_fetch_sub(&shared->requests, 1);
    if (write)
        atomic_fetch_add(&shared->writes, 1);
    else
        for (int ms = 0; ms < 20 && budget() && atomic_load(&shared->reads) >
                                    READS_A_WRITE * (atomic_load(&shared->writes) + 10); ms++)
            nap(1);
    if (!write)
        atomic_fetch_add(&shared->reads, 1);
}

static void fail(struct client *c, const char *what)
{
    fprintf(stderr, "storm: client %d: %s: %s; %s\n", c->number, what, strerror(errno),
            jobtab_why());
    shared->failed = 1; /* all leave: what the others see now is no story of a sound table */
    _exit(1);
}

/* ------------------------------------------------------------------------ HTTP */

static bool dial(struct client *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { 20, 0 };
    int one = 1;

    if (c->fd >= 0)
        return true;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail(c, "socket");
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0)
        return true;
    close(c->fd);
    c->fd = -1;
    return false;
}

static const char *header(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, n) && line[2 + n] == ':')
            return line + 3 + n + strspn(line + 3 + n, " \"");
    return NULL;
}

/* Read one answer into body. False when the connection gave none. */
static bool receive(struct client *c)
{
    static char text[sizeof c->body + 8192];
    size_t have = 0, length = 0;
    char *end = NULL;

    for (;;) {
        ssize_t n = recv(c->fd, text + have, sizeof text - 1 - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
        text[have] = '\0';
        if (!end) {
            const char *value;
            if (!(end = strstr(text, "\r\n\r\n")))
                continue;
            *end = '\0';
            end += 4;
            c->status = atoi(text + 9);
            c->etag = (value = header(text, "etag")) ? strtoull(value, NULL, 10) : 0;
            value = header(text, "content-length");
            length = value ? strtoul(value, NULL, 10) : 0;
            if (length >= sizeof c->body)
                fail(c, "an answer is too long");
        }
        if (have - (size_t)(end - text) >= length)
            break;
    }
    memcpy(c->body, end, length);
    c->body[length] = '\0';
    c->size = length;
    return true;
}

static void ask(struct client *c, const char *method, const char *path, const char *more,
                const char *body)
{
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, port, more, strlen(body), body);

    c->status = 0;
    c->size = 0;
    if (!dial(c))
        return nap(20);
    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n || !receive(c)) {
        close(c->fd);
        c->fd = -1;
        c->status = 0;
    }
}

/* The member's value, a string's without quotes, cut at `size`. "" when it is not there. */
static void member(const char *json, const char *name, char *text, size_t size)
{
    char quoted[40];
    const char *at;
    size_t n;

    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    text[0] = '\0';
    if (!(at = strstr(json, quoted)))
        return;
    at += strlen(quoted);
    at += strspn(at, " :");
    n = *at == '"' ? strcspn(++at, "\"") : strcspn(at, ",}\n ");
    snprintf(text, size, "%.*s", (int)n, at);
}

static int64_t millis(const char *rfc3339)
{
    struct tm tm = { 0 };
    int ms = 0;
    if (sscanf(rfc3339, "%d-%d-%dT%d:%d:%d.%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) != 7)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000 + ms;
}

static void log_json(struct client *c, const char *verb, const char *json, size_t size,
                     char letter, int64_t begun)
{
    char id[64], version[32], state[32], attempt[16], progress[16], started[40], message[256];
    char nonce[64], of[64], extra[160];
    struct event e = { .verb = verb, .outcome = "ok", .begun = begun, .letter = letter };

    member(json, "job_id", id, sizeof id);
    member(json, "version", version, sizeof version);
    member(json, "status", state, sizeof state);
    member(json, "attempt", attempt, sizeof attempt);
    member(json, "progress", progress, sizeof progress);
    member(json, "started_at", started, sizeof started);
    member(json, "message", message, sizeof message);
    member(json, "nonce", nonce, sizeof nonce);
    member(json, "of", of, sizeof of);
    snprintf(extra, sizeof extra, "%s:%s", nonce, of);
    if (!strcmp(message, "null"))
        message[0] = '\0';
    e.job = id;
    e.version = strtoull(version, NULL, 10);
    e.state = state;
    e.attempt = (uint32_t)atoi(attempt);
    e.progress = (uint32_t)atoi(progress);
    e.started = millis(started);
    e.message = message;
    e.extra = extra;
    e.hash = event_hash(json, size);
    event_write(c->events, &e);
}

static const char *http_outcome(struct client *c, char text[16])
{
    static const struct {
        int status;
        const char *outcome;
    } rows[] = {
        { 0, "unanswered" }, { 200, "ok" }, { 202, "ok" },        { 204, "ok" },
        { 304, "same" },     { 404, "notfound" }, { 409, "forbidden" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == c->status)
            return rows[i].outcome;
    snprintf(text, 16, "status%d", c->status);
    return text;
}

/* Ask, log what came. `id` is the job that was asked for, or NULL. */
static void http(struct client *c, const char *verb, const char *method, const char *path,
                 const char *more, const char *body, const char *id)
{
    char other[16];

    spend(strcmp(method, "GET") != 0);
    int64_t begun = event_clock();
    ask(c, method, path, more, body);
    const char *outcome = http_outcome(c, other);
    if (!strcmp(outcome, "ok") && c->status != 204) {
        char text[32];
        member(c->body, "version", text, sizeof text);
        if (c->etag && c->etag != strtoull(text, NULL, 10))
            outcome = "etag-differs";
        else
            return log_json(c, verb, c->body, c->size, 'f', begun);
    }
    struct event e = { .verb = verb, .outcome = outcome, .begun = begun, .job = id };
    if (c->status == 304)
        e.version = c->etag;
    event_write(c->events, &e);
}

static void http_get(struct client *c, const char *id, uint64_t known)
{
    char path[80], more[64] = "";
    snprintf(path, sizeof path, "/status/%s", id);
    if (known)
        snprintf(more, sizeof more, "If-None-Match: \"%llu\"\r\n", (unsigned long long)known);
    http(c, "get", "GET", path, more, "", id);
}

static void http_reader(struct client *c)
{
    char id[JOBTAB_ID_TEXT];
    if (!some_job(c, RING, id))
        return nap(1);
    http_get(c, id, 0);
    if (c->status == 200 && c->etag && dice(c) % 4 == 0 && budget())
        http_get(c, id, c->etag);
}

static void nonce_of(struct client *c, char text[64])
{
    snprintf(text, 64, "%d.%d.%u", (int)getpid(), c->number, c->jobs++);
}

/* What a user does: submit, and look until it is done. */
static void http_submitter(struct client *c)
{
    char body[256], nonce[64], id[64], text[16];

    nonce_of(c, nonce);
    snprintf(body, sizeof body,
             "{\"kind\":\"%s\",\"params\":{\"do\":\"story " STEPS "\",\"nonce\":\"%s\"}}",
             kinds[dice(c) % n_kinds], nonce);
    http(c, "submit", "POST", "/run", "", body, NULL);
    if (c->status != 202)
        return nap(5);
    member(c->body, "job_id", id, sizeof id);
    remember(id);
    do {
        nap(1 + (int)(dice(c) % 4));
        http_get(c, id, 0);
        member(c->body, "done", text, sizeof text);
    } while ((c->status == 0 || (c->status == 200 && strcmp(text, "true"))) && budget());
}

/* 0 cancel, 1 retry, 2 delete, 3 nothing to do: mostly of jobs that are fresh, few deletions. */
static unsigned change(struct client *c, char id[JOBTAB_ID_TEXT])
{
    static const unsigned char whats[8] = { 0, 0, 0, 0, 1, 1, 1, 2 };
    unsigned what = whats[dice(c) % 8];

    nap(2);
    return some_job(c, what == 2 ? RING : 12, id) ? what : 3;
}

static void http_changer(struct client *c)
{
    char id[JOBTAB_ID_TEXT], path[96];
    unsigned what = change(c, id);

    if (what == 3)
        return nap(1);
    snprintf(path, sizeof path, "/status/%s%s", id,
             what == 0 ? "/cancel" : what == 1 ? "/retry" : "");
    if (what == 2)
        http(c, "delete", "DELETE", path, "", "", id);
    else
        http(c, what ? "retry" : "cancel", "POST", path, "", "", id);
}

/* Every object of the array "jobs", by counting braces; our texts hold none. */
static void http_lister(struct client *c)
{
    char other[16];
    const char *at, *first = NULL;
    int depth = 0;

    nap(5);
    spend(false);
    int64_t begun = event_clock();
    ask(c, "GET", "/jobs?limit=20", "", "");
    if (c->status != 200) {
        struct event e = { .verb = "list", .outcome = http_outcome(c, other), .begun = begun };
        return event_write(c->events, &e);
    }
    at = strchr(c->body, '[');
    for (; at && *at && !(depth == 0 && *at == ']'); at++) {
        if (*at == '{' && depth++ == 0)
            first = at;
        if (*at == '}' && --depth == 0) {
            char one[8192];
            size_t n = (size_t)(at + 1 - first);
            if (n >= sizeof one)
                fail(c, "a job in a list is too long");
            memcpy(one, first, n);
            one[n] = '\0';
            log_json(c, "list", one, n, 'l', begun);
        }
    }
}

/* ---------------------------------------------------------------- the library */

static int apply(struct client *c, struct jobtab_op *op, struct jobtab_job *job)
{
    spend(op->verb != JOBTAB_CLAIM);
    int64_t begun = event_clock();
    op->job = job;
    if (op->verb == JOBTAB_DELETE || op->verb == JOBTAB_RETRY) /* what nobody else shows */
        event_ask(c->events, op, begun);
    if (jobtab_apply(c->table, op, 1) != JOBTAB_OK)
        fail(c, "apply");
    if (op->result != JOBTAB_EMPTY)
        event_op(c->events, op, begun);
    return op->result;
}

static void direct_read(struct client *c, const char *verb, const char *text)
{
    struct jobtab_id id;
    struct jobtab_job job;
    char *params = NULL, *result = NULL, nonce[64] = "", of[64] = "", extra[160];

    if (strcmp(verb, "final") != 0)
        spend(false);
    jobtab_id_parse(text, &id);
    int64_t begun = event_clock();
    int error = jobtab_get_whole(c->table, &id, &job, &params, &result);
    if (error == JOBTAB_OK) {
        member(params ? params : "", "nonce", nonce, sizeof nonce);
        member(result ? result : "", "of", of, sizeof of);
        snprintf(extra, sizeof extra, "%s:%s", nonce, of);
        event_job(c->events, verb, &job, begun, extra);
        free(params);
        free(result);
    } else {
        struct event e = { .verb = verb, .outcome = event_outcome(error), .begun = begun,
                           .job = text };
        event_write(c->events, &e);
    }
}

static void direct_reader(struct client *c)
{
    char id[JOBTAB_ID_TEXT];
    if (!some_job(c, RING, id))
        return nap(1);
    direct_read(c, "get", id);
}

static void direct_submitter(struct client *c)
{
    char params[128], nonce[64], id[JOBTAB_ID_TEXT];
    struct jobtab_job job;
    struct jobtab_op op = { .verb = JOBTAB_SUBMIT };

    nonce_of(c, nonce);
    int n = snprintf(params, sizeof params, "{\"nonce\":\"%s\"}", nonce);
    op.submit = (struct jobtab_submit){ .kind = "direct", .params = params,
                                        .params_size = (size_t)n, .max_attempts = 3,
                                        .backoff = 1 };
    if (apply(c, &op, &job) != JOBTAB_OK)
        fail(c, "submit");
    jobtab_id_format(&job.id, id);
    remember(id);
    do {
        nap(1 + (int)(dice(c) % 4));
        if (jobtab_get(c->table, &job.id, &job) != JOBTAB_OK)
            break;
        direct_read(c, "get", id);
    } while (!jobtab_state_done(job.state) && budget());
}

static void direct_changer(struct client *c)
{
    static const enum jobtab_verb verbs[] = { JOBTAB_CANCEL, JOBTAB_RETRY, JOBTAB_DELETE };
    char id[JOBTAB_ID_TEXT];
    struct jobtab_job job;
    unsigned what = change(c, id);

    if (what == 3)
        return nap(1);
    struct jobtab_op op = { .verb = verbs[what] };
    jobtab_id_parse(id, &op.id);
    apply(c, &op, &job);
}

/* Who is woken by the bell finds in the table what it rang for. */
static void direct_listener(struct client *c)
{
    static uint64_t seen;
    struct jobtab_stat stat;
    char message[64];
    struct event e = { .verb = "bell", .outcome = "ok", .message = message };

    int error = jobtab_wait(c->table, &seen, 100);
    if (error == JOBTAB_TIMEOUT)
        return;
    e.begun = event_clock();
    if (error != JOBTAB_OK || jobtab_stat(c->table, &stat, NULL, 0) != JOBTAB_OK)
        fail(c, "listen");
    snprintf(message, sizeof message, "told=%llu,found=%llu", (unsigned long long)seen,
             (unsigned long long)stat.version);
    spend(false);
    event_write(c->events, &e);
}

static int speak(struct client *c, const struct jobtab_op *claimed, enum jobtab_verb verb,
                 unsigned progress)
{
    struct jobtab_job job;
    struct jobtab_op op = { .verb = verb, .id = claimed->id, .token = claimed->token };
    char id[JOBTAB_ID_TEXT], message[128], result[96];

    jobtab_id_format(&op.id, id);
    event_message(message, sizeof message, progress, id, claimed->token.attempt);
    if (verb == JOBTAB_REPORT)
        op.report = (struct jobtab_report){ progress, message };
    if (verb == JOBTAB_FINISH && progress == 100) {
        int n = snprintf(result, sizeof result, "{\"of\":\"%s\"}", id);
        op.finish = (struct jobtab_finish){ .outcome = JOBTAB_SUCCEEDED, .message = message,
                                            .result = result, .result_size = (size_t)n,
                                            .format = JOBTAB_JSON };
    } else if (verb == JOBTAB_FINISH) {
        op.finish = (struct jobtab_finish){ .outcome = progress ? JOBTAB_TRY_AGAIN : JOBTAB_STOPPED,
                                            .reason = progress ? JOBTAB_BY_EXIT : JOBTAB_NO_REASON };
    }
    return apply(c, &op, &job);
}

/* Work jobs of kind "direct". Now and then give one back or fail it, and speak up again with the
 * token that is then of an earlier attempt. */
static void direct_worker(struct client *c)
{
    struct jobtab_op op = { .verb = JOBTAB_CLAIM, .claim = { "direct", 0 } };
    struct jobtab_job job;
    unsigned what = dice(c) % 6;
    int error = JOBTAB_OK;

    if (apply(c, &op, &job) == JOBTAB_EMPTY) {
        struct jobtab_swept swept;
        if (jobtab_sweep(c->table, 100, &swept) != JOBTAB_OK)
            fail(c, "sweep");
        return nap(1);
    }
    for (unsigned progress = 25; progress < 100 && error == JOBTAB_OK; progress += 25)
        error = speak(c, &op, JOBTAB_REPORT, progress);
    if (error == JOBTAB_STOP) {
        speak(c, &op, JOBTAB_FINISH, 0);
    } else if (what < 2) {
        speak(c, &op, what ? JOBTAB_RELEASE : JOBTAB_FINISH, 50);
        for (unsigned late = 0; late < 4 && !shared->over; late++) {
            nap(1);
            speak(c, &op, late < 3 ? JOBTAB_REPORT : JOBTAB_FINISH, 100);
        }
    } else {
        speak(c, &op, JOBTAB_FINISH, 100);
    }
}

/* ------------------------------------------------------------------------ all */

static void (*const http_parts[])(struct client *) = {
    direct_worker, http_submitter, http_reader,   http_reader,      http_changer,  http_submitter,
    http_lister,   http_reader,    direct_reader, direct_submitter, http_reader,   direct_changer,
    direct_worker, http_submitter, http_reader,   direct_listener,
};
static void (*const direct_parts[])(struct client *) = {
    direct_worker, direct_submitter, direct_reader, direct_changer,
    direct_worker, direct_submitter, direct_listener, direct_submitter,
};

static void (*part_of(int number))(struct client *)
{
    return port ? http_parts[number % 16] : direct_parts[number % 8];
}

static void client(int number, unsigned seed)
{
    static struct client c;
    void (*part)(struct client *) = part_of(number);

    c.number = number;
    c.random = seed + (unsigned)number * 7919u;
    c.fd = -1;
    if (!(c.events = events_open(folder)))
        fail(&c, folder);
    if (jobtab_open(dir, NULL, &c.table) != JOBTAB_OK)
        fail(&c, dir);
    /* Workers go on until the others are served: somebody may wait for a job's end. */
    for (int n = 0; budget() || (part == direct_worker && !shared->over && !shared->failed); n++) {
        if (number % 8 > 4 && n % HOLD == 0) { /* some of each kind hold a snapshot for a while */
            jobtab_rest(c.table);
            if (jobtab_hold(c.table) != JOBTAB_OK)
                fail(&c, "hold");
        }
        part(&c);
    }
    jobtab_close(c.table);
    _exit(0);
}

/* Every job of the table, oldest first. The number that is not done. */
static unsigned long final(struct client *c, bool write)
{
    static struct jobtab_job jobs[PAGE];
    struct jobtab_filter filter = { .oldest_first = true };
    unsigned long undone = 0;
    bool more = true;

    while (more) {
        size_t n = PAGE;
        if (jobtab_list(c->table, &filter, jobs, &n, &filter.after, &more) != JOBTAB_OK)
            fail(c, "list");
        filter.after_set = true;
        for (size_t i = 0; i < n; i++) {
            char id[JOBTAB_ID_TEXT];
            jobtab_id_format(&jobs[i].id, id);
            undone += !jobtab_state_done(jobs[i].state);
            if (write)
                direct_read(c, "final", id);
        }
    }
    return undone;
}

static void delete_done(struct client *c)
{
    static struct jobtab_job jobs[PAGE];
    static struct jobtab_op ops[PAGE];
    struct jobtab_filter filter = { .states = JOBTAB_STATE_BIT(JOBTAB_COMPLETED) |
                                              JOBTAB_STATE_BIT(JOBTAB_FAILED) |
                                              JOBTAB_STATE_BIT(JOBTAB_CANCELLED) };
    bool more = true;

    for (size_t n = PAGE; more; n = PAGE) {
        if (jobtab_list(c->table, &filter, jobs, &n, &filter.after, &more) != JOBTAB_OK)
            fail(c, "list");
        filter.after_set = true;
        for (size_t i = 0; i < n; i++)
            ops[i] = (struct jobtab_op){ .verb = JOBTAB_DELETE, .id = jobs[i].id };
        if (n && jobtab_apply(c->table, ops, n) != JOBTAB_OK)
            fail(c, "delete");
    }
}

static void set_kinds(char *text)
{
    char *save = NULL;

    n_kinds = 0;
    for (char *one = strtok_r(text, ",", &save); one && n_kinds < KINDS_MAX;
         one = strtok_r(NULL, ",", &save))
        kinds[n_kinds++] = one;
}

static void spend_all(int number)
{
    (void)number;
    shared->requests = 0;
}

int main(int argc, char **argv)
{
    static struct client c = { .number = -1, .fd = -1 };
    int clients = 16, option;
    long requests = 2000, patience = 60;
    unsigned seed = 1;
    bool empty = false;

    while ((option = getopt(argc, argv, "d:e:p:c:n:t:s:k:x")) != -1) {
        switch (option) {
        case 'd': dir = optarg; break;
        case 'e': folder = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'c': clients = atoi(optarg); break;
        case 'n': requests = atol(optarg); break;
        case 't': patience = atol(optarg); break;
        case 's': seed = (unsigned)atoi(optarg); break;
        case 'k': set_kinds(optarg); break;
        case 'x': empty = true; break;
        default: return 2;
        }
    }
    if (!dir || !folder || optind < argc || n_kinds < 1 || clients < 1 || clients > CLIENTS_MAX)
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail(&c, "mmap");
    shared->requests = requests;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = spend_all, .sa_flags = SA_RESTART}, NULL);
    if (jobtab_open(dir, NULL, &c.table) != JOBTAB_OK)
        fail(&c, dir);
    if (empty)
        delete_done(&c);
    jobtab_close(c.table);

    int64_t begun = event_clock(), end = begun + patience * 1000000000;
    pid_t pids[CLIENTS_MAX];
    int asking = 0; /* clients that are no workers */
    for (int i = 0; i < clients; i++) {
        asking += part_of(i) != direct_worker;
        if ((pids[i] = fork()) < 0)
            fail(&c, "fork");
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that gives up leaves no client behind */
            client(i, seed);
        }
    }
    if (!(c.events = events_open(folder)))
        fail(&c, folder);
    if (jobtab_open(dir, NULL, &c.table) != JOBTAB_OK)
        fail(&c, dir);
    bool late = false;
    int left = clients, killed = 0, bad = 0;
    while (left > 0) {
        late |= event_clock() >= end;
        if (late || shared->failed || (asking == 0 && final(&c, false) == 0))
            shared->over = 1;
        nap(20);
        for (int i = 0, status; i < clients; i++) {
            if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i])
                continue;
            pids[i] = 0;
            left--;
            asking -= part_of(i) != direct_worker;
            if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
                fprintf(stderr, "storm: client %d: ended by signal %d\n", i, WTERMSIG(status));
            if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
                killed++;
            else
                bad += status != 0;
        }
    }
    double took = (double)(event_clock() - begun) / 1e9;
    unsigned long undone = final(&c, true);
    jobtab_close(c.table);
    printf("%ld requests by %d clients, %d killed, in %.1f s\n", requests, clients, killed, took);
    if (late)
        fprintf(stderr, "storm: not over in %ld s; %ld requests left, %lu jobs not done\n", patience,
                (long)shared->requests, undone);
    if (bad)
        fprintf(stderr, "storm: %d clients failed\n", bad);
    return late || bad || undone;
}
