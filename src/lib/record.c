/* record.c - tpl images of records, written and read in place. See record.h.
 *
 * An image is "tpl", a flags byte, the total length (u32), the format string with its NUL, then the
 * fields without padding: U and I 8 bytes, u and i 4, s its length + 1 (u32) and its bytes.
 * All in the byte order of this machine, which the flags byte names. The first field of each
 * format is its version.
 *
 * Not through tpl itself: it allocates some thirty times for an image, which was a fifth of a submit,
 * and it believes the lengths in what it reads. The tests hold what is written here against tpl,
 * byte for byte, and what is read.
 */
#include "record.h"

#include "error.h"

#include <string.h>

#define VERSION 1 /* of every format below */

/* A field of a format: where it stands in its struct, and for a number that names something what it
 * must be below, and the fault if it is not. */
struct field {
    uint16_t offset, size;
    uint32_t below;
    const char *fault;
};

/* Numbers come first, all of them together in `numbers_size` bytes; then texts. */
struct format {
    const char *string;
    const struct field *fields;
    uint8_t string_size; /* with its NUL */
    uint8_t flags, n_numbers, n;
    uint16_t numbers_size;
};

/* Each format is one list, N a number with tpl's type of it, T a text, of which all of this is made. */
#define FORMAT(list, has_texts)                                                                   \
    {                                                                                             \
        .string = "u" list(N_TYPE, T_TYPE), .string_size = sizeof("u" list(N_TYPE, T_TYPE)),      \
        .flags = BYTE_ORDER_FLAG | (has_texts), .n_numbers = 0 list(N_ONE, T_NONE),               \
        .n = 0 list(N_ONE, T_ONE), .numbers_size = 0 list(N_SIZE, T_NONE),                        \
        .fields = (const struct field[]){list(FIELD, T_FIELD)},                                   \
    }
