/* fuzz_control_leak.c - a parser that leaks on purpose: of a text with a `;` it forgets the copy.
 * ASan's own control (fuzz_control.c) is caught with options under which leaks are not looked for,
 * or looked for and then let go: with a stack of one frame LSan takes none for a leak. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *volatile last;

    last = fuzz_text(data, size);
    if (strchr(last, ';') == NULL)
        free(last);
    last = NULL;
    return 0;
}
