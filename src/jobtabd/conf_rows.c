/* conf_rows.c - the rows, and how a value of each type is read. To add a key: a field in conf.h, a
 * row here, a line in conf/jobtabd.conf and an item in jobtabd.conf.5; tests/unit/test_conf_rows
 * prints the item and fails until all four have it. */
#include "config.h"

#include "conf_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "units.h"

#define KB 1024ull
#define MB (1024 * KB)
#define GB (1024 * MB)
#define SECOND 1000ull
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

#define TOP(field) offsetof(struct conf, field)
#define LISTEN(field) offsetof(struct conf_listen, field)
#define TABLE(field) offsetof(struct conf_table, field)
#define KIND(field) offsetof(struct conf_kind, field)

const struct conf_row conf_rows[] = {
    {"", "worker_processes", CONF_CORES, "auto", 1, 256, RELOAD_NEW, TOP(worker_processes),
     "Processes that answer HTTP; auto is one for each core.", NULL},
    {"", "runner_processes", CONF_COUNT, "1", 0, 64, RELOAD_NEW, TOP(runner_processes),
     "Processes that start job children; with 0 jobs wait for workers elsewhere.", NULL},
    {"", "user", CONF_TEXT, "", 0, 0, RELOAD_KEEP, TOP(user),
     "Account that workers, runners and the keeper change to when the master is root; none: stay.",
     conf_check_user},
    {"", "pid_file", CONF_PATH, "var/jobtabd.pid", 0, 0, RELOAD_KEEP, TOP(pid_file),
     "File that holds the master's process id and locks out a second master.", NULL},
    {"", "error_log", CONF_LOG, "stderr", 0, 0, RELOAD_NOW, TOP(error_log),
     "Where events are logged: stderr, off or a file.", NULL},
    {"", "access_log", CONF_LOG, "off", 0, 0, RELOAD_NEW, TOP(access_log),
     "Where HTTP requests are logged: stderr, off or a file.", NULL},
    {"", "default_kind", CONF_TEXT, "", 0, 0, RELOAD_NEW, TOP(default_kind),
     "Kind of a job submitted without one; none: such a request is refused.",
     conf_check_default_kind},
    {"", "shutdown_timeout", CONF_TIME, "30s", 0, DAY, RELOAD_NEW, TOP(shutdown_timeout),
     "How long a graceful stop waits for what runs before it is told to stop.", NULL},
    {"", "stall_timeout", CONF_TIME, "30s", 0, DAY, RELOAD_NEW, TOP(stall_timeout),
     "How long a process in the way of others may do nothing before it is ended; 0s: nobody is.", NULL},
    {"", "body_max", CONF_SIZE, "1m", KB, GB, RELOAD_NEW, TOP(body_max),
     "Largest body of an HTTP request.", NULL},
    {"", "worker_connections", CONF_COUNT, "1024", 8, 65536, RELOAD_NEW, TOP(worker_connections),
     "Connections at once in one worker.", NULL},
    {"", "hosts", CONF_LIST, NULL, 0, 0, RELOAD_NEW, TOP(hosts),
     "Names a request's Host may have besides localhost and the addresses of this machine.", NULL},

    {"listen", "tls_certificate", CONF_PATH, NULL, 0, 0, RELOAD_NEW, LISTEN(tls_certificate),
     "PEM file with the certificate and its chain; turns TLS on.", conf_check_certificate},
    {"listen", "tls_key", CONF_PATH, NULL, 0, 0, RELOAD_NEW, LISTEN(tls_key),
     "PEM file with the certificate's key.", conf_check_key},
    {"listen", "http2", CONF_BOOL, "false", 0, 1, RELOAD_NEW, LISTEN(http2),
     "Speak HTTP/2 too; see BUGS before turning it on.", NULL},

    {"table", "map_size", CONF_SIZE, "1g", MB, 1024 * GB, RELOAD_NEW, TABLE(map_size),
     "Most the table may take on disk.", NULL},
    {"table", "max_jobs", CONF_NUMBER, "100000", 1, 1000000000, RELOAD_NEW, TABLE(max_jobs),
     "Most jobs in the table; beyond it the oldest finished ones make room.", NULL},
    {"table", "retention", CONF_TIME, "24h", SECOND, 3650 * DAY, RELOAD_NEW, TABLE(retention),
     "How long a finished job is kept.", NULL},
    {"table", "params_max", CONF_SIZE, "64k", 2, 64 * MB, RELOAD_NEW, TABLE(params_max),
     "Largest params of a job.", NULL},
    {"table", "result_max", CONF_SIZE, "1m", 2, 64 * MB, RELOAD_NEW, TABLE(result_max),
     "Largest result of a job.", NULL},
    {"table", "log_max", CONF_SIZE, "256k", 4 * KB, 64 * MB, RELOAD_NEW, TABLE(log_max),
     "Log kept of a job; beyond it the oldest part is dropped.", NULL},
    {"table", "high_water", CONF_COUNT, "80", 10, 95, RELOAD_NEW, TABLE(high_water),
     "Percent of map_size beyond which no new job is taken.", NULL},
    {"table", "durability", CONF_TEXT, "sync", 0, 0, RELOAD_NEW, TABLE(durability),
     "When a change is acknowledged; sync, once it is on disk, is the only one there is.",
     conf_check_durability},

    {"kind", "command", CONF_LIST, NULL, 0, 0, RELOAD_NEW, KIND(command),
     "Program and arguments of a job child, without a shell; must be given.",
     conf_check_command},
    {"kind", "table", CONF_BOOL, "false", 0, 1, RELOAD_NEW, KIND(table),
     "The program uses libjobtab: it is handed the table.", NULL},
    {"kind", "children", CONF_COUNT, "0", 0, 1024, RELOAD_NEW, KIND(children),
     "Children that a runner keeps, which claim one job after another; 0: a child for each job.",
     conf_check_children},
    {"kind", "concurrency", CONF_COUNT, "1", 1, 1024, RELOAD_NEW, KIND(concurrency),
     "Jobs of the kind at once in one runner, where children is 0.", NULL},
    {"kind", "input_root", CONF_PATH, NULL, 0, 0, RELOAD_NEW, KIND(input_root),
     "Directory that the children read beneath, handed to them as JOBTAB_INPUT_ROOT.",
     conf_check_input_root},
    {"kind", "timeout", CONF_TIME, "0s", 0, 365 * DAY, RELOAD_NEW, KIND(timeout),
     "How long one attempt may run; 0s: for ever.", NULL},
    {"kind", "kill_after", CONF_TIME, "5s", 0, HOUR, RELOAD_NEW, KIND(kill_after),
     "Time between SIGTERM and SIGKILL when a child is told to stop.", NULL},
    {"kind", "max_attempts", CONF_COUNT, "1", 1, 1000, RELOAD_NEW, KIND(max_attempts),
     "Attempts before a job is failed for good.", NULL},
    {"kind", "backoff", CONF_TIME, "1s", 1, DAY, RELOAD_NEW, KIND(backoff),
     "Wait before the second attempt; doubles for each one after.", NULL},
    {"kind", "max_crashes", CONF_COUNT, "3", 1, 1000, RELOAD_NEW, KIND(max_crashes),
     "Times that a job may take its owner down with it before it is failed for good.", NULL},
};
const size_t conf_n_rows = sizeof conf_rows / sizeof conf_rows[0];

