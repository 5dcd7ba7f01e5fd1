/* proc.c - see proc.h. */
#include "config.h"

#include "proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An environment of that size is read at once: whole, or not at all if the process leaves it. */
#define PIECE 65536

/* A whole file of /proc/PID, to be freed, NUL-terminated beyond *size; NULL when it is gone. */
static char *proc_file(pid_t pid, const char *name, size_t *size)
{
    char path[64], *text = NULL;
    size_t room = 0, length = 0;
    ssize_t got = 0;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    do {
        if (room - length < PIECE / 2) {
            room += PIECE;
            char *grown = realloc(text, room);
            if (!grown) {
                got = -1;
                break;
            }
            text = grown;
        }
        got = read(fd, text + length, room - length - 1);
        length += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    close(fd);
    if (got < 0) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    *size = length;
    return text;
}

bool proc_read(pid_t pid, struct process *process)
{
    size_t size;
    int parent, group;
    uint64_t start;
    char state;
    char *text = proc_file(pid, "stat", &size);
    char *open = text ? strchr(text, '(') : NULL;
    char *close = open ? strrchr(open, ')') : NULL; /* a program's name may hold any of these */
    bool read = close && sscanf(close + 1,
                                " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d"
                                " %*d %*d %*d %" SCNu64,
                                &state, &parent, &group, &start) == 4;

    if (read) {
        *process = (struct process){
            .pid = pid, .parent = parent, .group = group, .state = state, .start_time = start};
        snprintf(process->name, sizeof process->name, "%.*s", (int)(close - open - 1), open + 1);
    }
    free(text);
    return read;
}

/* Of a process that shows no environment: it will have one. While it goes from one program to the
 * next, the kernel sets where the code starts after it has set all else. */
static bool is_in_exec(pid_t pid)
{
    char path[64], link[1];
    size_t size;
    uint64_t code, begin, end;

    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    if (readlink(path, link, sizeof link) < 0) {
        return false; /* the kernel's, or gone */
    }
    char *text = proc_file(pid, "stat", &size);
    const char *close = text ? strrchr(text, ')') : NULL;
    bool told = close && sscanf(close + 1,
                                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d"
                                " %*d %*d %*d %*u %*u %*d %*u %" SCNu64
                                " %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %*d %*u %*u"
                                " %*u %*u %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                                &code, &begin, &end) == 3;
    free(text);
    return told && (code == 0 || begin != end);
}

enum proc_answer proc_was_given(pid_t pid, const char *variable)
{
    size_t size;
    char *environment = proc_file(pid, "environ", &size);
    bool found = false;

    if (!environment) {
        return PROC_NO;
    }
    for (const char *p = environment; p < environment + size && !found; p += strlen(p) + 1) {
        found = strcmp(p, variable) == 0;
    }
    free(environment);
    return found ? PROC_YES : size == 0 && is_in_exec(pid) ? PROC_NOT_NOW : PROC_NO;
}

bool proc_has_open(pid_t pid, const char *path)
{
    struct stat file, other;
    struct dirent *entry;
    char name[64];
    bool found = false;

    snprintf(name, sizeof name, "/proc/%d/fd", (int)pid);
    DIR *descriptors = stat(path, &file) == 0 ? opendir(name) : NULL;
    while (descriptors && !found && (entry = readdir(descriptors)) != NULL) {
        snprintf(name, sizeof name, "/proc/%d/fd/%.20s", (int)pid, entry->d_name);
        found = entry->d_name[0] != '.' && stat(name, &other) == 0 && other.st_ino == file.st_ino &&
                other.st_dev == file.st_dev;
    }
    if (descriptors) {
        closedir(descriptors);
    }
    return found;
}
