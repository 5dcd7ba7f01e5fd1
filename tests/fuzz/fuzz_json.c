/* fuzz_json.c - the checker of JSON text against jansson, as different a parser as there is here.
 *
 * They may differ only where jansson has limits of its own: numbers that no double holds, NUL in a
 * name, and depth. A sound object comes apart into members that are sound themselves.
 */
#include "fuzz.h"

#include <jansson.h>

#include "json_scan.h"

/* jansson's memory, taken back as a whole before the next text: jansson is not under test here, and
 * its calls of malloc and free were a third of a run. */
static struct {
    _Alignas(max_align_t) char bytes[4 << 20];
    size_t used;
} arena;

static void *arena_alloc(size_t size)
{
    void *taken = arena.bytes + arena.used;

    arena.used += (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    HOLDS(arena.used <= sizeof arena.bytes);
    return taken;
}

static void arena_free(void *taken)
{
    (void)taken;
}

static int jansson_says(const char *text, size_t size)
{
    json_error_t error;

    if (memchr(text, '\0', size) != NULL)
        return 0; /* to jansson it is an end */
    arena.used = 0;
    json_set_alloc_funcs(arena_alloc, arena_free);
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL |
                              JSON_ALLOW_NUL, &error);

    if (json != NULL)
        return 1;
    switch (json_error_code(&error)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
        return -1; /* its own limit */
    default:
        return 0;
    }
}

static void take_apart(const char *text, const char *end)
{
    struct json_piece name, value;
    struct json_fault fault;
    const char *at = text;

    while (json_member(&at, &name, &value)) {
        HOLDS(name.text > text && name.text + name.size < value.text);
        HOLDS(value.text + value.size < end);
        HOLDS(json_scan(name.text, name.size, &fault) && name.text[0] == '"');
        HOLDS(json_scan(value.text, value.size, &fault));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_fault fault = {.offset = size + 1};
    char *text = fuzz_bytes(data, size);

    int expected = jansson_says(text, size);
    if (json_scan(text, size, &fault)) {
        HOLDS(expected != 0);
        const char *first = text;
        while (strchr(" \t\r\n", *first) != NULL)
            first++;
        if (*first == '{')
            take_apart(text, text + size);
    } else {
        HOLDS(fault.offset <= size && fault.expected != NULL);
        HOLDS(expected != 1 || strcmp(fault.expected, "fewer levels") == 0);
    }
    free(text);
    return 0;
}
