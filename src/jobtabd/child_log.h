/* child_log.h - a warm child's standard error in the daemon's log: line by line, prefixed, and
 * no more than a few lines a second of each child. */
#ifndef CHILD_LOG_H
#define CHILD_LOG_H

#include <stddef.h>
#include <stdint.h>

#define CHILD_LOG_LINE 512 /* bytes of a line; the rest of a longer one is cut off */

struct child_log {
    char line[CHILD_LOG_LINE];
    size_t size;
    int64_t second;          /* the second at hand of the monotonic clock, */
    unsigned lines, dropped; /* and what was written and was not in it */
};

/* `who` goes before each line: "validate, pid 123". */
void child_log_feed(struct child_log *log, const char *who, const char *bytes, size_t size);
/* The child has ended: a last line without newline, and what was dropped. */
void child_log_end(struct child_log *log, const char *who);

#endif
