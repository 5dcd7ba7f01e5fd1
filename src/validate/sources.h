/* sources.h - the files that prices come from. All lie beneath one folder, the root: no path, no
 * symbolic link and no race leads out of it. */
#ifndef SOURCES_H
#define SOURCES_H

#include "fault.h"

#include <stddef.h>
#include <stdint.h>

/* Open a regular file beneath the folder `root` for reading. */
int sources_open(int root, const char *path, int *file, uint64_t *size, struct fault *fault);

/* The paths of all *.csv in `root` and the folders in it, sorted bytewise; names with a leading dot
 * are left out and links to folders not followed. *paths and its strings are the caller's to free;
 * there is at least one. */
int sources_find(int root, char ***paths, size_t *n, struct fault *fault);

#endif
