/* backend.h - where the jobs are: in a table opened here, or behind a daemon's URL.
 *
 * Both speak through one set of verbs, so that every command is written once. A verb returns the
 * exit code that its failure deserves and leaves the reason in `why`.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "jobtab.h"

enum exit_code {
    EXIT_FINE,
    EXIT_REFUSED, /* the job failed, is not there, or does not allow it */
    EXIT_USAGE,
    EXIT_UNREACHABLE, /* no table, no daemon, or it broke */
};

/* A job as a backend gives it. */
struct view {
    struct jobtab_job job;
    char *params, *result; /* text for people; NULL when the job has none or it was not asked for */
    char *json;            /* as the HTTP interface has it */
};

/* Leaves it empty, and ready for a verb again. A view all zero is empty. */
void view_free(struct view *view);

/* Told of each listed job; the view is the backend's. */
typedef void view_fn(const struct view *view, void *context);

struct backend {
    const struct backend_verbs *verbs;
    char why[512];
};

struct backend_verbs {
    int (*submit)(struct backend *backend, const struct jobtab_submit *submit, struct view *view);
    int (*get)(struct backend *backend, const struct jobtab_id *id, struct view *view);
    /* Wait at most `timeout` ms (-1: as long as the backend likes) for the job to change, and
     * bring the view up to date. It may come back with the view as it was. */
    int (*next)(struct backend *backend, struct view *view, int64_t timeout);
    /* At most `limit` of them, 0 being all, without params and result. */
    int (*list)(struct backend *backend, const struct jobtab_filter *filter, size_t limit,
                view_fn *each, void *context);
    /* What there is of a part from *offset on, in pieces; size 0 is its end. As jobtab_read, of a
     * job that is known to be there. */
    int (*read)(struct backend *backend, const struct jobtab_id *id, enum jobtab_part part,
                uint64_t *offset, char **bytes, size_t *size);
    int (*cancel)(struct backend *backend, const struct jobtab_id *id, struct view *view);
    int (*retry)(struct backend *backend, const struct jobtab_id *id, struct view *view);
    int (*remove)(struct backend *backend, const struct jobtab_id *id);
    void (*close)(struct backend *backend);
};

/* Neither fails: they end the program when memory does. The table is closed with its backend. */
struct backend *backend_table(struct jobtab *table);
/* "http://...", "https://..." or "unix:/path"; NULL when the URL is none of these. It connects when
 * the first verb needs it. The URL stays the caller's and must last as long. */
struct backend *backend_http(const char *url);

/* An operation's own code as an exit code. */
int backend_exit_code(int error);

#endif
