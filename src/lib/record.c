/* record.c - tpl images of records, written and read in place. See record.h.
 *
 * An image is "tpl", a flags byte, the total length (u32), the format string with its NUL, then the
 * fields without padding: U and I 8 bytes, u and i 4, v 2, c 1, s its length + 1 (u32) and its
 * bytes, B its length (u32) and its bytes, A the number of its elements (u32) and these. All in
 * the byte order of this machine, which the flags byte names.
 *
 * Most formats are a plain list of fields; the first field is the format's version. A job's record,
 * of which a table has millions, is denser since version 2: fields that are zero or empty are left
 * out, and the others stand under their number in the shortest of three lists that holds them.
 * Behind them the small parts, and what fills the record's room.
 *
 * Not through tpl itself: it allocates some thirty times for an image, which was a fifth of a
 * submit, and it believes the lengths in what it reads. The tests hold what is written here against
 * tpl, byte for byte, and what is read.
 */
#include "record.h"

#include "error.h"

#include <string.h>

#define VERSION 1 /* of every format below */

/* A field of a format: where it stands in its struct, and for a number that names something the
 * largest that does, and the fault if it is above. */
struct field {
    uint16_t offset, size;
    bool has_sign; /* of a number of 4 bytes */
    bool instant;  /* in a record of version 2: counted from the instant in the job's id */
    uint32_t max;
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

/* Each format is one list, of which all of this is made: N a number with tpl's type of it, E one
 * that has a largest, T a text. */
#define FORMAT(list, has_texts)                                                                   \
    {                                                                                             \
        .string = "u" list(TYPE, TYPE, TEXT_TYPE),                                                \
        .string_size = sizeof("u" list(TYPE, TYPE, TEXT_TYPE)),                                   \
        .flags = BYTE_ORDER_FLAG | (has_texts), .n_numbers = 0 list(ONE, ONE, NONE),              \
        .n = 0 list(ONE, ONE, ONE), .numbers_size = 0 list(SIZE, SIZE, NONE),                     \
        .fields = (const struct field[]){list(NUMBER, ENUM, TEXT)},                               \
    }
#define NUMBER(type, from, name, ...)                                                             \
    {.offset = offsetof(struct from, name), .size = SIZE_##type, .has_sign = SIGN_##type,         \
     .max = MAX_##type, __VA_ARGS__},
#define ENUM(type, from, name, largest, otherwise)                                                \
    {.offset = offsetof(struct from, name), .size = SIZE_##type, .max = (largest),                \
     .fault = (otherwise)},
#define TEXT(from, name)                                                                          \
    {.offset = offsetof(struct from, name), .size = sizeof((struct from *)0)->name},
#define TYPE(type, ...) #type
#define TEXT_TYPE(...) "s"
#define ONE(...) +1
#define NONE(...)
#define SIZE(type, ...) +SIZE_##type
#define SIZE_u 4
#define SIZE_i 4
#define SIZE_U 8
#define SIZE_I 8
#define SIGN_u false
#define SIGN_i true
#define SIGN_U false
#define SIGN_I true
#define MAX_u UINT32_MAX
#define MAX_i INT32_MAX
#define MAX_U 0 /* not looked at */
#define MAX_I 0

/* The flags byte. tpl sets the second where the format has a string: a null one can be told. */
#define BYTE_ORDER_FLAG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#define TEXTS 0x02

/* Version 1 has all of these, in this order; version 2 knows each number and each text by its place
 * here, counted from 1. */
#define RECORD(N, E, T)                                                                           \
    E(u, record, job.state, JOBTAB_STATES - 1, "its state is none")                               \
    E(u, record, job.reason, JOBTAB_REASONS - 1, "its reason is none")                            \
    N(i, record, job.priority)                                                                    \
    E(u, record, job.progress, 100, "its progress is over 100")                                   \
    N(u, record, job.attempt)                                                                     \
    N(u, record, job.max_attempts)                                                                \
    N(u, record, job.crashes)                                                                     \
    N(u, record, job.max_crashes)                                                                 \
    N(U, record, job.version)                                                                     \
    N(U, record, queued)                                                                          \
    N(U, record, request)                                                                         \
    N(I, record, job.backoff)                                                                     \
    N(I, record, job.timeout)                                                                     \
    N(I, record, job.created_at, .instant = true)                                                 \
    N(I, record, job.run_at, .instant = true)                                                     \
    N(I, record, job.started_at, .instant = true)                                                 \
    N(I, record, job.updated_at, .instant = true)                                                 \
    N(I, record, job.finished_at, .instant = true)                                                \
    N(I, record, job.expires_at, .instant = true)                                                 \
    N(U, record, job.params_size)                                                                 \
    N(U, record, job.result_size)                                                                 \
    N(U, record, job.log_begin)                                                                   \
    N(U, record, job.log_end)                                                                     \
    E(u, record, job.result_format, JOBTAB_BYTES, "its result format is none")                    \
    T(record, job.kind)                                                                           \
    T(record, job.key)                                                                            \
    T(record, job.message)                                                                        \
    T(record, job.error)

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

/* The numbers of 2, 4 and 8 bytes, the texts; params, result, filling. */
#define RECORD_2 "A(cv)A(cu)A(cI)A(cs)BBB"

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

static inline char *put_bytes(char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* What stands before the fields, but for the length. */
static char *put_header(char *at, uint8_t flags, const char *string, size_t size)
{
    memcpy(at, "tpl", 3);
    at[3] = (char)flags;
    return put_bytes(at + HEADER, string, size);
}

/* The same of a plain list of fields, the version with it. */
static char *put_list_header(char *at, const struct format *format)
{
    return put_u32(put_header(at, format->flags, format->string, format->string_size), VERSION);
}

static void end_image(struct image *image, const char *at)
{
    image->size = (size_t)(at - image->bytes);
    put_u32(image->bytes + 4, (uint32_t)image->size);
}

/* Cannot fail: a struct's texts end within their arrays, and all of the largest fits an image. */
static void encode(const struct format *format, const void *from, struct image *image)
{
    const char *base = from;
    char *at = put_list_header(image->bytes, format);

    const struct field *f = format->fields;
    for (const struct field *end = f + format->n_numbers; f < end; f++) {
        memcpy(at, base + f->offset, f->size == 8 ? 8 : 4);
        at += f->size;
    }
    for (const struct field *end = format->fields + format->n; f < end; f++) {
        size_t length = strnlen(base + f->offset, f->size - 1u);
        at = put_u32(at, (uint32_t)length + 1);
        at = put_bytes(at, base + f->offset, length);
    }
    end_image(image, at);
}

/* The instant in the id, from which the job's own are counted: most of them are near it. */
static uint64_t base_of(const struct jobtab_id *id)
{
    uint64_t base = 0;

    for (int i = 0; i < 6; i++)
        base = base << 8 | id->bytes[i];
    return base;
}

/* One more than what lies between, since 0 is no instant. What would be 0 then takes the place of
 * what no instant can be. */
static uint64_t from_instant(uint64_t instant, uint64_t base)
{
    if (!instant)
        return 0;
    return instant - base + 1 ? instant - base + 1 : 1 - base;
}

static inline uint64_t to_instant(uint64_t number, uint64_t base)
{
    return number == 1 - base ? base - 1 : base + number - 1;
}

static uint64_t number_of(const struct field *f, const char *field, uint64_t base)
{
    uint64_t wide;
    uint32_t narrow;

    if (f->size == 8) {
        memcpy(&wide, field, 8);
        return f->instant ? from_instant(wide, base) : wide;
    }
    memcpy(&narrow, field, 4);
    return f->has_sign ? (uint64_t)(int64_t)(int32_t)narrow : narrow;
}

/* A list of numbers as it grows. */
struct list {
    char *at;
    uint32_t n;
    char bytes[9 * (0 RECORD(ONE, ONE, NONE))];
};

static void add_number(struct list *list, size_t place, const void *value, size_t size)
{
    *list->at++ = (char)(place + 1);
    list->at = put_bytes(list->at, value, size);
    list->n++;
}

static char *put_list(char *at, const struct list *list)
{
    return put_bytes(put_u32(at, list->n), list->bytes, (size_t)(list->at - list->bytes));
}

static char *put_numbers(char *at, const struct record *record)
{
    uint64_t base = base_of(&record->job.id);
    struct list shorts = {.at = shorts.bytes}, words = {.at = words.bytes},
                longs = {.at = longs.bytes};

    for (size_t i = 0; i < record_format.n_numbers; i++) {
        const struct field *f = &record_format.fields[i];
        uint64_t number = number_of(f, (const char *)record + f->offset, base);
        if (!number)
            continue;
        if (number <= UINT16_MAX)
            add_number(&shorts, i, &(uint16_t){(uint16_t)number}, 2);
        else if (number <= UINT32_MAX)
            add_number(&words, i, &(uint32_t){(uint32_t)number}, 4);
        else
            add_number(&longs, i, &number, 8);
    }
    return put_list(put_list(put_list(at, &shorts), &words), &longs);
}

static char *put_texts(char *at, const struct record *record)
{
    const struct field *texts = record_format.fields + record_format.n_numbers;
    char *count = at;
    uint32_t n = 0;

    at += sizeof n;
    for (int i = 0; i < record_format.n - record_format.n_numbers; i++) {
        const char *text = (const char *)record + texts[i].offset;
        size_t length = strnlen(text, texts[i].size - 1u);
        if (!length)
            continue;
        *at++ = (char)(i + 1);
        at = put_u32(at, (uint32_t)length + 1);
        at = put_bytes(at, text, length);
        n++;
    }
    put_u32(count, n);
    return at;
}

static char *put_part(char *at, const struct slice *part)
{
    uint32_t size = part->data ? (uint32_t)part->size : 0;

    return put_bytes(put_u32(at, size), size ? part->data : "", size);
}

void record_encode(const struct record *record, struct image *image)
{
    struct record lean = *record;
    char *at = put_header(image->bytes, record_format.flags, RECORD_2, sizeof RECORD_2);

    /* A part that is here has its size here. */
    if (lean.params.data)
        lean.job.params_size = 0;
    if (lean.result.data)
        lean.job.result_size = 0;
    at = put_texts(put_numbers(at, &lean), &lean);
    at = put_part(put_part(at, &lean.params), &lean.result);
    end_image(image, put_u32(at, 0));
}

void record_fill(struct image *image, size_t size)
{
    if (image->size >= size || size > sizeof image->bytes)
        return;
    size_t filling = size - image->size;
    put_u32(image->bytes + image->size - sizeof(uint32_t), (uint32_t)filling);
    memset(image->bytes + image->size, 0, filling);
    end_image(image, image->bytes + size);
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
    char *at = put_list_header(image, &batch_format);
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
    const char *fault;
    bool later; /* the fault is a field that only a later version has */
};

static void take_number(struct reader *reader, const struct field *f, char *field)
{
    uint32_t value;

    if (f->size == 8) {
        memcpy(field, reader->at, 8);
    } else {
        memcpy(&value, reader->at, 4);
        if (value > f->max && !f->has_sign) {
            reader->fault = f->fault;
            value = 0;
        }
        memcpy(field, &value, 4);
    }
    reader->at += f->size;
}

static inline uint32_t take_u32(struct reader *reader)
{
    uint32_t value;

    if ((size_t)(reader->end - reader->at) < sizeof value) {
        reader->fault = "it is cut short";
        return 0;
    }
    memcpy(&value, reader->at, sizeof value);
    reader->at += sizeof value;
    return value;
}

/* NUL behind it; the rest of its array is left as it was. */
static void take_text(struct reader *reader, const struct field *f, char *text)
{
    uint32_t length = take_u32(reader); /* + 1; 0 is a null string */
    size_t left = (size_t)(reader->end - reader->at);

    text[0] = '\0';
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
static int open_image(struct slice bytes, uint8_t flags, const char *string, size_t string_size,
                      struct reader *reader)
{
    const char *image = bytes.data;
    uint32_t size;

    if (bytes.size < HEADER || memcmp(image, "tpl", 3) != 0 || (uint8_t)image[3] != flags)
        return fail(JOBTAB_DAMAGED, "no tpl image of this machine's kind");
    memcpy(&size, image + 4, sizeof size);
    if (size != bytes.size)
        return fail(JOBTAB_DAMAGED, "the image says that it is %u bytes, and is %zu", size,
                    bytes.size);
    if (size < HEADER + string_size || memcmp(image + HEADER, string, string_size) != 0)
        return fail(JOBTAB_SCHEMA, "the image has another format");
    *reader = (struct reader){.at = image + HEADER + string_size, .end = image + size};
    return JOBTAB_OK;
}

static int close_image(const struct reader *reader)
{
    if (reader->fault)
        return fail(reader->later ? JOBTAB_SCHEMA : JOBTAB_DAMAGED, "%simage: %s",
                    reader->later ? "" : "damaged ", reader->fault);
    if (reader->at != reader->end)
        return fail(JOBTAB_DAMAGED, "damaged image: bytes are left over");
    return JOBTAB_OK;
}

/* The same of a plain list of fields, the version with it. */
static int open_list(struct slice bytes, const struct format *format, struct reader *reader)
{
    int rc = open_image(bytes, format->flags, format->string, format->string_size, reader);

    if (rc)
        return rc;
    uint32_t version = take_u32(reader);
    if (!reader->fault && version != VERSION)
        return fail(JOBTAB_SCHEMA, "the image has version %u; this library knows %d", version,
                    VERSION);
    return JOBTAB_OK;
}

static int decode(const struct format *format, struct slice bytes, void *to)
{
    struct reader reader = {0};
    char *base = to;
    int rc = open_list(bytes, format, &reader);

    if (rc)
        return rc;
    if ((size_t)(reader.end - reader.at) < format->numbers_size)
        return fail(JOBTAB_DAMAGED, "damaged image: it is cut short");
    const struct field *f = format->fields;
    for (const struct field *end = f + format->n_numbers; f < end; f++)
        take_number(&reader, f, base + f->offset);
    for (const struct field *end = format->fields + format->n; f < end; f++)
        take_text(&reader, f, base + f->offset);
    return close_image(&reader);
}

/* ------------------------------------------------- decode a record of version 2 */

/* A number of 4 bytes that is out of its range, or negative. */
static void set_odd(struct reader *reader, const struct field *f, char *field, uint64_t number)
{
    uint32_t narrow = (uint32_t)number;

    if (f->has_sign && number == (uint64_t)(int64_t)(int32_t)narrow)
        memcpy(field, &narrow, 4);
    else
        reader->fault = f->fault ? f->fault : "a number in it is too large";
}

static inline uint64_t load(const char *at, size_t size)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (size) {
    case 2:
        memcpy(&two, at, 2);
        return two;
    case 4:
        memcpy(&four, at, 4);
        return four;
    default:
        memcpy(&eight, at, 8);
        return eight;
    }
}

/* The list of numbers of `size` bytes, which are above all that a shorter list holds. Inline, once
 * for each size: most of a read is here. */
static inline __attribute__((always_inline)) void
take_numbers(struct reader *reader, struct record *record, size_t size, uint64_t above,
             uint64_t base)
{
    uint32_t n = take_u32(reader);
    const char *at = reader->at;
    unsigned last = 0;

    if (n > (size_t)(reader->end - at) / (1 + size)) {
        reader->fault = "it is cut short";
        return;
    }
    for (; n > 0; n--, at += 1 + size) {
        unsigned place = (unsigned char)*at;
        uint64_t number = load(at + 1, size);
        if (place <= last || number <= above) {
            reader->fault = "a number in it is not where it belongs";
            return;
        }
        if (place > record_format.n_numbers) {
            reader->fault = "a field in it is of a later version";
            reader->later = true;
            return;
        }
        const struct field *f = &record_format.fields[place - 1];
        char *field = (char *)record + f->offset;
        if (f->size == 8) {
            number = f->instant ? to_instant(number, base) : number;
            memcpy(field, &number, 8);
        } else if (size == 8 || number > f->max) {
            set_odd(reader, f, field, number);
        } else {
            memcpy(field, &(uint32_t){(uint32_t)number}, 4);
        }
        last = place;
    }
    reader->at = at;
}

static void take_texts(struct reader *reader, struct record *record)
{
    const struct field *texts = record_format.fields + record_format.n_numbers;
    int last = 0;

    for (uint32_t n = take_u32(reader); n > 0 && !reader->fault; n--) {
        int place = reader->at < reader->end ? (unsigned char)*reader->at++ : 0;
        if (place <= last || place > record_format.n - record_format.n_numbers) {
            reader->fault = "a text in it is not where it belongs";
            return;
        }
        char *text = (char *)record + texts[place - 1].offset;
        take_text(reader, &texts[place - 1], text);
        if (!text[0] && !reader->fault)
            reader->fault = "a text in it is empty";
        last = place;
    }
}

/* Bytes in place. */
static struct slice take_part(struct reader *reader)
{
    struct slice part = {.size = take_u32(reader)};

    if (part.size > (size_t)(reader->end - reader->at)) {
        reader->fault = "it is cut short";
        part.size = 0;
    }
    part.data = part.size ? reader->at : NULL;
    reader->at += part.size;
    return part;
}

/* A part that is here has its size here, and nowhere else. */
static void take_sized(struct reader *reader, struct slice *part, uint64_t *size)
{
    *part = take_part(reader);
    if (part->size > RECORD_PART_MAX)
        reader->fault = "a part in it is too large";
    else if (part->data && *size)
        reader->fault = "a part of it is in two places";
    else if (part->data)
        *size = part->size;
}

static int decode_record_2(struct slice bytes, struct record *record)
{
    struct jobtab_job *job = &record->job;
    uint64_t base = base_of(&job->id);
    struct reader reader = {0};

    int rc = open_image(bytes, record_format.flags, RECORD_2, sizeof RECORD_2, &reader);
    if (rc)
        return rc;
    /* The strings are not cleared: they end at their NUL. */
    memset(&job->state, 0, sizeof *job - offsetof(struct jobtab_job, state));
    job->kind[0] = job->key[0] = job->message[0] = job->error[0] = '\0';
    record->queued = record->request = 0;
    take_numbers(&reader, record, 2, 0, base);
    take_numbers(&reader, record, 4, UINT16_MAX, base);
    take_numbers(&reader, record, 8, UINT32_MAX, base);
    take_texts(&reader, record);
    take_sized(&reader, &record->params, &job->params_size);
    take_sized(&reader, &record->result, &job->result_size);
    take_part(&reader); /* the filling */
    return close_image(&reader);
}

static bool is_version_2(struct slice bytes)
{
    return bytes.size > HEADER && ((const char *)bytes.data)[HEADER] == RECORD_2[0];
}

int record_decode(struct slice bytes, struct record *record)
{
    if (bytes.size > RECORD_MAX)
        return fail(JOBTAB_DAMAGED, "the image is of %zu bytes", bytes.size);
    record->room = bytes.size;
    if (is_version_2(bytes))
        return decode_record_2(bytes, record);
    record->job.owner = (struct jobtab_owner){0};
    record->params = record->result = (struct slice){0};
    return decode(&record_format, bytes, record);
}

/* Where the job's state and version stand in RECORD: a test holds them to it. */
enum { STATE_PLACE = 1, VERSION_PLACE = 9 };

/* One of the lists of version 2, for these two. */
static inline __attribute__((always_inline)) void
look_at_numbers(struct reader *reader, size_t size, uint64_t *state, uint64_t *version)
{
    uint32_t n = take_u32(reader);
    const char *at = reader->at;

    if (n > (size_t)(reader->end - at) / (1 + size)) {
        reader->fault = "it is cut short";
        return;
    }
    for (reader->at += n * (1 + size); n > 0 && (unsigned char)*at <= VERSION_PLACE;
         n--, at += 1 + size) {
        if (*at == STATE_PLACE)
            *state = load(at + 1, size);
        else if (*at == VERSION_PLACE)
            *version = load(at + 1, size);
    }
}

int record_version(struct slice bytes, enum jobtab_state *state, uint64_t *version)
{
    struct reader reader = {0};
    uint64_t number = 0;

    if (!is_version_2(bytes)) {
        struct record record;
        int rc = record_decode(bytes, &record);
        *state = record.job.state;
        *version = record.job.version;
        return rc;
    }
    int rc = open_image(bytes, record_format.flags, RECORD_2, sizeof RECORD_2, &reader);
    if (rc)
        return rc;
    *version = 0;
    look_at_numbers(&reader, 2, &number, version);
    look_at_numbers(&reader, 4, &number, version);
    look_at_numbers(&reader, 8, &number, version);
    *state = (enum jobtab_state)number;
    if (!reader.fault && number >= JOBTAB_STATES)
        reader.fault = "its state is none";
    return reader.fault ? fail(JOBTAB_DAMAGED, "damaged image: %s", reader.fault) : JOBTAB_OK;
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
