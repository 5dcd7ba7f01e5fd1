/* fuzz_record.c - images of the table's records.
 *
 * The first byte says which of the formats, and whether the rest is a whole image or the fields of
 * one, to which a sound header is then put. What is decoded can be encoded, tpl itself accepts
 * that, and it decodes to the same once more.
 */
#include "fuzz.h"

#include "record.h"

#include <tpl.h>

static union decoded {
    struct record record;
    struct hot hot;
    struct totals totals;
    struct count count;
    struct jobtab_policy policy;
    struct jobtab_options settings;
} first, second;

/* One kind of image: decode into, and encode from, a union decoded. */
#define DECODER(name, member)                                                                     \
    static int decode_##name(struct slice bytes, union decoded *to)                               \
    {                                                                                             \
        return name##_decode(bytes, &to->member);                                                 \
    }
#define ENCODER(name, member)                                                                     \
    static void encode_##name(const union decoded *from, struct image *image)                     \
    {                                                                                             \
        name##_encode(&from->member, image);                                                      \
    }
#define FORMAT(name, member) DECODER(name, member) ENCODER(name, member)

FORMAT(totals, totals)
FORMAT(count, count)
FORMAT(policy, policy)
FORMAT(settings, settings)

/* A text that ends within its array: what is read beyond it lies in the same struct, and ASan says
 * nothing. */
#define ENDS(text) HOLDS(memchr((text), '\0', sizeof(text)) != NULL)

static int decode_record(struct slice bytes, union decoded *to)
{
    const struct jobtab_job *job = &to->record.job;
    enum jobtab_state state;
    uint64_t version;
    int looked = record_version(bytes, &state, &version), rc = record_decode(bytes, &to->record);

    HOLDS(rc != JOBTAB_OK ||
          (looked == JOBTAB_OK && state == job->state && version == job->version));
    ENDS(job->kind);
    ENDS(job->key);
    ENDS(job->message);
    ENDS(job->error);
    return rc;
}

static int decode_hot(struct slice bytes, union decoded *to)
{
    int rc = hot_decode(bytes, &to->hot);

    ENDS(to->hot.message);
    return rc;
}

ENCODER(hot, hot)

/* With the filling that it had. */
static void encode_record(const union decoded *from, struct image *image)
{
    record_encode(&from->record, image);
    record_fill(image, from->record.room);
}

static const struct {
    int (*decode)(struct slice bytes, union decoded *to);
    void (*encode)(const union decoded *from, struct image *image);
} formats[] = {
    {decode_record, encode_record},     {decode_hot, encode_hot},
    {decode_totals, encode_totals},     {decode_count, encode_count},
    {decode_policy, encode_policy},     {decode_settings, encode_settings},
};
#define N_FORMATS (sizeof formats / sizeof formats[0])

/* Without strings there is one image for one content. */
static int one_image_only(const char *format)
{
    return strchr(format, 's') == NULL;
}

/* What stands before the fields: "tpl", flags, total length, format string, and in a plain list the
 * version. */
static size_t header_size(const struct image *image)
{
    const char *format = image->bytes + 8;

    return 8 + strlen(format) + 1 + (*format == 'u' ? sizeof(uint32_t) : 0);
}

/* The header of format n as this library writes it; the total length in it is still to be put. */
static const struct image *sound_header(size_t n)
{
    static struct image headers[N_FORMATS];
    struct image *header = &headers[n];

    if (header->size == 0) {
        memset(&first, 0, sizeof first);
        formats[n].encode(&first, header);
        header->size = header_size(header);
    }
    return header;
}

/* The image of format n with these bytes as its fields, to be freed. */
static char *under_header(size_t n, const uint8_t *fields, size_t *size)
{
    const struct image *header = sound_header(n);
    uint32_t total = (uint32_t)(header->size + *size);
    char *bytes = malloc(total);

    HOLDS(bytes != NULL);
    memcpy(bytes, header->bytes, header->size);
    memcpy(bytes + 4, &total, sizeof total);
    memcpy(bytes + header->size, fields, *size);
    *size = total;
    return bytes;
}

static void check(size_t n, const char *bytes, size_t size)
{
    static struct image image, again;

    memset(&first, 0, sizeof first);
    if (formats[n].decode((struct slice){bytes, size}, &first) != JOBTAB_OK)
        return;
    formats[n].encode(&first, &image);
    char *format = tpl_peek(TPL_MEM, image.bytes, image.size);
    HOLDS(format != NULL);
    if (strcmp(bytes + 8, format) == 0) { /* else it was read as an older version */
        HOLDS(image.size == size);
        HOLDS(!one_image_only(format) || memcmp(image.bytes, bytes, size) == 0);
    }
    free(format);

    memset(&second, 0, sizeof second);
    HOLDS(formats[n].decode((struct slice){image.bytes, image.size}, &second) == JOBTAB_OK);
    formats[n].encode(&second, &again);
    HOLDS(image.size == again.size && memcmp(image.bytes, again.bytes, image.size) == 0);
}

/* The one format whose bytes are not decoded into a struct: they lie within the image. */
static void check_batch(const char *bytes, size_t size)
{
    char *again = malloc(size ? size : 1);
    struct slice outcomes;
    uint64_t epoch;

    HOLDS(again != NULL);
    if (batch_decode((struct slice){bytes, size}, &epoch, &outcomes) == JOBTAB_OK) {
        HOLDS((const char *)outcomes.data + outcomes.size == bytes + size);
        HOLDS(batch_encode(epoch, outcomes, again, size, &size) == JOBTAB_OK);
        HOLDS(memcmp(again, bytes, size) == 0);
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t n = (data[0] & 0x7f) % N_FORMATS;
    bool whole = data[0] & 0x80;
    size--;
    char *bytes = whole ? fuzz_bytes(data + 1, size) : under_header(n, data + 1, &size);
    check(n, bytes, size);
    check_batch(bytes, size);
    free(bytes);
    return 0;
}
