/* worker.c - serves HTTP.
 * Born:  forked by the master with its listeners; makes the event loop, has the table opened by a
 *        thread (opener.h), starts the table thread, then says that it is ready. When that takes
 *        longer than a moment, or fails, for a disk that is full, fails or is away, it answers 503
 *        and tries again.
 * Loop:  reads are answered inline from a snapshot; changes go to the table thread (writer.h) and
 *        are answered after their commit. The loop never waits for the disk or a lock.
 * Ends:  QUIT: takes no new connection and leaves when the last one has closed, or after
 *        shutdown_timeout. TERM, or the master's death: refuses changes, answers for those that
 *        commit within a second, and leaves.
 * Crash: loses no job: it keeps none. Whoever got no answer can ask again. A table that is broken
 *        for this process (a commit with unknown outcome) makes it leave, so that a new worker
 *        opens it afresh. A page of the table that cannot be read ends it with SIGBUS. After either
 *        the next one serves at once, and opens the table a moment later.
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
#include "monotonic.h"
#include "opener.h"
#include "role.h"
#include "role_table.h"
#include "tls.h"

#define TERM_GRACE 1000 /* ms */
#define PATIENCE   1000 /* ms that clients wait for the table at first, before they get 503 */

struct worker {
    struct role *role;
    SSL_CTX **tls;
    struct jobtab *table;
    h2o_loop_t *loop;
    h2o_socket_t *wake, *lifeline, *over;
    struct server *server;
    struct opener opener;
    bool opened; /* the attempt is over */
    enum role_stop stop;
    int64_t deadline; /* of the stop, on the monotonic clock */
    int64_t try_at;   /* when to open the table, on the same; as long as there is none */
    int64_t accept_at; /* on the same: when to do so at the latest */
    char why[JOBTAB_WHY_MAX]; /* as it was logged */
};

static void stop(struct worker *worker, enum role_stop how)
{
    if (how <= worker->stop)
        return;
    worker->stop = how;
    if (how == ROLE_QUIT) {
        server_drain(worker->server);
        worker->deadline = monotonic_ms() + worker->role->conf->shutdown_timeout;
    } else {
        server_refuse(worker->server);
        worker->deadline = monotonic_ms() + TERM_GRACE;
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

static void on_opened(h2o_socket_t *sock, const char *error)
{
    struct worker *worker = sock->data;

    (void)error;
    h2o_buffer_consume(&sock->input, sock->input->size);
    worker->opened = true;
}

static h2o_socket_t *watch(struct worker *worker, int fd, h2o_socket_cb ready)
{
    h2o_socket_t *sock = h2o_evloop_socket_create(worker->loop, fd, 0);

    sock->data = worker;
    h2o_socket_read_start(sock, ready);
    return sock;
}

static bool stopped(const struct worker *worker)
{
    if (worker->stop == ROLE_GO_ON)
        return false;
    if (monotonic_ms() >= worker->deadline) {
        if (worker->stop == ROLE_QUIT)
            log_warn("%zu connections are cut after shutdown_timeout",
                     server_connections(worker->server));
        return true;
    }
    return worker->stop == ROLE_QUIT ? server_connections(worker->server) == 0
                                     : server_changes(worker->server) == 0;
}

/* There is none for now: clients and the log, once, are told why. */
static void excuse(struct worker *worker, const char *why)
{
    worker->try_at = monotonic_ms() + ROLE_TABLE_EVERY;
    server_excuse(worker->server, why);
    if (strcmp(worker->why, why) != 0)
        log_error("table: %s", why);
    snprintf(worker->why, sizeof(worker->why), "%s", why);
}

/* An attempt is over. False: the table never will be, or somebody else is there to serve
 * meanwhile. */
static bool take_table(struct worker *worker)
{
    int error = opener_end(&worker->opener, &worker->table);

    worker->opened = false;
    if (error != JOBTAB_OK) {
        excuse(worker, worker->opener.why);
        return role_table_may_come(worker->role, error);
    }
    if (server_serve(worker->server, worker->table) != 0)
        return false;
    server_accept(worker->server);
    role_ready(worker->role);
    return true;
}

/* As long as there is no table: try to open it when it is time to, and let clients wait for a
 * moment only. On trial there are others who serve them. False: as take_table. */
static bool see_to_table(struct worker *worker, int *wait)
{
    int64_t now = monotonic_ms();

    if (worker->opened && !take_table(worker))
        return false;
    if (worker->table != NULL)
        return true;
    if (!worker->opener.busy && now >= worker->try_at && opener_begin(&worker->opener) != 0)
        excuse(worker, strerror(errno));
    if (!worker->role->trial && now >= worker->accept_at)
        server_accept(worker->server);
    int64_t next = worker->opener.busy ? worker->accept_at : worker->try_at;
    if (next > now && next - now < *wait)
        *wait = (int)(next - now);
    return true;
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
        if (worker->table == NULL && worker->stop == ROLE_GO_ON && !see_to_table(worker, &wait))
            return ROLE_NO_TABLE;
    }
    return server_broken(worker->server) ? ROLE_NO_TABLE : 0;
}

int worker_main(struct role *role)
{
    static struct worker worker; /* static: what hangs on it until the end is no leak */
    char why[512];

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
    if (opener_make(&worker.opener, role) != 0) {
        log_error("opening the table: %s", strerror(errno));
        return 1;
    }
    worker.wake = watch(&worker, role->wake, on_role);
    worker.lifeline = watch(&worker, role->lifeline, on_role);
    worker.over = watch(&worker, worker.opener.over, on_opened);
    worker.try_at = monotonic_ms() + role->table_wait;
    worker.accept_at = monotonic_ms() + (role->table_wait > 0 ? 0 : PATIENCE);
    server_excuse(worker.server, role->table_wait > 0 ? "the table failed, and is opened again"
                                                      : "the table is being opened");
    int code = run(&worker);
    if (!server_leave(worker.server) || worker.opener.busy)
        _exit(code); /* that thread waits for a lock or the disk, and may for ever */
    jobtab_close(worker.table);
    return code;
}
