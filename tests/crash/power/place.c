/* place.c - a folder with a table's file that changes under nobody's eyes. See power.h. */
#include "power.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void refused(const char *what)
{
    perror(what);
    exit(1);
}

void place_name(const struct place *place, const char *file, char path[512])
{
    snprintf(path, 512, "%s/%s", place->dir, file);
}

static void open_file(struct place *place)
{
    char path[512];

    place_name(place, TABLE_FILE, path);
    place->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (place->fd < 0)
        refused(path);
    place->map = mmap(NULL, FILE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, place->fd, 0);
    if (place->map == MAP_FAILED)
        refused(path);
}

static void close_file(struct place *place)
{
    munmap(place->map, FILE_MAX);
    close(place->fd);
}

void place_begin(struct place *place, const char *dir)
{
    snprintf(place->dir, sizeof place->dir, "%s", dir);
    if (mkdir(dir, 0700) < 0)
        refused(dir);
    open_file(place);
}

void place_end(struct place *place)
{
    static const char *const files[] = {TABLE_FILE, "lock.mdb", "shared", "open.lock"};
    char path[512];

    close_file(place);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        place_name(place, files[i], path);
        unlink(path);
    }
    rmdir(place->dir);
}

/* One image is much like the one before: writing only what differs is ten times as fast. */
void place_put(struct place *place, const char *bytes, uint64_t size)
{
    struct stat named, file;
    char path[512];

    place_name(place, TABLE_FILE, path);
    if (fstat(place->fd, &file) < 0 || stat(path, &named) < 0 || named.st_ino != file.st_ino) {
        close_file(place); /* somebody made another of that name, or none is there */
        unlink(path);
        open_file(place);
        file.st_size = 0;
    }
    if ((uint64_t)file.st_size != size && ftruncate(place->fd, (off_t)size) < 0)
        refused(path);
    for (uint64_t at = 0; at < size; at += PAGE) {
        size_t n = size - at < PAGE ? size - at : PAGE;
        if (memcmp(place->map + at, bytes + at, n) != 0)
            memcpy(place->map + at, bytes + at, n);
    }
}
