/* verbs.h - what can be done to a job. One function a verb, listed in apply.c.
 *
 * check_VERB looks at the arguments alone, before the writer's lock is taken. do_VERB runs inside
 * the edit: it returns the operation's result, and a refusal has written nothing. An error of the
 * store sticks to the edit's transaction and fails the whole of it.
 */
#ifndef VERBS_H
#define VERBS_H

#include "edit.h"

int check_submit(const struct jobtab_op *op);
int check_claim(const struct jobtab_op *op);
int check_report(const struct jobtab_op *op);
int check_renew(const struct jobtab_op *op);
int check_log(const struct jobtab_op *op);
int check_finish(const struct jobtab_op *op);
int check_take(const struct jobtab_op *op);
int check_restore(const struct jobtab_op *op);

/* The JSON in it, which takes time. */
int check_params(const struct jobtab_op *op);
int check_result(const struct jobtab_op *op);
int check_parts(const struct jobtab_op *op);

int do_submit(struct edit *edit, struct jobtab_op *op);
int do_claim(struct edit *edit, struct jobtab_op *op);
int do_report(struct edit *edit, struct jobtab_op *op);
int do_renew(struct edit *edit, struct jobtab_op *op);
int do_log(struct edit *edit, struct jobtab_op *op);
int do_finish(struct edit *edit, struct jobtab_op *op);
int do_release(struct edit *edit, struct jobtab_op *op);
int do_cancel(struct edit *edit, struct jobtab_op *op);
int do_retry(struct edit *edit, struct jobtab_op *op);
int do_delete(struct edit *edit, struct jobtab_op *op);
int do_take(struct edit *edit, struct jobtab_op *op);
int do_restore(struct edit *edit, struct jobtab_op *op);

/* Refuse what is wrong in itself, the JSON in it only if `bytes`. True when something is left to
 * do. */
bool ops_check(struct jobtab_op *ops, size_t n, bool bytes);
/* Apply those that have no result yet. The store's error, if it has one: then none was done. */
int ops_apply(struct edit *edit, struct jobtab_op *ops, size_t n);

/* Hand the job to the caller if it asked for it. */
void give_job(struct jobtab_op *op, const struct record *record);

/* Make the caller the owner of the pending job op->id, for as long as its process lives, or `lease`
 * ms; op->token. */
int take_job(struct edit *edit, struct jobtab_op *op, int64_t lease);

/* Room for one job more, with `bytes` of parts, at the cost of the oldest finished ones if need be
 * and if `evict`. */
int make_room(struct edit *edit, uint64_t bytes, bool evict);

/* JOBTAB_TOOBIG, naming `field`, when it has more bytes than `most`. */
int check_size(const char *field, size_t size, uint64_t most);

/* JOBTAB_INVALID, naming `field`, unless the bytes are one JSON text. */
int check_json(const char *field, const void *data, size_t size);

#endif
