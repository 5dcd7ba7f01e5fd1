/* row.c - named values of one record. See row.h. */
#include "row.h"

#include "json_scan.h"
#include "need.h"

#include <jansson.h>
#include <string.h>

void row_clear(struct row *row)
{
    for (size_t i = 0; i < row->n_owned; i++)
        free(row->owned[i]);
    row->n = row->n_owned = 0;
    row->place[0] = '\0';
    row->id = NULL;
    row->expires_at = 0;
}

void row_free(struct row *row)
{
    row_clear(row);
    free(row->values);
    free(row->owned);
    *row = (struct row){.n = 0};
}

char *row_own(struct row *row, const char *bytes, size_t size)
{
    char *copy = need(malloc(size + 1));

    if ((row->n_owned & (row->n_owned + 1)) == 0) /* full at 0, 1, 3, 7, ... */
        row->owned = need(realloc(row->owned, 2 * (row->n_owned + 1) * sizeof *row->owned));
    row->owned[row->n_owned++] = copy;
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

void row_add(struct row *row, const char *name, enum value_type type, const char *bytes,
             size_t size)
{
    if (row->n == row->room) {
        row->room = row->room > 0 ? 2 * row->room : 32;
        row->values = need(realloc(row->values, row->room * sizeof *row->values));
    }
    row->values[row->n++] =
        (struct value){.name = name, .type = type, .bytes = bytes, .size = size};
}

/* The characters of a JSON string that is sound. */
static char *decode(struct row *row, const char *json, size_t json_size, size_t *size)
{
    json_t *string = need(json_loadb(json, json_size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
    char *text = row_own(row, json_string_value(string), json_string_length(string));

    *size = json_string_length(string);
    json_decref(string);
    return text;
}

static bool plain(const char *json, size_t size)
{
    return memchr(json, '\\', size) == NULL;
}

bool row_add_json(struct row *row, const char *text, size_t size, char *why, size_t why_size)
{
    struct json_fault fault;
    struct json_piece name, value;
    size_t begin = 0, name_size;

    if (!json_scan(text, size, &fault)) {
        snprintf(why, why_size, "not JSON, byte %zu: %s expected", fault.offset, fault.expected);
        return false;
    }
    while (strchr(" \t\r\n", text[begin]) != NULL)
        begin++;
    if (text[begin] != '{') {
        snprintf(why, why_size, "it is JSON and no object");
        return false;
    }
    for (const char *at = text + begin; json_member(&at, &name, &value);) {
        bool null = value.size == 4 && memcmp(value.text, "null", 4) == 0;
        char *own = plain(name.text, name.size)
                        ? row_own(row, name.text + 1, name.size - 2)
                        : decode(row, name.text, name.size, &name_size);
        row_add(row, own, null ? VALUE_NULL : VALUE_JSON, value.text, value.size);
    }
    return true;
}

bool row_text(struct row *row, const struct value *value, const char **text, size_t *size)
{
    if (value->type == VALUE_NULL || value->type == VALUE_BYTES)
        return false;
    *text = value->bytes;
    *size = value->size;
    if (value->type == VALUE_JSON && *value->bytes == '"') {
        if (plain(value->bytes, value->size))
            *text = row_own(row, value->bytes + 1, *size = value->size - 2);
        else
            *text = decode(row, value->bytes, value->size, size);
    } else {
        *text = row_own(row, value->bytes, value->size);
    }
    return true;
}
