/* child_env.c - the environment of a child. Pure. */
#include "config.h"

#include "child_env.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const passed_through[] = {"PATH", "LANG", "TZ", "HOME", "TMPDIR"};
#define N_PASSED (sizeof passed_through / sizeof *passed_through)
#define N_OURS   8 /* the calls of add() in child_env_make */

static const char *value_of(char *const *env, const char *name)
{
    size_t length = strlen(name);

    for (; env != NULL && *env != NULL; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

/* NULL for a value: the variable is left out. */
static bool add(char ***end, const char *name, const char *value)
{
    if (value == NULL)
        return true;
    if (asprintf(*end, "%s=%s", name, value) < 0) {
        **end = NULL;
        return false;
    }
    ++*end;
    return true;
}

char **child_env_make(const struct child_env *facts, char *const *from)
{
    char **env = calloc(N_PASSED + N_OURS + 1, sizeof *env), **end = env;
    char attempt[16];
    bool one_job = facts->job_id != NULL;

    if (env == NULL)
        return NULL;
    snprintf(attempt, sizeof attempt, "%u", facts->attempt);
    bool fine = add(&end, "JOBTAB_KIND", facts->kind) && add(&end, "JOBTAB_OWNER", facts->owner) &&
                add(&end, "JOBTAB_TABLE", facts->table) &&
                add(&end, "JOBTAB_INPUT_ROOT", facts->input_root) &&
                add(&end, "JOBTAB_JOB_ID", facts->job_id) &&
                add(&end, "JOBTAB_ATTEMPT", one_job ? attempt : NULL) &&
                add(&end, "JOBTAB_REPORT_FD", one_job ? "3" : NULL) &&
                add(&end, "JOBTAB_TOKEN", facts->token);
    for (size_t i = 0; fine && i < N_PASSED; i++)
        fine = add(&end, passed_through[i], value_of(from, passed_through[i]));
    if (!fine) {
        child_env_free(env);
        return NULL;
    }
    return env;
}

void child_env_free(char **env)
{
    for (char **at = env; at != NULL && *at != NULL; at++)
        free(*at);
    free(env);
}
