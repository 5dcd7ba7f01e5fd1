/* relay.c - moves bytes between one child's pipes and the memory that relay.h bounds. */
#include "config.h"

#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

#define READ_MAX      65536 /* one read a pipe and turn: none starves the others */
#define DRAIN_READS   32    /* a pipe holds 1 MiB at most, 64 KiB as it is made */
#define MISREAD_NOTED 5     /* lines shown; the others are only counted */

/* ------------------------------------------------------------------ buffers */

/* Space for `more` bytes beyond buffer->size. NULL when there is no memory. */
static char *make_room(struct relay_buffer *buffer, size_t more)
{
    if (buffer->room - buffer->size < more) {
        size_t room =
            buffer->room * 2 > buffer->size + more ? buffer->room * 2 : buffer->size + more;
        char *data = realloc(buffer->data, room);
        if (data == NULL)
            return NULL;
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->size;
}

/* The newest log_max bytes stay: the table would keep no more of them either. */
static void keep_log(struct relay *relay, const char *bytes, size_t size)
{
    struct relay_buffer *log = &relay->log;

    if (size > relay->log_max) {
        relay->log_dropped += size - relay->log_max;
        bytes += size - relay->log_max;
        size = relay->log_max;
    }
    if (log->size + size > relay->log_max) {
        size_t drop = log->size + size - relay->log_max;
        memmove(log->data, log->data + drop, log->size - drop);
        log->size -= drop;
        relay->log_dropped += drop;
    }
    char *end = make_room(log, size);
    if (end == NULL) {
        relay->log_dropped += size;
        return;
    }
    memcpy(end, bytes, size);
    log->size += size;
}

/* Its first RELAY_LINE_MAX bytes of the newest line that has any. */
static void keep_last_line(struct relay *relay, const char *bytes, size_t size)
{
    for (;;) {
        const char *newline = memchr(bytes, '\n', size);
        size_t piece = newline != NULL ? (size_t)(newline - bytes) : size;
        size_t fits = sizeof relay->line - relay->line_size;

        memcpy(relay->line + relay->line_size, bytes, piece < fits ? piece : fits);
        relay->line_size += piece < fits ? piece : fits;
        if (relay->line_size > 0) {
            memcpy(relay->last_line, relay->line, relay->line_size);
            relay->last_line_size = relay->line_size;
        }
        if (newline == NULL)
            return;
        relay->line_size = 0;
        bytes += piece + 1;
        size -= piece + 1;
    }
}

/* Add a line of the daemon's own to the log. */
static void __attribute__((format(printf, 2, 3))) note(struct relay *relay, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    size_t size = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
    line[size] = '\n';
    keep_log(relay, "jobtabd: ", 9);
    keep_log(relay, line, size + 1);
}

static void take_report(const struct report *report, const char *line, size_t size, void *context)
{
    struct relay *relay = context;

    if (report == NULL) {
        char shown[80];
        text_one_line(shown, sizeof shown, line, size);
        if (relay->misread++ < MISREAD_NOTED)
            note(relay, "descriptor 3: not understood: %s", shown);
        return;
    }
    /* A report without message keeps the last one, which may be one that nobody took yet. */
    relay->newest.progress = report->progress;
    if (report->has_message || !relay->reported) {
        relay->newest.has_message = report->has_message;
        memcpy(relay->newest.message, report->message, sizeof relay->newest.message);
    }
    relay->reported = true;
}

/* -------------------------------------------------------------------- pipes */

/* Where the next piece of the result goes, and how much of it at most: to its end, so that what is
 * read has its place already; or to `waste`. NULL while there is no memory. */
static char *result_room(struct relay *relay, char *waste, size_t *size)
{
    size_t left = relay->result_max + 1 - relay->result.size; /* with one byte too many */
    int waiting;

    if (relay->result_over || relay->no_room)
        return waste;
    if (ioctl(relay->out.fd, FIONREAD, &waiting) < 0 || waiting == 0) { /* its end, most likely */
        *size = 1;
        return make_room(&relay->result, 1);
    }
    if ((size_t)waiting < *size)
        *size = (size_t)waiting;
    if (left < *size)
        *size = left;
    return make_room(&relay->result, *size + 1); /* for the end, too, when it is read */
}

static void keep_result(struct relay *relay, size_t size)
{
    if (relay->result_over || relay->no_room)
        return;
    if (relay->result.size + size > relay->result_max)
        relay->result_over = true;
    else
        relay->result.size += size;
}

/* What the child wrote stays where it is, and the child waits once its pipe is full. */
static bool starve(struct relay *relay)
{
    if (!relay->starved)
        watch_pause(relay->epoll, &relay->out);
    relay->starved = true;
    return false;
}

/* One bounded read. False when there is nothing more for now; the pipe may have ended. */
static bool read_once(struct relay *relay, struct watch *watch)
{
    static char piece[READ_MAX]; /* of the one thread that relays */
    char *bytes = piece;
    size_t size = sizeof piece;
    ssize_t n;

    if (watch->fd < 0)
        return false;
    if (watch == &relay->out && (bytes = result_room(relay, piece, &size)) == NULL)
        return starve(relay);
    do
        n = read(watch->fd, bytes, size);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        watch_close(relay->epoll, watch);
        return false;
    }
    if (watch == &relay->out) {
        keep_result(relay, (size_t)n);
    } else if (watch == &relay->err) {
        keep_log(relay, bytes, (size_t)n);
        keep_last_line(relay, bytes, (size_t)n);
    } else {
        report_lines_feed(&relay->lines, bytes, (size_t)n, take_report, relay);
    }
    return true;
}

