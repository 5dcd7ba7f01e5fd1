/* record.c - the record of a job, of which a table has millions. See record.h, record_image.h.
 *
 * Version 1 was a plain list. Since version 2 a record is denser: fields that are zero or empty are
 * left out, and the others stand under their number in the shortest of three lists that holds them.
 * Behind them the small parts, and what fills the record's room.
 */
#include "record_image.h"

#include "error.h"

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

/* The numbers of 2, 4 and 8 bytes, the texts; params, result, filling. */
#define RECORD_2 "A(cv)A(cu)A(cI)A(cs)BBB"

static const struct format record_format = FORMAT(RECORD, TEXTS);

/* ------------------------------------------------------------------- encode */

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

/* ------------------------------------------------------------------- decode */

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
    return decode_list(&record_format, bytes, record);
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
