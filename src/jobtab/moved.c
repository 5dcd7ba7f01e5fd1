/* moved.c - from named values to a job. See moved.h. */
#include "moved.h"

#include "base64.h"
#include "json_scan.h"
#include "need.h"
#include "units.h"
#include "when.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <strings.h>

struct making {
    struct moved *moved;
    const struct mapping *mapping;
    struct row *row;
    const struct value *values[TARGETS]; /* of the row, NULL where it has none */
    char *why;
};

static bool refuse(const struct making *making, enum target target, const char *text,
                   const char *wanted)
{
    snprintf(making->why, MOVED_WHY, "%s: '%.60s' is no %s", mapping_name(target), text, wanted);
    return false;
}

/* ------------------------------------------------------------------------ texts */

/* At most `size` bytes with the NUL. */
static bool take_name(struct making *making, enum target target, const char *text, void *to,
                      size_t size)
{
    if (strlen(text) >= size) {
        snprintf(making->why, MOVED_WHY, "%s: it is over %zu bytes", mapping_name(target),
                 size - 1);
        return false;
    }
    strcpy(to, text);
    return true;
}

/* Cut at the end of a character. */
static bool take_words(struct making *making, enum target target, const char *text, void *to,
                       size_t size)
{
    size_t length = strlen(text);

    (void)target;
    if (length >= size) {
        making->moved->cut = true;
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(to, text, length);
    ((char *)to)[length] = '\0';
    return true;
}

/* A UUIDv7 is kept; what else names a job elsewhere becomes its key. */
static bool take_id(struct making *making, enum target target, const char *text, void *to,
                    size_t size)
{
    struct jobtab_job *job = &making->moved->job;
    struct jobtab_id id;

    (void)size;
    if (jobtab_id_parse(text, &id) == JOBTAB_OK && id.bytes[6] >> 4 == 7 &&
        id.bytes[8] >> 6 == 2) {
        memcpy(to, &id, sizeof id);
        return true;
    }
    if (*job->key != '\0' && strcmp(job->key, text) != 0) {
        snprintf(making->why, MOVED_WHY,
                 "id: '%.60s' is no UUIDv7 and would become the key, of which it has another",
                 text);
        return false;
    }
    return take_name(making, target, text, job->key, sizeof job->key);
}

/* ------------------------------------------------------------------ states, reasons */

/* What others call our states; their own names are known without. */
static const struct {
    const char *name;
    enum jobtab_state state;
} states[] = {
    {"queued", JOBTAB_PENDING},        {"waiting", JOBTAB_PENDING},
    {"new", JOBTAB_PENDING},           {"created", JOBTAB_PENDING},
    {"submitted", JOBTAB_PENDING},     {"enqueued", JOBTAB_PENDING},
    {"ready", JOBTAB_PENDING},         {"received", JOBTAB_PENDING},
    {"prioritized", JOBTAB_PENDING},   {"delayed", JOBTAB_SCHEDULED},
    {"deferred", JOBTAB_SCHEDULED},    {"retry", JOBTAB_SCHEDULED},
    {"processing", JOBTAB_RUNNING},    {"active", JOBTAB_RUNNING},
    {"started", JOBTAB_RUNNING},       {"in_progress", JOBTAB_RUNNING},
    {"working", JOBTAB_RUNNING},       {"executing", JOBTAB_RUNNING},
    {"progress", JOBTAB_RUNNING},      {"done", JOBTAB_COMPLETED},
    {"complete", JOBTAB_COMPLETED},    {"success", JOBTAB_COMPLETED},
    {"succeeded", JOBTAB_COMPLETED},   {"successful", JOBTAB_COMPLETED},
    {"finished", JOBTAB_COMPLETED},    {"ok", JOBTAB_COMPLETED},
    {"error", JOBTAB_FAILED},          {"errored", JOBTAB_FAILED},
    {"failure", JOBTAB_FAILED},        {"dead", JOBTAB_FAILED},
    {"canceled", JOBTAB_CANCELLED},    {"revoked", JOBTAB_CANCELLED},
    {"aborted", JOBTAB_CANCELLED},
};

static bool take_state(struct making *making, enum target target, const char *text, void *to,
                       size_t size)
{
    enum jobtab_state *state = to;
    char name[24], *p;

    (void)size;
    snprintf(name, sizeof name, "%s", text);
    for (p = name; *p != '\0'; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p == '-' || *p == ' ' ? '_' : *p;
    if (jobtab_state_parse(name, state) == JOBTAB_OK)
        return true;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(states[i].name, name) == 0) {
            *state = states[i].state;
            return true;
        }
    snprintf(making->why, MOVED_WHY, "%s: '%.60s' is no state; --map status:%.60s=STATE makes it one",
             mapping_name(target), text, text);
    return false;
}

static bool take_reason(struct making *making, enum target target, const char *text, void *to,
                        size_t size)
{
    enum jobtab_reason *reason = to;

    (void)size;
    for (int i = 0; i < JOBTAB_REASONS; i++)
        if (strcmp(jobtab_reason_name((enum jobtab_reason)i), text) == 0) {
            *reason = (enum jobtab_reason)i;
            return true;
        }
    return refuse(making, target, text, "reason");
}

static bool take_format(struct making *making, enum target target, const char *text, void *to,
                        size_t size)
{
    static const char *const names[] = {
        [JOBTAB_JSON] = "json", [JOBTAB_TEXT] = "text", [JOBTAB_BYTES] = "bytes"};
    enum jobtab_format *format = to;

    (void)size;
    for (int i = JOBTAB_JSON; i <= JOBTAB_BYTES; i++)
        if (strcmp(names[i], text) == 0) {
            *format = (enum jobtab_format)i;
            return true;
        }
    return refuse(making, target, text, "format: json, text, bytes");
}

/* ------------------------------------------------------------------- numbers, times */

static bool take_number(struct making *making, enum target target, const char *text, void *to,
                        size_t size)
{
    char *end;
    double number = strtod(text, &end);
    bool sound = end != text && *end == '\0' && isfinite(number);

    if (size == sizeof(int64_t)) {
        if (!sound || fabs(number) > 1e15)
            return refuse(making, target, text, "number of milliseconds");
        *(int64_t *)to = (int64_t)number;
    } else {
        if (!sound || number < INT32_MIN || number > INT32_MAX ||
            (number < 0 && target != TO_PRIORITY))
            return refuse(making, target, text, "number that it can have");
        *(int32_t *)to = (int32_t)number;
    }
    return true;
}

static bool take_duration(struct making *making, enum target target, const char *text, void *to,
                          size_t size)
{
    (void)size;
    return units_duration(text, to) == 0 || refuse(making, target, text, "duration");
}

static bool take_time(struct making *making, enum target target, const char *text, void *to,
                      size_t size)
{
    (void)size;
    return when_parse(text, to) || refuse(making, target, text, "time");
}

/* What is one text each. In this order: a key stands before the id that may have to become one. */
static const struct taker {
    enum target target;
    bool (*take)(struct making *making, enum target target, const char *text, void *to,
                 size_t size);
    size_t offset, size;
} takers[] = {
#define FIELD(field) offsetof(struct jobtab_job, field), sizeof((struct jobtab_job *)0)->field
    {TO_KEY, take_name, FIELD(key)},
    {TO_ID, take_id, FIELD(id)},
    {TO_KIND, take_name, FIELD(kind)},
    {TO_STATUS, take_state, FIELD(state)},
    {TO_REASON, take_reason, FIELD(reason)},
    {TO_PROGRESS, take_number, FIELD(progress)},
    {TO_MESSAGE, take_words, FIELD(message)},
    {TO_ERROR, take_words, FIELD(error)},
    {TO_PRIORITY, take_number, FIELD(priority)},
    {TO_ATTEMPT, take_number, FIELD(attempt)},
    {TO_MAX_ATTEMPTS, take_number, FIELD(max_attempts)},
    {TO_CRASHES, take_number, FIELD(crashes)},
    {TO_MAX_CRASHES, take_number, FIELD(max_crashes)},
    {TO_BACKOFF, take_duration, FIELD(backoff)},
    {TO_BACKOFF_MS, take_number, FIELD(backoff)},
    {TO_TIMEOUT, take_duration, FIELD(timeout)},
    {TO_TIMEOUT_MS, take_number, FIELD(timeout)},
    {TO_CREATED_AT, take_time, FIELD(created_at)},
    {TO_RUN_AT, take_time, FIELD(run_at)},
    {TO_STARTED_AT, take_time, FIELD(started_at)},
    {TO_UPDATED_AT, take_time, FIELD(updated_at)},
    {TO_FINISHED_AT, take_time, FIELD(finished_at)},
    {TO_EXPIRES_AT, take_time, FIELD(expires_at)},
    {TO_RESULT_FORMAT, take_format, FIELD(result_format)},
#undef FIELD
};

static bool is_utf8(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);
    bool sound = string != NULL;

    json_decref(string);
    return sound;
}

