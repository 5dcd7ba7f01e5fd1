/* server.c - one worker's HTTP server on the event loop: listeners, connections, drain.
 *
 * The library keeps no list of its connections that could be asked which of them are idle, has no
 * write timeout and spins on a listener when descriptors run out. Hence, here: a list of
 * connections (tied to the socket's on_close), TCP_USER_TIMEOUT, a cap, and a pause. */
#include "server.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access.h"
#include "conf.h"
#include "http.h"
#include "log.h"
#include "memory.h"
#include "monotonic.h"
#include "writer.h"

#define BODY_ABOVE_LIMIT   (16u << 20)
#define DESCRIPTORS_BESIDE 64 /* what else a worker has open */
#define ACCEPT_BATCH       16
#define INPUTS_MAX         2  /* requests of the largest size: what all may have that are not whole */
#define INPUT_LOOK         10 /* ms between two looks at that */
#define CROWD              512 /* connections whose memory is worth the look for it */
#define PAUSE              100   /* ms without accepting when descriptors are out */
#define QUIET              10000 /* ms between two warnings of that */
#define REQUEST_TIMEOUT    30000 /* ms for a request to come in whole; also of an idle connection */
#define WRITE_TIMEOUT      30000 /* ms that a peer may leave sent bytes unacknowledged */
#define FIRST_REQUEST      1000 /* ms that a drain leaves a connection which has asked nothing yet */
#define TURN               1000 /* ms of a turn in which nothing happens */
#define DRAIN_TURN         20   /* the same while connections are looked after */
#define LEAVE              100 /* ms for the table thread to end, which waits for nothing by then */

struct listener {
    h2o_accept_ctx_t accept;
    h2o_socket_t *sock;
    struct server *server;
    bool is_unix;
};

struct connection {
    h2o_linklist_t link;
    struct listener *listener;
    h2o_socket_t *sock;
    bool asked;     /* at least one request */
    bool answering; /* one with a body, that stands in the input until it is answered */
    bool shut;
    bool cut; /* told to go */
};

struct handler {
    h2o_handler_t super;
    struct http *http;
};

struct server {
    struct http http;
    h2o_globalconf_t config;
    h2o_context_t context;
    struct access *access;
    struct listener *listeners;
    size_t n_listeners;
    h2o_linklist_t connections;
    size_t n_connections;
    size_t crowd; /* the most of them since memory was given back */
    bool begun, accepting, paused;
    int64_t input_looked;              /* as those below */
    int64_t paused_until, drain_began; /* on the monotonic clock; 0: never */
    char hostname[256];
};

/* --------------------------------------------------------------------- accept */

static void on_accept(h2o_socket_t *sock, const char *error);

static void accept_on(struct server *server, bool on)
{
    if (server->accepting == on || server->drain_began != 0)
        return;
    server->accepting = on;
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (on)
            h2o_socket_read_start(server->listeners[i].sock, on_accept);
        else
            h2o_socket_read_stop(server->listeners[i].sock);
    }
}

static void on_close(void *data)
{
    struct connection *connection = data;
    struct server *server = connection->listener->server;

    h2o_linklist_unlink(&connection->link);
    free(connection);
    server->n_connections--;
    if (!server->paused)
        accept_on(server, true);
}

static void begin(struct listener *listener, h2o_socket_t *sock)
{
    struct server *server = listener->server;
    struct connection *connection = h2o_mem_alloc(sizeof(*connection));
    unsigned timeout = WRITE_TIMEOUT;

    *connection = (struct connection){.listener = listener, .sock = sock};
    h2o_linklist_insert(&server->connections, &connection->link);
    server->n_connections++;
    sock->on_close.cb = on_close;
    sock->on_close.data = connection;
    if (!listener->is_unix)
        setsockopt(h2o_socket_get_fd(sock), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
                   sizeof(timeout));
    h2o_accept(&listener->accept, sock);
}

static void pause_accepting(struct server *server, int error)
{
    int64_t now = monotonic_ms();

    if (now - server->paused_until > QUIET) /* once, not ten times a second */
        log_warn("accept: %s; pausing until there is room", strerror(error));
    server->paused_until = now + PAUSE;
    accept_on(server, false);
    server->paused = true;
}

static void on_accept(h2o_socket_t *sock, const char *error)
{
    struct listener *listener = sock->data;
    struct server *server = listener->server;

    if (error != NULL)
        return;
    for (int n = 0; n < ACCEPT_BATCH; n++) {
        if (server->n_connections >= server->http.conf->worker_connections) {
            accept_on(server, false); /* until one closes */
            return;
        }
        h2o_socket_t *accepted = h2o_evloop_socket_accept(sock);
        if (accepted != NULL) {
            begin(listener, accepted);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(server, errno);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return; /* another worker was faster, or none is left */
        }
    }
}

