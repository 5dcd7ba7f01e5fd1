/* validate.h - one price validation, from sources to result. */
#ifndef VALIDATE_H
#define VALIDATE_H

#include "fault.h"
#include "params.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
    /* Called every few milliseconds while work goes on. False: stop. */
    bool (*tell)(unsigned percent, const char *message, void *context);
    void *context;
};

/* Validate what `params` names beneath the folder `root`; `now` (nanoseconds) is what ages are
 * measured from. *result is the interface's result object, the caller's. 0, or -1 with *fault. */
int validate(int root, const struct params *params, int64_t now, const struct progress *progress,
             json_t **result, struct fault *fault);

#endif
