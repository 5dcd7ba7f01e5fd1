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

char *proc_file(pid_t pid, const char *name, size_t *size)
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
        if (room - length < 2) {
            room += 4096;
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
        *process = (struct process){.pid = pid,
                                    .parent = parent,
                                    .group = group,
                                    .state = state,
                                    .start_time = start};
        snprintf(process->name, sizeof process->name, "%.*s", (int)(close - open - 1), open + 1);
    }
    free(text);
    return read;
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
        found = entry->d_name[0] != '.' && stat(name, &other) == 0 &&
                other.st_ino == file.st_ino && other.st_dev == file.st_dev;
    }
    if (descriptors) {
        closedir(descriptors);
    }
    return found;
}
