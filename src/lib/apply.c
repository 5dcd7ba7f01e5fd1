/* apply.c - the one way in: n operations, one durable transaction, one result each. */
#include "error.h"
#include "lead.h"
#include "text.h"
#include "verbs.h"

#include <string.h>

static const struct {
    int (*check)(const struct jobtab_op *op);       /* its fields */
    int (*check_bytes)(const struct jobtab_op *op); /* what takes time: the JSON in it */
    int (*apply)(struct edit *edit, struct jobtab_op *op);
} verbs[JOBTAB_VERBS] = {
    [JOBTAB_SUBMIT] = {check_submit, check_params, do_submit},
    [JOBTAB_CLAIM] = {check_claim, NULL, do_claim},
    [JOBTAB_REPORT] = {check_report, NULL, do_report},
    [JOBTAB_RENEW] = {check_renew, NULL, do_renew},
    [JOBTAB_LOG] = {check_log, NULL, do_log},
    [JOBTAB_FINISH] = {check_finish, check_result, do_finish},
    [JOBTAB_RELEASE] = {NULL, NULL, do_release},
    [JOBTAB_CANCEL] = {NULL, NULL, do_cancel},
    [JOBTAB_RETRY] = {NULL, NULL, do_retry},
    [JOBTAB_DELETE] = {NULL, NULL, do_delete},
    [JOBTAB_TAKE] = {check_take, NULL, do_take},
    [JOBTAB_RESTORE] = {check_restore, check_parts, do_restore},
};

void give_job(struct jobtab_op *op, const struct record *record)
{
    if (op->job)
        *op->job = record->job;
}

static void set_result(struct jobtab_op *op, int result)
{
    op->result = result;
    text_copy(op->why, sizeof op->why, result ? jobtab_why() : "");
}

bool ops_check(struct jobtab_op *ops, size_t n, bool bytes)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        int rc = JOBTAB_OK;

        ops[i].repeated = false;
        fail_clear();
        if ((unsigned)ops[i].verb >= JOBTAB_VERBS)
            rc = fail(JOBTAB_INVALID, "verb: there is no %d", (int)ops[i].verb);
        else if (verbs[ops[i].verb].check)
            rc = verbs[ops[i].verb].check(&ops[i]);
        if (!rc && bytes && verbs[ops[i].verb].check_bytes)
            rc = verbs[ops[i].verb].check_bytes(&ops[i]);
        set_result(&ops[i], rc);
        any |= rc == JOBTAB_OK;
    }
    return any;
}

int ops_apply(struct edit *edit, struct jobtab_op *ops, size_t n)
{
    for (size_t i = 0; i < n && !store_error(edit->txn); i++) {
        if (ops[i].result)
            continue;
        fail_clear();
        set_result(&ops[i], verbs[ops[i].verb].apply(edit, &ops[i]));
        edit->repeated |= ops[i].repeated;
    }
    return store_error(edit->txn);
}

/* Nothing was done: all operations share the reason. */
static int fail_all(struct jobtab_op *ops, size_t n, int rc)
{
    for (size_t i = 0; i < n; i++)
        set_result(&ops[i], rc);
    return rc;
}

int jobtab_apply(struct jobtab *table, struct jobtab_op *ops, size_t n)
{
    int rc = table_enter(table);

    if (!rc && n > JOBTAB_APPLY_MAX)
        rc = fail(JOBTAB_INVALID, "operations: %zu is above %d", n, JOBTAB_APPLY_MAX);
    if (!rc && !ops_check(ops, n, true))
        return JOBTAB_OK;
    if (!rc)
        rc = lead_apply(table, ops, n);
    if (rc)
        return fail_all(ops, n, rc);
    fail_clear();
    return JOBTAB_OK;
}

/* Apply one; its words become the thread's. */
static int apply_one(struct jobtab *table, struct jobtab_op *op)
{
    int rc = jobtab_apply(table, op, 1);

    if (!rc && op->result)
        rc = fail(op->result, "%s", op->why);
    return rc;
}

static int claim_one(struct jobtab *table, struct jobtab_op *op, struct jobtab_token *token)
{
    int rc = apply_one(table, op);

    if (rc == JOBTAB_OK)
        *token = op->token;
    return rc;
}

int jobtab_submit(struct jobtab *table, const struct jobtab_submit *submit, struct jobtab_job *job)
{
    struct jobtab_op op = {.verb = JOBTAB_SUBMIT, .submit = *submit, .job = job};

    int rc = table_enter(table);
    if (!rc && submit->take)
        rc = fail(JOBTAB_INVALID, "take: the token has no place in this call, use jobtab_apply");
    return rc ? rc : apply_one(table, &op);
}

int jobtab_claim(struct jobtab *table, const char *kind, struct jobtab_token *token,
                 struct jobtab_job *job)
{
    struct jobtab_op op = {.verb = JOBTAB_CLAIM, .claim = {.kind = kind}, .job = job};

    return claim_one(table, &op, token);
}

int jobtab_take(struct jobtab *table, const struct jobtab_id *id, struct jobtab_token *token,
                struct jobtab_job *job)
{
    struct jobtab_op op = {.verb = JOBTAB_TAKE, .id = *id, .job = job};

    return claim_one(table, &op, token);
}

int jobtab_report(struct jobtab *table, const struct jobtab_id *id,
                  const struct jobtab_token *token, uint32_t progress, const char *message)
{
    struct jobtab_op op = {.verb = JOBTAB_REPORT,
                           .id = *id,
                           .token = *token,
                           .report = {.progress = progress, .message = message}};

    return apply_one(table, &op);
}

int jobtab_renew(struct jobtab *table, const struct jobtab_id *id,
                 const struct jobtab_token *token, int64_t lease)
{
    struct jobtab_op op = {.verb = JOBTAB_RENEW, .id = *id, .token = *token, .lease = lease};

    return apply_one(table, &op);
}

int jobtab_log(struct jobtab *table, const struct jobtab_id *id, const struct jobtab_token *token,
               const void *data, size_t size)
{
    struct jobtab_op op = {
        .verb = JOBTAB_LOG, .id = *id, .token = *token, .log = {.data = data, .size = size}};

    return apply_one(table, &op);
}

int jobtab_finish(struct jobtab *table, const struct jobtab_id *id,
                  const struct jobtab_token *token, const struct jobtab_finish *finish)
{
    struct jobtab_op op = {.verb = JOBTAB_FINISH, .id = *id, .token = *token, .finish = *finish};

    return apply_one(table, &op);
}

int jobtab_release(struct jobtab *table, const struct jobtab_id *id,
                   const struct jobtab_token *token)
{
    struct jobtab_op op = {.verb = JOBTAB_RELEASE, .id = *id, .token = *token};

    return apply_one(table, &op);
}

int jobtab_cancel(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job)
{
    struct jobtab_op op = {.verb = JOBTAB_CANCEL, .id = *id, .job = job};

    return apply_one(table, &op);
}

int jobtab_retry(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job)
{
    struct jobtab_op op = {.verb = JOBTAB_RETRY, .id = *id, .job = job};

    return apply_one(table, &op);
}

int jobtab_delete(struct jobtab *table, const struct jobtab_id *id)
{
    struct jobtab_op op = {.verb = JOBTAB_DELETE, .id = *id};

    return apply_one(table, &op);
}

int jobtab_restore(struct jobtab *table, const struct jobtab_restore *restore,
                   struct jobtab_job *job)
{
    struct jobtab_op op = {.verb = JOBTAB_RESTORE, .restore = *restore, .job = job};

    return apply_one(table, &op);
}
