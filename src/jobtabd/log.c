/* log.c - the error log. One write(2) a line, so that lines of all processes and threads that
 * share the file stay whole. */
#include "config.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobtab.h"

#define LINE_MAX_BYTES 2048

static int log_to = STDERR_FILENO;
static bool echo;
static char speaker[32] = "jobtabd";

int log_open(const char *target)
{
    int fd = -1;

    if (strcmp(target, "stderr") == 0) {
        fd = STDERR_FILENO;
    } else if (strcmp(target, "off") != 0) {
        fd = open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0) {
            return -1;
        }
    }
    if (log_to > STDERR_FILENO) {
        close(log_to);
    }
    log_to = fd;
    return 0;
}

int log_fd(void)
{
    return log_to;
}

void log_echo(bool on)
{
    echo = on;
}

void log_role(const char *role)
{
    snprintf(speaker, sizeof speaker, "%s", role);
}

void log_write(enum log_level level, const char *job, const char *format, ...)
{
    static const char *const levels[] = {"error", "warn", "notice", "info"};
    char line[LINE_MAX_BYTES], time[JOBTAB_TIME_TEXT];
    int saved = errno;
    va_list args;

    bool also_stderr = echo && level == LOG_LEVEL_ERROR && log_to != STDERR_FILENO;
    if (log_to < 0 && !also_stderr) {
        return;
    }
    jobtab_time_format(jobtab_now(), time);
    int head = snprintf(line, sizeof line, "%s %s %s[%d]%s%s: ", time, levels[level], speaker,
                        (int)getpid(), job ? " job " : "", job ? job : "");
    size_t length = (size_t)head;
    va_start(args, format);
    int body = vsnprintf(line + length, sizeof line - length, format, args);
    va_end(args);
    length += body > 0 ? (size_t)body : 0;
    if (length > sizeof line - 2) {
        length = sizeof line - 2;
    }
    for (size_t i = (size_t)head; i < length; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = '?'; /* what others wrote must not look like a line of ours */
        }
    }
    line[length++] = '\n';
    if ((log_to >= 0 && write(log_to, line, length) < 0) ||
        (also_stderr && write(STDERR_FILENO, line, length) < 0)) {
        /* There is nobody left to tell. */
    }
    errno = saved;
}
