/* making_parts.c - a row's values as the params, result and log of a job. See making.h. */
#include "making.h"

#include "base64.h"
#include "json_scan.h"
#include "need.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep(char **part, size_t *size, const char *bytes, size_t n)
{
    *part = need(malloc(n + 1));
    memcpy(*part, bytes, n);
    (*part)[n] = '\0';
    *size = n;
}

static bool is_json(const char *bytes, size_t size)
{
    struct json_fault fault;

    return json_scan(bytes, size, &fault);
}

/* The text as a JSON string; NULL when it is no UTF-8. */
static char *quoted(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);

    if (string == NULL)
        return NULL;
    char *json = need(json_dumps(string, JSON_ENCODE_ANY));
    json_decref(string);
    return json;
}

static const char space[] = " \t\r\n";

static bool is_space(char c)
{
    return c != '\0' && strchr(space, c) != NULL;
}

/* Without the space around it, which a document may have and a value in one has not. */
static struct value bare(struct value value)
{
    for (; value.size > 0 && is_space(*value.bytes); value.size--)
        value.bytes++;
    while (value.size > 0 && is_space(value.bytes[value.size - 1]))
        value.size--;
    return value;
}

/* A value as JSON: as it came, or its text as JSON if it is some (`any`, or an object or array),
 * else as a string. NULL: no text. */
static char *json_of(const struct value *value, bool any, size_t *size)
{
    char *json = NULL;
    struct value inner = value->type == VALUE_TEXT ? bare(*value) : *value;
    bool nested = inner.size > 0 && (*inner.bytes == '{' || *inner.bytes == '[');

    if (value->type == VALUE_JSON || (value->type == VALUE_TEXT && (any || nested) &&
                                      is_json(inner.bytes, inner.size))) {
        keep(&json, size, inner.bytes, inner.size);
    } else {
        json = quoted(value->bytes, value->size);
        *size = json != NULL ? strlen(json) : 0;
    }
    return json;
}

static bool no_text(const struct making *making, const char *name)
{
    snprintf(making->why, MOVED_WHY, "%.60s: its bytes are no text", name);
    return false;
}

/* Of a sound object, without its last brace, how much there is: 1 when it is empty. 0: it is no
 * object. */
static size_t open_object(char *object)
{
    if (object[strspn(object, space)] != '{')
        return 0;
    size_t size = (size_t)(strrchr(object, '}') - object);
    while (strchr(space, object[size - 1]) != NULL)
        size--;
    if (object[size - 1] != '{')
        return size;
    object[0] = '{';
    return 1;
}

/* "name":value behind what there is of the object. */
static bool append_member(struct making *making, const struct value *value)
{
    struct moved *moved = making->moved;
    size_t json_size = 0, size;
    char *name = quoted(value->name, strlen(value->name)), *json = json_of(value, false, &json_size);
    bool sound = name != NULL && json != NULL;

    if (sound) {
        size = moved->params_size + strlen(name) + json_size + 3; /* comma, colon, brace */
        moved->params = need(realloc(moved->params, size + 1));
        moved->params_size += (size_t)sprintf(moved->params + moved->params_size, "%s%s:%s",
                                              moved->params_size > 1 ? "," : "", name, json);
    }
    free(name);
    free(json);
    return sound || no_text(making, value->name);
}

bool making_params(struct making *making)
{
    const struct value *value = making->values[TO_PARAMS];
    struct moved *moved = making->moved;
    bool open = false;

    if (value != NULL && value->type != VALUE_NULL) {
        moved->params = json_of(value, true, &moved->params_size);
        if (moved->params == NULL)
            return no_text(making, "params");
    }
    for (size_t i = 0; i < making->row->n; i++) {
        value = &making->row->values[i];
        enum target target = mapping_target(making->mapping, value->name);
        if (value->type == VALUE_NULL || target == TO_NOTHING ||
            (target < TARGETS && making->values[target] == value))
            continue;
        if (!open && moved->params == NULL)
            keep(&moved->params, &moved->params_size, "{}", 2);
        if (!open)
            moved->params_size = open_object(moved->params);
        if (moved->params_size == 0) {
            snprintf(making->why, MOVED_WHY, "params: it is no object, and '%.60s' has no place",
                     value->name);
            return false;
        }
        open = true;
        if (!append_member(making, value))
            return false;
    }
    if (open) /* append_member left room for the brace */
        strcpy(moved->params + moved->params_size++, "}");
    return true;
}

/* A part of bytes: given as such, as text, or encoded. */
static bool take_bytes(struct making *making, enum target plain, enum target encoded, char **part,
                       size_t *size)
{
    const struct value *value = making->values[encoded];
    const char *text;
    size_t n;

    if (value != NULL && value->type != VALUE_NULL) {
        if (!row_text(making->row, value, &text, &n))
            return no_text(making, mapping_name(encoded));
        keep(part, size, text, n);
        return base64_decode(*part, n, size) || making_refuse(making, encoded, *part, "base64");
    }
    value = making->values[plain];
    if (value == NULL || value->type == VALUE_NULL)
        return true;
    if (value->type == VALUE_BYTES)
        keep(part, size, value->bytes, value->size);
    else if (row_text(making->row, value, &text, &n))
        keep(part, size, text, n);
    return true;
}

bool making_result(struct making *making)
{
    const struct value *value = making->values[TO_RESULT];
    struct moved *moved = making->moved;
    enum jobtab_format *format = &moved->job.result_format;
    bool encoded = making->values[TO_RESULT_BASE64] != NULL &&
                   making->values[TO_RESULT_BASE64]->type != VALUE_NULL;

    if (*format == JOBTAB_NONE && encoded)
        *format = JOBTAB_BYTES;
    else if (*format == JOBTAB_NONE && value != NULL && value->type != VALUE_NULL)
        *format = value->type == VALUE_BYTES ? JOBTAB_BYTES
                  : value->type == VALUE_JSON || is_json(value->bytes, value->size)
                      ? JOBTAB_JSON
                      : JOBTAB_TEXT;
    if (*format == JOBTAB_JSON && !encoded && value != NULL && value->bytes != NULL &&
        (value->type == VALUE_JSON || value->type == VALUE_NULL)) { /* null: it says it is one */
        keep(&moved->result, &moved->result_size, value->bytes, value->size);
        return true;
    }
    return take_bytes(making, TO_RESULT, TO_RESULT_BASE64, &moved->result, &moved->result_size);
}

bool making_log(struct making *making)
{
    struct moved *moved = making->moved;

    return take_bytes(making, TO_LOG, TO_LOG_BASE64, &moved->log, &moved->log_size);
}
