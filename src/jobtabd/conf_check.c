/* conf_check.c - what a value must be beyond its bounds: the rows name these checks. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "conf_rows.h"
#include "jobtab.h"
#include "listen.h"
#include "tls.h"

static int refuse(char *why, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(char *why, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return -1;
}

int conf_check_user(const struct conf *conf, void *section, char *why, size_t size)
{
    (void)section;
    /* Only root can change to another account; anyone else stays who he is. */
    if (geteuid() != 0 || !conf->user || !conf->user[0] || getpwnam(conf->user)) {
        return 0;
    }
    return refuse(why, size, "there is no account \"%s\"", conf->user);
}

int conf_check_default_kind(const struct conf *conf, void *section, char *why, size_t size)
{
    (void)section;
    if (!conf->default_kind || !conf->default_kind[0] || conf_kind(conf, conf->default_kind)) {
        return 0;
    }
    return refuse(why, size, "there is no kind \"%s\"", conf->default_kind);
}

static int check_readable(const char *path, char *why, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return refuse(why, size, "%s: %s", path, strerror(errno));
    }
    close(fd);
    return 0;
}

int conf_check_certificate(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_listen *listen = section;

    (void)conf;
    if (!listen->tls_certificate) {
        return 0;
    }
    if (!listen->tls_key) {
        return refuse(why, size, "tls_key is missing");
    }
    return check_readable(listen->tls_certificate, why, size);
}

/* Of both: whether they are what they should be and belong together. */
int conf_check_key(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_listen *listen = section;

    (void)conf;
    if (!listen->tls_key) {
        return 0;
    }
    if (!listen->tls_certificate) {
        return refuse(why, size, "tls_certificate is missing");
    }
    if (check_readable(listen->tls_key, why, size) != 0) {
        return -1;
    }
    if (access(listen->tls_certificate, R_OK) != 0) {
        return 0; /* told with the certificate */
    }
    SSL_CTX *context = tls_context(listen, why, size);
    SSL_CTX_free(context);
    return context ? 0 : -1;
}

int conf_check_durability(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_table *table = section;

    (void)conf;
    if (!table->durability || strcmp(table->durability, "sync") == 0) {
        return 0;
    }
    return refuse(why, size, "\"%s\" is not supported: only \"sync\" is", table->durability);
}

static bool is_program(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* directory/name if that is a program, to be freed; else NULL. */
static char *program_in(const char *directory, size_t length, const char *name)
{
    char *path;

    if (asprintf(&path, "%.*s/%s", (int)length, directory, name) < 0) {
        return NULL;
    }
    if (!is_program(path)) {
        free(path);
        return NULL;
    }
    return path;
}

/* Beside jobtabd (the build tree), in the bin beside its folder (an installation), in PATH. */
static char *find_program(const char *name)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    char *program = NULL;

    if (strchr(name, '/')) {
        return is_program(name) ? conf_absolute(name) : NULL;
    }
    if (length > 0) {
        self[length] = '\0';
        size_t folder = (size_t)(strrchr(self, '/') - self);
        program = program_in(self, folder, name);
        if (!program) {
            snprintf(self + folder, sizeof self - folder, "/../bin");
            program = program_in(self, strlen(self), name);
        }
    }
    const char *path = getenv("PATH");
    while (!program && path && *path) {
        size_t part = strcspn(path, ":");
        if (part > 0) {
            program = program_in(path, part, name);
        }
        path += part + (path[part] == ':');
    }
    return program;
}

int conf_check_command(const struct conf *conf, void *section, char *why, size_t size)
{
    struct conf_kind *kind = section;

    (void)conf;
    if (!kind->command) {
        return refuse(why, size, "missing: a kind needs a program");
    }
    free(kind->program);
    kind->program = find_program(kind->command[0]);
    return kind->program ? 0 : refuse(why, size, "there is no program \"%s\"", kind->command[0]);
}

int conf_check_children(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_kind *kind = section;

    (void)conf;
    return kind->children == 0 || kind->table
               ? 0
               : refuse(why, size, "children claim jobs themselves: they need table = true");
}

int conf_check_input_root(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_kind *kind = section;
    struct stat status;

    (void)conf;
    if (!kind->input_root) {
        return 0;
    }
    if (stat(kind->input_root, &status) != 0) {
        return refuse(why, size, "%s: %s", kind->input_root, strerror(errno));
    }
    return S_ISDIR(status.st_mode) ? 0 : refuse(why, size, "%s: no directory", kind->input_root);
}

int conf_check_kind(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_kind *kind = section;
    const char *p = kind->name;

    (void)conf;
    while (isascii((unsigned char)*p) && (isalnum((unsigned char)*p) || strchr("._-", *p)) && *p) {
        p++;
    }
    if (*p || p == kind->name || p - kind->name > JOBTAB_KIND_MAX) {
        return refuse(why, size, "a name is 1 to %d letters, digits, '.', '_' and '-'",
                      JOBTAB_KIND_MAX);
    }
    return 0;
}

int conf_check_listen(const struct conf *conf, void *section, char *why, size_t size)
{
    const struct conf_listen *listen = section;
    struct sockaddr_storage address, other;
    socklen_t length, other_length;
    char ignored[8];

    if (listen_parse(listen->address, &address, &length, why, size) != 0) {
        return -1;
    }
    for (const struct conf_listen *before = conf->listens; before < listen; before++) {
        if (before->address &&
            listen_parse(before->address, &other, &other_length, ignored, sizeof ignored) == 0 &&
            length == other_length && memcmp(&address, &other, length) == 0) {
            return refuse(why, size, "the same address as \"%s\"", before->address);
        }
    }
    return 0;
}
