/* conf.h - the configuration in force. One table of rows (conf_rows.c) makes it; nobody writes to
 * it after conf_load. Paths in it are absolute. */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf_syntax.h"

struct conf_listen {
    char *address;                   /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/jobtab.sock" */
    char *tls_certificate, *tls_key; /* paths, or NULL: no TLS */
    bool http2;
};

struct conf_table {
    char *dir;
    uint64_t map_size, max_jobs, params_max, result_max, log_max;
    int64_t retention;
    uint32_t high_water;
    char *durability; /* "sync" */
};

struct conf_kind {
    char *name;
    char **command;       /* argument vector, NULL-terminated */
    char *program;        /* what command[0] resolved to: a path to exec */
    bool table;           /* its children use libjobtab */
    uint32_t children;    /* warm children a runner keeps; 0: one child for each job */
    uint32_t concurrency; /* jobs at once in a runner, where children is 0 */
    char *input_root;     /* absolute, or NULL */
    int64_t timeout, kill_after;
    uint32_t max_attempts, max_crashes;
    int64_t backoff;
};

struct conf {
    char *file;
    uint32_t worker_processes, runner_processes;
    char *user, *pid_file, *error_log, *access_log, *default_kind;
    int64_t shutdown_timeout, stall_timeout;
    uint64_t body_max;           /* bytes of an HTTP request body */
    uint32_t worker_connections; /* at once in one worker */
    char **hosts;                /* further names that Host may have; NULL-terminated, or NULL */
    struct conf_listen *listens;
    size_t n_listens;
    struct conf_table table;
    struct conf_kind *kinds;
    size_t n_kinds;
};

/* Read `file`. NULL on any fault, after handing each one, as "file:line: reason", to `fault`. */
struct conf *conf_load(const char *file, void (*fault)(const char *text, void *context),
                       void *context);
/* The same, the file taken apart by `read`: conf_syntax_read here, conf_apart_read in a child. */
struct conf *conf_load_by(conf_read *read, const char *file,
                          void (*fault)(const char *text, void *context), void *context);
void conf_free(struct conf *conf);

/* The whole configuration, defaults filled in, in the syntax that conf_load reads. */
void conf_print(const struct conf *conf, int fd);

const struct conf_kind *conf_kind(const struct conf *conf, const char *name);

struct jobtab;
/* Open the table with the bounds and the policies of the kinds that the configuration gives; make
 * none if it must exist. For roles, after their fork. Returns what jobtab_open does. */
int conf_open_table(const struct conf *conf, bool must_exist, struct jobtab **table);

#endif
