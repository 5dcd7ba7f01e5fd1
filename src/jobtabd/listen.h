/* listen.h - listening sockets, opened by the master and handed on across the fork. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Read "127.0.0.1:8080", "[::1]:8080", "*:8080" (any IPv4 address) or "unix:PATH". 0, or -1 with
 * the reason in why. Port 0 is any free one. */
int listen_parse(const char *text, struct sockaddr_storage *address, socklen_t *length, char *why,
                 size_t size);

/* A listening, non-blocking, close-on-exec socket; -1 with the reason in why. A Unix socket that
 * nobody listens on is replaced. A patient caller waits some seconds for an address in use: the
 * roles of a master that was killed may be about to leave it. */
int listen_open(const char *text, bool patient, char *why, size_t size);

/* Close it; a Unix socket's name goes too. */
void listen_close(const char *text, int fd);

/* The address it is bound to, with the port that the kernel chose if 0 was asked for. */
void listen_name(int fd, char *text, size_t size);

#endif
