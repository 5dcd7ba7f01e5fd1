/* base64.c - bytes that are no text, in JSON. See base64.h. */
#include "base64.h"

#include "need.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const char *bytes, size_t size)
{
    const unsigned char *from = (const unsigned char *)bytes;
    char *text = need(malloc((size + 2) / 3 * 4 + 1)), *to = text;

    for (size_t at = 0; at < size; at += 3) {
        size_t n = size - at < 3 ? size - at : 3;
        uint32_t group = (uint32_t)from[at] << 16 | (n > 1 ? (uint32_t)from[at + 1] << 8 : 0) |
                         (n > 2 ? from[at + 2] : 0);

        for (size_t i = 0; i < 4; i++)
            *to++ = i <= n ? alphabet[group >> (18 - 6 * i) & 63] : '=';
    }
    *to = '\0';
    return text;
}

bool base64_decode(char *text, size_t length, size_t *size)
{
    char *to = text;
    uint32_t group = 0;
    size_t n = 0, padding = 0;

    while (padding < 2 && length > 0 && text[length - 1] == '=') {
        length--;
        padding++;
    }
    if ((length + padding) % 4 != 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char *digit = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;

        if (digit == NULL)
            return false;
        group = group << 6 | (uint32_t)(digit - alphabet);
        if (++n == 4) {
            *to++ = (char)(group >> 16);
            *to++ = (char)(group >> 8);
            *to++ = (char)group;
            n = 0;
        }
    }
    if (n > 0) /* 2 or 3 digits: 1 or 2 bytes */
        *to++ = (char)(group >> (n == 2 ? 4 : 10));
    if (n == 3)
        *to++ = (char)(group >> 2);
    *size = (size_t)(to - text);
    return true;
}
