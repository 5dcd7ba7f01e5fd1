/* conf_apart.c - reads the file in a child, and takes over what that has found.
 *
 * The child: born by the master at a reload; reads, writes pieces to its pipe, leaves. If it dies
 * on the way, the last piece, END, is missing, and the file counts as not readable. A piece is a
 * head and its texts, as this machine has them: both ends are one program. */
#include "config.h"

#include "conf_apart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf_rows.h"

#define NO_TEXT UINT32_MAX

enum piece { FAULT, SECTION, VALUE, END };

struct head {
    enum piece piece;
    int line;
    size_t row;       /* of a VALUE */
    uint32_t size[2]; /* of its texts; NO_TEXT: there is none */
};

/* ------------------------------------------------------------------ the child */

static void put(FILE *out, struct head head, const char *first, const char *second)
{
    const char *const texts[] = {first, second};

    for (int i = 0; i < 2; i++) {
        head.size[i] = texts[i] ? (uint32_t)strlen(texts[i]) : NO_TEXT;
    }
    fwrite(&head, sizeof head, 1, out);
    for (int i = 0; i < 2; i++) {
        if (texts[i]) {
            fwrite(texts[i], 1, head.size[i], out);
        }
    }
}

static void put_fault(int line, const char *reason, void *out)
{
    put(out, (struct head){.piece = FAULT, .line = line}, reason, NULL);
}

static void put_section(FILE *out, const struct conf_section *section)
{
    put(out, (struct head){.piece = SECTION, .line = section->line}, section->name, section->title);
    for (size_t i = 0; i < section->n_values; i++) {
        const struct conf_value *value = &section->values[i];
        struct head head = {
            .piece = VALUE, .line = value->line, .row = (size_t)(value->row - conf_rows)};
        put(out, head, value->text, NULL);
    }
}

__attribute__((noreturn)) static void be_reader(const char *file, int to)
{
    struct conf_syntax syntax;
    FILE *out = fdopen(to, "w");

    if (!out) {
        _exit(1);
    }
    if (conf_syntax_read(file, &syntax, put_fault, out) == 0) {
        for (size_t i = 0; i < syntax.n_sections; i++) {
            put_section(out, &syntax.sections[i]);
        }
    }
    put(out, (struct head){.piece = END}, NULL, NULL);
    _exit(fflush(out) == 0 && !ferror(out) ? 0 : 1);
}

/* ----------------------------------------------------------------- the parent */

struct taking {
    int from;
    struct conf_syntax *syntax;
    conf_fault *fault;
    void *context;
    int faults;
};

static void tell(struct taking *taking, int line, const char *reason)
{
    taking->faults++;
    taking->fault(line, reason, taking->context);
}

static bool take(int from, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(from, (char *)bytes + done, size - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* A text of that size, to be freed; *text is NULL when there is none. False: no memory, or no
 * text. */
static bool take_text(int from, uint32_t size, char **text)
{
    *text = NULL;
    if (size == NO_TEXT) {
        return true;
    }
    char *taken = malloc((size_t)size + 1);
    if (!taken) {
        return false;
    }
    if (!take(from, taken, size)) {
        free(taken);
        return false;
    }
    taken[size] = '\0';
    *text = taken;
    return true;
}

/* The texts become the syntax's. */
static bool add_section(struct conf_syntax *syntax, int line, char *name, char *title)
{
    struct conf_section *grown =
        reallocarray(syntax->sections, syntax->n_sections + 1, sizeof *grown);

    if (!grown) {
        return false;
    }
    syntax->sections = grown;
    grown[syntax->n_sections++] =
        (struct conf_section){.name = name, .title = title, .line = line};
    return true;
}

static bool add_value(struct conf_syntax *syntax, const struct head *head, char *text)
{
    struct conf_section *section = &syntax->sections[syntax->n_sections - 1];
    struct conf_value *grown = reallocarray(section->values, section->n_values + 1, sizeof *grown);

    if (!grown) {
        return false;
    }
    section->values = grown;
    grown[section->n_values++] =
        (struct conf_value){.row = &conf_rows[head->row], .line = head->line, .text = text};
    return true;
}

static bool take_piece(struct taking *taking, const struct head *head)
{
    char *texts[2] = {NULL, NULL};
    bool kept = false, taken = take_text(taking->from, head->size[0], &texts[0]) &&
                               take_text(taking->from, head->size[1], &texts[1]);

    if (taken && head->piece == SECTION) {
        kept = taken = add_section(taking->syntax, head->line, texts[0], texts[1]);
    } else if (taken && head->piece == VALUE) {
        kept = taken = add_value(taking->syntax, head, texts[0]);
    } else if (taken && head->piece == FAULT) {
        tell(taking, head->line, texts[0]);
    }
    if (!kept) {
        free(texts[0]);
        free(texts[1]);
    }
    return taken;
}

static void take_all(struct taking *taking)
{
    struct head head;

    while (take(taking->from, &head, sizeof head)) {
        if (head.piece == END) {
            return;
        }
        errno = 0;
        if (!take_piece(taking, &head)) {
            break;
        }
    }
    tell(taking, 0, errno == ENOMEM ? strerror(ENOMEM) : "the process that read it did not end well");
}

int conf_apart_read(const char *file, struct conf_syntax *syntax, conf_fault *fault, void *context)
{
    struct taking taking = {.syntax = syntax, .fault = fault, .context = context};
    int ends[2];

    *syntax = (struct conf_syntax){0};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        tell(&taking, 0, strerror(errno));
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        be_reader(file, ends[1]);
    }
    if (child < 0) {
        tell(&taking, 0, strerror(errno));
    }
    close(ends[1]);
    taking.from = ends[0];
    if (child > 0) {
        take_all(&taking);
    }
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return taking.faults ? -1 : 0;
}
