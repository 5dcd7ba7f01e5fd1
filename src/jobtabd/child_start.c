/* child_start.c - a job's process: its pipes, its environment, and what came of the attempt to
 * start it. For want of memory or descriptors the job goes back; for any other reason that is its
 * end. */
#include "config.h"

#include "child_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child_env.h"
#include "log.h"
#include "monotonic.h"
#include "spawn.h"
#include "text.h"

#define OOM_FRESH 1000 /* ms for which the count of the kernel's memory kills is good enough */

static uint64_t count_oom_kills(void)
{
    char text[16384];
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    return ending_counter(text, "oom_kill");
}

uint64_t child_oom_kills(int64_t age)
{
    static int64_t counted_at = INT64_MIN; /* of the one thread that starts children */
    static uint64_t counted;
    int64_t now = monotonic_ms();

    if (counted_at < now - age) {
        counted = count_oom_kills();
        counted_at = now;
    }
    return counted;
}

static char **make_environment(const struct child *child)
{
    char token[JOBTAB_TOKEN_TEXT];

    jobtab_token_format(&child->token, token);
    struct child_env facts = {
        .kind = child->kind->name,
        .owner = child->site->run_id,
        .table = child->kind->table ? child->site->table_dir : NULL,
        .input_root = child->kind->input_root,
        .job_id = child->name,
        .attempt = child->attempt,
        .token = child->kind->table ? token : NULL,
    };
    return child_env_make(&facts, environ);
}

static void fail_start(struct child *child, const char *what, const char *why)
{
    char text[2 * JOBTAB_MESSAGE_MAX];

    snprintf(text, sizeof text, "%s: %s", what, why);
    text_one_line(child->not_started, sizeof child->not_started, text, strlen(text));
    log_write(LOG_LEVEL_ERROR, child->name, "cannot start a child of kind %s: %s",
              child->kind->name, child->not_started);
    child->stage = ENDING;
}

/* For want of memory or descriptors, which is no fault of the job's: it goes back as it came.
 * Always false. */
static bool give_back(struct child *child, const char *what, const char *why)
{
    log_write(LOG_LEVEL_WARN, child->name, "not started for now: %s: %s", what, why);
    child->cause = ENDING_STARVED;
    child->stage = ENDING;
    return false;
}

static bool is_want(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE || error == EAGAIN;
}

/* The parameters, for relay_open; an empty object for a job that was submitted without. JOBTAB_OK,
 * or the table's error. */
static int read_params(const struct child *child, char **params, size_t *size)
{
    uint64_t offset = 0;

    *size = 2;
    if (child->params_size > 0)
        return jobtab_read(child->site->table, &child->id, JOBTAB_PARAMS, &offset, SIZE_MAX - 1,
                           params, size);
    *params = strdup("{}");
    return *params != NULL ? JOBTAB_OK : JOBTAB_SYSTEM;
}

bool child_start(struct child *child)
{
    const struct site *site = child->site;
    struct spawn spawn = {.program = child->kind->program, .argv = child->kind->command};
    char **environment = NULL, *params;
    size_t params_size;
    const char *step = NULL;
    bool fed = true;
    int error = read_params(child, &params, &params_size);

    if (error == JOBTAB_SYSTEM)
        return give_back(child, "params", jobtab_why());
    if (error != JOBTAB_OK) {
        fail_start(child, "params", jobtab_why());
        return true;
    }
    environment = make_environment(child);
    if (environment == NULL) {
        free(params);
        return give_back(child, "environment", strerror(errno));
    }
    if (relay_open(&child->relay, site->epoll, params, params_size, site->result_max, site->log_max,
                   spawn.fds) < 0) {
        fed = !is_want(errno);
        if (fed)
            fail_start(child, "pipes", strerror(errno));
        else
            give_back(child, "pipes", strerror(errno));
        goto out;
    }
    child->oom_kills = child_oom_kills(OOM_FRESH);
    spawn.envp = environment;
    int started = spawn_program(&spawn, &child->pid, &step);
    error = errno;
    for (int i = 0; i < 4; i++)
        close(spawn.fds[i]);
    if (started < 0) {
        char why[JOBTAB_MESSAGE_MAX];
        child->pid = 0;
        snprintf(why, sizeof why, "%s: %s", child->kind->program, strerror(error));
        fed =
            strcmp(step, "exec") == 0 || !is_want(error); /* a program may want too much for ever */
        if (fed)
            fail_start(child, step, why);
        else
            give_back(child, step, why);
        relay_shut(&child->relay);
        goto out;
    }
    child->stage = RUNNING;
    log_write(LOG_LEVEL_INFO, child->name, "%s started, pid %d, attempt %u", child->kind->name,
              (int)child->pid, child->attempt);
out:
    child_env_free(environment);
    return fed;
}
