/* access.c - the access log: one line a request, written by a thread of its own.
 *
 * The format is the common log format with the time taken in microseconds behind it:
 *   127.0.0.1 - - [23/Nov/2026:06:00:00 +0000] "GET /jobs HTTP/1.1" 200 512 87
 */
#include "access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define BUFFER_SIZE   (256u << 10)
#define LINE_MAX_SIZE 1024
#define PATH_SHOWN    512

struct access {
    int fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    char *filling, *writing;
    size_t filled;
    uint64_t dropped;
    bool stop, gone;
};

struct access_logger {
    h2o_logger_t super;
    struct access *access;
};

static void write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* a full disk costs lines, not service */
        text += n;
        size -= (size_t)n;
    }
}

static void *run(void *argument)
{
    struct access *access = argument;

    pthread_mutex_lock(&access->mutex);
    for (;;) {
        while (access->filled == 0 && !access->stop)
            pthread_cond_wait(&access->changed, &access->mutex);
        if (access->filled == 0)
            break;
        char *text = access->filling;
        size_t size = access->filled;
        uint64_t dropped = access->dropped;
        access->filling = access->writing;
        access->writing = text;
        access->filled = 0;
        access->dropped = 0;
        pthread_mutex_unlock(&access->mutex);

        write_all(access->fd, text, size);
        if (dropped > 0)
            log_warn("access log: %llu lines dropped", (unsigned long long)dropped);
        pthread_mutex_lock(&access->mutex);
    }
    access->gone = true;
    pthread_cond_signal(&access->changed);
    pthread_mutex_unlock(&access->mutex);
    return NULL;
}

static void add_line(struct access *access, const char *line, size_t size)
{
    pthread_mutex_lock(&access->mutex);
    if (access->filled + size > BUFFER_SIZE) {
        access->dropped++;
    } else {
        if (access->filled == 0)
            pthread_cond_signal(&access->changed);
        memcpy(access->filling + access->filled, line, size);
        access->filled += size;
    }
    pthread_mutex_unlock(&access->mutex);
}

static void peer_text(h2o_conn_t *conn, char text[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage peer;
    socklen_t size = conn->callbacks->get_peername(conn, (struct sockaddr *)&peer);

    strcpy(text, "-");
    if (size > 0 && peer.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, text, INET6_ADDRSTRLEN);
    else if (size > 0 && peer.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, text, INET6_ADDRSTRLEN);
}

/* A quotation mark or an odd byte in a path shall not look like the end of it. */
static size_t plain_text(const h2o_iovec_t *from, char *to, size_t most)
{
    size_t size = from->len < most ? from->len : most;

    for (size_t i = 0; i < size; i++) {
        char c = from->base[i];
        to[i] = c > ' ' && c < 0x7f && c != '"' ? c : '?';
    }
    return size;
}

static void log_access(h2o_logger_t *super, h2o_req_t *req)
{
    struct access_logger *logger = (struct access_logger *)super;
    char line[LINE_MAX_SIZE], peer[INET6_ADDRSTRLEN], path[PATH_SHOWN], method[16];
    int64_t duration = 0;

    if (req->res.status == 0) /* never answered */
        return;
    h2o_time_compute_duration(req, &duration);
    peer_text(req->conn, peer);
    size_t method_size = plain_text(&req->input.method, method, sizeof(method));
    size_t path_size = plain_text(&req->input.path, path, sizeof(path));
    int size = snprintf(line, sizeof(line), "%s - - [%s] \"%.*s %.*s HTTP/%d.%d\" %d %zu %lld\n",
                        peer, req->processed_at.str != NULL ? req->processed_at.str->log : "-",
                        (int)method_size, method, (int)path_size, path, req->version >> 8,
                        req->version & 0xff, req->res.status, req->bytes_sent, (long long)duration);
    add_line(logger->access, line, (size_t)size);
}

void access_register(struct access *access, h2o_pathconf_t *path)
{
    struct access_logger *logger = (struct access_logger *)h2o_create_logger(path, sizeof(*logger));

    logger->super.log_access = log_access;
    logger->access = access;
}

struct access *access_open(const char *target)
{
    struct access *access = calloc(1, sizeof(*access));
    sigset_t all, before;
    int error = ENOMEM;

    if (access == NULL)
        return NULL;
    access->fd = strcmp(target, "stderr") == 0
                     ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                     : open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (access->fd < 0) {
        error = errno;
        goto fail;
    }
    access->filling = malloc(BUFFER_SIZE);
    access->writing = malloc(BUFFER_SIZE);
    if (access->filling == NULL || access->writing == NULL)
        goto fail_close;
    pthread_mutex_init(&access->mutex, NULL);
    pthread_cond_init(&access->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&access->thread, NULL, run, access);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return access;
fail_close:
    close(access->fd);
fail:
    free(access->filling);
    free(access->writing);
    free(access);
    errno = error;
    return NULL;
}

void access_close(struct access *access)
{
    struct timespec until;
    int error = 0;

    if (access == NULL)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&access->mutex);
    access->stop = true;
    pthread_cond_signal(&access->changed);
    while (!access->gone && error == 0)
        error = pthread_cond_timedwait(&access->changed, &access->mutex, &until);
    pthread_mutex_unlock(&access->mutex);
}
