/* backend_table.c - the verbs over a table that this process has open. */
#include "cli.h"
#include "need.h"

enum { PAGE = 200, PIECE = 64 * 1024 };

struct table_backend {
    struct backend backend;
    struct jobtab *table;
    uint64_t seen; /* the table's version when `next` last looked */
};

static struct jobtab *handle(struct backend *backend)
{
    return ((struct table_backend *)backend)->table;
}

static int failed(struct backend *backend, int error)
{
    const char *why = jobtab_why();

    snprintf(backend->why, sizeof backend->why, "%s", *why != '\0' ? why : jobtab_strerror(error));
    return backend_exit_code(error);
}

/* Of a job that cannot be read, its id is said, too: it may be one of many. */
static int damaged(struct backend *backend, const struct jobtab_id *id)
{
    char text[JOBTAB_ID_TEXT];

    jobtab_id_format(id, text);
    snprintf(backend->why, sizeof backend->why, "job %s: %s", text, jobtab_why());
    return EXIT_REFUSED;
}

static char *json_of(const struct jobtab_job *job, const char *params, const char *result)
{
    size_t size = jobtab_job_json(job, params, result, NULL, 0) + 1;
    char *text = need(malloc(size));

    jobtab_job_json(job, params, result, text, size);
    return text;
}

static int table_get(struct backend *backend, const struct jobtab_id *id, struct view *view)
{
    struct view got = {0};
    int error = jobtab_get_whole(handle(backend), id, &got.job, &got.params, &got.result);

    if (error == JOBTAB_DAMAGED)
        return damaged(backend, id);
    if (error != JOBTAB_OK)
        return failed(backend, error);
    got.json = json_of(&got.job, got.params, got.result);
    view_free(view);
    *view = got;
    return EXIT_FINE;
}

static int table_submit(struct backend *backend, const struct jobtab_submit *submit,
                        struct view *view)
{
    struct jobtab_job job;
    int error = jobtab_submit(handle(backend), submit, &job);

    return error != JOBTAB_OK ? failed(backend, error) : table_get(backend, &job.id, view);
}

static int table_next(struct backend *backend, struct view *view, int64_t timeout)
{
    struct table_backend *self = (struct table_backend *)backend;
    struct jobtab_id id = view->job.id;
    struct jobtab_job job;
    int error = jobtab_wait(self->table, &self->seen, timeout);

    if (error == JOBTAB_TIMEOUT)
        return EXIT_FINE;
    if (error == JOBTAB_OK)
        error = jobtab_get(self->table, &id, &job);
    if (error != JOBTAB_OK)
        return failed(backend, error);
    return job.version == view->job.version ? EXIT_FINE : table_get(backend, &id, view);
}

struct unread {
    struct backend *backend;
    size_t n;
};

static void on_damaged(const struct jobtab_id *id, void *context)
{
    struct unread *unread = context;

    cli_complain(damaged(unread->backend, id), "%s", unread->backend->why);
    unread->n++;
}

static int table_list(struct backend *backend, const struct jobtab_filter *filter, size_t limit,
                      view_fn *each, void *context)
{
    struct unread unread = {.backend = backend};
    struct jobtab_filter from = *filter;
    struct jobtab_id cursor;
    struct jobtab_job *jobs = need(malloc(PAGE * sizeof *jobs));
    size_t left = limit;
    bool more = true;
    int error = JOBTAB_OK;

    from.damaged = on_damaged;
    from.context = &unread;
    while (more && (limit == 0 || left > 0)) {
        size_t n = limit == 0 || left > PAGE ? PAGE : left;

        error = jobtab_list(handle(backend), &from, jobs, &n, &cursor, &more);
        if (error != JOBTAB_OK)
            break;
        from.after = cursor;
        from.after_set = true;
        for (size_t i = 0; i < n; i++) {
            struct view view = {.job = jobs[i], .json = json_of(&jobs[i], NULL, NULL)};
            each(&view, context);
            view_free(&view);
        }
        left -= limit == 0 ? 0 : n;
    }
    free(jobs);
    if (error != JOBTAB_OK)
        return failed(backend, error);
    if (!unread.n)
        return EXIT_FINE;
    snprintf(backend->why, sizeof backend->why,
             "%zu records cannot be read, and were left out: run verify", unread.n);
    return EXIT_REFUSED;
}

static int table_read(struct backend *backend, const struct jobtab_id *id, enum jobtab_part part,
                      uint64_t *offset, char **bytes, size_t *size)
{
    int error = jobtab_read(handle(backend), id, part, offset, PIECE, bytes, size);

    return error != JOBTAB_OK ? failed(backend, error) : EXIT_FINE;
}

static int changed(struct backend *backend, int error, const struct jobtab_id *id,
                   struct view *view)
{
    return error != JOBTAB_OK ? failed(backend, error) : table_get(backend, id, view);
}

static int table_cancel(struct backend *backend, const struct jobtab_id *id, struct view *view)
{
    return changed(backend, jobtab_cancel(handle(backend), id, NULL), id, view);
}

static int table_retry(struct backend *backend, const struct jobtab_id *id, struct view *view)
{
    return changed(backend, jobtab_retry(handle(backend), id, NULL), id, view);
}

static int table_remove(struct backend *backend, const struct jobtab_id *id)
{
    int error = jobtab_delete(handle(backend), id);

    return error != JOBTAB_OK ? failed(backend, error) : EXIT_FINE;
}

static void table_close(struct backend *backend)
{
    jobtab_close(handle(backend));
    free(backend);
}

struct backend *backend_table(struct jobtab *table)
{
    static const struct backend_verbs verbs = {
        .submit = table_submit,
        .get = table_get,
        .next = table_next,
        .list = table_list,
        .read = table_read,
        .cancel = table_cancel,
        .retry = table_retry,
        .remove = table_remove,
        .close = table_close,
    };
    struct table_backend *self = need(calloc(1, sizeof *self));

    self->backend.verbs = &verbs;
    self->table = table;
    return &self->backend;
}
