/* record.c - tpl images of records: encode through tpl, decode in place. See record.h.
 *
 * An image is "tpl", a flags byte, the total length (u32), the format string with its NUL, then the
 * fields without padding: U and I 8 bytes, u and i 4, s its length + 1 (u32) and its bytes.
 * All in the byte order of this machine, which the flags byte names. The first field of each
 * format is its version.
 */
#include "record.h"

#include "error.h"

#include <stdio.h>
#include <string.h>
#include <tpl.h>

#define VERSION 1 /* of every format below */

#define RECORD_FORMAT "uuuiuuuuuUUUIIIIIIIIUUUUussss"
#define HOT_FORMAT "uUuIuUiUUUUIIUUs"
#define TOTALS_FORMAT "uUUUUUUUUUUUU"
#define COUNT_FORMAT "uUUUUUUU"
#define POLICY_FORMAT "uuuII"
#define SETTINGS_FORMAT "uUUIUUUuu"

/* ------------------------------------------------------------------- encode */

/* Pack a mapped node into the image and free it. */
static int dump(tpl_node *node, struct image *image)
{
    int rc = -1;

    if (node && tpl_pack(node, 0) >= 0 && tpl_dump(node, TPL_GETSIZE, &image->size) == 0 &&
        image->size <= sizeof image->bytes)
        rc = tpl_dump(node, TPL_MEM | TPL_PREALLOCD, image->bytes, sizeof image->bytes);
    if (node)
        tpl_free(node);
    return rc ? fail(JOBTAB_SYSTEM, "cannot encode a record") : JOBTAB_OK;
}

/* tpl takes pointers to fields that it will read; it does not write through them when packing. */
#define IN(field) ((void *)(uintptr_t)&(field))

static char format_of[][32] = {RECORD_FORMAT, HOT_FORMAT,    TOTALS_FORMAT,
                               COUNT_FORMAT,  POLICY_FORMAT, SETTINGS_FORMAT};
enum { RECORD, HOT, TOTALS, COUNT, POLICY, SETTINGS };

int record_encode(const struct record *record, struct image *image)
{
    const struct jobtab_job *job = &record->job;
    uint32_t version = VERSION, state = job->state, reason = job->reason;
    uint32_t format = job->result_format;
    const char *kind = job->kind, *key = job->key, *message = job->message, *error = job->error;

    return dump(tpl_map(format_of[RECORD], &version, &state, &reason, IN(job->priority),
                        IN(job->progress), IN(job->attempt), IN(job->max_attempts),
                        IN(job->crashes), IN(job->max_crashes), IN(job->version),
                        IN(record->queued), IN(record->request), IN(job->backoff),
                        IN(job->timeout), IN(job->created_at), IN(job->run_at),
                        IN(job->started_at), IN(job->updated_at), IN(job->finished_at),
                        IN(job->expires_at), IN(job->params_size), IN(job->result_size),
                        IN(job->log_begin), IN(job->log_end), &format, &kind, &key, &message,
                        &error),
                image);
}

int hot_encode(const struct hot *hot, struct image *image)
{
    uint32_t version = VERSION;
    const char *message = hot->message;

    return dump(tpl_map(format_of[HOT], &version, IN(hot->version), IN(hot->progress),
                        IN(hot->updated_at), IN(hot->attempt), IN(hot->secret),
                        IN(hot->owner.pid), IN(hot->owner.start_time), IN(hot->owner.instance),
                        IN(hot->boot.high), IN(hot->boot.low), IN(hot->lease),
                        IN(hot->deadline), IN(hot->log_begin), IN(hot->log_end), &message),
                image);
}

int totals_encode(const struct totals *totals, struct image *image)
{
    uint32_t version = VERSION;
    uint64_t high, low;

    memcpy(&high, totals->last_id.bytes, 8);
    memcpy(&low, totals->last_id.bytes + 8, 8);
    return dump(tpl_map(format_of[TOTALS], &version, IN(totals->sequence), &high, &low,
                        IN(totals->submitted), IN(totals->claimed), IN(totals->completed),
                        IN(totals->failed), IN(totals->cancelled), IN(totals->retried),
                        IN(totals->owners_lost), IN(totals->expired), IN(totals->evicted)),
                image);
}

int count_encode(const struct count *count, struct image *image)
{
    uint32_t version = VERSION;
    const uint64_t *n = count->states;

    return dump(tpl_map(format_of[COUNT], &version, IN(n[0]), IN(n[1]), IN(n[2]), IN(n[3]),
                        IN(n[4]), IN(n[5]), IN(n[6])),
                image);
}