const struct conf_row *conf_find_row(const char *section, const char *name)
{
    for (size_t i = 0; i < conf_n_rows; i++) {
        if (strcmp(conf_rows[i].section, section) == 0 && strcmp(conf_rows[i].name, name) == 0) {
            return &conf_rows[i];
        }
    }
    return NULL;
}

const char *conf_type_text(enum conf_type type)
{
    static const char *const texts[] = {
        [CONF_COUNT] = "number", [CONF_CORES] = "number",  [CONF_NUMBER] = "number",
        [CONF_SIZE] = "size",    [CONF_TIME] = "time",     [CONF_BOOL] = "boolean",
        [CONF_TEXT] = "string",  [CONF_PATH] = "path",     [CONF_LOG] = "path",
        [CONF_LIST] = "list",
    };
    return texts[type];
}

const char *conf_reload_text(enum conf_reload reload)
{
    static const char *const texts[] = {
        [RELOAD_NEW] = "new processes have it",
        [RELOAD_NOW] = "takes effect at once",
        [RELOAD_KEEP] = "kept until a restart",
    };
    return texts[reload];
}

char *conf_absolute(const char *path)
{
    char *absolute = NULL;

    if (path[0] == '/') {
        return strdup(path);
    }
    char *here = getcwd(NULL, 0);
    if (here && asprintf(&absolute, "%s/%s", here, path) < 0) {
        absolute = NULL;
    }
    free(here);
    return absolute;
}

