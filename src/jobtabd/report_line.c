/* report_line.c - descriptor 3's lines. Pure: bytes in, reports out; nothing is trusted. */
#include "config.h"

#include "report_line.h"

#include <string.h>

#include "text.h"

static const char verb[] = "progress ";

/* UTF-8 without control characters; cut between two of them. */
static bool copy_message(const char *from, size_t size, char *message)
{
    size_t used = 0;
    bool full = false;

    while (size > 0) {
        size_t length = text_character(from, size);
        if (length == 0 || (unsigned char)*from < 0x20 || *from == 0x7f)
            return false;
        full = full || used + length > JOBTAB_MESSAGE_MAX;
        if (!full) {
            memcpy(message + used, from, length);
            used += length;
        }
        from += length;
        size -= length;
    }
    message[used] = '\0';
    return true;
}

bool report_line_parse(const char *line, size_t size, struct report *report)
{
    struct report found = {0};
    size_t digits = 0;

    if (size > 0 && line[size - 1] == '\r')
        size--;
    if (size < sizeof verb || memcmp(line, verb, sizeof verb - 1) != 0)
        return false;
    line += sizeof verb - 1;
    size -= sizeof verb - 1;

    while (digits < size && digits < 4 && line[digits] >= '0' && line[digits] <= '9')
        found.progress = found.progress * 10 + (uint32_t)(line[digits++] - '0');
    if (digits == 0 || digits > 3 || found.progress > 100)
        return false;

    if (digits < size) {
        if (line[digits] != ' ' ||
            !copy_message(line + digits + 1, size - digits - 1, found.message))
            return false;
        found.has_message = found.message[0] != '\0';
    }
    *report = found;
    return true;
}

static void end_line(struct report_lines *lines, report_line_fn *each, void *context)
{
    struct report report;

    if (!lines->too_long && report_line_parse(lines->line, lines->size, &report))
        each(&report, lines->line, lines->size, context);
    else if (lines->size > 0)
        each(NULL, lines->line, lines->size, context);
    lines->size = 0;
    lines->too_long = false;
}

void report_lines_feed(struct report_lines *lines, const char *bytes, size_t size,
                       report_line_fn *each, void *context)
{
    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        size_t piece = newline != NULL ? (size_t)(newline - bytes) : size;
        size_t fits = sizeof lines->line - lines->size;

        lines->too_long = lines->too_long || piece > fits;
        memcpy(lines->line + lines->size, bytes, piece < fits ? piece : fits);
        lines->size += piece < fits ? piece : fits;
        if (newline == NULL)
            return;
        end_line(lines, each, context);
        bytes += piece + 1;
        size -= piece + 1;
    }
}

void report_lines_end(struct report_lines *lines, report_line_fn *each, void *context)
{
    end_line(lines, each, context);
}
