/* sync.h - making a file, or the names in a folder, durable. */
#ifndef SYNC_H
#define SYNC_H

int sync_path(const char *path);
/* The directory's own name, which stands in its parent. One that may not be read is another user's,
 * as is the care for the names in it. */
int sync_parent(const char *dir);

#endif
