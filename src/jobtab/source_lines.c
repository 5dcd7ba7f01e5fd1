/* source_lines.c - jobs as JSON, one object a line: what export writes, or what a hand did. */
#include "need.h"
#include "source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* A line beyond this is no job. */
#define LINE_LIMIT (64u << 20)

struct lines {
    struct source source;
    FILE *file;
    uint64_t number;
    char *line;
    size_t room;
};

/* One line without its end into self->line. What is over the limit is read and dropped. -1: end. */
static ssize_t read_line(struct lines *self, bool *whole)
{
    size_t size = 0;
    int c;

    *whole = true;
    while ((c = getc_unlocked(self->file)) != EOF) {
        self->source.done++;
        if (c == '\n')
            return (ssize_t)size;
        if (size == LINE_LIMIT) {
            *whole = false;
            continue;
        }
        if (size == self->room) {
            self->room = self->room > 0 ? 2 * self->room : 4096;
            self->line = need(realloc(self->line, self->room));
        }
        self->line[size++] = (char)c;
    }
    return size > 0 || !*whole ? (ssize_t)size : -1;
}

static bool blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

static enum source_got lines_next(struct source *source, struct row *row)
{
    struct lines *self = (struct lines *)source;
    ssize_t size;
    bool whole;

    do {
        size = read_line(self, &whole);
        self->number++;
    } while (size >= 0 && blank(self->line, (size_t)size));
    if (size < 0 && ferror(self->file)) {
        snprintf(source->why, sizeof source->why, "line %llu: %s",
                 (unsigned long long)self->number, strerror(errno));
        return SOURCE_FAILED;
    }
    if (size < 0)
        return SOURCE_END;
    snprintf(row->place, sizeof row->place, "line %llu", (unsigned long long)self->number);
    if (!whole) {
        snprintf(source->why, sizeof source->why, "it is over %u bytes", LINE_LIMIT);
        return SOURCE_BAD;
    }
    return row_add_json(row, self->line, (size_t)size, source->why, sizeof source->why)
               ? SOURCE_ROW
               : SOURCE_BAD;
}

static void lines_close(struct source *source)
{
    struct lines *self = (struct lines *)source;

    if (self->file != stdin)
        fclose(self->file);
    free(self->line);
    free(self);
}

struct source *source_lines(const char *path, char *why, size_t size)
{
    static const struct source_verbs verbs = {.next = lines_next, .close = lines_close};
    struct lines *self = need(calloc(1, sizeof *self));
    struct stat file;

    self->source.verbs = &verbs;
    self->file = path == NULL || strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (self->file == NULL) {
        snprintf(why, size, "%s: %s", path, strerror(errno));
        free(self);
        return NULL;
    }
    if (fstat(fileno(self->file), &file) == 0 && S_ISREG(file.st_mode))
        self->source.all = (uint64_t)file.st_size;
    return &self->source;
}
