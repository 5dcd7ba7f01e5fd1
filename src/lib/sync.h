/* sync.h - making a file, or the names in a folder, durable. */
#ifndef SYNC_H
#define SYNC_H

int sync_path(const char *path);

#endif
