/* making_fields.c - a row's values as the fields of a job. See making.h. */
#include "making.h"

#include "units.h"
#include "when.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool making_refuse(const struct making *making, enum target target, const char *text,
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
    return making_refuse(making, target, text, "reason");
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
    return making_refuse(making, target, text, "format: json, text, bytes");
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
            return making_refuse(making, target, text, "number of milliseconds");
        *(int64_t *)to = (int64_t)number;
    } else {
        if (!sound || number < INT32_MIN || number > INT32_MAX ||
            (number < 0 && target != TO_PRIORITY))
            return making_refuse(making, target, text, "number that it can have");
        *(int32_t *)to = (int32_t)number;
    }
    return true;
}

static bool take_duration(struct making *making, enum target target, const char *text, void *to,
                          size_t size)
{
    (void)size;
    return units_duration(text, to) == 0 || making_refuse(making, target, text, "duration");
}

static bool take_time(struct making *making, enum target target, const char *text, void *to,
                      size_t size)
{
    (void)size;
    return when_parse(text, to) || making_refuse(making, target, text, "time");
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

bool making_fields(struct making *making)
{
    for (size_t i = 0; i < sizeof takers / sizeof takers[0]; i++)
        if (!take(making, &takers[i]))
            return false;
    return true;
}

bool making_source_id(struct making *making)
{
    struct jobtab_job *job = &making->moved->job;
    const struct value *id = making->values[TO_ID];

    return making->row->id == NULL || (id != NULL && id->type != VALUE_NULL) ||
           take_id(making, TO_ID, making->row->id, &job->id, sizeof job->id);
}
