/* conf.c - the configuration of a file: its values in their fields, defaults where it has none,
 * every fault with its line. */
#include "config.h"

#include "conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_rows.h"
#include "conf_syntax.h"

#define DEFAULT_LISTEN "127.0.0.1:8080"
#define DEFAULT_TABLE  "var/table"

struct loading {
    const char *file;
    void (*fault)(const char *text, void *context);
    void *context;
    unsigned faults;
    struct conf *conf;
};

static void tell_fault(int line, const char *reason, void *context)
{
    struct loading *loading = context;
    char text[1024];

    if (line > 0) {
        snprintf(text, sizeof text, "%s:%d: %s", loading->file, line, reason);
    } else {
        snprintf(text, sizeof text, "%s: %s", loading->file, reason);
    }
    loading->fault(text, loading->context);
    loading->faults++;
}

static void fault(struct loading *loading, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fault(struct loading *loading, int line, const char *format, ...)
{
    char reason[600];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    tell_fault(line, reason, loading);
}

static const struct conf_value *find_value(const struct conf_section *section,
                                           const struct conf_row *row)
{
    for (size_t i = 0; i < section->n_values; i++) {
        if (section->values[i].row == row) {
            return &section->values[i];
        }
    }
    return NULL;
}

static void read_list(struct loading *loading, const struct conf_section *section,
                      const struct conf_row *row, void *base)
{
    char ***field = (char ***)((char *)base + row->offset);
    const struct conf_value *first = find_value(section, row);
    size_t n = 0;

    if (!first) {
        return;
    }
    *field = calloc(section->n_values + 1, sizeof **field);
    bool whole = *field;
    for (size_t i = 0; i < section->n_values && whole; i++) {
        if (section->values[i].row == row) {
            (*field)[n] = strdup(section->values[i].text);
            whole = (*field)[n++];
        }
    }
    if (!whole) { /* a command without one of its arguments would be another */
        fault(loading, first->line, "%s: %s", row->name, strerror(ENOMEM));
        conf_row_free(row, base);
        *field = NULL;
    }
}

/* Fill the struct of a section: from the defaults, then from the file. */
static void read_values(struct loading *loading, const struct conf_section *section, void *base)
{
    char why[512];

    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        if (strcmp(row->section, section->name) != 0) {
            continue;
        }
        if (row->type == CONF_LIST) {
            read_list(loading, section, row, base);
            continue;
        }
        const struct conf_value *value = find_value(section, row);
        if (row->value && conf_row_read(row, row->value, base, why, sizeof why) != 0) {
            fault(loading, 0, "default of %s", why);
        }
        if (value && conf_row_read(row, value->text, base, why, sizeof why) != 0) {
            fault(loading, value->line, "%s", why);
        }
    }
}

static void check_values(struct loading *loading, const struct conf_section *section, void *base)
{
    char why[512];

    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        if (strcmp(row->section, section->name) == 0 && row->check &&
            row->check(loading->conf, base, why, sizeof why) != 0) {
            const struct conf_value *value = find_value(section, row);
            fault(loading, value ? value->line : section->line, "%s: %s", row->name, why);
        }
    }
}

/* Read a titled section into its struct at `base`. */
static void read_section(struct loading *loading, const struct conf_section *section, char **title,
                         conf_check *check_title, void *base)
{
    char why[512];

    *title = strcmp(section->name, "table") == 0 ? conf_absolute(section->title)
                                                 : strdup(section->title);
    if (!*title) {
        fault(loading, section->line, "%s", strerror(errno));
        return;
    }
    read_values(loading, section, base);
    if (check_title && check_title(loading->conf, base, why, sizeof why) != 0) {
        fault(loading, section->line, "%s \"%s\": %s", section->name, section->title, why);
    }
    check_values(loading, section, base);
}

static size_t count_sections(const struct conf_syntax *syntax, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < syntax->n_sections; i++) {
        n += strcmp(syntax->sections[i].name, name) == 0;
    }
    return n;
}

static void read_sections(struct loading *loading, const struct conf_syntax *syntax)
{
    struct conf *conf = loading->conf;
    const struct conf_section *top = &syntax->sections[0];
    struct conf_section listen = {.name = "listen", .title = DEFAULT_LISTEN};
    struct conf_section table = {.name = "table", .title = DEFAULT_TABLE};

    conf->listens = calloc(count_sections(syntax, "listen") + 1, sizeof *conf->listens);
    conf->kinds = calloc(count_sections(syntax, "kind") + 1, sizeof *conf->kinds);
    if (!conf->listens || !conf->kinds) {
        fault(loading, 0, "%s", strerror(ENOMEM));
        return;
    }
    read_values(loading, top, conf);
    for (const struct conf_section *section = top + 1; section < top + syntax->n_sections;
         section++) {
        if (strcmp(section->name, "listen") == 0) {
            struct conf_listen *next = &conf->listens[conf->n_listens++];
            read_section(loading, section, &next->address, conf_check_listen, next);
        } else if (strcmp(section->name, "kind") == 0) {
            struct conf_kind *next = &conf->kinds[conf->n_kinds++];
            read_section(loading, section, &next->name, conf_check_kind, next);
        } else if (!conf->table.dir) {
            read_section(loading, section, &conf->table.dir, NULL, &conf->table);
        } else {
            fault(loading, section->line, "a second table: there can be but one");
        }
    }
    if (conf->n_listens == 0) {
        read_section(loading, &listen, &conf->listens[0].address, NULL, &conf->listens[0]);
        conf->n_listens = 1;
    }
    if (!conf->table.dir) {
        read_section(loading, &table, &conf->table.dir, NULL, &conf->table);
    }
    check_values(loading, top, conf);
}

struct conf *conf_load_by(conf_read *read, const char *file,
                          void (*told)(const char *text, void *context), void *context)
{
    struct loading loading = {.file = file, .fault = told, .context = context};
    struct conf *conf = loading.conf = calloc(1, sizeof *conf);
    struct conf_syntax syntax = {0};

    if (!conf || !(conf->file = conf_absolute(file))) {
        fault(&loading, 0, "%s", strerror(errno));
    } else if (read(file, &syntax, tell_fault, &loading) == 0) {
        read_sections(&loading, &syntax);
    }
    conf_syntax_free(&syntax);
    if (loading.faults > 0) {
        conf_free(conf);
        conf = NULL;
    }
    return conf;
}

struct conf *conf_load(const char *file, void (*told)(const char *text, void *context),
                       void *context)
{
    return conf_load_by(conf_syntax_read, file, told, context);
}

static void free_section(const char *section, void *base)
{
    for (size_t i = 0; i < conf_n_rows; i++) {
        if (strcmp(conf_rows[i].section, section) == 0) {
            conf_row_free(&conf_rows[i], base);
        }
    }
}

void conf_free(struct conf *conf)
{
    if (!conf) {
        return;
    }
    for (size_t i = 0; i < conf->n_listens; i++) {
        free_section("listen", &conf->listens[i]);
        free(conf->listens[i].address);
    }
    for (size_t i = 0; i < conf->n_kinds; i++) {
        free_section("kind", &conf->kinds[i]);
        free(conf->kinds[i].name);
        free(conf->kinds[i].program);
    }
    free_section("table", &conf->table);
    free_section("", conf);
    free(conf->table.dir);
    free(conf->listens);
    free(conf->kinds);
    free(conf->file);
    free(conf);
}

const struct conf_kind *conf_kind(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->n_kinds; i++) {
        if (conf->kinds[i].name && strcmp(conf->kinds[i].name, name) == 0) {
            return &conf->kinds[i];
        }
    }
    return NULL;
}
