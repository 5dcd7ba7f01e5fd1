/* body.c - a request body that is a JSON object with named members. */
#include "body.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

/* struct body is the parser's json_t under another name. */

#define DURATION_MAX_SECONDS (100.0 * 365 * 86400)

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

/* Behind the string that begins at p. */
static const char *skip_string(const char *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p + 1;
}

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

static const char *skip_value(const char *p)
{
    unsigned depth = 0;

    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        p++;
    } while (depth > 0 || strchr(",}] \t\r\n", *p) == NULL);
    return p;
}

/* The bytes of the index-th member's value. The text has been parsed: it is known to be sound and
 * to have that member, so every loop here ends before it does. */
static void find_value(const char *text, size_t index, struct body_value *value)
{
    const char *p = skip_space(text) + 1;

    for (;; index--) {
        p = skip_space(skip_string(skip_space(p))); /* at the colon */
        value->text = skip_space(p + 1);
        p = skip_value(value->text);
        if (index == 0)
            break;
        p = skip_space(p) + 1; /* behind the comma */
    }
    value->size = (size_t)(p - value->text);
}

static bool read_string(const struct body_field *field, const json_t *json,
                        struct body_value *value, struct body_fault *fault)
{
    if (!json_is_string(json))
        return refuse(fault, 422, field->name, "%s must be a string", field->name);
    value->text = json_string_value(json);
    value->size = json_string_length(json);
    if (value->size > (size_t)field->max)
        return refuse(fault, 422, field->name, "%s is %zu bytes long; at most %lld are allowed",
                      field->name, value->size, (long long)field->max);
    for (size_t i = 0; i < value->size; i++)
        if ((unsigned char)value->text[i] < ' ' || value->text[i] == 0x7f)
            return refuse(fault, 422, field->name, "%s holds a control character", field->name);
    return true;
}

static bool read_whole(const struct body_field *field, const json_t *json,
                       struct body_value *value, struct body_fault *fault)
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
                          "%s must be a duration such as \"90s\", \"10m\" or \"24h\"",
                          field->name);
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

static bool read_value(const struct body_field *field, const json_t *json, const char *text,
                       size_t index, struct body_value *value, struct body_fault *fault)
{
    if (json_is_null(json))
        return true;
    value->given = true;
    switch (field->type) {
    case BODY_STRING:
        return read_string(field, json, value, fault);
    case BODY_WHOLE:
        return read_whole(field, json, value, fault);
    case BODY_DURATION:
        return read_duration(field, json, value, fault);
    case BODY_OBJECT:
        if (!json_is_object(json))
            return refuse(fault, 422, field->name, "%s must be a JSON object", field->name);
        find_value(text, index, value);
        return true;
    }
    return false;
}

static bool read_members(json_t *root, const char *text, const struct body_field *fields, size_t n,
                         struct body_value *values, struct body_fault *fault)
{
    size_t index = 0, row;
    const char *name;
    json_t *json;

    if (!json_is_object(root))
        return refuse(fault, 422, "", "the body must be a JSON object");
    json_object_foreach (root, name, json) { /* in the order of the text */
        for (row = 0; row < n && strcmp(fields[row].name, name) != 0; row++)
            ;
        if (row == n)
            return refuse(fault, 422, name, "there is no field %.*s", BODY_FIELD_MAX, name);
        if (!read_value(&fields[row], json, text, index, &values[row], fault))
            return false;
        index++;
    }
    return true;
}

static void refuse_text(const json_error_t *error, struct body_fault *fault)
{
    bool twice = json_error_code(error) == json_error_duplicate_key;
    char field[BODY_FIELD_MAX] = "";

    if (twice) /* "duplicate object key near '"kind"'" */
        sscanf(error->text, "%*[^'\"]%*['\"]%63[^'\"]", field);
    refuse(fault, twice ? 422 : 400, field, "%s at line %d, column %d: %s",
           twice ? "a name stands twice" : "not JSON", error->line, error->column, error->text);
}

struct body *body_read(const char *text, size_t size, const struct body_field *fields, size_t n,
                       struct body_value *values, struct body_fault *fault)
{
    json_error_t error;
    json_t *root;

    if (n > 0)
        memset(values, 0, n * sizeof(*values));
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL && text[size - 1] != '\0')
        size--;
    if (size == 0) {
        root = json_object();
    } else {
        /* Numbers as doubles: jansson refuses whole ones of more than 64 bits, JSON does not. */
        root = json_loadb(text, size,
                          JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL |
                              JSON_DECODE_ANY,
                          &error);
        if (root == NULL) {
            refuse_text(&error, fault);
            return NULL;
        }
    }
    if (root != NULL && !read_members(root, text, fields, n, values, fault)) {
        json_decref(root);
        root = NULL;
    }
    return (struct body *)root;
}

void body_free(struct body *body)
{
    json_decref((json_t *)body);
}
