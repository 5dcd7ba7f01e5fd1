/* server.h - one worker's HTTP server on the event loop: listeners, connections, drain. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <h2o.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct jobtab;
struct server;

/* On a loop that exists, in the process that will run it. `listeners` as in struct role, `tls` as
 * tls_contexts made it. NULL when something is not to be had; it has been logged. Never
 * freed: a worker leaves with its process. It accepts nobody yet. */
struct server *server_open(h2o_loop_t *loop, const struct conf *conf, const int *listeners,
                           SSL_CTX *const *tls);
/* Take connections, from now until it drains. All requests for the table are answered with 503
 * until there is one. A second call does nothing. */
void server_accept(struct server *server);
/* Serve this table. -1 when there is no thread for it; it has been logged. */
int server_serve(struct server *server, struct jobtab *table);
/* Why there is no table yet. */
void server_excuse(struct server *server, const char *why);

/* After each turn of the loop: hand on what it brought, see to pauses and idle connections.
 * Returns how long the next turn may wait, in ms. */
int server_turn(struct server *server);

/* Accept no more, end idle connections, let each other one end with its answer. */
void server_drain(struct server *server);
/* Drain, and refuse changes. */
void server_refuse(struct server *server);

size_t server_connections(const struct server *server);
/* Changes that wait for their commit. */
size_t server_changes(const struct server *server);
/* A commit failed with its outcome unknown: only a new process can go on. */
bool server_broken(const struct server *server);

/* End the threads, each within a second; false when the table's did not. */
bool server_leave(struct server *server);

#endif
