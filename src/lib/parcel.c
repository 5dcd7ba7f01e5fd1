/* parcel.c - packing operations into a slot. See parcel.h.
 *
 * An operation is copied as it stands, up to its outputs; what its pointers point to follows, and
 * the pointers become offsets from the request's begin (0 for NULL).
 */
#include "parcel.h"

#include "text.h"

#include <string.h>

#define HEAD offsetof(struct jobtab_op, job) /* inputs come first */

/* Every pointer of an operation's input. */
static const struct field {
    enum jobtab_verb verb;
    size_t pointer;
    size_t size;  /* where the number of its bytes stands; 0: a text, with its NUL */
    size_t fixed; /* or, not 0, the number of its bytes */
} fields[] = {
#define TEXT(verb, member) {verb, offsetof(struct jobtab_op, member), 0, 0}
#define BYTES(verb, member, size) \
    {verb, offsetof(struct jobtab_op, member), offsetof(struct jobtab_op, size), 0}
#define FIXED(verb, member, size) {verb, offsetof(struct jobtab_op, member), 0, size}
    TEXT(JOBTAB_SUBMIT, submit.kind),
    TEXT(JOBTAB_SUBMIT, submit.key),
    BYTES(JOBTAB_SUBMIT, submit.params, submit.params_size),
    TEXT(JOBTAB_CLAIM, claim.kind),
    TEXT(JOBTAB_REPORT, report.message),
    BYTES(JOBTAB_LOG, log.data, log.size),
    TEXT(JOBTAB_FINISH, finish.error),
    TEXT(JOBTAB_FINISH, finish.message),
    BYTES(JOBTAB_FINISH, finish.result, finish.result_size),
    FIXED(JOBTAB_RESTORE, restore.job, sizeof(struct jobtab_job)),
    BYTES(JOBTAB_RESTORE, restore.params, restore.params_size),
    BYTES(JOBTAB_RESTORE, restore.result, restore.result_size),
    BYTES(JOBTAB_RESTORE, restore.log, restore.log_size),
#undef TEXT
#undef BYTES
#undef FIXED
};
#define FIELDS (sizeof fields / sizeof *fields)

static size_t aligned(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static const char *pointer_in(const struct field *field, const struct jobtab_op *op)
{
    const char *pointer;

    memcpy(&pointer, (const char *)op + field->pointer, sizeof pointer);
    return pointer;
}

static size_t size_in(const struct field *field, const struct jobtab_op *op)
{
    size_t size;

    if (field->fixed)
        return field->fixed;
    if (!field->size)
        return strlen(pointer_in(field, op)) + 1;
    memcpy(&size, (const char *)op + field->size, sizeof size);
    return size;
}

size_t parcel_size(const struct jobtab_op *ops, size_t n, size_t *left)
{
    size_t size = 0;

    *left = 0;
    for (size_t i = 0; i < n; i++) {
        if (ops[i].result)
            continue;
        ++*left;
        size += HEAD;
        for (const struct field *field = fields; field < fields + FIELDS; field++)
            if (field->verb == ops[i].verb && pointer_in(field, &ops[i]))
                size += size_in(field, &ops[i]);
        size = aligned(size);
    }
    return size;
}

void parcel_pack(struct queue *queue, const struct slot *slot, const struct jobtab_op *ops, size_t n)
{
    char *request = slot_request(queue, slot);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (ops[i].result)
            continue;
        char *head = request + at;
        memcpy(head, &ops[i], HEAD);
        at += HEAD;
        for (const struct field *field = fields; field < fields + FIELDS; field++) {
            const char *from = field->verb == ops[i].verb ? pointer_in(field, &ops[i]) : NULL;
            if (!from)
                continue;
            size_t size = size_in(field, &ops[i]);
            memcpy(request + at, from, size);
            memcpy(head + field->pointer, &at, sizeof at);
            at += size;
        }
        at = aligned(at);
    }
}

/* Turn an offset back into a pointer. False when what it points to is not within the request. */
static bool resolve(const struct slot *slot, const char *request, const struct field *field,
                    struct jobtab_op *op, size_t *end)
{
    uintptr_t offset = (uintptr_t)pointer_in(field, op);
    size_t size;

    if (!offset)
        return true;
    if (offset > slot->size)
        return false;
    if (field->size || field->fixed)
        size = size_in(field, op);
    else
        size = strnlen(request + offset, slot->size - offset) + 1;
    if (size > slot->size - offset)
        return false;
    const char *pointer = request + offset;
    memcpy((char *)op + field->pointer, &pointer, sizeof pointer);
    if (offset + size > *end)
        *end = offset + size;
    return true;
}

bool parcel_unpack(struct queue *queue, const struct slot *slot, struct jobtab_op *ops)
{
    const char *request = slot_request(queue, slot);
    size_t at = 0;

    if (slot->n > slot_answers(queue, slot) || slot->size > slot_room(queue, slot))
        return false;
    for (uint32_t i = 0; i < slot->n; i++) {
        struct jobtab_op *op = &ops[i];
        if (at > slot->size || slot->size - at < HEAD)
            return false;
        memcpy(op, request + at, HEAD);
        at += HEAD;
        for (const struct field *field = fields; field < fields + FIELDS; field++)
            if (field->verb == op->verb && !resolve(slot, request, field, op, &at))
                return false;
        at = aligned(at);
        op->job = NULL;
        op->result = JOBTAB_OK;
        op->repeated = false;
        op->why[0] = '\0';
    }
    return true;
}

/* No job has this id. */
static const struct jobtab_id nobody;

void parcel_expect(struct jobtab_op *op, struct answer *answer)
{
    answer->job.id = nobody;
    op->job = &answer->job;
}

void parcel_answer(const struct jobtab_op *op, struct answer *answer)
{
    answer->result = op->result;
    answer->repeated = op->repeated;
    answer->id = op->id;
    answer->token = op->token;
    text_copy(answer->why, sizeof answer->why, op->why);
}

void parcel_accept(const struct answer *answer, struct jobtab_op *op)
{
    op->result = answer->result;
    op->repeated = answer->repeated;
    op->id = answer->id;
    op->token = answer->token;
    text_copy(op->why, sizeof op->why, answer->why);
    if (op->job && memcmp(&answer->job.id, &nobody, sizeof nobody) != 0)
        *op->job = answer->job;
}
