/* fuzz_body.c - the JSON body of POST /run. What is accepted is JSON, or blank; a value is what
 * jansson has for that member, and within its bounds; the piece of the body that an object is kept
 * as is that object. */
#include "fuzz.h"

#include <jansson.h>

#include "body.h"

static const struct body_field fields[] = {
    {"kind", BODY_STRING, 0, 32},          {"params", BODY_OBJECT, 0, 0},
    {"priority", BODY_WHOLE, -100, 100},   {"delay", BODY_DURATION, 0, 0},
    {"idempotency_key", BODY_STRING, 0, 128},
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

#define FLAGS (JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL)

/* jansson's own limits: a number that no double holds, a NUL in a name. */
static int is_limit(const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow ||
           json_error_code(error) == json_error_null_byte_in_key;
}

static int is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n')
            return 0;
    return 1;
}

static void check(const json_t *member, const struct body_field *field,
                  const struct body_value *value)
{
    json_t *piece;

    HOLDS(value->given == (member != NULL && !json_is_null(member)));
    if (!value->given)
        return;
    switch (field->type) {
    case BODY_STRING:
        HOLDS(value->size <= (size_t)field->max && strlen(value->text) == value->size);
        HOLDS(strcmp(value->text, json_string_value(member)) == 0);
        break;
    case BODY_WHOLE:
        HOLDS(value->number >= field->min && value->number <= field->max);
        break;
    case BODY_DURATION:
        HOLDS(value->number >= 0);
        break;
    case BODY_OBJECT:
        piece = json_loadb(value->text, value->size, FLAGS, NULL);
        HOLDS(piece != NULL && json_equal(piece, member));
        json_decref(piece);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct body_value values[N_FIELDS];
    struct body_fault fault = {0};
    char *text = fuzz_bytes(data, size);
    struct body *body = body_read(text, size, fields, N_FIELDS, values, &fault);
    if (body == NULL) {
        HOLDS(fault.status == 400 || fault.status == 422);
        HOLDS(strnlen(fault.field, sizeof fault.field) < sizeof fault.field);
        HOLDS(strnlen(fault.detail, sizeof fault.detail) < sizeof fault.detail);
        HOLDS(fault.detail[0] != '\0');
    } else {
        json_error_t error;
        json_t *root = json_loadb(text, size, FLAGS, &error);
        HOLDS(memchr(text, '\0', size) == NULL);
        HOLDS(root != NULL || is_blank(text, size) || is_limit(&error));
        for (size_t i = 0; i < N_FIELDS && !(root == NULL && !is_blank(text, size)); i++)
            check(json_object_get(root, fields[i].name), &fields[i], &values[i]);
        json_decref(root);
        body_free(body);
    }
    free(text);
    return 0;
}
