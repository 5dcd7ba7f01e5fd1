/* record_lists.c - what the table stores besides its jobs' records, each as a plain list of fields.
 * See record.h. */
#include "record_image.h"

#include "error.h"

#define HOT(N, E, T)                                                                              \
    N(U, hot, version)                                                                            \
    E(u, hot, progress, 100, "its progress is over 100")                                          \
    N(I, hot, updated_at)                                                                         \
    N(u, hot, attempt)                                                                            \
    N(U, hot, secret)                                                                             \
    N(i, hot, owner.pid)                                                                          \
    N(U, hot, owner.start_time)                                                                   \
    N(U, hot, owner.instance)                                                                     \
    N(U, hot, boot.high)                                                                          \
    N(U, hot, boot.low)                                                                           \
    N(I, hot, lease)                                                                              \
    N(I, hot, deadline)                                                                           \
    N(U, hot, log_begin)                                                                          \
    N(U, hot, log_end)                                                                            \
    T(hot, message)

#define TOTALS(N, E, T)                                                                           \
    N(U, totals, sequence)                                                                        \
    N(U, totals, last_id.bytes[0])                                                                \
    N(U, totals, last_id.bytes[8])                                                                \
    N(U, totals, submitted)                                                                       \
    N(U, totals, claimed)                                                                         \
    N(U, totals, completed)                                                                       \
    N(U, totals, failed)                                                                          \
    N(U, totals, cancelled)                                                                       \
    N(U, totals, retried)                                                                         \
    N(U, totals, owners_lost)                                                                     \
    N(U, totals, expired)                                                                         \
    N(U, totals, evicted)

#define COUNT(N, E, T)                                                                            \
    N(U, count, states[0])                                                                        \
    N(U, count, states[1])                                                                        \
    N(U, count, states[2])                                                                        \
    N(U, count, states[3])                                                                        \
    N(U, count, states[4])                                                                        \
    N(U, count, states[5])                                                                        \
    N(U, count, states[6])

#define POLICY(N, E, T)                                                                           \
    N(u, jobtab_policy, max_attempts)                                                             \
    N(u, jobtab_policy, max_crashes)                                                              \
    N(I, jobtab_policy, backoff)                                                                  \
    N(I, jobtab_policy, timeout)

#define SETTINGS(N, E, T)                                                                         \
    N(U, jobtab_options, map_size)                                                                \
    N(U, jobtab_options, max_jobs)                                                                \
    N(I, jobtab_options, retention)                                                               \
    N(U, jobtab_options, params_max)                                                              \
    N(U, jobtab_options, result_max)                                                              \
    N(U, jobtab_options, log_max)                                                                 \
    N(u, jobtab_options, high_water)                                                              \
    N(u, jobtab_options, max_readers)

static const struct format hot_format = FORMAT(HOT, TEXTS);
static const struct format totals_format = FORMAT(TOTALS, 0);
static const struct format count_format = FORMAT(COUNT, 0);
static const struct format policy_format = FORMAT(POLICY, 0);
static const struct format settings_format = FORMAT(SETTINGS, 0);

/* Its bytes, B, are no field of a struct. */
static const struct format batch_format = {.string = "uUB", .string_size = sizeof "uUB",
                                           .flags = BYTE_ORDER_FLAG};

/* ------------------------------------------------------------------- encode */

void hot_encode(const struct hot *hot, struct image *image)
{
    encode_list(&hot_format, hot, image);
}

void totals_encode(const struct totals *totals, struct image *image)
{
    encode_list(&totals_format, totals, image);
}

void count_encode(const struct count *count, struct image *image)
{
    encode_list(&count_format, count, image);
}

void policy_encode(const struct jobtab_policy *policy, struct image *image)
{
    encode_list(&policy_format, policy, image);
}

void settings_encode(const struct jobtab_options *settings, struct image *image)
{
    encode_list(&settings_format, settings, image);
}

int batch_encode(uint64_t epoch, struct slice outcomes, char *image, size_t room, size_t *size)
{
    *size = (size_t)HEADER + batch_format.string_size + 4 + sizeof epoch + 4 + outcomes.size;
    if (*size > room)
        return fail(JOBTAB_SYSTEM, "a record of %zu bytes is over its room", *size);
    char *at = put_list_header(image, &batch_format);
    memcpy(at, &epoch, sizeof epoch);
    at = put_u32(at + sizeof epoch, (uint32_t)outcomes.size);
    memcpy(at, outcomes.data, outcomes.size);
    put_u32(image + 4, (uint32_t)*size);
    return JOBTAB_OK;
}

/* ------------------------------------------------------------------- decode */

int hot_decode(struct slice bytes, struct hot *hot)
{
    return decode_list(&hot_format, bytes, hot);
}

int totals_decode(struct slice bytes, struct totals *totals)
{
    return decode_list(&totals_format, bytes, totals);
}

int count_decode(struct slice bytes, struct count *count)
{
    return decode_list(&count_format, bytes, count);
}

int policy_decode(struct slice bytes, struct jobtab_policy *policy)
{
    return decode_list(&policy_format, bytes, policy);
}

int settings_decode(struct slice bytes, struct jobtab_options *settings)
{
    return decode_list(&settings_format, bytes, settings);
}

int batch_decode(struct slice bytes, uint64_t *epoch, struct slice *outcomes)
{
    struct reader reader = {0};
    uint32_t size;
    int rc = open_list(bytes, &batch_format, &reader);

    if (rc)
        return rc;
    if ((size_t)(reader.end - reader.at) < sizeof *epoch + sizeof size)
        return fail(JOBTAB_DAMAGED, "damaged image: it is cut short");
    memcpy(epoch, reader.at, sizeof *epoch);
    memcpy(&size, reader.at + sizeof *epoch, sizeof size);
    reader.at += sizeof *epoch + sizeof size;
    if (size != (size_t)(reader.end - reader.at))
        return fail(JOBTAB_DAMAGED, "damaged image: its bytes are not as many as it says");
    *outcomes = (struct slice){.data = reader.at, .size = size};
    return JOBTAB_OK;
}