#define FIELD(type, from, name, ...)                                                              \
    {.offset = offsetof(struct from, name), .size = SIZE_##type, __VA_ARGS__},
#define T_FIELD(from, name)                                                                       \
    {.offset = offsetof(struct from, name), .size = sizeof((struct from *)0)->name},
#define SIZE_u 4
#define SIZE_i 4
#define SIZE_U 8
#define SIZE_I 8
#define N_TYPE(type, ...) #type
#define T_TYPE(...) "s"
#define N_ONE(...) +1
#define T_ONE(...) +1
#define T_NONE(...)
#define N_SIZE(type, ...) +SIZE_##type

/* The flags byte. tpl sets the second where the format has a string: a null one can be told. */
#define BYTE_ORDER_FLAG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#define TEXTS 0x02

#define RECORD(N, T)                                                                              \
    N(u, record, job.state, .below = JOBTAB_STATES, .fault = "its state is none")                 \
    N(u, record, job.reason, .below = JOBTAB_REASONS, .fault = "its reason is none")              \
    N(i, record, job.priority)                                                                    \
    N(u, record, job.progress, .below = 101, .fault = "its progress is over 100")                 \
    N(u, record, job.attempt)                                                                     \
    N(u, record, job.max_attempts)                                                                \
    N(u, record, job.crashes)                                                                     \
    N(u, record, job.max_crashes)                                                                 \
    N(U, record, job.version)                                                                     \
    N(U, record, queued)                                                                          \
    N(U, record, request)                                                                         \
    N(I, record, job.backoff)                                                                     \
    N(I, record, job.timeout)                                                                     \
    N(I, record, job.created_at)                                                                  \
    N(I, record, job.run_at)                                                                      \
    N(I, record, job.started_at)                                                                  \
    N(I, record, job.updated_at)                                                                  \
    N(I, record, job.finished_at)                                                                 \
    N(I, record, job.expires_at)                                                                  \
    N(U, record, job.params_size)                                                                 \
    N(U, record, job.result_size)                                                                 \
    N(U, record, job.log_begin)                                                                   \
    N(U, record, job.log_end)                                                                     \
    N(u, record, job.result_format, .below = JOBTAB_BYTES + 1,                                    \
      .fault = "its result format is none")                                                       \
    T(record, job.kind)                                                                           \
    T(record, job.key)                                                                            \
    T(record, job.message)                                                                        \
    T(record, job.error)

#define HOT(N, T)                                                                                 \
    N(U, hot, version)                                                                            \
    N(u, hot, progress, .below = 101, .fault = "its progress is over 100")                        \
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

#define TOTALS(N, T)                                                                              \
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

#define COUNT(N, T)                                                                               \
    N(U, count, states[0])                                                                        \
    N(U, count, states[1])                                                                        \
    N(U, count, states[2])                                                                        \
    N(U, count, states[3])                                                                        \
    N(U, count, states[4])                                                                        \
    N(U, count, states[5])                                                                        \
    N(U, count, states[6])

#define POLICY(N, T)                                                                              \
    N(u, jobtab_policy, max_attempts)                                                             \
    N(u, jobtab_policy, max_crashes)                                                              \
    N(I, jobtab_policy, backoff)                                                                  \
    N(I, jobtab_policy, timeout)

#define SETTINGS(N, T)                                                                            \
    N(U, jobtab_options, map_size)                                                                \
    N(U, jobtab_options, max_jobs)                                                                \
    N(I, jobtab_options, retention)                                                               \
    N(U, jobtab_options, params_max)                                                              \
    N(U, jobtab_options, result_max)                                                              \
    N(U, jobtab_options, log_max)                                                                 \
    N(u, jobtab_options, high_water)                                                              \
    N(u, jobtab_options, max_readers)

static const struct format record_format = FORMAT(RECORD, TEXTS);
static const struct format hot_format = FORMAT(HOT, TEXTS);
static const struct format totals_format = FORMAT(TOTALS, 0);
static const struct format count_format = FORMAT(COUNT, 0);
static const struct format policy_format = FORMAT(POLICY, 0);
static const struct format settings_format = FORMAT(SETTINGS, 0);

/* Its bytes, B, are no field of a struct. */
static const struct format batch_format = {.string = "uUB", .string_size = sizeof "uUB",
                                           .flags = BYTE_ORDER_FLAG};

#define HEADER 8 /* "tpl", flags, total length */

/* ------------------------------------------------------------------- encode */

static inline char *put_u32(char *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

/* What stands before the fields, but for the length. */
static inline char *put_header(char *at, const struct format *format)
{
    memcpy(at, "tpl", 3);
    at[3] = (char)format->flags;
    memcpy(at + HEADER, format->string, format->string_size);
    return put_u32(at + HEADER + format->string_size, VERSION);
}

/* Cannot fail: a struct's texts end within their arrays, and all of the largest fits an image. */
static void encode(const struct format *format, const void *from, struct image *image)
{
    const char *base = from;
    char *at = put_header(image->bytes, format);

    const struct field *f = format->fields;
    for (const struct field *end = f + format->n_numbers; f < end; f++) {
        memcpy(at, base + f->offset, f->size == 8 ? 8 : 4);
        at += f->size;
    }
    for (const struct field *end = format->fields + format->n; f < end; f++) {
        size_t length = strnlen(base + f->offset, f->size - 1u);
        at = put_u32(at, (uint32_t)length + 1);
        memcpy(at, base + f->offset, length);
        at += length;
    }
    image->size = (size_t)(at - image->bytes);
    put_u32(image->bytes + 4, (uint32_t)image->size);
}

void record_encode(const struct record *record, struct image *image)
{
    encode(&record_format, record, image);
}

void hot_encode(const struct hot *hot, struct image *image)
{
    encode(&hot_format, hot, image);
}

void totals_encode(const struct totals *totals, struct image *image)
{
    encode(&totals_format, totals, image);
}

void count_encode(const struct count *count, struct image *image)
{
    encode(&count_format, count, image);
}

void policy_encode(const struct jobtab_policy *policy, struct image *image)
{
    encode(&policy_format, policy, image);
}

void settings_encode(const struct jobtab_options *settings, struct image *image)
{
    encode(&settings_format, settings, image);
}

int batch_encode(uint64_t epoch, struct slice outcomes, char *image, size_t room, size_t *size)
{
    *size = (size_t)HEADER + batch_format.string_size + 4 + sizeof epoch + 4 + outcomes.size;
    if (*size > room)
        return fail(JOBTAB_SYSTEM, "a record of %zu bytes is over its room", *size);
    char *at = put_header(image, &batch_format);
    memcpy(at, &epoch, sizeof epoch);
    at = put_u32(at + sizeof epoch, (uint32_t)outcomes.size);
    memcpy(at, outcomes.data, outcomes.size);
    put_u32(image + 4, (uint32_t)*size);
    return JOBTAB_OK;
}

/* ------------------------------------------------------------------- decode */

/* What is left of an image. */
struct reader {
    const char *at, *end;
    const char *fault; /* the first is kept; after it nothing more is read */
};

static void take_number(struct reader *reader, const struct field *f, char *field)
{
    uint32_t value;

    if (f->size == 8) {
        memcpy(field, reader->at, 8);
    } else {
        memcpy(&value, reader->at, 4);
        if (f->below && value >= f->below) {
            reader->fault = f->fault;
            value = 0;
        }
        memcpy(field, &value, 4);
    }
    reader->at += f->size;
}

/* NUL behind it; the rest of its array is left as it was. */
static void take_text(struct reader *reader, const struct field *f, char *text)
{
    size_t left = (size_t)(reader->end - reader->at);
    uint32_t length; /* + 1; 0 is a null string */

    text[0] = '\0';
    if (left < sizeof length) {
        reader->fault = "it is cut short";
        return;
    }
    memcpy(&length, reader->at, sizeof length);
    reader->at += sizeof length;
    left -= sizeof length;
    if (length <= 1)
        return;
    if (--length >= f->size || length > left || memchr(reader->at, '\0', length)) {
        reader->fault = "a string in it is too long or broken";
        reader->at = reader->end;
        return;
    }
    memcpy(text, reader->at, length);
    text[length] = '\0';
    reader->at += length;
}

/* Check all that stands before the fields. */
static int open_image(struct slice bytes, const struct format *format, struct reader *reader)
{
    const char *image = bytes.data;
    uint32_t size, version;

    if (bytes.size < HEADER + format->string_size + sizeof version || memcmp(image, "tpl", 3) != 0 ||
        (uint8_t)image[3] != format->flags)
        return fail(JOBTAB_DAMAGED, "no tpl image of this machine's kind");
    memcpy(&size, image + 4, sizeof size);
    if (size != bytes.size)
        return fail(JOBTAB_DAMAGED, "the image says that it is %u bytes, and is %zu", size,
                    bytes.size);
    if (memcmp(image + HEADER, format->string, format->string_size) != 0)
        return fail(JOBTAB_SCHEMA, "the image has another format");
    reader->at = image + HEADER + format->string_size;
    memcpy(&version, reader->at, sizeof version);
    reader->at += sizeof version;
    if (version != VERSION)
        return fail(JOBTAB_SCHEMA, "the image has version %u; this library knows %d", version,
                    VERSION);
    return JOBTAB_OK;
}

static int decode(const struct format *format, struct slice bytes, void *to)
{
    struct reader reader = {.end = (const char *)bytes.data + bytes.size};
    char *base = to;
    int rc = open_image(bytes, format, &reader);

    if (rc)
        return rc;
    if ((size_t)(reader.end - reader.at) < format->numbers_size)
        return fail(JOBTAB_DAMAGED, "damaged image: it is cut short");
    const struct field *f = format->fields;
    for (const struct field *end = f + format->n_numbers; f < end; f++)
        take_number(&reader, f, base + f->offset);
    for (const struct field *end = format->fields + format->n; f < end; f++)
        take_text(&reader, f, base + f->offset);
    if (reader.fault)
        return fail(JOBTAB_DAMAGED, "damaged image: %s", reader.fault);
    if (reader.at != reader.end)
        return fail(JOBTAB_DAMAGED, "damaged image: bytes are left over");
    return JOBTAB_OK;
}

int record_decode(struct slice bytes, struct record *record)
{
    record->job.owner = (struct jobtab_owner){0};
    return decode(&record_format, bytes, record); /* the id is the caller's */
}

int hot_decode(struct slice bytes, struct hot *hot)
{
    return decode(&hot_format, bytes, hot);
}

int totals_decode(struct slice bytes, struct totals *totals)
{
    return decode(&totals_format, bytes, totals);
}

int count_decode(struct slice bytes, struct count *count)
{
    return decode(&count_format, bytes, count);
}

int policy_decode(struct slice bytes, struct jobtab_policy *policy)
{
    return decode(&policy_format, bytes, policy);
}

int settings_decode(struct slice bytes, struct jobtab_options *settings)
{
    return decode(&settings_format, bytes, settings);
}

int batch_decode(struct slice bytes, uint64_t *epoch, struct slice *outcomes)
{
    struct reader reader = {.end = (const char *)bytes.data + bytes.size};
    uint32_t size;
    int rc = open_image(bytes, &batch_format, &reader);

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
