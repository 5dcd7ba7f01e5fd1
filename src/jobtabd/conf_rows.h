/* conf_rows.h - the one table of all configuration keys. The parser, the checks of bounds and
 * `jobtabd -T` work from it; tests hold the sample file and jobtabd.conf(5) to it. */
#ifndef CONF_ROWS_H
#define CONF_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_COUNT,  /* uint32_t */
    CONF_CORES,  /* uint32_t; "auto" is the number of cores */
    CONF_NUMBER, /* uint64_t */
    CONF_SIZE,   /* uint64_t, bytes; k, m, g */
    CONF_TIME,   /* int64_t, milliseconds; ms, s, m, h, d */
    CONF_BOOL,   /* bool; true, false */
    CONF_TEXT,   /* char * */
    CONF_PATH,   /* char *, made absolute, or NULL */
    CONF_LOG,    /* char *: "stderr", "off" or a path, made absolute */
    CONF_LIST,   /* char **, NULL-terminated, or NULL */
};

enum conf_reload {
    RELOAD_NEW,  /* the processes that the reload starts have it */
    RELOAD_NOW,  /* the master has it too */
    RELOAD_KEEP, /* it stays as it is until a restart */
};

struct conf;

/* Hold a value against the rest of its section and against the system, once the section is read.
 * 0, or -1 with the reason in why. */
typedef int conf_check(const struct conf *conf, void *section, char *why, size_t size);

struct conf_row {
    const char *section; /* "" is the top of the file */
    const char *name;
    enum conf_type type;
    const char *value;     /* the default, as one would write it; NULL: none */
    uint64_t min, max;     /* of numbers, in bytes and milliseconds */
    enum conf_reload reload;
    size_t offset;         /* of the field in the struct of its section */
    const char *help;      /* one line */
    conf_check *check;     /* or NULL */
};

extern const struct conf_row conf_rows[];
extern const size_t conf_n_rows;

/* NULL when there is no such key in the section. */
const struct conf_row *conf_find_row(const char *section, const char *name);

/* What a value of the type looks like, and what a reload does with it, for people. */
const char *conf_type_text(enum conf_type type);
const char *conf_reload_text(enum conf_reload reload);

/* Read `text` as a value of the row into its field at `base`. Not for lists. 0, or -1 with the
 * reason in why. A text that was in the field is freed. */
int conf_row_read(const struct conf_row *row, const char *text, void *base, char *why, size_t size);

/* A value of a numeric type as one would write it. */
void conf_number_text(enum conf_type type, uint64_t value, char *text, size_t size);

/* The number in the row's field at `base`. */
uint64_t conf_row_number(const struct conf_row *row, const void *base);

/* Free what the row's field at `base` holds. */
void conf_row_free(const struct conf_row *row, void *base);

conf_check conf_check_user, conf_check_default_kind, conf_check_certificate, conf_check_key,
    conf_check_durability, conf_check_command, conf_check_children, conf_check_input_root;
/* The section's title: an address, a directory, the name of a kind. */
conf_check conf_check_listen, conf_check_kind;

/* `path` behind the working directory if it is relative; NULL without memory. */
char *conf_absolute(const char *path);

#endif
