/* conf.c - read a configuration file. libconfuse takes the syntax apart and hands over each value
 * with its line; the rows (conf_rows.c) say what it means. */
#include "config.h"

#include "conf.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_rows.h"

#define FILE_MAX (1 << 20)
#define OPTIONS_MAX 32 /* keys in one section, and some of our own */
/* libconfuse takes the end of the file for the end of a section. So a line is put behind the text,
 * and must be found outside of any. */
#define END_KEY "@end"
#define END_LINE END_KEY " = @"
#define DEFAULT_LISTEN "127.0.0.1:8080"
#define DEFAULT_TABLE "var/table"

/* One value as the file has it. libconfuse copies a section's options for each section, so the
 * option's address says which section it belongs to. */
struct setting {
    const cfg_opt_t *opt;
    int line;
    char *text;
};

struct reader {
    const char *file;
    void (*fault)(const char *text, void *context);
    void *context;
    unsigned faults;
    struct setting *settings;
    size_t n_settings;
    struct conf *conf;
};

/* libconfuse gives its callbacks no context (and its scanner is static as well). */
static struct reader *reading;

static void fault(struct reader *reader, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fault_va(struct reader *reader, int line, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void fault_va(struct reader *reader, int line, const char *format, va_list args)
{
    char reason[512], text[1024];

    vsnprintf(reason, sizeof reason, format, args);
    if (line > 0) {
        snprintf(text, sizeof text, "%s:%d: %s", reader->file, line, reason);
    } else {
        snprintf(text, sizeof text, "%s: %s", reader->file, reason);
    }
    reader->fault(text, reader->context);
    reader->faults++;
}

static void fault(struct reader *reader, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fault_va(reader, line, format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 0)))
static void syntax_fault(cfg_t *cfg, const char *format, va_list args)
{
    fault_va(reading, cfg->line, format, args);
}

/* libconfuse read a value. */
static int take_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    struct reader *reader = reading;

    /* A list comes here item by item; its first one is a second list if there are items already. */
    for (size_t i = 0; opt->nvalues <= 1 && i < reader->n_settings; i++) {
        if (reader->settings[i].opt == opt) {
            fault(reader, cfg->line, "%s: given before, on line %d", opt->name,
                  reader->settings[i].line);
            break;
        }
    }
    struct setting *grown =
        reallocarray(reader->settings, reader->n_settings + 1, sizeof *reader->settings);
    char *copy = strdup(text);
    if (grown) {
        reader->settings = grown;
    }
    if (!grown || !copy) {
        free(copy);
        fault(reader, cfg->line, "%s", strerror(ENOMEM));
        return -1;
    }
    reader->settings[reader->n_settings++] =
        (struct setting){.opt = opt, .line = cfg->line, .text = copy};
    *(void **)result = NULL;
    return 0;
}

/* The options of a section, from its rows. The first one has a name that no file can set: its
 * default is "read" where a section begins and so notes the line. */
static size_t section_options(const char *section, cfg_opt_t *options)
{
    static char here[] = "here";
    size_t n = 0;

    options[n++] = (cfg_opt_t)CFG_PTR_CB("", here, CFGF_NONE, take_value, NULL);
    options[n++] = (cfg_opt_t)CFG_PTR_CB(END_KEY, NULL, CFGF_NODEFAULT, take_value, NULL);
    for (size_t i = 0; i < conf_n_rows; i++) {
        if (strcmp(conf_rows[i].section, section) == 0) {
            int flags = CFGF_NODEFAULT | (conf_rows[i].type == CONF_LIST ? CFGF_LIST : 0);
            options[n++] =
                (cfg_opt_t)CFG_PTR_CB(conf_rows[i].name, NULL, flags, take_value, NULL);
        }
    }
    options[n] = (cfg_opt_t)CFG_END();
    return n;
}

static const struct setting *find_setting(const struct reader *reader, const cfg_opt_t *opt)
{
    for (size_t i = 0; i < reader->n_settings; i++) {
        if (reader->settings[i].opt == opt) {
            return &reader->settings[i];
        }
    }
    return NULL;
}

/* The line of a key, or that of its section; 0: neither is in the file. */
static int line_of(const struct reader *reader, cfg_t *section, const char *key)
{
    const struct setting *setting = section && key ? find_setting(reader, cfg_getopt(section, key))
                                                   : NULL;

    if (!setting && section) {
        setting = find_setting(reader, cfg_getnopt(section, 0));
    }
    return setting ? setting->line : 0;
}

