/* http.h - what the handlers of the HTTP interface share: the worker's state, the request in
 * hand, and the three ways to answer it: at once (answer.c), as a problem (problem.c), and after
 * a commit (change.c). All of it runs on the loop's thread. */
#ifndef HTTP_H
#define HTTP_H

#include <h2o.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobtab.h"
#include "route.h"

struct conf;
struct writer;

/* One worker's. Made by server.c. */
struct http {
    const struct conf *conf;
    struct jobtab *table;  /* NULL: it cannot be opened yet, and `closed` says why */
    struct writer *writer; /* with the table */
    char closed[JOBTAB_WHY_MAX];
    int64_t told_at; /* of the table thread: when it last told the log that a commit failed */
    h2o_multithread_receiver_t committed; /* where the table thread's answers arrive */
    const char *const *names;             /* host names that are ours, ended by NULL */
    char own_host[256];                   /* the last Host that was found to be ours */
    size_t own_host_size;
    size_t changes;                       /* handed to the table thread and not yet answered */
    size_t answering;                     /* bytes of large answers that are on their way */
    /* The worker is on its way out: every answer closes its connection, and */
    bool draining; /* it is not ready */
    bool refusing; /* changes are refused */
    bool broken;   /* the table is broken: nothing is answered but 503 */
};

/* The request in hand, while its handler runs. */
struct http_call {
    struct http *http;
    h2o_req_t *req;
    const char *query; /* what follows '?' */
    size_t query_size;
    struct jobtab_id id; /* of a path with {id} */
    bool has_id;
};

/* ------------------------------------------------------------------ routes.c */

/* Answers the request or sees to it that it will be. */
void http_dispatch(struct http *http, h2o_req_t *req, bool any_host);

/* The handlers, by file. */
void http_run(struct http_call *call);    /* run.c */
void http_status(struct http_call *call); /* status.c */
void http_result(struct http_call *call);
void http_log(struct http_call *call);
void http_jobs(struct http_call *call);   /* jobs.c */
void http_cancel(struct http_call *call); /* change.c */
void http_retry(struct http_call *call);
void http_delete(struct http_call *call);
void http_healthz(struct http_call *call); /* health.c */
void http_readyz(struct http_call *call);

/* ------------------------------------------------------------------ answer.c */

#define ANSWER_JSON "application/json"

/* Room for a body of this size that lives as long as the request. */
char *answer_memory(h2o_req_t *req, size_t size);
/* Memory of malloc() becomes the request's, and is freed with it. */
void answer_take(h2o_req_t *req, char *memory);
/* To be asked before a body is made that may be large. False while too much is on its way to
 * clients that do not read it: then the request has been answered with 503. */
bool answer_room(struct http_call *call, size_t size);
/* A header of the answer. The value is copied. */
void answer_header(h2o_req_t *req, const h2o_token_t *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The whole answer, once. `body` must live as long as the request (answer_memory, answer_take, or
 * static); 204 and 304 have none, HEAD is sent none. */
void answer(struct http *http, h2o_req_t *req, int status, const char *type, const char *body,
            size_t size);
/* The job as JSON, with its ETag. params and result as in jobtab_job_json. */
void answer_job(struct http *http, h2o_req_t *req, int status, const struct jobtab_job *job,
                const char *params, const char *result);

/* The job call->id as the table has it now, or the problem with that. When it is gone: `otherwise`,
 * the job as a change left it, without params and result; NULL where that is a problem, too. */
void answer_stored(struct http_call *call, int status, const struct jobtab_job *otherwise);

/* The reason phrase of a status that is ours. */
const char *answer_reason(int status);

/* A header of the request; false when there is none. */
bool request_header(const h2o_req_t *req, const h2o_token_t *name, h2o_iovec_t *value);

/* ----------------------------------------------------------------- problem.c */

/* A problem of HTTP itself. `field` may be NULL. */
void problem(struct http_call *call, int status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Have the library's own refusals (413 of a body beyond measure, 400 of a bad length) told as
 * problems. For the path that they are answered from. */
void problem_register(h2o_pathconf_t *path);
/* What the table said: `said` is jobtab_why() or the operation's. */
void problem_error(struct http_call *call, int error, const char *said);

/* ------------------------------------------------------------------ change.c */

struct change;
/* Called after the commit, with call->req and call->id set; not called when the client has left. */
typedef void change_answer_fn(struct http_call *call, struct change *change);

/* Have an operation applied by the table thread. `op` is copied, its job excepted; `memory`, which
 * the operation may point into and which holds `size` bytes, is freed with free() in the end
 * and may be NULL. Answers 503 itself when too much is waiting. */
void change_put(struct http_call *call, const struct jobtab_op *op, void *memory, size_t size,
                change_answer_fn *answer);
/* What became of it: the operation, and the job as it left it. */
const struct jobtab_op *change_op(const struct change *change);
const struct jobtab_job *change_job(const struct change *change);
/* Server side: the table thread's writer_done_fn, and the receiver on the loop. */
struct writer_call;
void change_done(struct writer_call *calls, void *http);
void change_committed(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages);

#endif
