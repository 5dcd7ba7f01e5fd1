/* listen.c - listening sockets. */
#include "config.h"

#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG       4096 /* the kernel cuts it to net.core.somaxconn */
#define UNIX          "unix:"
#define BUSY_TRIES    50
#define BUSY_PAUSE_NS 100000000L

static int parse_unix(const char *path, struct sockaddr_storage *address, socklen_t *length,
                      char *why, size_t size)
{
    struct sockaddr_un *local = (struct sockaddr_un *)address;

    if (path[0] == '\0' || strlen(path) >= sizeof local->sun_path) {
        snprintf(why, size, "a Unix socket's path has 1 to %zu bytes", sizeof local->sun_path - 1);
        return -1;
    }
    local->sun_family = AF_UNIX;
    snprintf(local->sun_path, sizeof local->sun_path, "%s", path);
    *length = sizeof *local;
    return 0;
}

int listen_parse(const char *text, struct sockaddr_storage *address, socklen_t *length, char *why,
                 size_t size)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[64];

    memset(address, 0, sizeof *address);
    if (strncmp(text, UNIX, strlen(UNIX)) == 0) {
        return parse_unix(text + strlen(UNIX), address, length, why, size);
    }
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    unsigned long port =
        colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;
    if (!colon || n == 0 || n >= sizeof host || !end || *end || port > 65535) {
        snprintf(why, size, "no ADDRESS:PORT and no unix:PATH");
        return -1;
    }
    hints.ai_family = text[0] == '[' ? AF_INET6 : AF_INET;
    if (text[0] == '[' && text[n - 1] == ']') {
        snprintf(host, sizeof host, "%.*s", (int)(n - 2), text + 1);
    } else {
        snprintf(host, sizeof host, "%.*s", (int)n, text);
    }
    int error = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, colon + 1, &hints, &found);
    if (error) {
        snprintf(why, size, "%s is no address (IPv6 stands in brackets)", host);
        return -1;
    }
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* A name left behind by a daemon that died is removed; one that somebody answers on is his, and
 * what is no socket is not ours to remove. */
static void remove_stale(const struct sockaddr_un *local)
{
    struct stat status;

    if (lstat(local->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return;
    }
    if (connect(probe, (const struct sockaddr *)local, sizeof *local) != 0 &&
        errno == ECONNREFUSED) {
        unlink(local->sun_path);
    }
    close(probe);
}

static int open_once(const struct sockaddr_storage *address, socklen_t length)
{
    int one = 1, error;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    if (address->ss_family == AF_UNIX) {
        remove_stale((const struct sockaddr_un *)address);
    } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) {
        goto fail;
    }
    if (address->ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) {
        goto fail;
    }
    if (bind(fd, (const struct sockaddr *)address, length) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
fail:
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

int listen_open(const char *text, bool patient, char *why, size_t size)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
    struct sockaddr_storage address;
    socklen_t length;
    int fd;

    if (listen_parse(text, &address, &length, why, size) != 0) {
        return -1;
    }
    for (int tries = patient ? BUSY_TRIES : 1;; tries--) {
        fd = open_once(&address, length);
        if (fd >= 0 || errno != EADDRINUSE || tries == 1) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (fd < 0) {
        snprintf(why, size, "%s", strerror(errno));
    }
    return fd;
}

void listen_close(const char *text, int fd)
{
    if (strncmp(text, UNIX, strlen(UNIX)) == 0) {
        unlink(text + strlen(UNIX));
    }
    close(fd);
}

void listen_name(int fd, char *text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[64], port[16];

    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        snprintf(text, size, "?");
    } else if (address.ss_family == AF_UNIX) {
        snprintf(text, size, UNIX "%s", ((struct sockaddr_un *)&address)->sun_path);
    } else if (getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port,
                           sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, size, "?");
    } else {
        snprintf(text, size, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    }
}
