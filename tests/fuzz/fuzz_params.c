/* fuzz_params.c - params of a validation: refused with a reason, or within their bounds. */
#include "fuzz.h"

#include "params.h"

static void limit(const struct limit *limit)
{
    HOLDS(!limit->on || (limit->value > 0 && limit->value < 1e308 * 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params params;
    struct fault fault = {.text = ""};
    char *text = fuzz_bytes(data, size);

    if (params_read(&params, text, size, &fault) != 0) {
        HOLDS(fault.text[0] != '\0');
        HOLDS(strnlen(fault.text, sizeof fault.text) <= FAULT_TEXT);
    } else {
        HOLDS(params.min_sources >= 1 && params.min_sources <= PARAMS_SOURCES);
        HOLDS(params.n_sources <= PARAMS_SOURCES);
        HOLDS((params.n_sources == 0) == (params.sources == NULL));
        for (size_t i = 0; i < params.n_sources; i++)
            HOLDS(strlen(params.sources[i]) >= 1 && strlen(params.sources[i]) <= PARAMS_PATH);
        limit(&params.max_age);
        limit(&params.max_deviation_bps);
        limit(&params.max_jump_mad);
    }
    params_free(&params);
    free(text);
    return 0;
}
