/* health.c - is this worker alive, and does it want work? */
#include "http.h"

void http_healthz(struct http_call *call)
{
    static const char body[] = "{\"status\":\"ok\"}";

    answer(call->http, call->req, 200, ANSWER_JSON, body, sizeof(body) - 1);
}

void http_readyz(struct http_call *call)
{
    static const char body[] = "{\"status\":\"ready\"}";

    if (call->http->draining)
        problem(call, 503, NULL, "this worker is draining");
    else if (jobtab_writable(call->http->table) != JOBTAB_OK)
        problem(call, 503, NULL, "%s", jobtab_why());
    else
        answer(call->http, call->req, 200, ANSWER_JSON, body, sizeof(body) - 1);
}
