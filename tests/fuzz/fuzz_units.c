/* fuzz_units.c - durations and sizes: what is read is written so that it reads the same. */
#include "fuzz.h"

#include "units.h"

static void duration(const char *text)
{
    int64_t ms, again;
    char written[64];

    if (units_duration(text, &ms) != 0)
        return;
    HOLDS(ms >= 0);
    units_duration_text(ms, written, sizeof written);
    HOLDS(units_duration(written, &again) == 0);
    HOLDS(again == ms);
}

static void size_of(const char *text)
{
    uint64_t bytes, again;
    char written[64];

    if (units_size(text, &bytes) != 0)
        return;
    units_size_text(bytes, written, sizeof written);
    HOLDS(units_size(written, &again) == 0);
    HOLDS(again == bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);

    duration(text);
    size_of(text);
    free(text);
    return 0;
}
