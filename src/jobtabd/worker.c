/* worker.c - serves HTTP.
 * Born:  forked by the master with its listeners; makes the event loop, opens the table itself,
 *        starts the table thread, then says that it is ready. While the table cannot be opened, for
 *        a disk that is full or fails, it answers 503 and tries again.
 * Loop:  reads are answered inline from a snapshot; changes go to the table thread (writer.h) and
 *        are answered after their commit. The loop never waits for the disk or a lock.
 * Ends:  QUIT: takes no new connection and leaves when the last one has closed, or after
 *        shutdown_timeout. TERM, or the master's death: refuses changes, answers for those that
 *        commit within a second, and leaves.
 * Crash: loses no job: it keeps none. Whoever got no answer can ask again. A table that is broken
 *        for this process (a commit with unknown outcome) makes it leave, so that a new worker
 *        opens it afresh. A page of the table that cannot be read ends it with SIGBUS.
 */
#include <errno.h>
#include <h2o.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "heart.h"
#include "http/server.h"
#include "jobtab.h"
#include "log.h"
#include "role.h"
#include "role_table.h"
#include "tls.h"

#define TERM_GRACE 1000 /* ms */

struct worker {
    struct role *role;
    SSL_CTX **tls;
    struct jobtab *table;
    h2o_loop_t *loop;
    h2o_socket_t *wake, *lifeline;
    struct server *server;
    enum role_stop stop;
    int64_t deadline; /* of the stop, on the monotonic clock */
    int64_t try_at;   /* when to open the table, on the same; as long as there is none */
    char why[JOBTAB_WHY_MAX];
};

static void stop(struct worker *worker, enum role_stop how)
{
    if (how <= worker->stop)
        return;
    worker->stop = how;
    if (how == ROLE_QUIT) {
        server_drain(worker->server);
        worker->deadline = server_now() + worker->role->conf->shutdown_timeout;
    } else {
        server_refuse(worker->server);
        worker->deadline = server_now() + TERM_GRACE;
    }
}

/* The wake descriptor was rung, or the lifeline has ended. */
static void on_role(h2o_socket_t *sock, const char *error)
{
    struct worker *worker = sock->data;

    if (error != NULL)
        h2o_socket_read_stop(sock);
    h2o_buffer_consume(&sock->input, sock->input->size);
    stop(worker, role_stopping(worker->role));
}

static h2o_socket_t *watch(struct worker *worker, int fd)
{
    h2o_socket_t *sock = h2o_evloop_socket_create(worker->loop, fd, 0);

    sock->data = worker;
    h2o_socket_read_start(sock, on_role);
    return sock;
}

static bool stopped(const struct worker *worker)
{
    if (worker->stop == ROLE_GO_ON)
        return false;
    if (server_now() >= worker->deadline) {
        if (worker->stop == ROLE_QUIT)
            log_warn("%zu connections are cut after shutdown_timeout",
                     server_connections(worker->server));
        return true;
    }
    return worker->stop == ROLE_QUIT ? server_connections(worker->server) == 0
                                     : server_changes(worker->server) == 0;
}

/* Open the table, if it is time to. While it cannot be opened there is nothing to serve, and
 * everyone is told so rather than kept waiting: the loop may stand still for the attempt. False: it
 * never will be, or somebody else is there to serve meanwhile. */
static bool try_table(struct worker *worker)
{
    int64_t now = server_now();

    if (worker->table != NULL || now < worker->try_at)
        return true;
    int error = conf_open_table(worker->role->conf, &worker->table);
    if (error == JOBTAB_OK) {
        if (server_serve(worker->server, worker->table) != 0)
            return false;
        role_ready(worker->role);
        return true;
    }
    worker->table = NULL;
    worker->try_at = now + ROLE_TABLE_EVERY;
    if (strcmp(worker->why, jobtab_why()) != 0) {
        log_error("table: %s", jobtab_why());
        snprintf(worker->why, sizeof(worker->why), "%s", jobtab_why());
        server_excuse(worker->server, worker->why);
    }
    return role_table_may_come(worker->role, error);
}

static int run(struct worker *worker)
{
    int wait = 0;

    while (!stopped(worker)) {
        heart_beat();
        /* The loop waits first, and what it brought then reads from one snapshot. */
        if (worker->table != NULL)
            jobtab_hold(worker->table);
        if (h2o_evloop_run(worker->loop, wait) != 0 && errno != EINTR) {
            log_error("event loop: %s", strerror(errno));
            return 1;
        }
        if (worker->table != NULL)
            jobtab_rest(worker->table);
        wait = server_turn(worker->server);
        if (server_broken(worker->server))
            stop(worker, ROLE_TERM);
        if (worker->table == NULL && !try_table(worker))
            return 1;
    }
    return server_broken(worker->server) ? ROLE_NO_TABLE : 0;
}

int worker_main(struct role *role)
{
    static struct worker worker; /* static: what hangs on it until the end is no leak */
    char why[512];
    int code;

    worker.role = role;
    worker.tls = tls_contexts(role->conf, why, sizeof(why));
    role_begin(role);
    if (worker.tls == NULL) {
        log_error("tls: %s", why);
        return 1;
    }
    worker.loop = h2o_evloop_create();
    worker.server = server_open(worker.loop, role->conf, role->listeners, worker.tls);
    if (worker.server == NULL)
        return 1;
    worker.wake = watch(&worker, role->wake);
    worker.lifeline = watch(&worker, role->lifeline);
    code = try_table(&worker) ? run(&worker) : ROLE_NO_TABLE;
    if (!server_leave(worker.server))
        _exit(code); /* the table thread waits for a lock or the disk, and may for ever */
    jobtab_close(worker.table);
    return code;
}