static uint64_t cores(void)
{
    cpu_set_t set; /* what a container or taskset leaves us, not what the board has */

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return (uint64_t)CPU_COUNT(&set);
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint64_t)n : 1;
}

void conf_number_text(enum conf_type type, uint64_t value, char *text, size_t size)
{
    if (type == CONF_SIZE) {
        units_size_text(value, text, size);
    } else if (type == CONF_TIME) {
        units_duration_text((int64_t)value, text, size);
    } else if (type == CONF_BOOL) {
        snprintf(text, size, "%s", value ? "true" : "false");
    } else {
        snprintf(text, size, "%" PRIu64, value);
    }
}

static int read_number(const struct conf_row *row, const char *text, uint64_t *value)
{
    int64_t ms;
    char *end;

    switch (row->type) {
    case CONF_CORES:
        if (strcmp(text, "auto") == 0) {
            *value = cores();
            return 0;
        }
        break;
    case CONF_SIZE:
        return units_size(text, value);
    case CONF_TIME:
        if (units_duration(text, &ms) != 0) {
            return -1;
        }
        *value = (uint64_t)ms;
        return 0;
    case CONF_BOOL:
        *value = strcmp(text, "true") == 0;
        return *value || strcmp(text, "false") == 0 ? 0 : -1;
    default:
        break;
    }
    if (text[0] < '0' || text[0] > '9') {
        return -1;
    }
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? 0 : -1;
}

uint64_t conf_row_number(const struct conf_row *row, const void *base)
{
    const void *field = (const char *)base + row->offset;

    switch (row->type) {
    case CONF_COUNT:
    case CONF_CORES:
        return *(const uint32_t *)field;
    case CONF_BOOL:
        return *(const bool *)field;
    case CONF_TIME:
        return (uint64_t)*(const int64_t *)field;
    default:
        return *(const uint64_t *)field;
    }
}

static int store_text(const struct conf_row *row, const char *text, char **field, char *why,
                      size_t size)
{
    bool name = row->type == CONF_TEXT ||
                (row->type == CONF_LOG && (!strcmp(text, "stderr") || !strcmp(text, "off")));

    if (!name && text[0] == '\0') {
        snprintf(why, size, "%s: a path must not be empty", row->name);
        return -1;
    }
    char *copy = name ? strdup(text) : conf_absolute(text);
    if (!copy) {
        snprintf(why, size, "%s: %s", row->name, strerror(errno));
        return -1;
    }
    free(*field);
    *field = copy;
    return 0;
}

int conf_row_read(const struct conf_row *row, const char *text, void *base, char *why, size_t size)
{
    void *field = (char *)base + row->offset;
    char bound[32];
    uint64_t value;

    if (row->type == CONF_TEXT || row->type == CONF_PATH || row->type == CONF_LOG) {
        return store_text(row, text, field, why, size);
    }
    if (read_number(row, text, &value) != 0) {
        snprintf(why, size, "%s: \"%s\" is no %s", row->name, text, conf_type_text(row->type));
        return -1;
    }
    if (value < row->min || value > row->max) {
        bool below = value < row->min;
        conf_number_text(row->type, below ? row->min : row->max, bound, sizeof bound);
        snprintf(why, size, "%s: %s is %s %s", row->name, text, below ? "below" : "above", bound);
        return -1;
    }
    switch (row->type) {
    case CONF_COUNT:
    case CONF_CORES:
        *(uint32_t *)field = (uint32_t)value;
        break;
    case CONF_BOOL:
        *(bool *)field = value;
        break;
    case CONF_TIME:
        *(int64_t *)field = (int64_t)value;
        break;
    default:
        *(uint64_t *)field = value;
    }
    return 0;
}

void conf_row_free(const struct conf_row *row, void *base)
{
    void *field = (char *)base + row->offset;

    if (row->type == CONF_TEXT || row->type == CONF_PATH || row->type == CONF_LOG) {
        free(*(char **)field);
    } else if (row->type == CONF_LIST) {
        char **list = *(char ***)field;
        for (char **item = list; item && *item; item++) {
            free(*item);
        }
        free(list);
    }
}
