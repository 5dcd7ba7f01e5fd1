/* conf_syntax.c - what libconfuse is used for, and what it needs to be used well:
 *
 * - It hands its callbacks no context, as its scanner has none either: `reading` is it.
 * - It forgets the lines of values, lets a later value replace an earlier one in silence, and takes
 *   the end of the file for the end of a section. So every value is noted when it is read, and a
 *   line of our own is put behind the text (END_LINE), which must be found outside any section.
 * - Its scanner keeps its state from one file to the next (reset_scanner).
 */
#include "config.h"

#include "conf_syntax.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_rows.h"

#define FILE_MAX    (1 << 20)
#define OPTIONS_MAX 32 /* keys in one section, and some of our own */
#define BEGIN_KEY   "" /* no file can set it; its default is "read" where a section begins */
#define END_KEY     "@end"
#define END_LINE    END_KEY " = @"

static const char *const section_names[] = {"listen", "table", "kind"};
#define N_NAMES (sizeof section_names / sizeof section_names[0])

struct reading {
    struct conf_syntax *syntax;
    conf_fault *fault;
    void *context;
    unsigned faults;
    bool ended; /* END_LINE was found */
};

static struct reading *reading;

static void fault(int line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fault(int line, const char *format, ...)
{
    char reason[512];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    reading->faults++;
    reading->fault(line, reason, reading->context);
}

/* libconfuse has a fault to tell. */
__attribute__((format(printf, 2, 0))) static void take_fault(cfg_t *cfg, const char *format,
                                                             va_list args)
{
    char reason[512];

    vsnprintf(reason, sizeof reason, format, args);
    fault(cfg->line, "%s", reason);
}

static struct conf_section *begin_section(cfg_t *cfg)
{
    struct conf_syntax *syntax = reading->syntax;
    struct conf_section *grown =
        reallocarray(syntax->sections, syntax->n_sections + 1, sizeof *grown);

    if (!grown) {
        return NULL;
    }
    syntax->sections = grown;
    bool top = syntax->n_sections == 0;
    struct conf_section *section = &grown[syntax->n_sections++];
    *section = (struct conf_section){.line = cfg->line, .origin = cfg};
    section->name = strdup(top ? "" : cfg_name(cfg));
    section->title = top ? NULL : strdup(cfg_title(cfg));
    return section->name && (top || section->title) ? section : NULL;
}

static int add_value(struct conf_section *section, const cfg_opt_t *opt, int line, const char *text)
{
    const struct conf_row *row = conf_find_row(section->name, opt->name);

    /* A list comes item by item; its first one is a second list if there are items already. */
    for (size_t i = 0; opt->nvalues <= 1 && i < section->n_values; i++) {
        if (section->values[i].row == row) {
            fault(line, "%s: given before, on line %d", row->name, section->values[i].line);
            break;
        }
    }
    struct conf_value *grown = reallocarray(section->values, section->n_values + 1, sizeof *grown);
    char *copy = strdup(text);
    if (grown) {
        section->values = grown;
    }
    if (!grown || !copy) {
        free(copy);
        return -1;
    }
    section->values[section->n_values++] =
        (struct conf_value){.row = row, .line = line, .text = copy};
    return 0;
}

/* libconfuse has read a value. */
static int take_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    struct conf_syntax *syntax = reading->syntax;
    bool taken = true;

    *(void **)result = NULL;
    if (strcmp(opt->name, BEGIN_KEY) == 0) {
        taken = begin_section(cfg) != NULL;
    } else if (strcmp(opt->name, END_KEY) == 0) {
        reading->ended = cfg == syntax->sections[0].origin;
    } else {
        for (size_t i = 0; i < syntax->n_sections; i++) {
            if (syntax->sections[i].origin == cfg) {
                taken = add_value(&syntax->sections[i], opt, cfg->line, text) == 0;
            }
        }
    }
    if (!taken) {
        fault(cfg->line, "%s", strerror(ENOMEM));
    }
    return taken ? 0 : -1;
}