static bool take(struct making *making, const struct taker *taker)
{
    const struct value *value = making->values[taker->target];
    const char *text;
    size_t size;

    if (value == NULL || value->type == VALUE_NULL)
        return true;
    if (!row_text(making->row, value, &text, &size) || strlen(text) != size ||
        (value->type == VALUE_TEXT && !is_utf8(text, size))) {
        snprintf(making->why, MOVED_WHY, "%s: it is no text", mapping_name(taker->target));
        return false;
    }
    text = mapping_value(making->mapping, taker->target, text);
    if (*text == '\0') /* as a hash or a column has what is not there */
        return true;
    return taker->take(making, taker->target, text,
                       (char *)&making->moved->job + taker->offset, taker->size);
}

/* ------------------------------------------------------------------------ parts */

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

/* What there is, and what has no other place. */
static bool take_params(struct making *making)
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
        return base64_decode(*part, n, size) || refuse(making, encoded, *part, "base64");
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

/* What nobody says of a result, it says itself. */
static bool take_result(struct making *making)
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

/* ------------------------------------------------------------------------ a row */

static void collect(struct making *making)
{
    for (size_t i = 0; i < making->row->n; i++) {
        const struct value *value = &making->row->values[i];
        enum target target = mapping_target(making->mapping, value->name);

        if (target < TARGETS && making->values[target] == NULL)
            making->values[target] = value;
    }
}

