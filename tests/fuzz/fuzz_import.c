/* fuzz_import.c - what jobtab import reads: a line of JSON (the value of a Redis key is the same),
 * the columns of a row or fields of a hash, rules of --map, times, base64.
 *
 * The first byte says which. A job that comes out has texts that end within their fields and parts
 * that are what they are said to be; written as the interface writes jobs, and read again, it is
 * the same one.
 */
#include "fuzz.h"

#include "base64.h"
#include "json_scan.h"
#include "jobtab.h"
#include "moved.h"
#include "when.h"

#define YEAR_9999 INT64_C(253402300799999)

static void check_text(const char *text, size_t size)
{
    HOLDS(memchr(text, '\0', size) != NULL);
}

static void check_fields(const struct moved *moved)
{
    const struct jobtab_job *job = &moved->job;
    struct json_fault fault;

    check_text(job->kind, sizeof job->kind);
    check_text(job->key, sizeof job->key);
    check_text(job->message, sizeof job->message);
    check_text(job->error, sizeof job->error);
    HOLDS(job->kind[0] != '\0');
    HOLDS(jobtab_state_name(job->state) != NULL);
    HOLDS(jobtab_reason_name(job->reason) != NULL);
    HOLDS((unsigned)job->result_format <= JOBTAB_BYTES);
    HOLDS(job->state != JOBTAB_SCHEDULED || job->run_at != 0);
    HOLDS(!moved->params || json_scan(moved->params, moved->params_size, &fault));
    HOLDS(!moved->params || moved->params[moved->params_size] == '\0');
    HOLDS(!moved->result_size || job->result_format != JOBTAB_NONE);
}

/* The instant is one that has a text. */
static int writable(int64_t instant)
{
    return instant >= 0 && instant <= YEAR_9999;
}

static void check_again(struct moved *first)
{
    static const struct mapping none;
    struct jobtab_job *job = &first->job;
    struct moved again;
    struct row row = {.n = 0};
    char why[MOVED_WHY] = "";

    if (!writable(job->created_at) || !writable(job->run_at) || !writable(job->started_at) ||
        !writable(job->updated_at) || !writable(job->finished_at) || !writable(job->expires_at))
        return;
    job->params_size = first->params_size;
    job->result_size = 0; /* what it is said to be is looked at in the table only */
    size_t size = jobtab_job_json(job, first->params, NULL, NULL, 0);
    char *text = malloc(size + 1);
    HOLDS(text != NULL);
    jobtab_job_json(job, first->params, NULL, text, size + 1);
    /* Two levels more than what was checked may be too many. */
    if (row_add_json(&row, text, size, why, sizeof why)) {
        HOLDS(moved_make(&again, &none, NULL, &row, why));
        HOLDS(again.job.state == job->state && again.job.reason == job->reason);
        HOLDS(again.job.progress == job->progress && again.job.priority == job->priority);
        HOLDS(again.job.attempt == job->attempt && again.job.max_attempts == job->max_attempts);
        HOLDS(again.job.created_at == job->created_at && again.job.run_at == job->run_at);
        HOLDS(again.job.finished_at == job->finished_at);
        HOLDS(again.params_size == first->params_size || !first->params);
        moved_free(&again);
    } else {
        HOLDS(strstr(why, "fewer levels") != NULL);
    }
    row_free(&row);
    free(text);
}

static void make(const struct mapping *mapping, struct row *row)
{
    char why[MOVED_WHY] = "";
    struct moved moved;

    if (moved_make(&moved, mapping, "k", row, why)) {
        check_fields(&moved);
        struct jobtab_op op = moved_op(&moved, true);
        HOLDS(op.restore.job == &moved.job && op.restore.params == moved.params);
        check_again(&moved);
        moved_free(&moved);
    } else {
        HOLDS(why[0] != '\0');
    }
}

static void json_line(const struct mapping *mapping, const char *text, size_t size)
{
    struct row row = {.id = "from the key"};
    char why[256] = "";

    if (row_add_json(&row, text, size, why, sizeof why))
        make(mapping, &row);
    else
        HOLDS(why[0] != '\0');
    row_free(&row);
}

/* As a source has it, without space around it. */
static int is_json_value(const char *text, size_t size)
{
    static const char space[] = " \t\r\n";
    struct json_fault fault;

    return json_scan(text, size, &fault) && strchr(space, text[0]) == NULL &&
           strchr(space, text[size - 1]) == NULL;
}

/* Lines of type, name, '=' and value. */
static void columns(const struct mapping *mapping, char *text)
{
    struct row row = {.n = 0};
    char *rest, *line = strtok_r(text, "\n", &rest);

    for (; line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strchr(line, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        size_t size = strlen(value);
        enum value_type type = *line == 'n'                                ? VALUE_NULL
                               : *line == 'b'                              ? VALUE_BYTES
                               : *line == 'j' && is_json_value(value, size) ? VALUE_JSON
                                                                           : VALUE_TEXT;
        if (type == VALUE_JSON && strcmp(value, "null") == 0)
            type = VALUE_NULL;
        row_add(&row, *line != '\0' ? line + 1 : line, type, type == VALUE_NULL ? NULL : value,
                type == VALUE_NULL ? 0 : size);
    }
    make(mapping, &row);
    row_free(&row);
}

static void bytes(const char *data, size_t size)
{
    size_t length = 0;
    char *text = base64_encode(data, size);

    HOLDS(base64_decode(text, strlen(text), &length));
    HOLDS(length == size && memcmp(text, data, size) == 0);
    free(text);
    text = fuzz_text((const uint8_t *)data, size);
    if (base64_decode(text, size, &length)) {
        HOLDS(length <= size);
        char *again = base64_encode(text, length);
        HOLDS(strlen(again) <= size + 2);
        free(again);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mapping mapping = {.n = 0};
    int64_t time_ms;

    if (size == 0)
        return 0;
    char *text = fuzz_text(data + 1, size - 1);
    char *end = strchr(text, '\n');
    switch (data[0]) {
    case 'j':
        json_line(&mapping, text, size - 1);
        break;
    case 'c':
        columns(&mapping, text);
        break;
    case 'm': /* rules, and a line or columns by them */
        if (end == NULL)
            break;
        *end = '\0';
        mapping_add(&mapping, text);
        if (end[1] == '{')
            json_line(&mapping, end + 1, size - 1 - (size_t)(end + 1 - text));
        else
            columns(&mapping, end + 1);
        break;
    case 't':
        if (when_parse(text, &time_ms) && writable(time_ms)) {
            char written[JOBTAB_TIME_TEXT];
            int64_t again;
            jobtab_time_format(time_ms, written);
            HOLDS(when_parse(written, &again) && again == time_ms);
        }
        break;
    default:
        bytes(text, size - 1);
        break;
    }
    mapping_free(&mapping);
    free(text);
    return 0;
}
