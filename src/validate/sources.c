/* sources.c - the files that prices come from. */
#include "config.h"

#include "sources.h"

#include "params.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 16

/* Where the kernel has no openat2, or a sandbox forbids it: name by name, and stricter. No link is
 * followed and no name may be "..". */
static int open_by_steps(int root, const char *path, int flags)
{
    int folder = root;
    if (*path == '/') {
        errno = EXDEV;
        return -1;
    }
    for (;;) {
        char name[NAME_MAX + 1];
        size_t size = strcspn(path, "/");
        const char *rest = path + size + strspn(path + size, "/");
        int next = -1;
        if (size > NAME_MAX)
            errno = ENAMETOOLONG;
        else if (size == 2 && memcmp(path, "..", 2) == 0)
            errno = EXDEV;
        else {
            memcpy(name, path, size);
            name[size] = '\0';
            next = openat(folder, name,
                          (*rest == '\0' ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
        }
        int error = errno;
        if (folder != root)
            close(folder);
        errno = error;
        if (next < 0 || *rest == '\0')
            return next;
        folder = next;
        path = rest;
    }
}

static int open_beneath(int root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = open_by_steps(root, path, flags);
    return fd;
}

static const char *why(int error)
{
    return error == EXDEV ? "leads out of the input root" : strerror(error);
}

int sources_open(int root, const char *path, int *file, uint64_t *size, struct fault *fault)
{
    struct stat st;
    /* A FIFO must not hold us. */
    int fd = open_beneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fault_set(fault, fault_of(errno), "%s: %s", path, why(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return fault_set(fault, FAULT_INVALID, "%s: not a regular file", path);
    }
    *file = fd;
    *size = (uint64_t)st.st_size;
    return 0;
}

/* ------------------------------------------------------------------- finding */

struct found {
    int root;
    char **paths;
    size_t n;
    struct fault *fault;
};

static bool is_csv(const char *name)
{
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".csv") == 0;
}

static int keep(struct found *found, const char *path)
{
    json_t *utf8 = json_string(path);
    json_decref(utf8);
    if (utf8 == NULL)
        return fault_set(found->fault, FAULT_INVALID, "%s: the file name is not UTF-8", path);
    if (found->n == PARAMS_SOURCES)
        return fault_set(found->fault, FAULT_INVALID, "more than %d *.csv beneath the input root",
                         PARAMS_SOURCES);
    found->paths[found->n] = strdup(path);
    if (found->paths[found->n] == NULL)
        return fault_set(found->fault, FAULT_SYSTEM, "out of memory");
    found->n++;
    return 0;
}

/* `prefix` is "" for the root itself, otherwise a folder's path with a slash behind it. */
static int look_into(struct found *found, const char *prefix, int depth)
{
    int result = 0;
    int fd = open_beneath(found->root, *prefix == '\0' ? "." : prefix, O_RDONLY | O_DIRECTORY);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        result = fault_set(found->fault, fault_of(errno), "%s: %s",
                           *prefix == '\0' ? "the input root" : prefix, why(errno));
        if (fd >= 0)
            close(fd);
        return result;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            if (errno != 0)
                result = fault_set(found->fault, fault_of(errno), "%s: %s", prefix,
                                   strerror(errno));
            break;
        }
        struct stat st;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bool is_folder = S_ISDIR(st.st_mode);
        if (!is_folder && !is_csv(entry->d_name))
            continue;
        char path[PARAMS_PATH + 2];
        const char *slash = is_folder ? "/" : "";
        int size = snprintf(path, sizeof path, "%s%s%s", prefix, entry->d_name, slash);
        if (size > PARAMS_PATH || depth == DEPTH_MAX)
            result = fault_set(found->fault, FAULT_INVALID, "%s%s: too deep beneath the input root",
                               prefix, entry->d_name);
        else
            result = is_folder ? look_into(found, path, depth + 1) : keep(found, path);
        if (result != 0)
            break;
    }
    closedir(folder);
    return result;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int sources_find(int root, char ***paths, size_t *n, struct fault *fault)
{
    struct found found = {.root = root, .fault = fault};
    found.paths = calloc(PARAMS_SOURCES, sizeof *found.paths);
    if (found.paths == NULL)
        return fault_set(fault, FAULT_SYSTEM, "out of memory");
    int result = look_into(&found, "", 0);
    if (result == 0 && found.n == 0)
        result = fault_set(fault, FAULT_INVALID, "there is no *.csv beneath the input root");
    if (result != 0) {
        while (found.n > 0)
            free(found.paths[--found.n]);
        free(found.paths);
        return result;
    }
    qsort(found.paths, found.n, sizeof *found.paths, compare_paths);
    *paths = found.paths;
    *n = found.n;
    return 0;
}
