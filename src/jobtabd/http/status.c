/* status.c - one job: its state, its result, its log.
 *
 * GET /status/{id} is what the world polls. Nothing is parsed or allocated for it but in the
 * request's pool, and a request that asks whether anything is new is answered from the job's
 * version. */
#include <stdlib.h>

#include "etag.h"
#include "http.h"

#define POLL_SECONDS 1
#define LOG_MAX      (64u << 20) /* more than any table keeps of one log */

static void add_etag(h2o_req_t *req, const char *tag)
{
    h2o_iovec_t value = h2o_strdup(&req->pool, tag, SIZE_MAX);

    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ETAG, NULL, value.base, value.len);
}

/* If-None-Match; true when that has answered the request. */
static bool not_modified(struct http_call *call, const char *tag)
{
    h2o_iovec_t known;

    if (!request_header(call->req, H2O_TOKEN_IF_NONE_MATCH, &known) ||
        !etag_matches(known.base, known.len, tag))
        return false;
    add_etag(call->req, tag);
    answer(call->http, call->req, 304, NULL, NULL, 0);
    return true;
}

void http_status(struct http_call *call)
{
    h2o_iovec_t known;
    uint64_t version;
    char tag[ETAG_TEXT];

    if (request_header(call->req, H2O_TOKEN_IF_NONE_MATCH, &known) &&
        jobtab_version(call->http->table, &call->id, &version) == JOBTAB_OK) {
        etag_format(version, tag);
        if (not_modified(call, tag))
            return;
    }
    answer_stored(call, 200, NULL);
}

/* There is nothing to send yet, or there will never be. */
static void none(struct http_call *call, const struct jobtab_job *job, const char *what)
{
    if (!jobtab_state_done(job->state))
        answer_header(call->req, H2O_TOKEN_RETRY_AFTER, "%d", POLL_SECONDS);
    problem(call, 404, NULL, "the job is %s and has no %s", jobtab_state_name(job->state), what);
}

/* Bytes that a child wrote: no browser shall guess that they are a page. They were malloc()ed. */
static void answer_raw(struct http_call *call, const char *tag, const char *type, char *bytes,
                       size_t size)
{
    answer_take(call->req, bytes);
    add_etag(call->req, tag);
    h2o_add_header_by_str(&call->req->pool, &call->req->res.headers,
                          H2O_STRLIT("x-content-type-options"), 0, NULL, H2O_STRLIT("nosniff"));
    answer(call->http, call->req, 200, type, bytes, size);
}

/* What the job says is asked first: then a result that nobody needs or that there is no room for
 * is not read. It may have changed by then. */
void http_result(struct http_call *call)
{
    static const char *const types[] = {
        [JOBTAB_JSON] = ANSWER_JSON,
        [JOBTAB_TEXT] = "text/plain; charset=utf-8",
        [JOBTAB_BYTES] = "application/octet-stream",
    };
    struct jobtab_job job;
    char *result = NULL, tag[ETAG_TEXT];
    int error = jobtab_get(call->http->table, &call->id, &job);

    if (error == JOBTAB_OK && job.result_format != JOBTAB_NONE) {
        etag_format(job.version, tag);
        if (not_modified(call, tag) || !answer_room(call, job.result_size))
            return;
        error = jobtab_get_whole(call->http->table, &call->id, &job, NULL, &result);
    }
    if (error != JOBTAB_OK) {
        problem_error(call, error, jobtab_why());
    } else if (job.result_format == JOBTAB_NONE) {
        none(call, &job, "result");
        free(result);
    } else {
        etag_format(job.version, tag);
        answer_raw(call, tag, types[job.result_format], result, job.result_size);
    }
}

void http_log(struct http_call *call)
{
    struct jobtab_job job;
    uint64_t offset = 0;
    char *bytes, tag[ETAG_TEXT];
    size_t size;
    int error = jobtab_get(call->http->table, &call->id, &job);

    if (error == JOBTAB_OK && job.log_end == 0) {
        none(call, &job, "log");
        return;
    }
    if (error == JOBTAB_OK) {
        /* What is read now may be newer than its tag says: then the next request gets it once more,
         * and never too little. */
        etag_format(job.version, tag);
        if (not_modified(call, tag) || !answer_room(call, job.log_end - job.log_begin))
            return;
        error = jobtab_read(call->http->table, &call->id, JOBTAB_LOGTEXT, &offset, LOG_MAX, &bytes,
                            &size);
    }
    if (error != JOBTAB_OK)
        problem_error(call, error, jobtab_why());
    else
        answer_raw(call, tag, "text/plain; charset=utf-8", bytes, size);
}
