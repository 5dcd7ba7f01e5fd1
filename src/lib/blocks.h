/* blocks.h - room on the disk, taken before it is needed: a full disk shows when it is asked for,
 * and not as SIGBUS in a map or in the midst of a commit. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stdint.h>

/* Blocks for these bytes of a file, beyond its end or not; its size stays. 0 or an errno: ENOSPC,
 * EDQUOT, or EFBIG, as a write would fail. A file system that knows no such thing promises nothing:
 * 0. */
int blocks_take(int fd, uint64_t from, uint64_t to);

/* The same for all of a file that others may have mapped, which is made if there is none, and for
 * `size` bytes at least: it may have holes. Not while this process has fcntl locks on it: they
 * would go. */
int blocks_fill(const char *path, uint64_t size);

#endif
