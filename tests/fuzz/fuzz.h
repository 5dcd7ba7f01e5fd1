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

/* A copy that ends exactly where the input does, with a NUL behind it: reading on is seen.
 * Free it with free(). */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    HOLDS(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif
