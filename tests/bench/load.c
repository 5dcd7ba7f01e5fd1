/* load.c - an HTTP/1.1 load generator of one thread, cheap enough to share two cores with what
 * it measures; beanstalkd's requests, answered by a line, are sent by the same loop.
 *
 * Each connection has one request in flight: it sends, reads the whole answer, sends again. The
 * same program measures every HTTP side of the benchmark, so what it costs itself is the same
 * for all; it says how much that was, so that a reader sees when it was the limit.
 *
 * Answers must carry Content-Length. Anything else than the expected status is counted as an
 * error, never as a request served.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, EVENTS = 256, SUB_BITS = 6, BUCKETS = 32 << SUB_BITS };

static const char usage[] =
    "usage: load -p PORT [-c CONNECTIONS] [-t SECONDS] [-w WARM_UP_SECONDS] [-e STATUS]\n"
    "            [-i FILE [-m]] [-b FILE] TARGET\n"
    "       load -p PORT [-c CONNECTIONS] [-t SECONDS] [-w WARM_UP_SECONDS] -l WORD -b FILE\n"
    "  TARGET   path to ask for\n"
    "  -i FILE  lines \"ID VERSION\"; a %s in TARGET is replaced by the id of a random line\n"
    "  -m       with If-None-Match: the version of that line\n"
    "  -b FILE  POST the bytes of FILE as application/json; without it, GET\n"
    "  -l WORD  the bytes of FILE are the request, the answer is a line that begins with WORD\n"
    "Prints one line of JSON.\n";

struct bytes {
    char *data;
    size_t size;
};

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t have;      /* bytes of the head read so far; they stand in `head` */
    size_t body_left; /* bytes of the body still to come, once the head is whole */
    bool in_body;
    unsigned status;
    char head[4096];
};

static struct {
    uint16_t port;
    unsigned connections, status;
    double seconds, warm_up;
    const char *target, *ids_file, *body_file, *line;
    bool if_none_match;
} options = {.connections = 1, .status = 200, .seconds = 3, .warm_up = 0.5};

static struct bytes *requests; /* rendered once, picked at random */
static size_t n_requests;
static int epoll_fd;
static uint64_t random_state = 88172645463325252u;
static bool counting;
static uint64_t served, errors, received, reconnects;
static uint64_t histogram[BUCKETS];
static uint64_t slowest_ns;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(void) /* xorshift64: which request is next, nothing else */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Latencies go into buckets that are 1/64 of their value wide, so a percentile is good to 1.6 %. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < (1u << SUB_BITS))
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    unsigned within = (unsigned)((ns >> shift) & ((1u << SUB_BITS) - 1));
    unsigned bucket = ((shift + 1) << SUB_BITS) | within;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_us(unsigned bucket)
{
    if (bucket < (1u << SUB_BITS))
        return bucket / 1000.0;
    unsigned shift = (bucket >> SUB_BITS) - 1;
    uint64_t base = (1u << SUB_BITS) | (bucket & ((1u << SUB_BITS) - 1));
    return (double)(base << shift) / 1000.0;
}

static double percentile_us(double part)
{
    uint64_t wanted = (uint64_t)(part * (double)served), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted)
            return bucket_us(i);
    }
    return (double)slowest_ns / 1000.0;
}

static struct bytes read_file(const char *path)
{
    struct bytes all = {NULL, 0};
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    size_t room = 0;
    do {
        room = room * 2 + 4096;
        all.data = realloc(all.data, room + 1);
        if (all.data == NULL)
            die("memory");
        all.size += fread(all.data + all.size, 1, room - all.size, file);
    } while (all.size == room);
    if (ferror(file))
        die(path);
    fclose(file);
    all.data[all.size] = '\0';
    return all;
}

static struct bytes render_http(const char *id, const char *version, const struct bytes *body)
{
    const char *hole = strstr(options.target, "%s");
    int before = hole ? (int)(hole - options.target) : (int)strlen(options.target);
    struct bytes request = {NULL, 0};
    FILE *out = open_memstream(&request.data, &request.size);
    if (out == NULL)
        die("memory");
    fprintf(out, "%s %.*s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", body->data ? "POST" : "GET",
            before, options.target, hole ? id : "", hole ? hole + 2 : "", options.port);
    if (version)
        fprintf(out, "If-None-Match: \"%s\"\r\n", version);
    if (body->data)
        fprintf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body->size);
    fputs("\r\n", out);
    if (body->data)
        fwrite(body->data, 1, body->size, out);
    if (fclose(out) != 0)
        die("memory");
    return request;
}

static void render_all(void)
{
    struct bytes body = {NULL, 0}, ids = {NULL, 0};
    if (options.body_file)
        body = read_file(options.body_file);
    if (options.ids_file)
        ids = read_file(options.ids_file);
    size_t room = 1;
    for (size_t i = 0; i < ids.size; i++)
        room += ids.data[i] == '\n';
    requests = calloc(room, sizeof *requests);
    if (requests == NULL)
        die("memory");
    if (ids.data == NULL) {
        requests[n_requests++] = options.line ? body : render_http("", NULL, &body);
    } else {
        char *save = NULL;
        for (char *id = strtok_r(ids.data, "\n", &save); id; id = strtok_r(NULL, "\n", &save)) {
            char *version = strchr(id, ' ');
            if (version)
                *version++ = '\0';
            requests[n_requests++] = render_http(id, options.if_none_match ? version : NULL, &body);
        }
    }
    if (n_requests == 0) {
        fprintf(stderr, "load: %s: no ids\n", options.ids_file);
        exit(1);
    }
    if (!options.line)
        free(body.data);
    free(ids.data);
}

