/* fuzz_parcel.c - requests in the shared file, which another process wrote and may have spoiled.
 *
 * The first byte says how many operations there are. What comes out lies within the request, and
 * can be packed and unpacked once more.
 */
#include "fuzz.h"

#include "parcel.h"

static struct queue queue;
static uintptr_t begin, end;

static void bytes_within(const void *bytes, size_t size)
{
    uintptr_t at = (uintptr_t)bytes;

    HOLDS(!bytes || (at >= begin && at <= end && size <= end - at));
}

static void text_within(const char *text)
{
    bytes_within(text, 0);
    HOLDS(!text || memchr(text, '\0', end - (uintptr_t)text) != NULL);
}

static void check(const struct jobtab_op *op)
{
    switch (op->verb) {
    case JOBTAB_SUBMIT:
        text_within(op->submit.kind);
        text_within(op->submit.key);
        bytes_within(op->submit.params, op->submit.params_size);
        break;
    case JOBTAB_CLAIM:
        text_within(op->claim.kind);
        break;
    case JOBTAB_REPORT:
        text_within(op->report.message);
        break;
    case JOBTAB_LOG:
        bytes_within(op->log.data, op->log.size);
        break;
    case JOBTAB_FINISH:
        text_within(op->finish.error);
        text_within(op->finish.message);
        bytes_within(op->finish.result, op->finish.result_size);
        break;
    case JOBTAB_RESTORE:
        bytes_within(op->restore.job, op->restore.job ? sizeof *op->restore.job : 0);
        bytes_within(op->restore.params, op->restore.params_size);
        bytes_within(op->restore.result, op->restore.result_size);
        bytes_within(op->restore.log, op->restore.log_size);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct jobtab_owner self = {.pid = 1, .start_time = 1};
    struct jobtab_op ops[LARGE_ANSWERS], again[LARGE_ANSWERS];
    size_t left;

    if (size < 1 || size - 1 > LARGE_REQUEST)
        return 0;
    struct slot *slot = queue_take(&queue, &self, size - 1, LARGE_ANSWERS);
    HOLDS(slot != NULL);
    slot->n = data[0]; /* more than there is room for, too */
    memcpy(slot_request(&queue, slot), data + 1, size - 1);
    begin = (uintptr_t)slot_request(&queue, slot);
    end = begin + slot->size;
    if (parcel_unpack(&queue, slot, ops)) {
        HOLDS(slot->n <= LARGE_ANSWERS);
        for (uint32_t i = 0; i < slot->n; i++)
            check(&ops[i]);
        size_t packed = parcel_size(ops, slot->n, &left);
        struct slot *other = queue_take(&queue, &self, packed, left);
        HOLDS(left == slot->n);
        if (other && other->n) { /* texts may share their bytes, and then need more room apart */
            parcel_pack(&queue, other, ops, slot->n);
            HOLDS(parcel_unpack(&queue, other, again));
            HOLDS(parcel_size(again, other->n, &left) == packed);
        }
        queue_put_back(other);
    }
    queue_put_back(slot);
    return 0;
}
