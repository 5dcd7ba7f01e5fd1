/* mapping.c - names of fields, as data. See mapping.h. */
#include "mapping.h"

#include "need.h"

#include <string.h>
#include <strings.h>

/* Ours first, then what others call it. */
static const struct {
    const char *name, *others;
} targets[TARGETS] = {
    [TO_ID] = {"id", "job_id jobid uuid task_id"},
    [TO_KIND] = {"kind", "type task task_name job_type"},
    [TO_STATUS] = {"status", "state"},
    [TO_REASON] = {"reason", ""},
    [TO_PROGRESS] = {"progress", "percent"},
    [TO_MESSAGE] = {"message", "msg"},
    [TO_ERROR] = {"error", "error_message exception"},
    [TO_KEY] = {"key", "idempotency_key"},
    [TO_PRIORITY] = {"priority", ""},
    [TO_ATTEMPT] = {"attempt", "attempts"},
    [TO_MAX_ATTEMPTS] = {"max_attempts", ""},
    [TO_CRASHES] = {"crashes", ""},
    [TO_MAX_CRASHES] = {"max_crashes", ""},
    [TO_BACKOFF] = {"backoff", ""},
    [TO_BACKOFF_MS] = {"backoff_ms", ""},
    [TO_TIMEOUT] = {"timeout", ""},
    [TO_TIMEOUT_MS] = {"timeout_ms", ""},
    [TO_CREATED_AT] = {"created_at", "created createdat submitted_at enqueued_at queued_at"},
    [TO_RUN_AT] = {"run_at", "scheduled_at eta"},
    [TO_STARTED_AT] = {"started_at", "started startedat"},
    [TO_UPDATED_AT] = {"updated_at", "updated updatedat modified_at"},
    [TO_FINISHED_AT] = {"finished_at", "finished finishedat completed_at ended_at"},
    [TO_EXPIRES_AT] = {"expires_at", "expires expire_at"},
    [TO_PARAMS] = {"params", "parameters payload"},
    [TO_RESULT] = {"result", "output return_value"},
    [TO_RESULT_FORMAT] = {"result_format", ""},
    [TO_RESULT_BASE64] = {"result_base64", ""},
    [TO_LOG] = {"log", "logs"},
    [TO_LOG_BASE64] = {"log_base64", ""},
    [TO_NOTHING] = {"version", "done"},
};

/* Is the name one of the words? */
static bool among(const char *words, const char *name)
{
    size_t length = strlen(name);

    while (*words != '\0') {
        size_t word = strcspn(words, " ");

        if (word == length && strncasecmp(words, name, word) == 0)
            return true;
        words += word;
        words += *words == ' ';
    }
    return false;
}

static enum target find(const char *name)
{
    enum target target = 0;

    while (target < TARGETS && strcasecmp(targets[target].name, name) != 0 &&
           !among(targets[target].others, name))
        target++;
    return target;
}

const char *mapping_name(enum target target)
{
    return targets[target].name;
}

/* The text is cut up. */
static bool add_rule(struct mapping *mapping, char *text)
{
    char *value = strchr(text, ':'), *equals = strchr(text, '=');

    if (equals == NULL || equals[1] == '\0' || mapping->n == MAPPING_MAX)
        return false;
    *equals = '\0';
    if (value != NULL && value < equals)
        *value++ = '\0';
    else
        value = NULL;
    enum target target = find(text);
    if (target >= TARGETS || (value != NULL && *value == '\0'))
        return false;
    mapping->rules[mapping->n].target = target;
    mapping->rules[mapping->n].foreign = need(strdup(value != NULL ? value : equals + 1));
    mapping->rules[mapping->n++].ours = value != NULL ? need(strdup(equals + 1)) : NULL;
    return true;
}

bool mapping_add(struct mapping *mapping, const char *text)
{
    char *copy = need(strdup(text)), *rest, *rule = strtok_r(copy, ",", &rest);
    bool sound = rule != NULL;

    for (; sound && rule != NULL; rule = strtok_r(NULL, ",", &rest))
        sound = add_rule(mapping, rule);
    free(copy);
    return sound;
}

void mapping_free(struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->n; i++) {
        free(mapping->rules[i].foreign);
        free(mapping->rules[i].ours);
    }
    mapping->n = 0;
}

enum target mapping_target(const struct mapping *mapping, const char *name)
{
    enum target usual = find(name);
    bool elsewhere = false; /* what usually has this name was given to another field */

    for (size_t i = 0; i < mapping->n; i++) {
        if (mapping->rules[i].ours != NULL)
            continue;
        if (strcmp(mapping->rules[i].foreign, name) == 0)
            return mapping->rules[i].target;
        elsewhere = elsewhere || mapping->rules[i].target == usual;
    }
    return elsewhere ? TO_PARAMS_MEMBER : usual;
}

const char *mapping_value(const struct mapping *mapping, enum target target, const char *value)
{
    for (size_t i = 0; i < mapping->n; i++)
        if (mapping->rules[i].ours != NULL && mapping->rules[i].target == target &&
            strcasecmp(mapping->rules[i].foreign, value) == 0)
            return mapping->rules[i].ours;
    return value;
}
