/* answer.c - whole answers, sent in one piece: status, reason, length, always. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "etag.h"
#include "http.h"

/* For a job without much in params and result. With its tag it is just below a quarter of what the
 * library's pool takes from the system at once, beyond which it would be an allocation of its
 * own. */
#define JOB_ROOM (1016 - ETAG_TEXT)

/* An answer stays in memory until its client has read it, and some never do. One alone may be of
 * any size. */
#define LARGE_ANSWER (64u << 10)
#define ANSWERS_MAX  (32u << 20) /* bytes of the large ones of a worker */

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};

const char *answer_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

char *answer_memory(h2o_req_t *req, size_t size)
{
    return h2o_mem_alloc_pool(&req->pool, size);
}

static void taken_gone(void *taken)
{
    free(*(char **)taken);
}

void answer_take(h2o_req_t *req, char *memory)
{
    char **taken = h2o_mem_alloc_shared(&req->pool, sizeof(*taken), taken_gone);

    *taken = memory;
}

void answer_header(h2o_req_t *req, const h2o_token_t *name, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof(text))
        size = sizeof(text) - 1;
    h2o_iovec_t value = h2o_strdup(&req->pool, text, (size_t)size);
    h2o_add_header(&req->pool, &req->res.headers, name, NULL, value.base, value.len);
}

/* As long as the request that it answers. */
struct large {
    struct http *http;
    size_t size;
};

static void large_gone(void *memory)
{
    const struct large *large = memory;

    large->http->answering -= large->size;
}

bool answer_room(struct http_call *call, size_t size)
{
    struct http *http = call->http;

    if (size < LARGE_ANSWER)
        return true;
    if (http->answering > 0 && http->answering + size > ANSWERS_MAX) {
        problem(call, 503, NULL, "too much is on its way to clients that do not read it");
        return false;
    }
    struct large *large = h2o_mem_alloc_shared(&call->req->pool, sizeof(*large), large_gone);
    *large = (struct large){.http = http, .size = size};
    http->answering += size;
    return true;
}

void answer(struct http *http, h2o_req_t *req, int status, const char *type, const char *body,
            size_t size)
{
    static h2o_generator_t whole = {NULL, NULL};
    bool bodiless = status == 204 || status == 304;
    h2o_iovec_t piece = h2o_iovec_init(body, size);

    req->res.status = status;
    req->res.reason = answer_reason(status);
    if (!bodiless) {
        req->res.content_length = size;
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type,
                       strlen(type));
    }
    if (http->draining || http->broken)
        req->http1_is_persistent = 0;
    if (bodiless || h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD")))
        piece.len = 0;
    h2o_start_response(req, &whole);
    h2o_send(req, &piece, piece.len > 0, H2O_SEND_STATE_FINAL);
}

/* `etag` lives as long as the request. */
static void send_job(struct http *http, h2o_req_t *req, int status, const char *etag,
                     size_t etag_size, const char *body, size_t size)
{
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ETAG, NULL, etag, etag_size);
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-cache"));
    answer(http, req, status, ANSWER_JSON, body, size);
}

void answer_job(struct http *http, h2o_req_t *req, int status, const struct jobtab_job *job,
                const char *params, const char *result)
{
    /* Most jobs fit at the first try: it costs one pass over the job and one allocation. */
    size_t room = JOB_ROOM + job->params_size + job->result_size, size;
    char *etag = answer_memory(req, ETAG_TEXT + room + 1), *body = etag + ETAG_TEXT;

    size = jobtab_job_json(job, params, result, body, room);
    if (size >= room) {
        body = answer_memory(req, size + 1);
        jobtab_job_json(job, params, result, body, size + 1);
    }
    send_job(http, req, status, etag, etag_format(job->version, etag), body, size);
}

void answer_stored(struct http_call *call, int status, const struct jobtab_job *otherwise)
{
    char *etag = answer_memory(call->req, ETAG_TEXT + JOB_ROOM), *body = etag + ETAG_TEXT;
    size_t room = JOB_ROOM, size;
    uint64_t version;
    int error;

    while ((error = jobtab_get_json(call->http->table, &call->id, body, room, &size, &version)) ==
               JOBTAB_OK &&
           size >= room) {
        if (status == 200 && !answer_room(call, size)) /* what was done is told, whatever it takes */
            return;
        room = size + 1;
        body = answer_memory(call->req, room);
    }
    if (error == JOBTAB_NOTFOUND && otherwise != NULL)
        answer_job(call->http, call->req, status, otherwise, NULL, NULL);
    else if (error != JOBTAB_OK)
        problem_error(call, error, jobtab_why());
    else
        send_job(call->http, call->req, status, etag, etag_format(version, etag), body, size);
}

bool request_header(const h2o_req_t *req, const h2o_token_t *name, h2o_iovec_t *value)
{
    ssize_t at = h2o_find_header(&req->headers, name, -1);

    if (at < 0)
        return false;
    *value = req->headers.entries[at].value;
    return true;
}
