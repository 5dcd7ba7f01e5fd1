/* routes.c - from a request to its handler: what all requests must satisfy, then a table. */
#include <string.h>
#include <strings.h>

#include "body.h"
#include "conf.h"
#include "guard.h"
#include "http.h"

enum {
    CHANGES = 1, /* the table: not from another site, not while the worker leaves */
    BODY = 2,    /* reads a JSON body itself; other requests have none, or {} */
    ALONE = 4,   /* needs no table */
};

static const struct row {
    struct route_pattern pattern; /* first: route_find steps over the rest */
    void (*handle)(struct http_call *call);
    unsigned flags;
} rows[] = {
    {{ROUTE_GET, "/status/{id}"}, http_status, 0},
    {{ROUTE_POST, "/run"}, http_run, CHANGES | BODY},
    {{ROUTE_GET, "/status/{id}/result"}, http_result, 0},
    {{ROUTE_GET, "/status/{id}/log"}, http_log, 0},
    {{ROUTE_POST, "/status/{id}/cancel"}, http_cancel, CHANGES},
    {{ROUTE_POST, "/status/{id}/retry"}, http_retry, CHANGES},
    {{ROUTE_DELETE, "/status/{id}"}, http_delete, CHANGES},
    {{ROUTE_GET, "/jobs"}, http_jobs, 0},
    {{ROUTE_GET, "/healthz"}, http_healthz, ALONE},
    {{ROUTE_GET, "/readyz"}, http_readyz, 0},
};

/* What has once been found to be ours is so for good, and almost all requests name the same. */
static bool is_own_host(struct http *http, const char *host, size_t size)
{
    if (size > 0 && size == http->own_host_size && memcmp(host, http->own_host, size) == 0)
        return true;
    if (!guard_host(host, size, http->names))
        return false;
    if (size <= sizeof(http->own_host)) {
        memcpy(http->own_host, host, size);
        http->own_host_size = size;
    }
    return true;
}

static bool sound(struct http_call *call, bool any_host)
{
    h2o_req_t *req = call->req;
    const char *wrong = guard_path(req->path.base, req->path.len);

    if (wrong == NULL && req->version < 0x200) {
        /* The request's bytes stay at the head of the input until it is answered. */
        const h2o_buffer_t *input = req->conn->callbacks->get_socket(req->conn)->input;
        wrong = guard_head(input->bytes, input->size, req->version >= 0x101);
    }
    if (wrong != NULL) {
        req->http1_is_persistent = 0; /* where the next request begins is anyone's guess */
        problem(call, 400, NULL, "%s", wrong);
        return false;
    }
    if (!any_host && !is_own_host(call->http, req->authority.base, req->authority.len)) {
        problem(call, 403, NULL, "this server does not answer to that Host");
        return false;
    }
    return true;
}

static bool may_change(struct http_call *call)
{
    h2o_iovec_t origin;
    ssize_t at = h2o_find_header_by_str(&call->req->headers, H2O_STRLIT("origin"), -1);

    if (at >= 0) {
        origin = call->req->headers.entries[at].value;
        if (!guard_origin(origin.base, origin.len, call->req->authority.base,
                          call->req->authority.len)) {
            problem(call, 403, NULL, "a change may not come from another site");
            return false;
        }
    }
    if (call->http->refusing) {
        problem(call, 503, NULL, "this server is stopping");
        return false;
    }
    return true;
}

/* "application/json", with parameters or without. None at all is taken for it. */
static bool is_json(const h2o_req_t *req)
{
    static const char json[] = "application/json";
    const size_t size = sizeof(json) - 1;
    h2o_iovec_t type;

    if (!request_header(req, H2O_TOKEN_CONTENT_TYPE, &type))
        return true;
    return type.len >= size && strncasecmp(type.base, json, size) == 0 &&
           (type.len == size || strchr("; \t", type.base[size]) != NULL);
}

static bool body_allowed(struct http_call *call, const struct row *row)
{
    const h2o_req_t *req = call->req;
    struct body_fault fault;
    struct body *body;

    if (req->entity.len > call->http->conf->body_max) {
        problem(call, 413, NULL, "the body is %zu bytes long; at most %llu are allowed",
                req->entity.len, (unsigned long long)call->http->conf->body_max);
        return false;
    }
    if (req->entity.len == 0 || !(row->flags & CHANGES))
        return true;
    if (!is_json(req)) {
        problem(call, 415, NULL, "send the body as %s", ANSWER_JSON);
        return false;
    }
    if (row->flags & BODY)
        return true;
    body = body_read(req->entity.base, req->entity.len, NULL, 0, NULL, &fault);
    if (body == NULL)
        problem(call, fault.status, fault.field, "%s", fault.detail);
    body_free(body);
    return body != NULL;
}

static bool read_id(struct http_call *call, const struct route_match *match)
{
    char text[JOBTAB_ID_TEXT];

    if (match->id == NULL)
        return true;
    if (match->id_size == sizeof(text) - 1) {
        memcpy(text, match->id, match->id_size);
        text[match->id_size] = '\0';
        call->has_id = jobtab_id_parse(text, &call->id) == JOBTAB_OK;
    }
    if (!call->has_id)
        problem(call, 404, NULL, "that is no job id");
    return call->has_id;
}

void http_dispatch(struct http *http, h2o_req_t *req, bool any_host)
{
    struct http_call call = {.http = http, .req = req};
    struct route_match match;
    char allow[ROUTE_ALLOW_TEXT];

    if (!sound(&call, any_host))
        return;
    if (http->broken) {
        problem_error(&call, JOBTAB_BROKEN, "the worker starts anew");
        return;
    }
    if (req->query_at != SIZE_MAX) {
        call.query = req->path.base + req->query_at + 1;
        call.query_size = req->path.len - req->query_at - 1;
    }
    switch (route_find(rows, sizeof(rows) / sizeof(rows[0]), sizeof(rows[0]), req->method.base,
                       req->method.len, req->path_normalized.base, req->path_normalized.len,
                       &match)) {
    case ROUTE_NO_PATH:
        problem(&call, 404, NULL, "there is nothing at this path");
        return;
    case ROUTE_NO_METHOD:
        route_allow(match.allowed, allow);
        answer_header(req, H2O_TOKEN_ALLOW, "%s", allow);
        problem(&call, 405, NULL, "this path takes %s", allow);
        return;
    case ROUTE_FOUND:
        break;
    }
    const struct row *row = &rows[match.row];
    if (http->table == NULL && !(row->flags & ALONE))
        problem_error(&call, JOBTAB_SYSTEM, http->closed);
    else if (read_id(&call, &match) && (!(row->flags & CHANGES) || may_change(&call)) &&
        body_allowed(&call, row))
        row->handle(&call);
}
