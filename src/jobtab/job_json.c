/* job_json.c - jobs and submits as the HTTP interface writes them. */
#include "config.h"

#include "job_json.h"
#include "need.h"
#include "units.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------------ decoding */

static bool take_text(const json_t *value, void *to, size_t size)
{
    snprintf(to, size, "%s", json_string_value(value));
    return true;
}

static bool take_id(const json_t *value, void *to, size_t size)
{
    (void)size;
    return jobtab_id_parse(json_string_value(value), to) == JOBTAB_OK;
}

static bool take_state(const json_t *value, void *to, size_t size)
{
    (void)size;
    return jobtab_state_parse(json_string_value(value), to) == JOBTAB_OK;
}

static bool take_reason(const json_t *value, void *to, size_t size)
{
    enum jobtab_reason *reason = to;
    const char *name = json_string_value(value);

    (void)size;
    for (int i = 0; i < JOBTAB_REASONS; i++)
        if (strcmp(name, jobtab_reason_name((enum jobtab_reason)i)) == 0)
            *reason = (enum jobtab_reason)i;
    return true; /* a reason of a later version is none to this one */
}

static bool take_number(const json_t *value, void *to, size_t size)
{
    int64_t number = json_integer_value(value);

    if (size == sizeof(int32_t)) {
        int32_t low = (int32_t)number;
        memcpy(to, &low, size);
    } else {
        memcpy(to, &number, size);
    }
    return true;
}

/* "2026-11-23T06:11:02.123Z" */
static bool take_time(const json_t *value, void *to, size_t size)
{
    int64_t *time_ms = to;
    const char *text = json_string_value(value);
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int ms = 0;

    (void)size;
    if (rest == NULL || (*rest == '.' && sscanf(rest, ".%3d", &ms) != 1))
        return false;
    *time_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return true;
}

/* How each member becomes a field. */
static const struct member {
    const char *name;
    json_type type;
    bool required; /* others may be null or missing, and leave their field 0 */
    bool (*take)(const json_t *value, void *to, size_t size);
    size_t offset, size;
} members[] = {
#define FIELD(field) offsetof(struct jobtab_job, field), sizeof((struct jobtab_job *)0)->field
    {"job_id", JSON_STRING, true, take_id, FIELD(id)},
    {"kind", JSON_STRING, true, take_text, FIELD(kind)},
    {"status", JSON_STRING, true, take_state, FIELD(state)},
    {"version", JSON_INTEGER, true, take_number, FIELD(version)},
    {"reason", JSON_STRING, false, take_reason, FIELD(reason)},
    {"progress", JSON_INTEGER, false, take_number, FIELD(progress)},
    {"message", JSON_STRING, false, take_text, FIELD(message)},
    {"error", JSON_STRING, false, take_text, FIELD(error)},
    {"attempt", JSON_INTEGER, false, take_number, FIELD(attempt)},
    {"max_attempts", JSON_INTEGER, false, take_number, FIELD(max_attempts)},
    {"priority", JSON_INTEGER, false, take_number, FIELD(priority)},
    {"created_at", JSON_STRING, false, take_time, FIELD(created_at)},
    {"run_at", JSON_STRING, false, take_time, FIELD(run_at)},
    {"started_at", JSON_STRING, false, take_time, FIELD(started_at)},
    {"updated_at", JSON_STRING, false, take_time, FIELD(updated_at)},
    {"finished_at", JSON_STRING, false, take_time, FIELD(finished_at)},
    {"expires_at", JSON_STRING, false, take_time, FIELD(expires_at)},
#undef FIELD
};

/* A part as text: a string's own characters, anything else as JSON. NULL when there is none. */
static char *part_text(const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return NULL;
    return need(json_is_string(value) ? strdup(json_string_value(value))
                                      : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
}

bool job_json_decode(const json_t *json, struct view *view)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const struct member *member = &members[i];
        const json_t *value = json_object_get(json, member->name);

        if (value == NULL || json_is_null(value)) {
            if (member->required)
                return false;
        } else if (json_typeof(value) != member->type ||
                   !member->take(value, (char *)&view->job + member->offset, member->size)) {
            return false;
        }
    }
    view->params = part_text(json_object_get(json, "params"));
    view->result = part_text(json_object_get(json, "result"));
    return true;
}

/* ------------------------------------------------------------------ encoding */

char *job_json_submit(const struct jobtab_submit *submit)
{
    json_t *members = need(json_object());
    char *body = NULL, *rest, delay[32];
    int fault = 0;

    if (submit->kind != NULL)
        fault |= json_object_set_new(members, "kind", json_string(submit->kind));
    if (submit->priority != 0)
        fault |= json_object_set_new(members, "priority", json_integer(submit->priority));
    if (submit->delay > 0) {
        units_duration_text(submit->delay, delay, sizeof delay);
        fault |= json_object_set_new(members, "delay", json_string(delay));
    }
    if (submit->key != NULL)
        fault |= json_object_set_new(members, "idempotency_key", json_string(submit->key));
    if (submit->max_attempts > 0)
        fault |= json_object_set_new(members, "max_attempts", json_integer(submit->max_attempts));
    rest = need(json_dumps(members, JSON_COMPACT));
    if (fault == 0 &&
        asprintf(&body, "{\"params\":%s%s%s", submit->params != NULL ? submit->params : "{}",
                 rest[1] == '}' ? "" : ",", rest + 1) < 0)
        body = need(NULL);
    free(rest);
    json_decref(members);
    return body;
}

const char *job_json_fault(const char *text, size_t size)
{
    static json_error_t error;
    /* What this JSON library cannot hold, as an integer of 30 digits, is JSON all the same. */
    json_t *json =
        json_loadb(text, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);

    if (json == NULL)
        return error.text;
    json_decref(json);
    return NULL;
}
