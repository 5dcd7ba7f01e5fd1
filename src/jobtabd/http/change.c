/* change.c - requests that change the table: handed to the table thread, answered after its commit.
 *
 * A request may be gone by then (an HTTP/2 stream that was reset, a connection cut). So the change
 * belongs to nobody but itself, and its pointer to the request is taken away by a disposer in the
 * request's pool. Only the loop's thread looks at that pointer. */
#include <stdlib.h>

#include "http.h"
#include "log.h"
#include "writer.h"

#define TELL_EVERY 1000 /* ms */

struct change {
    struct writer_call write; /* first: the table thread knows it by this */
    struct http *http;
    h2o_req_t *req;      /* NULL: gone */
    struct change **tie; /* in the request's pool */
    change_answer_fn *answer;
    void *memory;
    struct jobtab_job job; /* for the table to fill in */
};

/* What one transaction answers, on its way to the loop. */
struct committed {
    h2o_multithread_message_t message;
    struct writer_call *calls;
};

static void request_gone(void *tie)
{
    struct change *change = *(struct change **)tie;

    if (change != NULL)
        change->req = NULL;
}

static void change_free(struct change *change)
{
    if (change->req != NULL)
        *change->tie = NULL;
    change->http->changes--;
    free(change->memory);
    free(change);
}

void change_put(struct http_call *call, const struct jobtab_op *op, void *memory, size_t size,
                change_answer_fn *answer)
{
    struct change *change = h2o_mem_alloc(sizeof(*change));

    change->write = (struct writer_call){.op = *op, .bytes = sizeof(*change) + size};
    change->write.op.job = &change->job;
    change->http = call->http;
    change->req = call->req;
    change->answer = answer;
    change->memory = memory;
    change->tie = h2o_mem_alloc_shared(&call->req->pool, sizeof(change->tie), request_gone);
    *change->tie = change;
    call->http->changes++;
    if (!writer_put(call->http->writer, &change->write)) {
        change_free(change);
        problem(call, 503, NULL, "too many changes wait for the table");
    }
}

const struct jobtab_op *change_op(const struct change *change)
{
    return &change->write.op;
}

const struct jobtab_job *change_job(const struct change *change)
{
    return &change->job;
}

void change_done(struct writer_call *calls, void *context)
{
    struct http *http = context;
    struct committed *committed = h2o_mem_alloc(sizeof(*committed));
    int error = calls->op.result;

    /* Once for a transaction, whoever was in it, and once a second on a disk that stays bad. */
    if ((error == JOBTAB_SYSTEM || error == JOBTAB_BROKEN) && jobtab_now() - http->told_at > TELL_EVERY) {
        log_error("%s: %s", jobtab_strerror(error), calls->op.why);
        http->told_at = jobtab_now();
    }
    *committed = (struct committed){.calls = calls};
    h2o_multithread_send_message(&http->committed, &committed->message);
}

static void finish(struct change *change)
{
    struct http_call call = {.http = change->http, .req = change->req, .id = change->write.op.id};
    int error = change->write.op.result;

    call.has_id = change->write.op.verb != JOBTAB_SUBMIT;
    if (error == JOBTAB_BROKEN)
        change->http->broken = true;
    if (change->req != NULL && error != JOBTAB_OK)
        problem_error(&call, error, change->write.op.why);
    else if (change->req != NULL)
        change->answer(&call, change);
    change_free(change);
}

void change_committed(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        struct committed *committed =
            H2O_STRUCT_FROM_MEMBER(struct committed, message.link, messages->next);

        h2o_linklist_unlink(&committed->message.link);
        for (struct writer_call *call = committed->calls, *next; call != NULL; call = next) {
            next = call->next;
            finish((struct change *)call);
        }
        free(committed);
    }
}

/* ------------------------------------- the ones that need no more than the id */

static void changed(struct http_call *call, struct change *change)
{
    answer_stored(call, 202, change_job(change)); /* it was done, also if somebody has deleted it since */
}

static void deleted(struct http_call *call, struct change *change)
{
    (void)change;
    answer(call->http, call->req, 204, NULL, NULL, 0);
}

void http_cancel(struct http_call *call)
{
    change_put(call, &(struct jobtab_op){.verb = JOBTAB_CANCEL, .id = call->id}, NULL, 0, changed);
}

void http_retry(struct http_call *call)
{
    change_put(call, &(struct jobtab_op){.verb = JOBTAB_RETRY, .id = call->id}, NULL, 0, changed);
}

void http_delete(struct http_call *call)
{
    change_put(call, &(struct jobtab_op){.verb = JOBTAB_DELETE, .id = call->id}, NULL, 0, deleted);
}
