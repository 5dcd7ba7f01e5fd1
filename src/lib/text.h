/* text.h - copying a text into its array, where printing it would cost ten times as much. */
#ifndef TEXT_H
#define TEXT_H

#include <string.h>

/* As much of `from` as has room, with its NUL. */
static inline void text_copy(char *to, size_t room, const char *from)
{
    size_t length = strnlen(from, room - 1);

    memcpy(to, from, length);
    to[length] = '\0';
}

#endif