void server_accept(struct server *server)
{
    if (server->begun)
        return;
    server->begun = true;
    accept_on(server, true);
}

/* -------------------------------------------------------------------- request */

static bool is_http2(const struct connection *connection)
{
    h2o_iovec_t protocol;

    if (connection->sock->ssl == NULL)
        return false;
    protocol = h2o_socket_ssl_get_selected_protocol(connection->sock);
    return h2o_memis(protocol.base, protocol.len, H2O_STRLIT("h2"));
}

/* The library is done with a request before it closes the connection. */
static void answered(void *tie)
{
    (*(struct connection **)tie)->answering = false;
}

static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    struct handler *handler = (struct handler *)super;
    struct connection *connection = req->conn->callbacks->get_socket(req->conn)->on_close.data;

    connection->asked = true;
    if (req->entity.len > 0 && !is_http2(connection)) {
        struct connection **tie = h2o_mem_alloc_shared(&req->pool, sizeof(*tie), answered);
        *tie = connection;
        connection->answering = true;
    }
    http_dispatch(handler->http, req, connection->listener->is_unix);
    return 0;
}

/* ---------------------------------------------------------------------- drain */

/* Shut what is idle for reading: the library then meets the end of it and closes. A request that is
 * being read or answered stands in the input until it is done with. HTTP/2 has GOAWAY. */
static void shut_idle(struct server *server)
{
    bool patient = monotonic_ms() - server->drain_began < FIRST_REQUEST;

    for (h2o_linklist_t *link = server->connections.next; link != &server->connections;
         link = link->next) {
        struct connection *connection = H2O_STRUCT_FROM_MEMBER(struct connection, link, link);
        if (connection->shut || connection->sock->input->size > 0 ||
            (patient && !connection->asked) || is_http2(connection))
            continue;
        connection->shut = true;
        shutdown(h2o_socket_get_fd(connection->sock), SHUT_RD);
    }
}

void server_drain(struct server *server)
{
    if (server->drain_began != 0)
        return;
    accept_on(server, false);
    server->drain_began = monotonic_ms();
    server->http.draining = true;
    for (size_t i = 0; i < server->n_listeners; i++)
        h2o_socket_close(server->listeners[i].sock); /* our copy: the master holds its own */
    h2o_context_request_shutdown(&server->context);
    shut_idle(server);
}

void server_refuse(struct server *server)
{
    server_drain(server);
    server->http.refusing = true;
}

/* A request is kept until it is whole, and a client decides when that is. Beyond what all may have
 * together the largest are cut: their clients have sent far more than their share. What is whole
 * and waits for the table has a bound of its own (writer.h). */
static void bound_input(struct server *server)
{
    const size_t bound = INPUTS_MAX * server->config.max_request_entity_size;
    struct connection *largest = NULL;
    size_t sum, most;
    int64_t now = monotonic_ms();

    if (now - server->input_looked < INPUT_LOOK)
        return;
    server->input_looked = now;
    do {
        sum = most = 0;
        for (h2o_linklist_t *link = server->connections.next; link != &server->connections;
             link = link->next) {
            struct connection *connection = H2O_STRUCT_FROM_MEMBER(struct connection, link, link);
            bool counts = !connection->cut && !connection->answering;
            size_t size = counts ? connection->sock->input->size : 0;
            if (size > most) {
                most = size;
                largest = connection;
            }
            sum += size;
        }
        if (sum > bound) {
            largest->cut = true;
            shutdown(h2o_socket_get_fd(largest->sock), SHUT_RDWR);
            log_warn("cutting a connection: its request of %zu bytes does not come to an end, and "
                     "all have %zu", most, sum);
        }
    } while (sum > bound);
}

/* Once most of many connections have gone. */
static void shrink(struct server *server)
{
    if (server->n_connections > server->crowd) {
        server->crowd = server->n_connections;
    } else if (server->crowd >= CROWD && server->n_connections < server->crowd / 2) {
        memory_give_back();
        server->crowd = server->n_connections;
    }
}

int server_turn(struct server *server)
{
    int wait = TURN;

    bound_input(server);
    shrink(server);
    if (server->http.writer != NULL)
        writer_flush(server->http.writer);
    if (server->paused) {
        wait = PAUSE;
        server->paused = monotonic_ms() < server->paused_until;
        if (!server->paused)
            accept_on(server, true);
    }
    if (server->drain_began != 0) {
        shut_idle(server);
        wait = DRAIN_TURN;
    }
    return wait;
}

size_t server_connections(const struct server *server)
{
    return server->n_connections;
}

size_t server_changes(const struct server *server)
{
    return server->http.changes;
}

bool server_broken(const struct server *server)
{
    return server->http.broken;
}

