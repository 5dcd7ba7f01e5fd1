/* conf_syntax.h - a configuration file taken apart: sections, and values with their lines. What a
 * value means is for the rows to say. */
#ifndef CONF_SYNTAX_H
#define CONF_SYNTAX_H

#include <stddef.h>

struct conf_row;

struct conf_value {
    const struct conf_row *row;
    int line;
    char *text; /* a list is several values of one row */
};

struct conf_section {
    char *name, *title; /* "" and NULL: the top of the file */
    int line;           /* where it begins */
    struct conf_value *values;
    size_t n_values;
    const void *origin; /* the parser's own */
};

struct conf_syntax {
    struct conf_section *sections; /* the first is the top of the file */
    size_t n_sections;
};

/* Told of each fault; line 0 means the file as a whole. */
typedef void conf_fault(int line, const char *reason, void *context);

/* Read `file`. 0, or -1 after a fault. Free *syntax in either case. */
int conf_syntax_read(const char *file, struct conf_syntax *syntax, conf_fault *fault,
                     void *context);
typedef int conf_read(const char *file, struct conf_syntax *syntax, conf_fault *fault,
                      void *context);
void conf_syntax_free(struct conf_syntax *syntax);

#endif
