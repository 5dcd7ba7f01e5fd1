/* text.h - bytes that came from a child, before they are believed to be text. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the UTF-8 character that `bytes` begins with, 0 when it begins with none. */
size_t text_character(const char *bytes, size_t size);

/* UTF-8 from end to end, and no NUL. */
bool text_is_utf8(const char *bytes, size_t size);

/* Copy into line[0..room) as one NUL-terminated line, cut between characters. What is neither
 * UTF-8 nor printable becomes '?'. */
void text_one_line(char *line, size_t room, const char *bytes, size_t size);

#endif
