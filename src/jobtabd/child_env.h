/* child_env.h - the environment of a child: what the contract promises and nothing else. */
#ifndef CHILD_ENV_H
#define CHILD_ENV_H

#include <stdint.h>

struct child_env {
    const char *kind;
    const char *owner;      /* the daemon's run id */
    const char *table;      /* absolute directory, or NULL: the kind has no business with it */
    const char *input_root; /* or NULL */
    const char *job_id;     /* or NULL: a warm child, which claims for itself */
    uint32_t attempt;       /* of that job */
    const char *token;      /* or NULL */
};

/* The vector for execve; PATH, LANG, TZ, HOME and TMPDIR are copied out of `from` (as environ is)
 * where they stand there. NULL with errno ENOMEM. Free with child_env_free. */
char **child_env_make(const struct child_env *facts, char *const *from);
void child_env_free(char **env);

#endif