bool server_leave(struct server *server)
{
    access_close(server->access);
    return server->http.writer == NULL || writer_stop(server->http.writer, LEAVE);
}

/* ----------------------------------------------------------------------- open */

static void listen_all(struct server *server, const int *listeners, SSL_CTX *const *tls)
{
    const struct conf *conf = server->http.conf;

    server->listeners = h2o_mem_alloc(conf->n_listens * sizeof(*server->listeners));
    server->n_listeners = conf->n_listens;
    for (size_t i = 0; i < conf->n_listens; i++) {
        struct listener *listener = &server->listeners[i];

        *listener = (struct listener){
            .accept = {.ctx = &server->context, .hosts = server->config.hosts, .ssl_ctx = tls[i]},
            .server = server,
            .is_unix = strncmp(conf->listens[i].address, "unix:", 5) == 0,
        };
        listener->sock =
            h2o_evloop_socket_create(server->context.loop, listeners[i], H2O_SOCKET_FLAG_DONT_READ);
        listener->sock->data = listener;
    }
}

/* The names that Host may have: the machine's own and those of the configuration. */
static void name_all(struct server *server)
{
    char **hosts = server->http.conf->hosts;
    const char **names;
    size_t n = 0;

    while (hosts != NULL && hosts[n] != NULL)
        n++;
    names = h2o_mem_alloc((n + 2) * sizeof(*names));
    for (size_t i = 0; i < n; i++)
        names[i] = hosts[i];
    if (gethostname(server->hostname, sizeof(server->hostname) - 1) == 0)
        names[n++] = server->hostname;
    names[n] = NULL;
    server->http.names = names;
}

static int log_requests(struct server *server, h2o_hostconf_t *host)
{
    const char *target = server->http.conf->access_log;

    if (target == NULL || strcmp(target, "off") == 0)
        return 0;
    server->access = access_open(target);
    if (server->access == NULL) {
        log_error("access_log %s: %s", target, strerror(errno));
        return -1;
    }
    access_register(server->access, &host->paths.entries[0]);
    access_register(server->access, &host->fallback_path);
    return 0;
}

/* The soft limit of descriptors is 1024 on most machines: as many as all connections need. */
static void raise_descriptors(uint32_t connections)
{
    rlim_t wanted = connections + DESCRIPTORS_BESIDE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        log_warn("the limit of open files, %llu, is too low for worker_connections = %u",
                 (unsigned long long)limit.rlim_cur, connections);
}

/* Ends the worker when there is none, as the library's own allocations do: JSON that was left out
 * would be a wrong answer. */
static void *json_memory(size_t size)
{
    return h2o_mem_alloc(size);
}

static void configure(struct server *server)
{
    json_set_alloc_funcs(json_memory, free);
    h2o_config_init(&server->config);
    server->config.server_name = h2o_iovec_init(NULL, 0);
    server->config.http1.req_timeout = REQUEST_TIMEOUT;
    server->config.http1.upgrade_to_http2 = 0; /* HTTP/2 by ALPN only, where a listener asks */
    /* Above our own limit, so that what is too big is read and told so. Beyond this the library
     * closes the connection, and a client that is still sending may not see the answer. */
    server->config.max_request_entity_size = server->http.conf->body_max + BODY_ABOVE_LIMIT;
}

int server_serve(struct server *server, struct jobtab *table)
{
    server->http.writer = writer_start(table, change_done, &server->http);
    if (server->http.writer == NULL) {
        log_error("cannot make the table thread: %s", strerror(errno));
        return -1;
    }
    server->http.table = table;
    return 0;
}

void server_excuse(struct server *server, const char *why)
{
    snprintf(server->http.closed, sizeof(server->http.closed), "%s", why);
}

struct server *server_open(h2o_loop_t *loop, const struct conf *conf, const int *listeners,
                           SSL_CTX *const *tls)
{
    struct server *server = h2o_mem_alloc(sizeof(*server));

    memset(server, 0, sizeof(*server));
    server->http.conf = conf;
    h2o_linklist_init_anchor(&server->connections);
    raise_descriptors(conf->worker_connections);
    name_all(server);
    configure(server);
    /* The host is what a request of HTTP/1.0 without one is taken to mean. */
    h2o_hostconf_t *host =
        h2o_config_register_host(&server->config, h2o_iovec_init(H2O_STRLIT("localhost")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->http = &server->http;
    /* What the library refuses by itself is answered from the fallback path. */
    problem_register(&host->fallback_path);
    if (log_requests(server, host) != 0)
        return NULL;

    h2o_context_init(&server->context, loop, &server->config);
    h2o_multithread_register_receiver(server->context.queue, &server->http.committed,
                                      change_committed);
    listen_all(server, listeners, tls);
    return server;
}
