/* mapping.h - what fields of other systems are called here: the usual names, and what --map says.
 *
 *   --map id=job_id,status=state        the value of their `job_id` is our id
 *   --map status:queued=pending         where their status says queued, ours is pending
 */
#ifndef MAPPING_H
#define MAPPING_H

#include <stdbool.h>
#include <stddef.h>

/* What a job can be given. The names that export uses come first in the table in mapping.c. */
enum target {
    TO_ID,
    TO_KIND,
    TO_STATUS,
    TO_REASON,
    TO_PROGRESS,
    TO_MESSAGE,
    TO_ERROR,
    TO_KEY,
    TO_PRIORITY,
    TO_ATTEMPT,
    TO_MAX_ATTEMPTS,
    TO_CRASHES,
    TO_MAX_CRASHES,
    TO_BACKOFF,
    TO_BACKOFF_MS,
    TO_TIMEOUT,
    TO_TIMEOUT_MS,
    TO_CREATED_AT,
    TO_RUN_AT,
    TO_STARTED_AT,
    TO_UPDATED_AT,
    TO_FINISHED_AT,
    TO_EXPIRES_AT,
    TO_PARAMS,
    TO_RESULT,
    TO_RESULT_FORMAT,
    TO_RESULT_BASE64,
    TO_LOG,
    TO_LOG_BASE64,
    TO_NOTHING, /* what follows from the rest */
    TARGETS,
    TO_PARAMS_MEMBER = TARGETS, /* no other place: becomes a member of params */
};

#define MAPPING_MAX 64

struct mapping {
    struct {
        enum target target;
        char *foreign; /* the column, or the value if `ours` */
        char *ours;
    } rules[MAPPING_MAX];
    size_t n;
};

/* Take in "TARGET=COLUMN" and "TARGET:VALUE=OURS", comma between them, up to MAPPING_MAX. False
 * when the text is none. */
bool mapping_add(struct mapping *mapping, const char *text);
void mapping_free(struct mapping *mapping);

/* Where a field of that name goes. */
enum target mapping_target(const struct mapping *mapping, const char *name);
/* What a value of the field is here: as --map says, else as it is. */
const char *mapping_value(const struct mapping *mapping, enum target target, const char *value);

const char *mapping_name(enum target target);

#endif
