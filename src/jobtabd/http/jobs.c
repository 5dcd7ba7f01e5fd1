/* jobs.c - GET /jobs: a page of the table, newest first, of one snapshot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "page.h"

/* {"jobs":[...],"next":"..."} */
static void answer_page(struct http_call *call, const struct jobtab_job *jobs, size_t n,
                        const struct jobtab_id *next)
{
    static const char head[] = "{\"jobs\":[", none[] = "],\"next\":null}";
    size_t room = sizeof(head) + sizeof(none) + JOBTAB_ID_TEXT, size;
    char *body, *end, cursor[JOBTAB_ID_TEXT];

    for (size_t i = 0; i < n; i++)
        room += 1 + jobtab_job_json(&jobs[i], NULL, NULL, NULL, 0);
    if (!answer_room(call, room))
        return;
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
    struct query query;
    struct page page;
    struct jobtab_job *jobs;
    struct jobtab_id cursor;
    bool more;
    int error;

    query_begin(&query, call->query, call->query_size);
    const char *wrong = page_read(&query, &page);
    if (wrong != NULL) {
        problem(call, 400, query.name, "%s", wrong);
        return;
    }
    jobs = h2o_mem_alloc(page.limit * sizeof(*jobs));
    error = jobtab_list(call->http->table, &page.filter, jobs, &page.limit, &cursor, &more);
    if (error != JOBTAB_OK)
        problem_error(call, error, jobtab_why());
    else
        answer_page(call, jobs, page.limit, more ? &cursor : NULL);
    free(jobs);
}
