/* record_image.h - tpl images, written and read in place: what record.c and record_lists.c are
 * made of. Nobody else has a use for it.
 *
 * An image is "tpl", a flags byte, the total length (u32), the format string with its NUL, then the
 * fields without padding: U and I 8 bytes, u and i 4, v 2, c 1, s its length + 1 (u32) and its
 * bytes, B its length (u32) and its bytes, A the number of its elements (u32) and these. All in
 * the byte order of this machine, which the flags byte names.
 *
 * Most formats are a plain list of a struct's fields; the first field is the format's version.
 *
 * Not through tpl itself: it allocates some thirty times for an image, which was a fifth of a
 * submit, and it believes the lengths in what it reads. The tests hold what is written here against
 * tpl, byte for byte, and what is read.
 */
#ifndef RECORD_IMAGE_H
#define RECORD_IMAGE_H

#include "record.h"

#include <string.h>

/* ------------------------------------------------------------------ formats */

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

#define LIST_VERSION 1 /* of every plain list */
#define HEADER 8       /* "tpl", flags, total length */

/* -------------------------------------------------------------------- write */

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
static inline char *put_header(char *at, uint8_t flags, const char *string, size_t size)
{
    memcpy(at, "tpl", 3);
    at[3] = (char)flags;
    return put_bytes(at + HEADER, string, size);
}

static inline void end_image(struct image *image, const char *at)
{
    image->size = (size_t)(at - image->bytes);
    put_u32(image->bytes + 4, (uint32_t)image->size);
}

/* A plain list's header, the version with it; behind it come its fields. */
char *put_list_header(char *at, const struct format *format);
/* A whole struct as a plain list. Cannot fail: a struct's texts end within their arrays, and all of
 * the largest fits an image. */
void encode_list(const struct format *format, const void *from, struct image *image);

/* --------------------------------------------------------------------- read */

/* What is left of an image. */
struct reader {
    const char *at, *end;
    const char *fault;
    bool later; /* the fault is a field that only a later version has */
};

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
void take_text(struct reader *reader, const struct field *f, char *text);
/* Checks all that stands before the fields. */
int open_image(struct slice bytes, uint8_t flags, const char *string, size_t string_size,
               struct reader *reader);
/* The reader's fault, if it has met one, or that bytes are left over. */
int close_image(const struct reader *reader);
/* As open_image, of a plain list: the version, too. */
int open_list(struct slice bytes, const struct format *format, struct reader *reader);
/* A whole struct of a plain list. */
int decode_list(const struct format *format, struct slice bytes, void *to);

#endif
