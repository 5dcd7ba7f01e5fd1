/* child_log.c - see child_log.h. */
#include "config.h"

#include "child_log.h"

#include <string.h>

#include "log.h"
#include "monotonic.h"
#include "text.h"
#include "watch.h"

#define LINES_A_SECOND 20

static void tell_dropped(struct child_log *log, const char *who)
{
    if (log->dropped > 0)
        log_warn("%s: %u more lines on standard error, not shown", who, log->dropped);
    log->dropped = 0;
}

static void end_line(struct child_log *log, const char *who)
{
    int64_t second = monotonic_ms() / 1000;
    char shown[CHILD_LOG_LINE + 1];

    if (second != log->second) {
        tell_dropped(log, who);
        log->second = second;
        log->lines = 0;
    }
    if (log->size > 0 && log->lines < LINES_A_SECOND) {
        text_one_line(shown, sizeof shown, log->line, log->size);
        log_warn("%s: %s", who, shown);
        log->lines++;
    } else if (log->size > 0) {
        log->dropped++;
    }
    log->size = 0;
}

void child_log_feed(struct child_log *log, const char *who, const char *bytes, size_t size)
{
    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        size_t piece = newline != NULL ? (size_t)(newline - bytes) : size;
        size_t fits = sizeof log->line - log->size;

        memcpy(log->line + log->size, bytes, piece < fits ? piece : fits);
        log->size += piece < fits ? piece : fits;
        if (newline == NULL)
            return;
        end_line(log, who);
        bytes += piece + 1;
        size -= piece + 1;
    }
}

void child_log_end(struct child_log *log, const char *who)
{
    end_line(log, who);
    tell_dropped(log, who);
}