static void read_list(struct reader *reader, cfg_t *section, const struct conf_row *row, void *base)
{
    char ***field = (char ***)((char *)base + row->offset);
    const cfg_opt_t *opt = section ? cfg_getopt(section, row->name) : NULL;
    size_t n = 0;

    if (!opt || opt->nvalues == 0) {
        return;
    }
    *field = calloc((size_t)opt->nvalues + 1, sizeof **field);
    for (size_t i = 0; i < reader->n_settings && *field && n < opt->nvalues; i++) {
        if (reader->settings[i].opt == opt) {
            (*field)[n++] = strdup(reader->settings[i].text);
        }
    }
    if (n != opt->nvalues || !(*field)[n - 1]) {
        fault(reader, line_of(reader, section, row->name), "%s: %s", row->name, strerror(ENOMEM));
    }
}

/* Fill the struct of a section from the file, or from the defaults where the file says nothing. */
static void read_section(struct reader *reader, cfg_t *section, const char *name, void *base)
{
    char why[512];

    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        if (strcmp(row->section, name) != 0) {
            continue;
        }
        if (row->type == CONF_LIST) {
            read_list(reader, section, row, base);
            continue;
        }
        if (row->value && conf_row_read(row, row->value, base, why, sizeof why) != 0) {
            fault(reader, 0, "default of %s", why);
        }
        const struct setting *setting =
            section ? find_setting(reader, cfg_getopt(section, row->name)) : NULL;
        if (setting && conf_row_read(row, setting->text, base, why, sizeof why) != 0) {
            fault(reader, setting->line, "%s", why);
        }
    }
}

static void check_section(struct reader *reader, cfg_t *section, const char *name, void *base)
{
    char why[512];

    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        if (strcmp(row->section, name) == 0 && row->check &&
            row->check(reader->conf, base, why, sizeof why) != 0) {
            fault(reader, line_of(reader, section, row->name), "%s: %s", row->name, why);
        }
    }
}

static char *copy_text(struct reader *reader, int line, char *copy)
{
    if (!copy) {
        fault(reader, line, "%s", strerror(errno));
    }
    return copy;
}

static void read_listens(struct reader *reader, cfg_t *top)
{
    struct conf *conf = reader->conf;
    size_t n = cfg_size(top, "listen");
    char why[512];

    conf->listens = calloc(n ? n : 1, sizeof *conf->listens);
    if (!conf->listens) {
        fault(reader, 0, "%s", strerror(ENOMEM));
        return;
    }
    for (size_t i = 0; i < (n ? n : 1); i++) {
        struct conf_listen *listen = &conf->listens[i];
        cfg_t *section = n ? cfg_getnsec(top, "listen", (unsigned)i) : NULL;
        int line = line_of(reader, section, NULL);

        listen->address =
            copy_text(reader, line, strdup(section ? cfg_title(section) : DEFAULT_LISTEN));
        if (!listen->address) {
            return;
        }
        conf->n_listens = i + 1;
        read_section(reader, section, "listen", listen);
        if (conf_check_listen(conf, listen, why, sizeof why) != 0) {
            fault(reader, line, "listen \"%s\": %s", listen->address, why);
        }
        check_section(reader, section, "listen", listen);
    }
}

static void read_table(struct reader *reader, cfg_t *top)
{
    struct conf_table *table = &reader->conf->table;
    unsigned n = cfg_size(top, "table");
    cfg_t *section = n ? cfg_getnsec(top, "table", 0) : NULL;

    if (n > 1) {
        fault(reader, line_of(reader, cfg_getnsec(top, "table", 1), NULL),
              "a second table: there can be but one");
    }
    table->dir = copy_text(reader, line_of(reader, section, NULL),
                           conf_absolute(section ? cfg_title(section) : DEFAULT_TABLE));
    read_section(reader, section, "table", table);
    check_section(reader, section, "table", table);
}

static void read_kinds(struct reader *reader, cfg_t *top)
{
    struct conf *conf = reader->conf;
    size_t n = cfg_size(top, "kind");
    char why[512];

    conf->kinds = calloc(n + 1, sizeof *conf->kinds);
    if (!conf->kinds) {
        fault(reader, 0, "%s", strerror(ENOMEM));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct conf_kind *kind = &conf->kinds[i];
        cfg_t *section = cfg_getnsec(top, "kind", (unsigned)i);
        int line = line_of(reader, section, NULL);

        kind->name = copy_text(reader, line, strdup(cfg_title(section)));
        if (!kind->name) {
            return;
        }
        conf->n_kinds = i + 1;
        read_section(reader, section, "kind", kind);
        if (conf_check_kind(conf, kind, why, sizeof why) != 0) {
            fault(reader, line, "kind \"%s\": %s", kind->name, why);
        }
        check_section(reader, section, "kind", kind);
    }
}

