/* fuzz_report_line.c - what a child writes on descriptor 3, in pieces of any size.
 *
 * The first byte of the input is the size of the pieces; one large piece must give the same
 * reports as many small ones.
 */
#include "fuzz.h"

#include "report_line.h"
#include "text.h"

struct seen {
    size_t reports, refused;
    uint64_t sum;
};

static void each(const struct report *report, const char *line, size_t size, void *context)
{
    struct seen *seen = context;

    HOLDS(size <= REPORT_LINE_MAX);
    HOLDS(memchr(line, '\n', size) == NULL);
    seen->sum = fuzz_sum(seen->sum, line, size);
    if (report == NULL) {
        seen->refused++;
        return;
    }
    HOLDS(report->progress <= 100);
    size_t length = strnlen(report->message, sizeof report->message);
    HOLDS(length <= JOBTAB_MESSAGE_MAX);
    HOLDS(text_is_utf8(report->message, length));
    HOLDS(report->has_message == (length > 0));
    seen->reports++;
    seen->sum = fuzz_sum(fuzz_mix(seen->sum, report->progress), report->message, length);
}

static struct seen read_in_pieces(const char *bytes, size_t size, size_t piece)
{
    static struct report_lines lines;
    struct seen seen = {0};

    memset(&lines, 0, sizeof lines);
    for (size_t at = 0; at < size; at += piece)
        report_lines_feed(&lines, bytes + at, size - at < piece ? size - at : piece, each, &seen);
    report_lines_end(&lines, each, &seen);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    char *bytes = fuzz_bytes(data + 1, size - 1), line[80];
    struct seen whole = read_in_pieces(bytes, size - 1, size - 1);
    struct seen pieces = read_in_pieces(bytes, size - 1, (size_t)data[0] + 1);

    HOLDS(whole.reports == pieces.reports);
    HOLDS(whole.refused == pieces.refused);
    HOLDS(whole.sum == pieces.sum);
    text_one_line(line, sizeof line, bytes, size - 1);
    HOLDS(text_is_utf8(line, strnlen(line, sizeof line)));
    HOLDS(strnlen(line, sizeof line) < sizeof line);
    free(bytes);
    return 0;
}