int policy_encode(const struct jobtab_policy *policy, struct image *image)
{
    uint32_t version = VERSION;

    return dump(tpl_map(format_of[POLICY], &version, IN(policy->max_attempts),
                        IN(policy->max_crashes), IN(policy->backoff), IN(policy->timeout)),
                image);
}

int settings_encode(const struct jobtab_options *settings, struct image *image)
{
    uint32_t version = VERSION;

    return dump(tpl_map(format_of[SETTINGS], &version, IN(settings->map_size),
                        IN(settings->max_jobs), IN(settings->retention),
                        IN(settings->params_max), IN(settings->result_max),
                        IN(settings->log_max), IN(settings->high_water),
                        IN(settings->max_readers)),
                image);
}

/* ------------------------------------------------------------------- decode */

/* What is left of an image. After a fault everything reads as zero, so that a decoder is a plain
 * list of its fields and looks at `fault` once, at its end. */
struct reader {
    const char *at, *end;
    const char *fault;
};

static inline void take(struct reader *reader, void *field, size_t size)
{
    if ((size_t)(reader->end - reader->at) < size) {
        reader->fault = "it is cut short";
        memset(field, 0, size);
        return;
    }
    memcpy(field, reader->at, size);
    reader->at += size;
}

static uint32_t take_u32(struct reader *reader)
{
    uint32_t value;

    take(reader, &value, sizeof value);
    return value;
}

static int32_t take_i32(struct reader *reader)
{
    int32_t value;

    take(reader, &value, sizeof value);
    return value;
}

static uint64_t take_u64(struct reader *reader)
{
    uint64_t value;

    take(reader, &value, sizeof value);
    return value;
}

static int64_t take_i64(struct reader *reader)
{
    int64_t value;

    take(reader, &value, sizeof value);
    return value;
}

/* A string into its array, NUL behind it. */
static void take_text(struct reader *reader, char *text, size_t size)
{
    uint32_t length = take_u32(reader); /* + 1; 0 is a null string */

    text[0] = '\0';
    if (reader->fault || length <= 1)
        return;
    if (--length >= size || length > (size_t)(reader->end - reader->at) ||
        memchr(reader->at, '\0', length)) {
        reader->fault = "a string in it is too long or broken";
        return;
    }
    take(reader, text, length);
    text[length] = '\0';
}

/* A number that must be below `limit`. */
static uint32_t take_enum(struct reader *reader, uint32_t limit, const char *fault)
{
    uint32_t value = take_u32(reader);

    if (value < limit)
        return value;
    reader->fault = fault;
    return 0;
}

/* Check all that stands before the fields. */
static int open_image(struct slice bytes, const char *format, struct reader *reader)
{
    const size_t header = 8, format_size = strlen(format) + 1;
    /* Bit 0: big-endian. Bit 1: null-capable strings, set where the format has a string. */
    const unsigned char flags = (unsigned char)((__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) |
                                                (strchr(format, 's') ? 0x02 : 0));
    const char *image = bytes.data;
    uint32_t size;

    if (bytes.size < header + format_size || memcmp(image, "tpl", 3) != 0 ||
        (unsigned char)image[3] != flags)
        return fail(JOBTAB_DAMAGED, "no tpl image of this machine's kind");
    memcpy(&size, image + 4, sizeof size);
    if (size != bytes.size)
        return fail(JOBTAB_DAMAGED, "the image says that it is %u bytes, and is %zu", size,
                    bytes.size);
    if (memcmp(image + header, format, format_size) != 0)
        return fail(JOBTAB_SCHEMA, "the image has another format");
    *reader = (struct reader){.at = image + header + format_size, .end = image + bytes.size};
    uint32_t version = take_u32(reader);
    if (version != VERSION)
        return fail(JOBTAB_SCHEMA, "the image has version %u; this library knows %d", version,
                    VERSION);
    return JOBTAB_OK;
}

static int close_image(const struct reader *reader)
{
    if (reader->fault)
        return fail(JOBTAB_DAMAGED, "damaged image: %s", reader->fault);
    if (reader->at != reader->end)
        return fail(JOBTAB_DAMAGED, "damaged image: bytes are left over");
    return JOBTAB_OK;
}

