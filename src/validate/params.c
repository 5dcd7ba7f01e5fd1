/* params.c - what a validation is asked to do. */
#include "config.h"

#include "params.h"

#include "units.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DEVIATION_BPS 100
#define DEFAULT_JUMP_MAD 12

static int refuse(struct fault *fault, const char *field, const char *why)
{
    return fault_set(fault, FAULT_INVALID, "params: %s: %s", field, why);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_unique(const struct params *params, struct fault *fault)
{
    char **sorted = malloc(params->n_sources * sizeof *sorted);
    if (sorted == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    memcpy(sorted, params->sources, params->n_sources * sizeof *sorted);
    qsort(sorted, params->n_sources, sizeof *sorted, compare_paths);
    int result = 0;
    for (size_t i = 1; i < params->n_sources && result == 0; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            result = fault_set(fault, FAULT_INVALID, "params: sources: %s stands there twice",
                               sorted[i]);
    free(sorted);
    return result;
}

int params_sources(struct params *params, char *const *paths, size_t n, struct fault *fault)
{
    if (params->sources != NULL)
        return refuse(fault, "sources", "named twice");
    if (n == 0 || n > PARAMS_SOURCES)
        return refuse(fault, "sources", "must be 1 to 4096 file names");
    params->sources = calloc(n, sizeof *params->sources);
    if (params->sources == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    for (; params->n_sources < n; params->n_sources++) {
        const char *path = paths[params->n_sources];
        if (*path == '\0' || strlen(path) > PARAMS_PATH)
            return refuse(fault, "sources", "a file name must have 1 to 1024 bytes");
        params->sources[params->n_sources] = strdup(path);
        if (params->sources[params->n_sources] == NULL)
            return fault_set(fault, FAULT_SYSTEM, "out of memory");
    }
    return check_unique(params, fault);
}

static int read_sources(struct params *params, const json_t *value, struct fault *fault)
{
    size_t n = json_array_size(value);
    char **paths = calloc(n + 1, sizeof *paths);
    if (paths == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    int result = json_is_array(value) ? 0 : refuse(fault, "sources", "must be an array");
    for (size_t i = 0; i < n && result == 0; i++) {
        paths[i] = (char *)json_string_value(json_array_get(value, i));
        if (paths[i] == NULL)
            result = refuse(fault, "sources", "a file name must be a string");
    }
    if (result == 0)
        result = params_sources(params, paths, n, fault);
    free(paths);
    return result;
}

static int read_max_age(struct params *params, const json_t *value, struct fault *fault)
{
    int64_t ms = -1;
    if (json_is_string(value)) {
        if (units_duration(json_string_value(value), &ms) != 0)
            ms = -1;
    } else if (json_is_number(value) && json_number_value(value) > 0 &&
               json_number_value(value) < 1e11) {
        ms = (int64_t)(json_number_value(value) * 1000);
    }
    params->max_age = (struct limit){!json_is_null(value), (double)ms};
    if (params->max_age.on && ms <= 0)
        return refuse(fault, "max_age", "must be a duration like \"2d\" or a number of seconds");
    return 0;
}

static int read_limit(struct limit *limit, const char *field, const json_t *value,
                      struct fault *fault)
{
    *limit = (struct limit){!json_is_null(value), json_number_value(value)};
    if (limit->on && (!json_is_number(value) || !(limit->value > 0) || !isfinite(limit->value)))
        return refuse(fault, field, "must be a number above 0, or null for none");
    return 0;
}

static int read_max_deviation_bps(struct params *params, const json_t *value, struct fault *fault)
{
    return read_limit(&params->max_deviation_bps, "max_deviation_bps", value, fault);
}

static int read_max_jump_mad(struct params *params, const json_t *value, struct fault *fault)
{
    return read_limit(&params->max_jump_mad, "max_jump_mad", value, fault);
}

static int read_min_sources(struct params *params, const json_t *value, struct fault *fault)
{
    json_int_t n = json_integer_value(value);
    if (n < 1 || n > PARAMS_SOURCES)
        return refuse(fault, "min_sources", "must be a whole number from 1 to 4096");
    params->min_sources = (uint32_t)n;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct params *params, const json_t *value, struct fault *fault);
} fields[] = {
    {"sources", read_sources},
    {"max_age", read_max_age},
    {"max_deviation_bps", read_max_deviation_bps},
    {"max_jump_mad", read_max_jump_mad},
    {"min_sources", read_min_sources},
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

int params_read(struct params *params, const char *text, size_t size, struct fault *fault)
{
    *params = (struct params){
        .max_deviation_bps = {true, DEFAULT_DEVIATION_BPS},
        .max_jump_mad = {true, DEFAULT_JUMP_MAD},
        .min_sources = 1,
    };
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    int result = 0;
    if (!json_is_object(root)) {
        result = fault_set(fault, FAULT_INVALID, "params: %s",
                           root == NULL ? error.text : "must be a JSON object");
        goto out;
    }
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value) {
        size_t i = 0;
        while (i < N_FIELDS && strcmp(fields[i].name, name) != 0)
            i++;
        result = i < N_FIELDS ? fields[i].read(params, value, fault)
                              : refuse(fault, name, "there is no such field");
        if (result != 0)
            goto out;
    }
out:
    json_decref(root);
    return result;
}

void params_free(struct params *params)
{
    for (size_t i = 0; i < params->n_sources; i++)
        free(params->sources[i]);
    free(params->sources);
}
