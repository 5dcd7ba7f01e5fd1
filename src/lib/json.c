/* json.c - a job as JSON, written straight into the caller's buffer: every answer about a job, over
 * HTTP or on a terminal, is this text. */
#include "jobtab.h"

#include <stdio.h>
#include <string.h>

/* The text so far. Beyond the buffer's end it only counts, as snprintf does. */
struct out {
    char *text;
    size_t size, length;
};

static inline void put(struct out *out, const char *bytes, size_t n)
{
    size_t at = out->length;

    out->length += n;
    if (out->length <= out->size) /* so that a literal's copy is a few stores */
        memcpy(out->text + at, bytes, n);
    else if (at < out->size)
        memcpy(out->text + at, bytes, out->size - at);
}

static inline void put_text(struct out *out, const char *text)
{
    put(out, text, strlen(text));
}

/* The length of the UTF-8 character at p, 0 when the bytes are none. */
static size_t character(const unsigned char *p, size_t left)
{
    size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : (*p & 0xf0) == 0xe0 ? 3
                               : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;

    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0; /* overlong, surrogate, beyond Unicode */
    return n;
}

static bool is_utf8(const char *bytes, size_t size)
{
    for (size_t i = 0, n; i < size; i += n)
        if (!(n = character((const unsigned char *)bytes + i, size - i)))
            return false;
    return true;
}

/* Bytes that stand in a string as they are. */
static const bool plain_bytes[256] = {
    [' ' ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7e] = true};

/* A JSON string. Bytes that are no UTF-8 become U+FFFD. */
static void put_string(struct out *out, const char *bytes, size_t size)
{
    const unsigned char *p = (const unsigned char *)bytes, *end = p + size;
    const unsigned char *plain = p; /* since when nothing needed escaping */
    char escape[8];

    put(out, "\"", 1);
    while (p < end) {
        if (plain_bytes[*p]) {
            p++;
            continue;
        }
        size_t n = character(p, (size_t)(end - p));
        if (n > 1) {
            p += n;
            continue;
        }
        put(out, (const char *)plain, (size_t)(p - plain));
        if (!n)
            put_text(out, "\xef\xbf\xbd");
        else if (*p == '"' || *p == '\\')
            put(out, (char[]){'\\', (char)*p}, 2);
        else if (*p == '\n')
            put_text(out, "\\n");
        else
            put(out, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *p));
        p += n ? n : 1;
        plain = p;
    }
    put(out, (const char *)plain, (size_t)(p - plain));
    put(out, "\"", 1);
}

static void put_number(struct out *out, uint64_t value)
{
    char digits[20], *p = digits + sizeof digits;

    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put(out, p, (size_t)(digits + sizeof digits - p));
}

static void put_string_or_null(struct out *out, const char *text)
{
    if (*text)
        put_string(out, text, strlen(text));
    else
        put_text(out, "null");
}

static void put_time(struct out *out, int64_t time)
{
    char text[JOBTAB_TIME_TEXT];

    if (!time) {
        put_text(out, "null");
        return;
    }
    jobtab_time_format(time, text);
    put(out, "\"", 1);
    put(out, text, sizeof text - 1);
    put(out, "\"", 1);
}

/* JSON as it was stored, on one line: a line break in it stands between tokens only. */
static void put_json(struct out *out, const char *bytes, size_t size)
{
    if (!memchr(bytes, '\n', size) && !memchr(bytes, '\r', size)) {
        put(out, bytes, size);
        return;
    }
    for (size_t i = 0; i < size; i++)
        put(out, bytes[i] == '\n' || bytes[i] == '\r' ? " " : bytes + i, 1);
}

/* A result that is no JSON is a string; one that is no text either is fetched as bytes. */
static void put_result(struct out *out, const struct jobtab_job *job, const char *result)
{
    if (job->result_format == JOBTAB_JSON)
        put_json(out, result, job->result_size);
    else if (job->result_format == JOBTAB_TEXT && is_utf8(result, job->result_size))
        put_string(out, result, job->result_size);
    else
        put_text(out, "null");
}

size_t jobtab_job_json(const struct jobtab_job *job, const char *params, const char *result,
                       char *text, size_t size)
{
    struct out out = {.text = text, .size = size ? size - 1 : 0};
    char id[JOBTAB_ID_TEXT];

    jobtab_id_format(&job->id, id);
    put_text(&out, "{\"job_id\":\"");
    put(&out, id, sizeof id - 1);
    put_text(&out, "\",\"kind\":");
    put_string(&out, job->kind, strlen(job->kind));
    put_text(&out, ",\"status\":\"");
    put_text(&out, jobtab_state_name(job->state));
    put_text(&out, "\",\"reason\":");
    put_string_or_null(&out, jobtab_reason_name(job->reason));
    put_text(&out, jobtab_state_done(job->state) ? ",\"done\":true" : ",\"done\":false");
    put_text(&out, ",\"progress\":");
    put_number(&out, job->progress);
    put_text(&out, ",\"message\":");
    put_string_or_null(&out, job->message);
    put_text(&out, ",\"version\":");
    put_number(&out, job->version);
    put_text(&out, ",\"attempt\":");
    put_number(&out, job->attempt);
    put_text(&out, ",\"max_attempts\":");
    put_number(&out, job->max_attempts);
    put_text(&out, job->priority < 0 ? ",\"priority\":-" : ",\"priority\":");
    put_number(&out, (uint64_t)(job->priority < 0 ? -(int64_t)job->priority : job->priority));
    put_text(&out, ",\"created_at\":");
    put_time(&out, job->created_at);
    put_text(&out, ",\"run_at\":");
    put_time(&out, job->run_at);
    put_text(&out, ",\"started_at\":");
    put_time(&out, job->started_at);
    put_text(&out, ",\"updated_at\":");
    put_time(&out, job->updated_at);
    put_text(&out, ",\"finished_at\":");
    put_time(&out, job->finished_at);
    put_text(&out, ",\"expires_at\":");
    put_time(&out, job->expires_at);
    if (params) {
        put_text(&out, ",\"params\":");
        if (job->params_size)
            put_json(&out, params, job->params_size);
        else
            put_text(&out, "{}");
    }
    if (result) {
        put_text(&out, ",\"result\":");
        put_result(&out, job, result);
    }
    put_text(&out, ",\"error\":");
    put_string_or_null(&out, job->error);
    put_text(&out, "}");
    if (size)
        text[out.length < size ? out.length : size - 1] = '\0';
    return out.length;
}
