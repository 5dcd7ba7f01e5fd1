/* problem.c - errors as application/problem+json (RFC 9457). */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "log.h"

#define PROBLEM_JSON  "application/problem+json"
#define TYPE_PREFIX   "urn:jobtab:problem:"
#define RETRY_SECONDS 1

/* What the table's errors are in HTTP. The names are part of the interface: programs tell one 422
 * from another by them. */
static const struct row {
    int status;
    const char *name, *title;
} rows[] = {
    [JOBTAB_NOTFOUND] = {404, "unknown-job", "There is no such job"},
    [JOBTAB_EMPTY] = {404, "no-work", "No job of that kind can be claimed"},
    [JOBTAB_FORBIDDEN] = {409, "state", "The job's state does not allow it"},
    [JOBTAB_STALE] = {409, "stale-token", "Another attempt has the job"},
    [JOBTAB_STOP] = {409, "stop", "The job is to be cancelled"},
    [JOBTAB_CONFLICT] = {422, "key-reused", "The idempotency key belongs to another request"},
    [JOBTAB_FULL] = {503, "table-full", "The table is full"},
    [JOBTAB_INVALID] = {422, "invalid", "The request is not valid"},
    [JOBTAB_TOOBIG] = {413, "too-big", "The request is too big"},
    [JOBTAB_DAMAGED] = {500, "damaged", "A record of the table cannot be read"},
    [JOBTAB_SYSTEM] = {503, "system", "The table cannot be written now"},
    [JOBTAB_BROKEN] = {503, "system", "The table cannot be written now"},
};
/* Until it is repaired; one record alone is a fault of its own. */
static const struct row unsound = {503, "damaged", "The table is damaged: it cannot be written"};
static const struct row unexpected = {500, "internal", "Internal error"};

/* Text of anyone's making as a JSON string. */
static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);

    if (value == NULL) { /* not UTF-8: cut inside a character, or never was */
        char *plain = strdup(text);
        for (char *p = plain; p != NULL && *p != '\0'; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        value = json_string(plain);
        free(plain);
    }
    return value;
}

static json_t *make(int status, const char *type, const char *title, const char *detail)
{
    json_t *root = json_object();

    json_object_set_new(root, "type", json_string(type));
    json_object_set_new(root, "title", json_string(title));
    json_object_set_new(root, "status", json_integer(status));
    if (detail[0] != '\0')
        json_object_set_new(root, "detail", text_value(detail));
    return root;
}

/* As text that lives as long as the request; frees root. */
static h2o_iovec_t body_of(h2o_req_t *req, json_t *root)
{
    size_t size = json_dumpb(root, NULL, 0, JSON_COMPACT);
    char *body = answer_memory(req, size);

    json_dumpb(root, body, size, JSON_COMPACT);
    json_decref(root);
    return h2o_iovec_init(body, size);
}

static void send_problem(struct http_call *call, int status, const char *type, const char *title,
                         const char *field, const char *detail)
{
    char id[JOBTAB_ID_TEXT];
    json_t *root = make(status, type, title, detail);

    if (field != NULL && field[0] != '\0')
        json_object_set_new(root, "field", text_value(field));
    if (call->has_id) {
        jobtab_id_format(&call->id, id);
        json_object_set_new(root, "job_id", json_string(id));
    }
    h2o_iovec_t body = body_of(call->req, root);
    if (status == 503)
        answer_header(call->req, H2O_TOKEN_RETRY_AFTER, "%d", RETRY_SECONDS);
    answer(call->http, call->req, status, PROBLEM_JSON, body.base, body.len);
}

void problem(struct http_call *call, int status, const char *field, const char *format, ...)
{
    char detail[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    send_problem(call, status, "about:blank", answer_reason(status), field, detail);
}

void problem_error(struct http_call *call, int error, const char *said)
{
    const struct row *row = &unexpected;
    char type[64], field[32] = "", why[JOBTAB_WHY_MAX];

    snprintf(why, sizeof(why), "%s", said); /* may be the last call's words, and there is another */

    if (error > 0 && (size_t)error < sizeof(rows) / sizeof(rows[0]) && rows[error].status != 0)
        row = &rows[error];
    if (error == JOBTAB_DAMAGED && jobtab_writable(call->http->table) == JOBTAB_DAMAGED)
        row = &unsound;
    if (row->status == 500)
        log_error("%s: %s", jobtab_strerror(error), why);
    /* "priority: 700 is above 100" */
    if (error == JOBTAB_INVALID || error == JOBTAB_TOOBIG)
        sscanf(why, "%31[a-z_]:", field);
    snprintf(type, sizeof(type), TYPE_PREFIX "%s", row->name);
    send_problem(call, row->status, type, row->title, field, why);
}

/* -------------------------------------------------- the library's own refusals */

/* It sends its whole text at once, and the head is made when that comes by. */
static void send_retold(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n,
                        h2o_send_state_t state)
{
    char detail[256] = "";

    if (n > 0)
        snprintf(detail, sizeof(detail), "%.*s", (int)bufs[0].len, bufs[0].base);
    h2o_iovec_t body =
        body_of(req, make(req->res.status, "about:blank", answer_reason(req->res.status), detail));

    req->res.content_length = body.len;
    h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, H2O_STRLIT(PROBLEM_JSON),
                   1);
    h2o_ostream_send_next(self, req, &body, n > 0, state);
}

static void retell(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    h2o_ostream_t *ostream = h2o_add_ostream(req, sizeof(*ostream), slot);

    (void)self;
    ostream->do_send = send_retold;
    h2o_setup_next_ostream(req, &ostream->next);
}

void problem_register(h2o_pathconf_t *path)
{
    h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = retell;
}