/* libconfuse's scanner keeps its state from one file to the next: after a file that ended inside a
 * string or a comment the next one would be read as the rest of it. Close what is open. */
static void reset_scanner(void)
{
    static const char *const closers[] = {"\"", "'", "*/"};
    cfg_opt_t options[] = {CFG_STR("x", NULL, CFGF_NONE), CFG_END()};

    for (size_t i = 0; i < sizeof closers / sizeof closers[0]; i++) {
        cfg_t *probe = cfg_init(options, CFGF_NONE);
        if (!probe) {
            return;
        }
        cfg_set_error_function(probe, syntax_fault);
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

static void ignore_fault(const char *text, void *context)
{
    (void)text;
    (void)context;
}

/* The whole file and END_LINE, to be freed; NULL after a fault. */
static char *read_file(struct reader *reader)
{
    struct stat status;
    ssize_t got = -1;
    char *text = NULL;
    int fd = open(reader->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) != 0) {
        fault(reader, 0, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX) {
        fault(reader, 0, "not a file of at most 1 MiB");
    } else if (!(text = malloc((size_t)status.st_size + sizeof "\n" END_LINE)) ||
               (got = read(fd, text, (size_t)status.st_size)) < 0) {
        fault(reader, 0, "%s", strerror(errno));
    } else if (memchr(text, '\0', (size_t)got)) {
        fault(reader, 0, "not a text file: it has a byte of value 0");
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

static void read_all(struct reader *reader, cfg_t *top)
{
    struct conf *conf = reader->conf;

    read_section(reader, top, "", conf);
    read_listens(reader, top);
    read_table(reader, top);
    read_kinds(reader, top);
    check_section(reader, top, "", conf);
}

static void parse(struct reader *reader, const char *text)
{
    cfg_opt_t listen_options[OPTIONS_MAX], table_options[OPTIONS_MAX], kind_options[OPTIONS_MAX];
    cfg_opt_t options[OPTIONS_MAX];
    unsigned before = reader->faults;

    section_options("listen", listen_options);
    section_options("table", table_options);
    section_options("kind", kind_options);
    size_t n = section_options("", options);
    int flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
    options[n++] = (cfg_opt_t)CFG_SEC("listen", listen_options, flags);
    options[n++] = (cfg_opt_t)CFG_SEC("table", table_options, flags);
    options[n++] = (cfg_opt_t)CFG_SEC("kind", kind_options, flags);
    options[n] = (cfg_opt_t)CFG_END();

    reading = reader;
    cfg_t *top = cfg_init(options, CFGF_NONE);
    if (!top) {
        fault(reader, 0, "%s", strerror(ENOMEM));
        return;
    }
    cfg_set_error_function(top, syntax_fault);
    bool parsed = cfg_parse_buf(top, text) == CFG_SUCCESS;
    if (parsed && find_setting(reader, cfg_getopt(top, END_KEY))) {
        read_all(reader, top);
    } else {
        if (parsed) {
            fault(reader, top->line, "premature end of file: a section is not closed");
        } else if (reader->faults == before) {
            fault(reader, top->line, "cannot be read from here on");
        }
        struct reader mute = {.file = reader->file, .fault = ignore_fault};
        reading = &mute;
        reset_scanner();
    }
    reading = NULL;
    cfg_free(top);
}

struct conf *conf_load(const char *file, void (*told)(const char *text, void *context),
                       void *context)
{
    struct reader reader = {.file = file, .fault = told, .context = context};
    struct conf *conf = reader.conf = calloc(1, sizeof *conf);
    char *text = NULL;

    if (!conf || !(conf->file = conf_absolute(file))) {
        fault(&reader, 0, "%s", strerror(errno));
    } else if ((text = read_file(&reader)) != NULL) {
        parse(&reader, text);
    }
    for (size_t i = 0; i < reader.n_settings; i++) {
        free(reader.settings[i].text);
    }
    free(reader.settings);
    free(text);
    if (reader.faults > 0) {
        conf_free(conf);
        conf = NULL;
    }
    return conf;
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
        if (strcmp(conf->kinds[i].name, name) == 0) {
            return &conf->kinds[i];
        }
    }
    return NULL;
}
