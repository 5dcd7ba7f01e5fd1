/* row.h - one record of what is moved in, wherever it comes from: named values.
 *
 * A source fills a row, moved.h makes a job of it, row_clear readies it for the next. What it
 * points to is the source's until then, or the row's own.
 */
#ifndef ROW_H
#define ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROW_PLACE 200

enum value_type {
    VALUE_NULL,
    VALUE_JSON,  /* one JSON value as it came, checked, no space around it, not null */
    VALUE_TEXT,  /* what stands for itself: a column, a field of a hash */
    VALUE_BYTES, /* no text */
};

struct value {
    const char *name;
    enum value_type type;
    const char *bytes;
    size_t size;
};

struct row {
    char place[ROW_PLACE]; /* for people: "line 12", "job:7", "row 3" */
    const char *id;        /* what the source calls it, where its values name none; or NULL */
    int64_t expires_at;    /* as the source has it; 0: it does not */
    struct value *values;
    size_t n, room;
    char **owned;
    size_t n_owned;
};

/* Empty, its memory kept; row_free for the rest. */
void row_clear(struct row *row);
void row_free(struct row *row);

void row_add(struct row *row, const char *name, enum value_type type, const char *bytes,
             size_t size);
/* Each member of an object. False, and why, when the text is no JSON object. */
bool row_add_json(struct row *row, const char *text, size_t size, char *why, size_t why_size);

/* A value as text: a JSON string decoded, anything else as it stands. Valid as long as the row.
 * False when it is null or no text. */
bool row_text(struct row *row, const struct value *value, const char **text, size_t *size);

/* A copy that goes with the row, and a NUL behind it. */
char *row_own(struct row *row, const char *bytes, size_t size);

#endif
