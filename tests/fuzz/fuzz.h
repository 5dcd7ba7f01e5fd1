/* fuzz.h - what the harnesses share.
 *
 * A harness is one file: LLVMFuzzerTestOneInput hands bytes to one parser and then holds what came
 * out against a property (what was read can be written and read again; the same bytes in other
 * pieces give the same). ASan and UBSan see the rest. The table of targets is in fuzz.sh.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The property must hold, or this input is a finding. */
#define HOLDS(property)                                                                           \
    do {                                                                                          \
        if (!(property)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property);         \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

/* A copy that ends exactly where the input does: reading on is seen. Free it with free(). */
static inline char *fuzz_bytes(const void *data, size_t size)
{
    char *bytes = malloc(size ? size : 1);

    HOLDS(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    return bytes;
}

/* The same with a NUL behind it, for what reads up to one. */
static inline char *fuzz_text(const void *data, size_t size)
{
    char *text = malloc(size + 1);

    HOLDS(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* What came out, in a number that another way's can be held against: `sum` with one more to it. */
static inline uint64_t fuzz_mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

/* With bytes and how many. Its loop is nothing for libFuzzer to learn from: watched, it would take
 * longer than the parser that gave the bytes. ASan still sees it read. */
__attribute__((no_sanitize("coverage"))) static inline uint64_t
fuzz_sum(uint64_t sum, const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t word;

    sum = fuzz_mix(sum, size);
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum = fuzz_mix(sum, word);
    }
    for (; size > 0; at++, size--)
        sum = fuzz_mix(sum, (unsigned char)*at);
    return sum;
}

#endif
