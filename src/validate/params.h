/* params.h - what a validation is asked to do. */
#ifndef PARAMS_H
#define PARAMS_H

#include "fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARAMS_SOURCES 4096
#define PARAMS_PATH 1024 /* bytes; so that 100 examples always fit in a result */

struct limit {
    bool on;
    double value;
};

struct params {
    char **sources; /* NULL: all there are */
    size_t n_sources;
    struct limit max_age; /* milliseconds */
    struct limit max_deviation_bps;
    struct limit max_jump_mad;
    uint32_t min_sources;
};

/* Read a JSON object. 0, or -1 with a fault that names the field; params_free in either case. */
int params_read(struct params *params, const char *text, size_t size, struct fault *fault);
/* Name the sources by themselves; a fault when params named some already. */
int params_sources(struct params *params, char *const *paths, size_t n, struct fault *fault);

void params_free(struct params *params);

#endif