static void send_next(struct connection *c)
{
    const struct bytes *request =
        &requests[n_requests == 1 ? 0 : (size_t)(next_random() % n_requests)];
    c->have = 0;
    c->in_body = false;
    c->sent_ns = now_ns();
    ssize_t sent = send(c->fd, request->data, request->size, MSG_NOSIGNAL);
    /* One request is far smaller than a socket's buffer; a peer that is gone shows at the read. */
    if (sent >= 0 && (size_t)sent != request->size)
        die("send: request larger than the socket's buffer");
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
    send_next(c);
}

static void reopen_connection(struct connection *c)
{
    close(c->fd);
    reconnects++;
    if (counting)
        errors++;
    open_connection(c);
}

static void count_answer(const struct connection *c)
{
    if (!counting)
        return;
    uint64_t took = now_ns() - c->sent_ns;
    if (c->status != options.status) {
        errors++;
        return;
    }
    served++;
    histogram[bucket_of(took)]++;
    if (took > slowest_ns)
        slowest_ns = took;
}

/* The head is whole: status, and how many bytes of body follow. false: no answer of the kind
 * that this program reads. */
static bool parse_head(const char *head, unsigned *status, size_t *length)
{
    const char *at = head;
    if (strncmp(head, "HTTP/1.1 ", 9) != 0)
        return false;
    *status = (unsigned)strtoul(head + 9, NULL, 10);
    *length = 0;
    if (*status == 204 || *status == 304)
        return true;
    while ((at = strstr(at, "\r\n")) != NULL) {
        at += 2;
        if (strncasecmp(at, "content-length:", 15) == 0) {
            *length = strtoull(at + 15, NULL, 10);
            return true;
        }
    }
    return false;
}

/* The end of the head in c->head; for a line, of all. NULL: not yet. */
static char *head_end(struct connection *c, size_t *length)
{
    char *end = strstr(c->head, options.line ? "\r\n" : "\r\n\r\n");
    if (end == NULL && c->have < sizeof c->head - 1)
        return NULL;
    *length = 0;
    if (end != NULL && options.line) {
        bool expected = strncmp(c->head, options.line, strlen(options.line)) == 0;
        c->status = expected ? options.status : 0;
        return end + 2;
    }
    if (end == NULL || !parse_head(c->head, &c->status, length)) {
        fprintf(stderr, "load: an answer without Content-Length or with too long a head\n");
        exit(1);
    }
    return end + 4;
}

static void read_some(struct connection *c)
{
    static char buffer[READ_SIZE + 1];
    ssize_t got = recv(c->fd, buffer, READ_SIZE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        reopen_connection(c);
        return;
    }
    if (counting)
        received += (uint64_t)got;
    size_t size = (size_t)got;

    if (!c->in_body) {
        size_t old = c->have, room = sizeof c->head - 1 - old, length;
        size_t take = size < room ? size : room;
        memcpy(c->head + old, buffer, take);
        c->have += take;
        c->head[c->have] = '\0';
        char *end = head_end(c, &length);
        if (end == NULL)
            return;
        size_t head_size = (size_t)(end - c->head);
        c->in_body = true;
        c->body_left = length;
        size -= head_size - old;
    }
    if (size > c->body_left) {
        fprintf(stderr, "load: more bytes than the answer has\n");
        exit(1);
    }
    c->body_left -= size;
    if (c->body_left == 0) {
        count_answer(c);
        send_next(c);
    }
}

/* Serve events until `end`. */
static void run_until(uint64_t end)
{
    struct epoll_event events[EVENTS];
    for (uint64_t now = now_ns(); now < end; now = now_ns()) {
        int wait_ms = (int)((end - now) / 1000000u) + 1;
        int n = epoll_wait(epoll_fd, events, EVENTS, wait_ms);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            read_some(events[i].data.ptr);
    }
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void parse_options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "p:c:t:w:e:i:mb:l:")) != -1) {
        switch (option) {
        case 'p': options.port = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'c': options.connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 't': options.seconds = strtod(optarg, NULL); break;
        case 'w': options.warm_up = strtod(optarg, NULL); break;
        case 'e': options.status = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'i': options.ids_file = optarg; break;
        case 'm': options.if_none_match = true; break;
        case 'b': options.body_file = optarg; break;
        case 'l': options.line = optarg; break;
        default: fputs(usage, stderr); exit(2);
        }
    }
    bool complete = options.line ? options.body_file && optind == argc : optind + 1 == argc;
    if (!complete || options.port == 0 || options.connections == 0 ||
        options.seconds <= 0) {
        fputs(usage, stderr);
        exit(2);
    }
    options.target = options.line ? "" : argv[optind];
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    render_all();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    random_state ^= now_ns();
    struct connection *all = calloc(options.connections, sizeof *all);
    if (all == NULL)
        die("memory");
    for (unsigned i = 0; i < options.connections; i++)
        open_connection(&all[i]);

    run_until(now_ns() + (uint64_t)(options.warm_up * 1e9));
    counting = true;
    uint64_t begin = now_ns();
    double cpu_before = cpu_seconds();
    run_until(begin + (uint64_t)(options.seconds * 1e9));
    double seconds = (double)(now_ns() - begin) / 1e9;

    printf("{\"rate\": %.1f, \"served\": %" PRIu64 ", \"errors\": %" PRIu64
           ", \"reconnects\": %" PRIu64 ", \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f, \"bytes\": %" PRIu64 ", \"cpu_share\": %.3f}\n",
           (double)served / seconds, served, errors, reconnects, seconds, percentile_us(0.50),
           percentile_us(0.99), (double)slowest_ns / 1000.0, received,
           (cpu_seconds() - cpu_before) / seconds);
    return 0;
}