static void readable(struct watch *watch, uint32_t events)
{
    (void)events;
    read_once(watch->owner, watch);
}

static void params_done(struct relay *relay)
{
    watch_close(relay->epoll, &relay->in);
    free(relay->params);
    relay->params = NULL;
}

/* True when all has been written, or nobody wants the rest: a child may close the pipe unread. */
static bool send_params(struct relay *relay)
{
    size_t left = relay->params_size - relay->params_sent;
    ssize_t n = left > 0 ? write(relay->in.fd, relay->params + relay->params_sent, left) : 0;

    if (n < 0)
        return errno != EAGAIN && errno != EINTR;
    relay->params_sent += (size_t)n;
    return relay->params_sent == relay->params_size;
}

static void writable(struct watch *watch, uint32_t events)
{
    (void)events;
    if (send_params(watch->owner))
        params_done(watch->owner);
}

/* Our end is non-blocking, the child's is not: it is an ordinary program. */
static int open_pipe(struct watch *ours, bool child_reads, int *theirs)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *theirs = ends[child_reads ? 0 : 1];
    ours->fd = ends[child_reads ? 1 : 0];
    return fcntl(ours->fd, F_SETFL, O_NONBLOCK);
}

/* What the pipe takes at once is written before the child is there: most need no more. */
static int open_in(struct relay *relay, int *theirs)
{
    relay->in.ready = writable;
    if (open_pipe(&relay->in, true, theirs) < 0)
        return -1;
    if (send_params(relay)) {
        params_done(relay);
        return 0;
    }
    return watch_add(relay->epoll, &relay->in, EPOLLOUT);
}

static int open_out(struct relay *relay, struct watch *ours, int *theirs)
{
    ours->ready = readable;
    return open_pipe(ours, false, theirs) < 0 ? -1 : watch_add(relay->epoll, ours, EPOLLIN);
}

int relay_open(struct relay *relay, int epoll, char *params, size_t params_size, size_t result_max,
               size_t log_max, int theirs[4])
{
    struct watch *const ours[4] = {&relay->in, &relay->out, &relay->err, &relay->report};

    *relay = (struct relay){.epoll = epoll,
                            .params = params,
                            .params_size = params_size,
                            .result_max = result_max,
                            .log_max = log_max};
    for (int i = 0; i < 4; i++) {
        *ours[i] = (struct watch){.fd = -1, .owner = relay};
        theirs[i] = -1;
    }
    if (open_in(relay, &theirs[0]) == 0 && open_out(relay, &relay->out, &theirs[1]) == 0 &&
        open_out(relay, &relay->err, &theirs[2]) == 0 &&
        open_out(relay, &relay->report, &theirs[3]) == 0)
        return 0;
    int error = errno;
    for (int i = 0; i < 4; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    relay_close(relay);
    errno = error;
    return -1;
}

void relay_resume(struct relay *relay, bool give_up)
{
    relay->no_room = relay->no_room || give_up;
    /* Waited for again before it is read: what comes then is told. A drain may have seen its end.
     */
    if (relay->out.fd >= 0 && watch_add(relay->epoll, &relay->out, EPOLLIN) < 0)
        return;
    relay->starved = false;
    read_once(relay, &relay->out);
}

void relay_drain(struct relay *relay)
{
    struct watch *const pipes[] = {&relay->out, &relay->err, &relay->report};

    for (size_t i = 0; i < sizeof pipes / sizeof *pipes; i++)
        for (int reads = 0; reads < DRAIN_READS && read_once(relay, pipes[i]); reads++)
            ;
}

bool relay_ended(const struct relay *relay)
{
    return relay->out.fd < 0 && relay->err.fd < 0 && relay->report.fd < 0;
}

void relay_shut(struct relay *relay)
{
    watch_close(relay->epoll, &relay->in);
    watch_close(relay->epoll, &relay->out);
    watch_close(relay->epoll, &relay->err);
    watch_close(relay->epoll, &relay->report);
    report_lines_end(&relay->lines, take_report, relay);
    if (relay->misread > MISREAD_NOTED)
        note(relay, "descriptor 3: %u lines not understood", relay->misread);
    if (relay->log_dropped > 0)
        note(relay, "standard error: %llu bytes came too fast and were dropped",
             (unsigned long long)relay->log_dropped);
}

void relay_take_log(struct relay *relay, struct relay_buffer *empty)
{
    struct relay_buffer log = relay->log;

    relay->log = *empty;
    relay->log.size = 0;
    *empty = log;
}

void relay_last_line(const struct relay *relay, char line[RELAY_LINE_MAX])
{
    text_one_line(line, RELAY_LINE_MAX, relay->last_line, relay->last_line_size);
}

void relay_close(struct relay *relay)
{
    watch_close(relay->epoll, &relay->in);
    watch_close(relay->epoll, &relay->out);
    watch_close(relay->epoll, &relay->err);
    watch_close(relay->epoll, &relay->report);
    free(relay->params);
    free(relay->result.data);
    free(relay->log.data);
    relay->params = NULL;
    relay->result = relay->log = (struct relay_buffer){0};
}
