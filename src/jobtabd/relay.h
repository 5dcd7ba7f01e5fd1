/* relay.h - the four pipes of one job child: parameters in; result, log and reports out.
 *
 * Reads are bounded a turn and what is kept is bounded, however much a child writes and
 * whether anyone takes it: newest report, newest log_max bytes of log, result_max of result. A
 * result for which there is no memory stays in its pipe.
 */
#ifndef RELAY_H
#define RELAY_H

#include "jobtab.h"
#include "report_line.h"
#include "watch.h"

#define RELAY_LINE_MAX 200 /* of the last line of standard error that is kept */

struct relay_buffer {
    char *data;
    size_t size, room;
};

struct relay {
    int epoll;
    struct watch in, out, err, report; /* ours; fd -1 once closed */
    char *params;                      /* what is still to be written begins at params_sent */
    size_t params_size, params_sent;

    struct relay_buffer result;
    size_t result_max;
    bool result_over; /* more than result_max came; the rest is thrown away */
    bool starved;     /* more came than there is memory for: it waits in the pipe */
    bool no_room;     /* it was waited for long enough; the rest is thrown away, too */

    struct relay_buffer log; /* not yet taken */
    size_t log_max;
    uint64_t log_dropped; /* bytes that came faster than the log was taken */
    char line[RELAY_LINE_MAX], last_line[RELAY_LINE_MAX]; /* of standard error */
    size_t line_size, last_line_size;

    struct report_lines lines;
    struct report newest;
    bool reported;    /* `newest` has not been taken */
    unsigned misread; /* report lines that were not understood */
};

/* Make the pipes; theirs[0..3] are the child's ends, close-on-exec, for the caller to close.
 * `params` becomes the relay's to free, also on error. -1 with errno: nothing remains. */
int relay_open(struct relay *relay, int epoll, char *params, size_t params_size, size_t result_max,
               size_t log_max, int theirs[4]);

/* For one that is starved: try again; or `give_up`, and throw away what waits. */
void relay_resume(struct relay *relay, bool give_up);

/* Read what is there now, a bounded amount of it. For after the child's end. */
void relay_drain(struct relay *relay);
/* All three pipes that the child writes have ended. */
bool relay_ended(const struct relay *relay);
/* Close the pipes; what came stays. A last line without newline counts from here on, and the log
 * ends with what was dropped or not understood. */
void relay_shut(struct relay *relay);

/* Exchange the log kept so far for `empty`, whose memory is used again. */
void relay_take_log(struct relay *relay, struct relay_buffer *empty);

/* The last line on standard error that was not empty, as one printable line. */
void relay_last_line(const struct relay *relay, char line[RELAY_LINE_MAX]);

/* Frees all that is in it; closes. */
void relay_close(struct relay *relay);

#endif
