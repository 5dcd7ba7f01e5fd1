/* run.c - POST /run: take a job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "conf.h"
#include "http.h"

#define POLL_SECONDS "1"

enum { KIND, PARAMS, PRIORITY, DELAY, KEY, MAX_ATTEMPTS, FIELDS };
static const struct body_field fields[FIELDS] = {
    [KIND] = {"kind", BODY_STRING, 0, JOBTAB_KIND_MAX},
    [PARAMS] = {"params", BODY_OBJECT, 0, 0},
    [PRIORITY] = {"priority", BODY_WHOLE, -JOBTAB_PRIORITY_MAX, JOBTAB_PRIORITY_MAX},
    [DELAY] = {"delay", BODY_DURATION, 0, 0},
    [KEY] = {"idempotency_key", BODY_STRING, 0, JOBTAB_KEY_MAX},
    [MAX_ATTEMPTS] = {"max_attempts", BODY_WHOLE, 1, 1000},
};

static bool read_kind(struct http_call *call, const struct body_value *value,
                      struct jobtab_submit *submit)
{
    const struct conf *conf = call->http->conf;
    const char *name = value->given ? value->text : conf->default_kind;
    bool missing = !value->given && name[0] == '\0';
    char names[256] = "";
    size_t size = 0;

    const struct conf_kind *kind = conf_kind(conf, name);
    if (kind != NULL) {
        submit->kind = kind->name;
        return true;
    }
    for (size_t i = 0; i < conf->n_kinds && size < sizeof(names); i++)
        size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s", i > 0 ? ", " : "",
                                 conf->kinds[i].name);
    if (missing)
        problem(call, 422, "kind", "kind is missing and there is no default; the kinds are %s",
                names);
    else
        problem(call, 422, "kind", "there is no kind %s; the kinds are %s", name, names);
    return false;
}

/* The key of the Idempotency-Key header, with or without the quotes of its draft, or of the body.
 */
static bool read_key(struct http_call *call, const struct body_value *value, const char **key,
                     size_t *size)
{
    const h2o_headers_t *headers = &call->req->headers;
    ssize_t at = h2o_find_header_by_str(headers, H2O_STRLIT("idempotency-key"), -1);

    *key = value->text;
    *size = value->size;
    if (at >= 0) {
        *key = headers->entries[at].value.base;
        *size = headers->entries[at].value.len;
        if (*size >= 2 && (*key)[0] == '"' && (*key)[*size - 1] == '"') {
            (*key)++;
            *size -= 2;
        }
        if (value->given && !h2o_memis(*key, *size, value->text, value->size)) {
            problem(call, 422, "idempotency_key",
                    "the Idempotency-Key header and the body name different keys");
            return false;
        }
    }
    if ((at >= 0 || value->given) && *size == 0) {
        problem(call, 422, "idempotency_key", "the key is empty");
        return false;
    }
    if (*size > JOBTAB_KEY_MAX) {
        problem(call, 422, "idempotency_key", "the key is %zu bytes long; at most %d are allowed",
                *size, JOBTAB_KEY_MAX);
        return false;
    }
    return true;
}

/* Copies to *end, which moves on behind it. */
static char *copy(char **end, const char *from, size_t size)
{
    char *start = *end;

    memcpy(start, from, size);
    start[size] = '\0';
    *end += size + 1;
    return start;
}

static void tell_location(struct http_call *call)
{
    static const char path[] = "/status/";
    char *location = answer_memory(call->req, sizeof(path) - 1 + JOBTAB_ID_TEXT);

    memcpy(location, path, sizeof(path) - 1);
    jobtab_id_format(&call->id, location + sizeof(path) - 1);
    h2o_add_header(&call->req->pool, &call->req->res.headers, H2O_TOKEN_LOCATION, NULL, location,
                   sizeof(path) - 1 + JOBTAB_ID_TEXT - 1);
}

static void submitted(struct http_call *call, struct change *change)
{
    const struct jobtab_op *op = change_op(change);
    const struct jobtab_job *job = change_job(change);

    tell_location(call);
    if (!op->repeated) {
        h2o_add_header(&call->req->pool, &call->req->res.headers, H2O_TOKEN_RETRY_AFTER, NULL,
                       H2O_STRLIT(POLL_SECONDS));
        answer_job(call->http, call->req, 202, job,
                   op->submit.params != NULL ? op->submit.params : "", "");
    } else {
        answer_stored(call, 200, job);
    }
}

void http_run(struct http_call *call)
{
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT};
    struct body_value values[FIELDS];
    struct body_fault fault;
    const char *key;
    size_t key_size;
    struct body *body =
        body_read(call->req->entity.base, call->req->entity.len, fields, FIELDS, values, &fault);

    if (body == NULL) {
        problem(call, fault.status, fault.field, "%s", fault.detail);
        return;
    }
    if (!read_kind(call, &values[KIND], &op.submit) ||
        !read_key(call, &values[KEY], &key, &key_size))
        goto out;

    /* "{}" is what a job has that brings none. */
    size_t params_size = values[PARAMS].size > 2 ? values[PARAMS].size : 0;
    size_t size = params_size + 1 + key_size + 1;
    char *memory = h2o_mem_alloc(size), *end = memory;

    if (params_size > 0) {
        op.submit.params = copy(&end, values[PARAMS].text, params_size);
        op.submit.params_size = params_size;
    }
    if (key_size > 0)
        op.submit.key = copy(&end, key, key_size);
    op.submit.priority = (int32_t)values[PRIORITY].number;
    op.submit.delay = values[DELAY].number;
    op.submit.max_attempts = (uint32_t)values[MAX_ATTEMPTS].number;
    change_put(call, &op, memory, size, submitted);
out:
    body_free(body);
}