static size_t section_options(const char *section, cfg_opt_t *options)
{
    static char here[] = "here";
    size_t n = 0;

    options[n++] = (cfg_opt_t)CFG_PTR_CB(BEGIN_KEY, here, CFGF_NONE, take_value, NULL);
    options[n++] = (cfg_opt_t)CFG_PTR_CB(END_KEY, NULL, CFGF_NODEFAULT, take_value, NULL);
    for (size_t i = 0; i < conf_n_rows; i++) {
        if (strcmp(conf_rows[i].section, section) == 0) {
            int flags = CFGF_NODEFAULT | (conf_rows[i].type == CONF_LIST ? CFGF_LIST : 0);
            options[n++] = (cfg_opt_t)CFG_PTR_CB(conf_rows[i].name, NULL, flags, take_value, NULL);
        }
    }
    options[n] = (cfg_opt_t)CFG_END();
    return n;
}

/* After a file that ended inside a string or a comment the next one would be read as the rest of
 * it. Close what is open. */
static void reset_scanner(void)
{
    static const char *const closers[] = {"\"", "'", "*/"};
    cfg_opt_t options[] = {CFG_STR("x", NULL, CFGF_NONE), CFG_END()};

    for (size_t i = 0; i < sizeof closers / sizeof closers[0]; i++) {
        cfg_t *probe = cfg_init(options, CFGF_NONE);
        if (!probe) {
            return;
        }
        cfg_set_error_function(probe, take_fault);
        bool open = cfg_parse_buf(probe, "x = y") != CFG_SUCCESS || !cfg_getstr(probe, "x");
        if (open) {
            cfg_parse_buf(probe, closers[i]);
        }
        cfg_free(probe);
        if (!open) {
            return;
        }
    }
}

static void ignore_fault(int line, const char *reason, void *context)
{
    (void)line;
    (void)reason;
    (void)context;
}

static void parse(const char *text)
{
    cfg_opt_t inner[N_NAMES][OPTIONS_MAX], options[OPTIONS_MAX];
    size_t n = section_options("", options);
    const int flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;

    for (size_t i = 0; i < N_NAMES; i++) {
        section_options(section_names[i], inner[i]);
        options[n++] = (cfg_opt_t)CFG_SEC(section_names[i], inner[i], flags);
    }
    options[n] = (cfg_opt_t)CFG_END();

    cfg_t *top = cfg_init(options, CFGF_NONE);
    if (!top) {
        fault(0, "%s", strerror(ENOMEM));
        return;
    }
    cfg_set_error_function(top, take_fault);
    unsigned before = reading->faults;
    if (cfg_parse_buf(top, text) != CFG_SUCCESS) {
        if (reading->faults == before) {
            fault(top->line, "cannot be read from here on");
        }
        reading->fault = ignore_fault;
        reset_scanner();
    } else if (!reading->ended) {
        fault(top->line, "premature end of file: a section is not closed");
    }
    cfg_free(top);
}

/* The whole file and END_LINE, to be freed; NULL after a fault. */
static char *read_file(const char *file)
{
    struct stat status;
    ssize_t got = -1;
    char *text = NULL;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) != 0) {
        fault(0, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX) {
        fault(0, "not a file of at most 1 MiB");
    } else if (!(text = malloc((size_t)status.st_size + sizeof "\n" END_LINE)) ||
               (got = read(fd, text, (size_t)status.st_size)) < 0) {
        fault(0, "%s", strerror(errno));
    } else if (memchr(text, '\0', (size_t)got)) {
        fault(0, "not a text file: it has a byte of value 0");
        got = -1;
    } else {
        strcpy(text + got, got > 0 && text[got - 1] != '\n' ? "\n" END_LINE : END_LINE);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        free(text);
        return NULL;
    }
    return text;
}

int conf_syntax_read(const char *file, struct conf_syntax *syntax, conf_fault *told, void *context)
{
    struct reading state = {.syntax = syntax, .fault = told, .context = context};

    *syntax = (struct conf_syntax){0};
    reading = &state;
    char *text = read_file(file);
    if (text) {
        parse(text);
    }
    free(text);
    reading = NULL;
    return state.faults ? -1 : 0;
}

void conf_syntax_free(struct conf_syntax *syntax)
{
    for (size_t i = 0; i < syntax->n_sections; i++) {
        struct conf_section *section = &syntax->sections[i];
        for (size_t j = 0; j < section->n_values; j++) {
            free(section->values[j].text);
        }
        free(section->values);
        free(section->name);
        free(section->title);
    }
    free(syntax->sections);
}
