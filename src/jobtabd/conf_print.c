/* conf_print.c - the configuration in force, as jobtabd -T shows it: what it prints loads again and
 * then prints the same. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "conf_rows.h"

/* A string as libconfuse reads it back; "$" because of ${VARIABLE}. */
static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if ((unsigned char)*text < ' ') {
            fprintf(out, "\\x%02x", (unsigned char)*text);
        } else {
            if (strchr("\"\\$", *text)) {
                fputc('\\', out);
            }
            fputc(*text, out);
        }
    }
    fputc('"', out);
}

static void print_value(FILE *out, const struct conf_row *row, const void *base)
{
    const void *field = (const char *)base + row->offset;
    char text[32];

    switch (row->type) {
    case CONF_TEXT:
    case CONF_PATH:
    case CONF_LOG:
        print_string(out, *(char *const *)field);
        break;
    case CONF_LIST:
        fputc('{', out);
        for (char **item = *(char **const *)field; *item; item++) {
            print_string(out, *item);
            fputs(item[1] ? ", " : "}", out);
        }
        break;
    default:
        conf_number_text(row->type, conf_row_number(row, base), text, sizeof text);
        fputs(text, out);
    }
}

/* A path or list without a value has no text that would mean so: it is left out. */
static bool is_set(const struct conf_row *row, const void *base)
{
    const void *field = (const char *)base + row->offset;

    return (row->type != CONF_PATH && row->type != CONF_LIST) || *(void *const *)field;
}

static void print_rows(FILE *out, const char *section, const char *indent, const void *base)
{
    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        if (strcmp(row->section, section) == 0 && is_set(row, base)) {
            fprintf(out, "%s%s = ", indent, row->name);
            print_value(out, row, base);
            fputc('\n', out);
        }
    }
}

static void print_section(FILE *out, const char *section, const char *title, const void *base)
{
    fprintf(out, "\n%s ", section);
    print_string(out, title);
    fputs(" {\n", out);
    print_rows(out, section, "    ", base);
    fputs("}\n", out);
}

void conf_print(const struct conf *conf, int fd)
{
    int copy = dup(fd);
    FILE *out = copy < 0 ? NULL : fdopen(copy, "w");

    if (!out) {
        if (copy >= 0) {
            close(copy);
        }
        return;
    }
    print_rows(out, "", "", conf);
    for (size_t i = 0; i < conf->n_listens; i++) {
        print_section(out, "listen", conf->listens[i].address, &conf->listens[i]);
    }
    print_section(out, "table", conf->table.dir, &conf->table);
    for (size_t i = 0; i < conf->n_kinds; i++) {
        print_section(out, "kind", conf->kinds[i].name, &conf->kinds[i]);
    }
    fclose(out);
}
