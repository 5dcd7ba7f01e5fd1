/* moved.h - a job as it shall be restored, made of a row of whatever origin. */
#ifndef MOVED_H
#define MOVED_H

#include "jobtab.h"
#include "mapping.h"
#include "row.h"

#define MOVED_WHY 256

struct moved {
    char place[ROW_PLACE];
    struct jobtab_job job;
    char *params, *result, *log; /* its own; NULL when there is none */
    size_t params_size, result_size, log_size;
    bool was_running; /* or cancelling: whoever had it is not here */
    bool cut;         /* its message or error was longer than a job's may be */
    bool nameless;    /* has neither id nor key: a second run cannot tell that it was here */
};

/* `kind` is that of rows without one, or NULL. False, and why, naming the field, when the row makes
 * no job; the bounds of a table are not looked at. */
bool moved_make(struct moved *moved, const struct mapping *mapping, const char *kind,
                struct row *row, char why[MOVED_WHY]);
void moved_free(struct moved *moved);

/* As jobtab_apply takes it; it points into `moved`. */
struct jobtab_op moved_op(const struct moved *moved, bool check_only);

#endif
