/* fuzz_control.c - a decoder that is unsound on purpose: it checks the first length of an image
 * and believes the second. The run must find that; if it does not, the harnesses could not find
 * such a fault in our decoders either. */
#include "fuzz.h"

struct image {
    uint64_t number;
    char name[32];
    char message[256];
};

static uint32_t length_at(const char *at)
{
    uint32_t length;

    memcpy(&length, at, sizeof length);
    return length;
}

static int decode(const char *bytes, size_t size, struct image *image)
{
    const char *at = bytes;
    size_t left = size;
    uint32_t length;

    if (left < sizeof image->number + sizeof length)
        return -1;
    memcpy(&image->number, at, sizeof image->number);
    at += sizeof image->number;
    left -= sizeof image->number;

    length = length_at(at);
    at += sizeof length;
    left -= sizeof length;
    if (length >= sizeof image->name || length > left)
        return -1;
    memcpy(image->name, at, length);
    image->name[length] = '\0';
    at += length;
    left -= length;

    if (left < sizeof length)
        return -1;
    length = length_at(at);
    if (length >= sizeof image->message)
        return -1;
    memcpy(image->message, at + sizeof length, length); /* not held against `left` */
    image->message[length] = '\0';
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image;
    char *bytes = fuzz_bytes(data, size);

    if (decode(bytes, size, &image) == 0)
        HOLDS(strlen(image.name) < sizeof image.name);
    free(bytes);
    return 0;
}
