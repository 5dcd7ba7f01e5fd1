/* fuzz_control.c - a decoder that is known to be unsound: tpl's own, which believes the lengths
 * that stand inside an image. The run must find that within its bounds; if it does not, the
 * harnesses could not find such a fault in our decoder either. */
#include "fuzz.h"

#include <tpl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t number;
    char *string = NULL;
    tpl_bin bin = {NULL, 0};
    char *image = fuzz_text(data, size);
    tpl_node *node = tpl_map("UsB", &number, &string, &bin);

    if (tpl_load(node, TPL_MEM | TPL_EXCESS_OK, image, size) == 0) {
        tpl_unpack(node, 0);
        free(string);
        free(bin.addr);
    }
    tpl_free(node);
    free(image);
    return 0;
}
