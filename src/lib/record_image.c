/* record_image.c - see record_image.h. */
#include "record_image.h"

#include "error.h"

char *put_list_header(char *at, const struct format *format)
{
    at = put_header(at, format->flags, format->string, format->string_size);
    return put_u32(at, LIST_VERSION);
}

void encode_list(const struct format *format, const void *from, struct image *image)
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

void take_text(struct reader *reader, const struct field *f, char *text)
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

int open_image(struct slice bytes, uint8_t flags, const char *string, size_t string_size,
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

int close_image(const struct reader *reader)
{
    if (reader->fault)
        return fail(reader->later ? JOBTAB_SCHEMA : JOBTAB_DAMAGED, "%simage: %s",
                    reader->later ? "" : "damaged ", reader->fault);
    if (reader->at != reader->end)
        return fail(JOBTAB_DAMAGED, "damaged image: bytes are left over");
    return JOBTAB_OK;
}

int open_list(struct slice bytes, const struct format *format, struct reader *reader)
{
    int rc = open_image(bytes, format->flags, format->string, format->string_size, reader);

    if (rc)
        return rc;
    uint32_t version = take_u32(reader);
    if (!reader->fault && version != LIST_VERSION)
        return fail(JOBTAB_SCHEMA, "the image has version %u; this library knows %d", version,
                    LIST_VERSION);
    return JOBTAB_OK;
}

int decode_list(const struct format *format, struct slice bytes, void *to)
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
