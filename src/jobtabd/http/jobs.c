/* jobs.c - GET /jobs: a page of the table, newest first, of one snapshot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "query.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

struct page {
    struct jobtab_filter filter;
    char kind[JOBTAB_KIND_MAX + 1];
    size_t limit;
};

static const char *read_states(const char *text, struct page *page)
{
    char names[QUERY_VALUE_MAX + 1], *rest = names, *name;
    enum jobtab_state state;

    strcpy(names, text);
    while ((name = strsep(&rest, ",")) != NULL) {
        if (jobtab_state_parse(name, &state) != JOBTAB_OK)
            return "state is one or more, with commas, of scheduled, pending, running, cancelling, "
                   "completed, failed and cancelled";
        page->filter.states |= JOBTAB_STATE_BIT(state);
    }
    return NULL;
}

static const char *read_kind(const char *text, struct page *page)
{
    size_t size = strlen(text);

    if (size == 0 || size > JOBTAB_KIND_MAX)
        return "kind is the name of a kind";
    memcpy(page->kind, text, size + 1);
    page->filter.kind = page->kind;
    return NULL;
}

static const char *read_limit(const char *text, struct page *page)
{
    char *end;

    page->limit = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || page->limit < 1 ||
        page->limit > LIMIT_MAX)
        return "limit is a number from 1 to 1000";
    return NULL;
}

static const char *read_cursor(const char *text, struct page *page)
{
    if (jobtab_id_parse(text, &page->filter.after) != JOBTAB_OK)
        return "cursor is what an earlier page gave as next";
    page->filter.after_set = true;
    return NULL;
}

/* Each returns NULL or what the value should have been. */
static const struct {
    const char *name;
    const char *(*read)(const char *text, struct page *page);
} parameters[] = {
    {"state", read_states},
    {"kind", read_kind},
    {"limit", read_limit},
    {"cursor", read_cursor},
};

static bool read_query(struct http_call *call, struct page *page)
{
    const size_t n = sizeof(parameters) / sizeof(parameters[0]);
    struct query query;
    int more;

    query_begin(&query, call->query, call->query_size);
    while ((more = query_next(&query)) != 0) {
        const char *wrong = "the value is too long or badly encoded";
        size_t i = 0;

        while (i < n && strcmp(parameters[i].name, query.name) != 0)
            i++;
        if (i == n)
            wrong = "there is no such parameter; there are state, kind, limit and cursor";
        else if (more == 1)
            wrong = parameters[i].read(query.value, page);
        if (wrong != NULL) {
            problem(call, 400, query.name, "%s", wrong);
            return false;
        }
    }
    return true;
}

/* {"jobs":[...],"next":"..."} */
static void answer_page(struct http_call *call, const struct jobtab_job *jobs, size_t n,
                        const struct jobtab_id *next)
{
    static const char head[] = "{\"jobs\":[", none[] = "],\"next\":null}";
    size_t room = sizeof(head) + sizeof(none) + JOBTAB_ID_TEXT, size;
    char *body, *end, cursor[JOBTAB_ID_TEXT];

    for (size_t i = 0; i < n; i++)
        room += 1 + jobtab_job_json(&jobs[i], NULL, NULL, NULL, 0);
    body = answer_memory(call->req, room);
    end = stpcpy(body, head);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            end = stpcpy(end, ",");
        size = room - (size_t)(end - body);
        end += jobtab_job_json(&jobs[i], NULL, NULL, end, size);
    }
    if (next != NULL) {
        jobtab_id_format(next, cursor);
        end += sprintf(end, "],\"next\":\"%s\"}", cursor);
    } else {
        end = stpcpy(end, none);
    }
    answer(call->http, call->req, 200, ANSWER_JSON, body, (size_t)(end - body));
}

void http_jobs(struct http_call *call)
{
    struct page page = {.limit = LIMIT_DEFAULT};
    struct jobtab_job *jobs;
    struct jobtab_id cursor;
    bool more;
    int error;

    if (!read_query(call, &page))
        return;
    jobs = h2o_mem_alloc(page.limit * sizeof(*jobs));
    error = jobtab_list(call->http->table, &page.filter, jobs, &page.limit, &cursor, &more);
    if (error != JOBTAB_OK)
        problem_error(call, error, jobtab_why());
    else
        answer_page(call, jobs, page.limit, more ? &cursor : NULL);
    free(jobs);
}
