/* body.c - a request body that is a JSON object with named members.
 *
 * The body is checked and taken apart in place; only the few scalars that are asked for are parsed.
 * A parser on all of it would hold the event loop for half a second on a body of 1 MiB, and would
 * change what it could not represent: 1.10, or a whole number of more than 64 bits. */
#include "body.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"
#include "units.h"

#define DURATION_MAX_SECONDS (100.0 * 365 * 86400)

struct body {
    char *end; /* of the strings that stand behind the array: room for one of each string field */
    size_t n;
    json_t *parsed[]; /* one for each field that needed a parser, or NULL */
};

__attribute__((format(printf, 4, 5))) static bool refuse(struct body_fault *fault, int status,
                                                         const char *field, const char *format, ...)
{
    va_list arguments;

    fault->status = status;
    snprintf(fault->field, sizeof(fault->field), "%s", field);
    va_start(arguments, format);
    vsnprintf(fault->detail, sizeof(fault->detail), format, arguments);
    va_end(arguments);
    return false;
}

/* A scalar of sound text. NULL for a number that no double can hold. */
static json_t *parse(const struct json_piece *piece)
{
    return json_loadb(piece->text, piece->size,
                      JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
}

/* A string that holds no escape is its bytes. */
static bool is_plain(const struct json_piece *piece)
{
    return piece->text[0] == '"' && memchr(piece->text, '\\', piece->size) == NULL;
}

static bool check_string(const struct body_field *field, const struct body_value *value,
                         struct body_fault *fault)
{
    if (value->size > (size_t)field->max)
        return refuse(fault, 422, field->name, "%s is %zu bytes long; at most %lld are allowed",
                      field->name, value->size, (long long)field->max);
    for (size_t i = 0; i < value->size; i++)
        if ((unsigned char)value->text[i] < ' ' || value->text[i] == 0x7f)
            return refuse(fault, 422, field->name, "%s holds a control character", field->name);
    return true;
}

static bool read_plain(const struct body_field *field, const struct json_piece *piece,
                       struct body *body, struct body_value *value, struct body_fault *fault)
{
    value->text = piece->text + 1;
    value->size = piece->size - 2;
    if (!check_string(field, value, fault))
        return false;
    memcpy(body->end, value->text, value->size);
    value->text = body->end;
    body->end += value->size;
    *body->end++ = '\0';
    return true;
}

static bool read_string(const struct body_field *field, const json_t *json,
                        struct body_value *value, struct body_fault *fault)
{
    if (!json_is_string(json))
        return refuse(fault, 422, field->name, "%s must be a string", field->name);
    value->text = json_string_value(json);
    value->size = json_string_length(json);
    return check_string(field, value, fault);
}

static bool read_whole(const struct body_field *field, const json_t *json, struct body_value *value,
                       struct body_fault *fault)
{
    double number = json_number_value(json);

    if (!json_is_number(json))
        return refuse(fault, 422, field->name, "%s must be a whole number", field->name);
    if (number < (double)field->min || number > (double)field->max)
        return refuse(fault, 422, field->name, "%s must be from %lld to %lld", field->name,
                      (long long)field->min, (long long)field->max);
    value->number = (int64_t)number;
    if (number != (double)value->number)
        return refuse(fault, 422, field->name, "%s must be a whole number", field->name);
    return true;
}

static bool read_duration(const struct body_field *field, const json_t *json,
                          struct body_value *value, struct body_fault *fault)
{
    double seconds = json_number_value(json);

    if (json_is_string(json)) {
        if (strlen(json_string_value(json)) != json_string_length(json) ||
            units_duration(json_string_value(json), &value->number) != 0)
            return refuse(fault, 422, field->name,
                          "%s must be a duration such as \"90s\", \"10m\" or \"24h\"", field->name);
        return true;
    }
    if (!json_is_number(json))
        return refuse(fault, 422, field->name,
                      "%s must be a duration: a string such as \"90s\" or a number of seconds",
                      field->name);
    if (seconds < 0 || seconds > DURATION_MAX_SECONDS)
        return refuse(fault, 422, field->name, "%s must be from 0 seconds to 100 years",
                      field->name);
    value->number = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

static bool read_value(const struct body_field *field, const struct json_piece *piece,
                       struct body *body, json_t **parsed, struct body_value *value,
                       struct body_fault *fault)
{
    bool nested = piece->text[0] == '{' || piece->text[0] == '[';

    if (piece->text[0] == 'n') /* null */
        return true;
    value->given = true;
    if (field->type == BODY_OBJECT) {
        value->text = piece->text;
        value->size = piece->size;
        return piece->text[0] == '{' ||
               refuse(fault, 422, field->name, "%s must be a JSON object", field->name);
    }
    if (field->type == BODY_STRING && is_plain(piece))
        return read_plain(field, piece, body, value, fault);
    if (!nested && (*parsed = parse(piece)) == NULL)
        return refuse(fault, 422, field->name, "%s is out of range", field->name);
    switch (field->type) {
    case BODY_STRING:
        return read_string(field, *parsed, value, fault);
    case BODY_WHOLE:
        return read_whole(field, *parsed, value, fault);
    default:
        return read_duration(field, *parsed, value, fault);
    }
}

/* The name without its quotes, cut where there is no room; escapes are for a parser. A zero byte in
 * it is shown as one, so that what stands before it is not taken for the name. */
static void plain_name(const struct json_piece *name, char plain[BODY_FIELD_MAX])
{
    json_t *parsed = memchr(name->text, '\\', name->size) != NULL ? parse(name) : NULL;
    const char *text = parsed != NULL ? json_string_value(parsed) : name->text + 1;
    size_t size = parsed != NULL ? json_string_length(parsed) : name->size - 2;

    if (size > BODY_FIELD_MAX - 1)
        size = BODY_FIELD_MAX - 1;
    for (size_t i = 0; i < size; i++)
        plain[i] = text[i] != '\0' ? text[i] : '?';
    plain[size] = '\0';
    json_decref(parsed);
}

static bool read_members(const char *text, const struct body_field *fields, size_t n,
                         struct body *body, struct body_value *values, struct body_fault *fault)
{
    struct json_piece name, piece;
    char plain[BODY_FIELD_MAX];
    uint64_t seen = 0;

    while (json_member(&text, &name, &piece)) {
        size_t row = 0;

        plain_name(&name, plain);
        while (row < n && strcmp(fields[row].name, plain) != 0)
            row++;
        if (row == n)
            return refuse(fault, 422, plain, "there is no field %s", plain);
        if (seen & UINT64_C(1) << row)
            return refuse(fault, 422, plain, "%s stands twice", plain);
        seen |= UINT64_C(1) << row;
        if (!read_value(&fields[row], &piece, body, &body->parsed[row], &values[row], fault))
            return false;
    }
    return true;
}

static void refuse_text(const char *text, const struct json_fault *wrong, struct body_fault *fault)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < wrong->offset; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    refuse(fault, 400, "", "not JSON: %s expected at line %zu, column %zu", wrong->expected, line,
           column);
}

static struct body *body_new(const struct body_field *fields, size_t n)
{
    size_t strings = 0;

    for (size_t i = 0; i < n; i++)
        strings += fields[i].type == BODY_STRING ? (size_t)fields[i].max + 1 : 0;
    struct body *body = calloc(1, sizeof(*body) + n * sizeof(body->parsed[0]) + strings);
    if (body != NULL) {
        body->n = n;
        body->end = (char *)(body->parsed + n);
    }
    return body;
}

struct body *body_read(const char *text, size_t size, const struct body_field *fields, size_t n,
                       struct body_value *values, struct body_fault *fault)
{
    struct body *body = body_new(fields, n);
    struct json_fault wrong;
    size_t begin = 0;

    if (body == NULL) {
        refuse(fault, 503, "", "out of memory");
        return NULL;
    }
    if (n > 0)
        memset(values, 0, n * sizeof(*values));
    while (begin < size && text[begin] != '\0' && strchr(" \t\r\n", text[begin]) != NULL)
        begin++;
    if (begin == size)
        return body;
    if (!json_scan(text, size, &wrong))
        refuse_text(text, &wrong, fault);
    else if (text[begin] != '{')
        refuse(fault, 422, "", "the body must be a JSON object");
    else if (read_members(text, fields, n, body, values, fault))
        return body;
    body_free(body);
    return NULL;
}

void body_free(struct body *body)
{
    if (body == NULL)
        return;
    for (size_t i = 0; i < body->n; i++)
        json_decref(body->parsed[i]);
    free(body);
}
