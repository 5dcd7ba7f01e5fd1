/* test_conf_rows.c - the sample file and the manual page against the rows: a key that stands in
 * only one of them fails here.
 *
 *   tests/unit/test_conf_rows print SECTION    prints the manual's items of a section
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/jobtabd/conf.h"
#include "../../src/jobtabd/conf_rows.h"

union any_section {
    struct conf top;
    struct conf_listen listen;
    struct conf_table table;
    struct conf_kind kind;
};

static char *read_source(const char *name)
{
    const char *top = getenv("top_srcdir");
    char path[4096];
    FILE *file;
    long size;

    snprintf(path, sizeof path, "%s/%s", top ? top : ".", name);
    file = fopen(path, "r");
    if (!file) {
        fail_msg("cannot open %s", path);
    }
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

static bool has_bounds(const struct conf_row *row)
{
    return row->max > 0 && row->type != CONF_BOOL;
}

/* What the manual says of a row. */
static void item_text(const struct conf_row *row, char *text, size_t size)
{
    char min[32], max[32], bounds[80] = "";

    if (has_bounds(row)) {
        conf_number_text(row->type, row->min, min, sizeof min);
        conf_number_text(row->type, row->max, max, sizeof max);
        snprintf(bounds, sizeof bounds, "From %s to %s.\n", min, max);
    }
    snprintf(text, size, ".It Ic %s No = Ar %s\n%s\nDefault: %s.\n%sReload: %s.\n", row->name,
             conf_type_text(row->type), row->help,
             !row->value     ? "none"
             : row->value[0] ? row->value
                             : "empty",
             bounds, conf_reload_text(row->reload));
}

static void keys_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_n_rows; i++) {
        assert_ptr_equal(conf_find_row(conf_rows[i].section, conf_rows[i].name), &conf_rows[i]);
    }
}

static void defaults_are_values(void **state)
{
    char why[256];

    (void)state;
    for (size_t i = 0; i < conf_n_rows; i++) {
        union any_section section = {0};
        const struct conf_row *row = &conf_rows[i];
        if (row->value && conf_row_read(row, row->value, &section, why, sizeof why) != 0) {
            fail_msg("%s", why);
        }
        conf_row_free(row, &section);
    }
}

static void the_manual_describes_every_key_as_its_row_has_it(void **state)
{
    char *manual = read_source("src/jobtabd/jobtabd.conf.5");
    char item[1024];

    (void)state;
    for (size_t i = 0; i < conf_n_rows; i++) {
        item_text(&conf_rows[i], item, sizeof item);
        if (!strstr(manual, item)) {
            fail_msg("not in jobtabd.conf.5:\n%s", item);
        }
    }
    free(manual);
}

static void the_manual_describes_no_other_key(void **state)
{
    char *manual = read_source("src/jobtabd/jobtabd.conf.5");
    char section[32] = "", name[64];
    size_t found = 0;

    (void)state;
    for (char *line = strtok(manual, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, ".Ss ", 4) == 0) {
            section[0] = '\0'; /* "Top of the file" */
            sscanf(line, ".Ss Section %31s", section);
        } else if (sscanf(line, ".It Ic %63s No =", name) == 1 && strstr(line, " No = ")) {
            if (!conf_find_row(section, name)) {
                fail_msg("jobtabd.conf.5 has \"%s\" in section \"%s\"", name, section);
            }
            found++;
        }
    }
    assert_int_equal(found, conf_n_rows);
    free(manual);
}

/* In the sample a key is set, or stands in a comment ("# key = value") with its default; in a
 * section that is all comment it is an example. */
static void the_sample_has_every_key_and_no_other(void **state)
{
    char *sample = read_source("conf/jobtabd.conf");
    char section[32] = "", name[64], value[256];
    bool seen[128] = {false}, example = false;

    (void)state;
    assert_true(conf_n_rows <= sizeof seen);
    for (char *line = strtok(sample, "\n"); line; line = strtok(NULL, "\n")) {
        char *p = line + strspn(line, " #");
        bool comment = memchr(line, '#', (size_t)(p - line)) != NULL;
        if (strchr(p, '{') && sscanf(p, "%31[a-z] \"", name) == 1 && !strchr(p, '=')) {
            snprintf(section, sizeof section, "%.31s", name);
            example = comment;
        } else if (*p == '}') {
            section[0] = '\0';
            example = false;
        } else if (sscanf(p, "%63[a-z_0-9] = %255[^\n]", name, value) == 2) {
            const struct conf_row *row = conf_find_row(section, name);
            if (!row) {
                fail_msg("the sample has \"%s\" in section \"%s\"", name, section);
            }
            seen[row - conf_rows] = true;
            char *text = value[0] == '"' ? value + 1 : value;
            text[strcspn(text, value[0] == '"' ? "\"" : " ")] = '\0';
            if (comment && !example && row->value && strcmp(text, row->value) != 0) {
                fail_msg("the sample says that %s is %s by default, its row %s", name, text,
                         row->value);
            }
        }
    }
    for (size_t i = 0; i < conf_n_rows; i++) {
        if (!seen[i]) {
            fail_msg("the sample lacks \"%s\" of section \"%s\"", conf_rows[i].name,
                     conf_rows[i].section);
        }
    }
    free(sample);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_unique),
        cmocka_unit_test(defaults_are_values),
        cmocka_unit_test(the_manual_describes_every_key_as_its_row_has_it),
        cmocka_unit_test(the_manual_describes_no_other_key),
        cmocka_unit_test(the_sample_has_every_key_and_no_other),
    };
    char item[1024];

    if (argc > 1) {
        for (size_t i = 0; i < conf_n_rows; i++) {
            if (strcmp(conf_rows[i].section, argc > 2 ? argv[2] : "") == 0) {
                item_text(&conf_rows[i], item, sizeof item);
                fputs(item, stdout);
            }
        }
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
