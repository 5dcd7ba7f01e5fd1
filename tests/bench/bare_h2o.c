/* bare_h2o.c - libh2o and nothing else: what HTTP costs on this machine.
 *
 * N processes share one listener; each answers every request, GET or POST, with the same status
 * and bytes, read once from a file: header lines, an empty line, the body. That is what libh2o can
 * do at most with that answer, so the ratio to it is the price of all that jobtabd does besides.
 *
 * Ends when its standard input does, so that it never outlives the script that started it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <h2o.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEADERS = 32, BACKLOG = 1024, PROCESSES = 64 };

struct header {
    const char *name, *value;
    size_t name_size, value_size;
};

static struct header headers[HEADERS];
static size_t n_headers;
static int status;
static h2o_iovec_t body;
static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;

static void die(const char *what)
{
    fprintf(stderr, "bare_h2o: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int answer(h2o_handler_t *handler, h2o_req_t *request)
{
    static h2o_generator_t generator = {NULL, NULL};
    (void)handler;
    request->res.status = status;
    request->res.reason = status == 304 ? "Not Modified" : status == 202 ? "Accepted" : "OK";
    if (status != 304)
        request->res.content_length = body.len;
    for (size_t i = 0; i < n_headers; i++)
        h2o_add_header_by_str(&request->pool, &request->res.headers, headers[i].name,
                              headers[i].name_size, 1, NULL, headers[i].value,
                              headers[i].value_size);
    h2o_start_response(request, &generator);
    h2o_send(request, &body, body.len > 0, 1);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    if (error != NULL)
        return;
    h2o_socket_t *accepted = h2o_evloop_socket_accept(listener);
    if (accepted != NULL)
        h2o_accept(&accept_context, accepted);
}

/* The file is "Name: value" lines, an empty line, and the body; it is kept for good. */
static void read_answer(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    char *line = text;
    while (*line != '\n' && *line != '\0') {
        char *end = strchr(line, '\n'), *colon = strchr(line, ':');
        if (end == NULL || colon == NULL || colon > end || n_headers == HEADERS) {
            fprintf(stderr, "bare_h2o: %s: not header lines, an empty line and a body\n", path);
            exit(1);
        }
        struct header *header = &headers[n_headers++];
        header->name = line;
        header->name_size = (size_t)(colon - line);
        header->value = colon + 1 + strspn(colon + 1, " ");
        header->value_size = (size_t)(end - header->value);
        line = end + 1;
    }
    if (*line == '\n')
        line++;
    body = h2o_iovec_init(line, size - (size_t)(line - text));
}

static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void serve(int fd)
{
    h2o_config_init(&config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = answer;
    config.server_name = h2o_iovec_init(NULL, 0); /* what the file has is all there is */
    config.http1.upgrade_to_http2 = 0;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_context.ctx = &context;
    accept_context.hosts = config.hosts;
    h2o_socket_t *listener =
        h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    for (;;)
        h2o_evloop_run(context.loop, INT32_MAX);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: bare_h2o PROCESSES STATUS FILE\nPrints its port.\n", stderr);
        return 2;
    }
    int processes = atoi(argv[1]);
    pid_t children[PROCESSES];
    if (processes < 1 || processes > PROCESSES) {
        fprintf(stderr, "bare_h2o: %s: 1 to %d processes\n", argv[1], PROCESSES);
        return 2;
    }
    status = atoi(argv[2]);
    read_answer(argv[3]);
    signal(SIGPIPE, SIG_IGN);
    int fd = open_listener();
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] < 0)
            die("fork");
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(fd);
        }
    }
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    /* Waited for: their processor time is then counted as its own. */
    for (int i = 0; i < processes; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    return 0;
}
