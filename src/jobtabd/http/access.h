/* access.h - the access log: one line a request, written by a thread of its own. The loop never
 * waits for it: when the disk cannot follow, lines are dropped and their number is logged. */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include <h2o.h>

struct access;

/* "stderr" or a path. NULL with errno when it cannot be opened. */
struct access *access_open(const char *target);
/* Have every request of this path logged. */
void access_register(struct access *access, h2o_pathconf_t *path);
/* Write what is left, at most a second long. */
void access_close(struct access *access);

#endif
