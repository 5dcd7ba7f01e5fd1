/* text.c - what is UTF-8, and how to show what is not. Pure. */
#include "config.h"

#include "text.h"

#include <string.h>

/* RFC 3629, table of well-formed byte sequences: no surrogates, no overlong forms, nothing
 * above U+10FFFF. The second byte is the one that needs a range of its own. */
static const struct {
    unsigned char first, last; /* of the leading byte */
    unsigned char length, second_min, second_max;
} sequences[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

size_t text_character(const char *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        if (at[0] < sequences[i].first || at[0] > sequences[i].last)
            continue;
        size_t length = sequences[i].length;
        if (length > size)
            return 0;
        if (length > 1 && (at[1] < sequences[i].second_min || at[1] > sequences[i].second_max))
            return 0;
        for (size_t k = 2; k < length; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

bool text_is_utf8(const char *bytes, size_t size)
{
    while (size > 0) {
        size_t length = text_character(bytes, size);
        if (length == 0 || *bytes == '\0')
            return false;
        bytes += length;
        size -= length;
    }
    return true;
}

void text_one_line(char *line, size_t room, const char *bytes, size_t size)
{
    size_t used = 0;

    while (size > 0) {
        size_t length = text_character(bytes, size);
        bool shown = length > 1 || (length == 1 && (unsigned char)*bytes >= 0x20 && *bytes != 0x7f);
        size_t step = length == 0 ? 1 : length;
        size_t need = shown ? length : 1;
        if (used + need >= room)
            break;
        if (shown)
            memcpy(line + used, bytes, length);
        else
            line[used] = *bytes == '\t' ? ' ' : '?';
        used += need;
        bytes += step;
        size -= step;
    }
    line[used] = '\0';
}