/* The source's own name of the job, where the row has none. */
static bool take_source_id(struct making *making)
{
    struct jobtab_job *job = &making->moved->job;
    const struct value *id = making->values[TO_ID];

    return making->row->id == NULL || (id != NULL && id->type != VALUE_NULL) ||
           take_id(making, TO_ID, making->row->id, &job->id, sizeof job->id);
}

/* What the state says of the rest. */
static void settle(struct making *making)
{
    static const struct jobtab_id nobody;
    struct moved *moved = making->moved;
    struct jobtab_job *job = &moved->job;

    if (job->state == JOBTAB_SCHEDULED && job->run_at == 0)
        job->state = JOBTAB_PENDING;
    if (job->state == JOBTAB_COMPLETED && making->values[TO_PROGRESS] == NULL)
        job->progress = 100;
    if (job->expires_at == 0)
        job->expires_at = making->row->expires_at;
    if (job->expires_at <= jobtab_now()) /* what has expired long since stays a while to be seen */
        job->expires_at = 0;
    moved->was_running = job->state == JOBTAB_RUNNING || job->state == JOBTAB_CANCELLING;
    moved->nameless = *job->key == '\0' && memcmp(&job->id, &nobody, sizeof nobody) == 0;
}

bool moved_make(struct moved *moved, const struct mapping *mapping, const char *kind,
                struct row *row, char why[MOVED_WHY])
{
    struct making making = {.moved = moved, .mapping = mapping, .row = row, .why = why};
    struct jobtab_job *job = &moved->job;

    *moved = (struct moved){.job = {.state = JOBTAB_PENDING}};
    snprintf(moved->place, sizeof moved->place, "%s", row->place);
    collect(&making);
    for (size_t i = 0; i < sizeof takers / sizeof takers[0]; i++)
        if (!take(&making, &takers[i]))
            return false;
    if (*job->kind == '\0' && kind != NULL)
        snprintf(job->kind, sizeof job->kind, "%s", kind);
    if (*job->kind == '\0') {
        snprintf(why, MOVED_WHY, "kind: it has none; -k KIND gives one to all that lack it");
        return false;
    }
    if (!take_source_id(&making) || !take_params(&making) || !take_result(&making) ||
        !take_bytes(&making, TO_LOG, TO_LOG_BASE64, &moved->log, &moved->log_size)) {
        moved_free(moved);
        return false;
    }
    settle(&making);
    return true;
}

void moved_free(struct moved *moved)
{
    free(moved->params);
    free(moved->result);
    free(moved->log);
    moved->params = moved->result = moved->log = NULL;
}

struct jobtab_op moved_op(const struct moved *moved, bool check_only)
{
    return (struct jobtab_op){.verb = JOBTAB_RESTORE,
                              .restore = {.job = &moved->job,
                                          .params = moved->params,
                                          .params_size = moved->params_size,
                                          .result = moved->result,
                                          .result_size = moved->result_size,
                                          .log = moved->log,
                                          .log_size = moved->log_size,
                                          .check_only = check_only}};
}