int record_decode(struct slice bytes, struct record *record)
{
    struct reader reader;
    int rc = open_image(bytes, RECORD_FORMAT, &reader);

    if (rc)
        return rc;
    /* The strings are not cleared: they end at their NUL. The id is the caller's. */
    struct jobtab_job *job = &record->job;
    job->state = take_enum(&reader, JOBTAB_STATES, "its state is none");
    job->reason = take_enum(&reader, JOBTAB_REASONS, "its reason is none");
    job->priority = take_i32(&reader);
    job->progress = take_enum(&reader, 101, "its progress is over 100");
    job->attempt = take_u32(&reader);
    job->max_attempts = take_u32(&reader);
    job->crashes = take_u32(&reader);
    job->max_crashes = take_u32(&reader);
    job->version = take_u64(&reader);
    record->queued = take_u64(&reader);
    record->request = take_u64(&reader);
    job->backoff = take_i64(&reader);
    job->timeout = take_i64(&reader);
    job->created_at = take_i64(&reader);
    job->run_at = take_i64(&reader);
    job->started_at = take_i64(&reader);
    job->updated_at = take_i64(&reader);
    job->finished_at = take_i64(&reader);
    job->expires_at = take_i64(&reader);
    job->params_size = take_u64(&reader);
    job->result_size = take_u64(&reader);
    job->log_begin = take_u64(&reader);
    job->log_end = take_u64(&reader);
    job->result_format = take_enum(&reader, JOBTAB_BYTES + 1, "its result format is none");
    take_text(&reader, job->kind, sizeof job->kind);
    take_text(&reader, job->key, sizeof job->key);
    take_text(&reader, job->message, sizeof job->message);
    take_text(&reader, job->error, sizeof job->error);
    job->owner = (struct jobtab_owner){0};
    return close_image(&reader);
}

int hot_decode(struct slice bytes, struct hot *hot)
{
    struct reader reader;
    int rc = open_image(bytes, HOT_FORMAT, &reader);

    if (rc)
        return rc;
    hot->version = take_u64(&reader);
    hot->progress = take_enum(&reader, 101, "its progress is over 100");
    hot->updated_at = take_i64(&reader);
    hot->attempt = take_u32(&reader);
    hot->secret = take_u64(&reader);
    hot->owner.pid = take_i32(&reader);
    hot->owner.start_time = take_u64(&reader);
    hot->owner.instance = take_u64(&reader);
    hot->boot.high = take_u64(&reader);
    hot->boot.low = take_u64(&reader);
    hot->lease = take_i64(&reader);
    hot->deadline = take_i64(&reader);
    hot->log_begin = take_u64(&reader);
    hot->log_end = take_u64(&reader);
    take_text(&reader, hot->message, sizeof hot->message);
    return close_image(&reader);
}

int totals_decode(struct slice bytes, struct totals *totals)
{
    struct reader reader;
    uint64_t high, low;
    int rc = open_image(bytes, TOTALS_FORMAT, &reader);

    if (rc)
        return rc;
    totals->sequence = take_u64(&reader);
    high = take_u64(&reader);
    low = take_u64(&reader);
    memcpy(totals->last_id.bytes, &high, 8);
    memcpy(totals->last_id.bytes + 8, &low, 8);
    totals->submitted = take_u64(&reader);
    totals->claimed = take_u64(&reader);
    totals->completed = take_u64(&reader);
    totals->failed = take_u64(&reader);
    totals->cancelled = take_u64(&reader);
    totals->retried = take_u64(&reader);
    totals->owners_lost = take_u64(&reader);
    totals->expired = take_u64(&reader);
    totals->evicted = take_u64(&reader);
    return close_image(&reader);
}

int count_decode(struct slice bytes, struct count *count)
{
    struct reader reader;
    int rc = open_image(bytes, COUNT_FORMAT, &reader);

    if (rc)
        return rc;
    for (int i = 0; i < JOBTAB_STATES; i++)
        count->states[i] = take_u64(&reader);
    return close_image(&reader);
}

int policy_decode(struct slice bytes, struct jobtab_policy *policy)
{
    struct reader reader;
    int rc = open_image(bytes, POLICY_FORMAT, &reader);

    if (rc)
        return rc;
    policy->max_attempts = take_u32(&reader);
    policy->max_crashes = take_u32(&reader);
    policy->backoff = take_i64(&reader);
    policy->timeout = take_i64(&reader);
    return close_image(&reader);
}

int settings_decode(struct slice bytes, struct jobtab_options *settings)
{
    struct reader reader;
    int rc = open_image(bytes, SETTINGS_FORMAT, &reader);

    if (rc)
        return rc;
    settings->map_size = take_u64(&reader);
    settings->max_jobs = take_u64(&reader);
    settings->retention = take_i64(&reader);
    settings->params_max = take_u64(&reader);
    settings->result_max = take_u64(&reader);
    settings->log_max = take_u64(&reader);
    settings->high_water = take_u32(&reader);
    settings->max_readers = take_u32(&reader);
    return close_image(&reader);
}
