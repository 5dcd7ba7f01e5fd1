/* backend_http.c - the verbs over a daemon's HTTP interface. */
#include "backend.h"
#include "client.h"
#include "job_json.h"
#include "need.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

enum {
    PAGE = 200,
    POLL_FIRST = 100, /* ms between two looks at a job that just changed; */
    POLL_LAST = 1000, /* it doubles to this while nothing changes */
    PATIENCE = 15000, /* ms that a followed job's daemon may be away: a restart */
};

struct http_backend {
    struct backend backend;
    struct client client;
    int64_t interval, away; /* of `next`: ms to the next look, since when no answer came, or 0 */
};

__attribute__((format(printf, 3, 4))) static int refuse(struct http_backend *self, int code,
                                                        const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(self->backend.why, sizeof self->backend.why, format, arguments);
    va_end(arguments);
    return code;
}

static int ask(struct http_backend *self, const char *method, const char *path, const char *body,
               const char *header)
{
    if (client_ask(&self->client, method, path, body, header))
        return EXIT_FINE;
    return refuse(self, EXIT_UNREACHABLE, "%s: %s", self->client.url, self->client.error);
}

/* An answer that is not what was asked for: the daemon's own words where it has some. */
static int judge(struct http_backend *self)
{
    const struct client_answer *answer = &self->client.answer;
    json_t *problem = json_loadb(answer->body, answer->size, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *field = json_string_value(json_object_get(problem, "field"));
    int code = EXIT_REFUSED;

    if (detail == NULL)
        detail = title;
    if (detail == NULL)
        code = refuse(self, EXIT_UNREACHABLE, "%s: status %ld, which is not a daemon's answer",
                      self->client.url, answer->status);
    else if (field != NULL && strstr(detail, field) == NULL)
        refuse(self, code, "%s: %s", field, detail);
    else
        refuse(self, code, "%s", detail);
    json_decref(problem);
    return code;
}

static int ask_id(struct http_backend *self, const char *method, const struct jobtab_id *id,
                  const char *what, const char *header)
{
    char path[64], text[JOBTAB_ID_TEXT];

    jobtab_id_format(id, text);
    snprintf(path, sizeof path, "/status/%s%s", text, what);
    return ask(self, method, path, NULL, header);
}

/* The answer's body as a job. */
static int take_job(struct http_backend *self, struct view *view)
{
    json_t *json =
        json_loadb(self->client.answer.body, self->client.answer.size, JSON_ALLOW_NUL, NULL);
    struct view got = {0};
    int code = EXIT_FINE;

    if (self->client.answer.status / 100 != 2) {
        code = judge(self);
    } else if (!job_json_decode(json, &got)) {
        code = refuse(self, EXIT_UNREACHABLE, "%s: the answer is no job", self->client.url);
    } else {
        got.json = self->client.answer.body;
        self->client.answer.body = NULL;
        view_free(view);
        *view = got;
    }
    json_decref(json);
    return code;
}

/* --------------------------------------------------------------------- verbs */

static int http_submit(struct backend *backend, const struct jobtab_submit *submit,
                       struct view *view)
{
    struct http_backend *self = (struct http_backend *)backend;
    char *body = job_json_submit(submit);
    int code;

    if (body == NULL)
        return refuse(self, EXIT_USAGE, "kind and key must be UTF-8");
    code = ask(self, "POST", "/run", body, NULL);
    free(body);
    if (code != EXIT_FINE && submit->key == NULL) {
        size_t n = strlen(backend->why);
        snprintf(backend->why + n, sizeof backend->why - n,
                 " (whether it was submitted is unknown; with --key it can be sent again)");
    }
    return code != EXIT_FINE ? code : take_job(self, view);
}

static int http_get(struct backend *backend, const struct jobtab_id *id, struct view *view)
{
    struct http_backend *self = (struct http_backend *)backend;
    int code = ask_id(self, "GET", id, "", NULL);

    return code != EXIT_FINE ? code : take_job(self, view);
}

static void doze(int64_t ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static int http_next(struct backend *backend, struct view *view, int64_t timeout)
{
    struct http_backend *self = (struct http_backend *)backend;
    int64_t pause = timeout >= 0 && timeout < self->interval ? timeout : self->interval;
    char header[48];
    int code;

    doze(pause);
    snprintf(header, sizeof header, "If-None-Match: \"%" PRIu64 "\"", view->job.version);
    code = ask_id(self, "GET", &view->job.id, "", header);
    if (code == EXIT_FINE && self->client.answer.status >= 500)
        code = judge(self);
    if (code != EXIT_FINE) { /* it may be restarting */
        if (self->away == 0)
            self->away = jobtab_now();
        return jobtab_now() - self->away < PATIENCE ? EXIT_FINE : code;
    }
    self->away = 0;
    if (self->client.answer.status == 304) {
        self->interval = self->interval * 2 < POLL_LAST ? self->interval * 2 : POLL_LAST;
        return EXIT_FINE;
    }
    self->interval = POLL_FIRST;
    return take_job(self, view);
}

static char *list_path(struct http_backend *self, const struct jobtab_filter *filter, size_t limit,
                       const char *cursor)
{
    char *path = NULL, *text = NULL;
    size_t size = 0;
    FILE *out = need(open_memstream(&path, &size));
    bool first = true;

    fprintf(out, "/jobs?limit=%zu", limit);
    for (int state = 0; state < JOBTAB_STATES; state++) {
        if ((filter->states & JOBTAB_STATE_BIT(state)) == 0)
            continue;
        fprintf(out, "%s%s", first ? "&state=" : ",", jobtab_state_name((enum jobtab_state)state));
        first = false;
    }
    if (filter->kind != NULL) {
        text = need(curl_easy_escape(self->client.curl, filter->kind, 0));
        fprintf(out, "&kind=%s", text);
        curl_free(text);
    }
    if (cursor != NULL) {
        text = need(curl_easy_escape(self->client.curl, cursor, 0));
        fprintf(out, "&cursor=%s", text);
        curl_free(text);
    }
    fclose(out);
    return need(path);
}

/* Hand on a page's jobs, at most `left` of them. */
static int take_page(struct http_backend *self, const json_t *page, size_t left, size_t *taken,
                     view_fn *each, void *context)
{
    const json_t *jobs = json_object_get(page, "jobs");

    *taken = json_array_size(jobs) < left ? json_array_size(jobs) : left;
    if (!json_is_array(jobs))
        return refuse(self, EXIT_UNREACHABLE, "%s: the answer is no list", self->client.url);
    for (size_t i = 0; i < *taken; i++) {
        const json_t *job = json_array_get(jobs, i);
        struct view view = {0};

        if (!job_json_decode(job, &view))
            return refuse(self, EXIT_UNREACHABLE, "%s: the answer is no job", self->client.url);
        view.json = need(json_dumps(job, JSON_COMPACT));
        each(&view, context);
        view_free(&view);
    }
    return EXIT_FINE;
}

static int http_list(struct backend *backend, const struct jobtab_filter *filter, size_t limit,
                     view_fn *each, void *context)
{
    struct http_backend *self = (struct http_backend *)backend;
    size_t left = limit == 0 ? SIZE_MAX : limit, taken = 0;
    char *cursor = NULL;
    bool more = true;
    int code = EXIT_FINE;

    while (more && left > 0 && code == EXIT_FINE) {
        char *path = list_path(self, filter, left < PAGE ? left : PAGE, cursor);
        json_t *page = NULL;
        const char *next;

        code = ask(self, "GET", path, NULL, NULL);
        free(path);
        free(cursor);
        cursor = NULL;
        if (code != EXIT_FINE)
            break;
        if (self->client.answer.status != 200) {
            code = judge(self);
            break;
        }
        page = json_loadb(self->client.answer.body, self->client.answer.size, JSON_ALLOW_NUL, NULL);
        code = take_page(self, page, left, &taken, each, context);
        left -= taken;
        next = json_string_value(json_object_get(page, "next"));
        more = next != NULL;
        cursor = more ? need(strdup(next)) : NULL;
        json_decref(page);
    }
    free(cursor);
    return code;
}

static int http_read(struct backend *backend, const struct jobtab_id *id, enum jobtab_part part,
                     uint64_t *offset, char **bytes, size_t *size)
{
    struct http_backend *self = (struct http_backend *)backend;
    char range[48];
    int code;

    snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-", *offset);
    code = ask_id(self, "GET", id, part == JOBTAB_LOGTEXT ? "/log" : "/result",
                  *offset > 0 ? range : NULL);
    if (code != EXIT_FINE)
        return code;
    if (self->client.answer.status == 206) {
        *offset = self->client.answer.offset;
    } else if (self->client.answer.status == 200) { /* all of it, wherever we had wanted to begin */
        size_t known =
            *offset < self->client.answer.size ? (size_t)*offset : self->client.answer.size;
        self->client.answer.size -= known;
        memmove(self->client.answer.body, self->client.answer.body + known,
                self->client.answer.size + 1);
    } else if (self->client.answer.status == 404 || self->client.answer.status == 416) {
        self->client.answer.size = 0; /* the job has no such part, or nothing more of it */
    } else {
        return judge(self);
    }
    *bytes = self->client.answer.body;
    *size = self->client.answer.size;
    self->client.answer.body = NULL;
    return EXIT_FINE;
}

static int change(struct backend *backend, const struct jobtab_id *id, const char *what,
                  struct view *view)
{
    struct http_backend *self = (struct http_backend *)backend;
    int code = ask_id(self, "POST", id, what, NULL);

    if (code != EXIT_FINE)
        return code;
    return self->client.answer.status / 100 != 2 ? judge(self) : http_get(backend, id, view);
}

static int http_cancel(struct backend *backend, const struct jobtab_id *id, struct view *view)
{
    return change(backend, id, "/cancel", view);
}

static int http_retry(struct backend *backend, const struct jobtab_id *id, struct view *view)
{
    return change(backend, id, "/retry", view);
}

static int http_remove(struct backend *backend, const struct jobtab_id *id)
{
    struct http_backend *self = (struct http_backend *)backend;
    int code = ask_id(self, "DELETE", id, "", NULL);

    if (code != EXIT_FINE)
        return code;
    return self->client.answer.status / 100 != 2 ? judge(self) : EXIT_FINE;
}

static void http_close(struct backend *backend)
{
    client_close(&((struct http_backend *)backend)->client);
    free(backend);
}

struct backend *backend_http(const char *url)
{
    static const struct backend_verbs verbs = {
        .submit = http_submit,
        .get = http_get,
        .next = http_next,
        .list = http_list,
        .read = http_read,
        .cancel = http_cancel,
        .retry = http_retry,
        .remove = http_remove,
        .close = http_close,
    };
    struct http_backend *self = need(calloc(1, sizeof *self));

    if (!client_open(&self->client, url)) {
        free(self);
        return NULL;
    }
    self->backend.verbs = &verbs;
    self->interval = POLL_FIRST;
    return &self->backend;
}
