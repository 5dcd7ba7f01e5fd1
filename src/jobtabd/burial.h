/* burial.h - the dead are reaped once their slots in the table's list of readers are cleared.
 *
 * A slot names its process by pid alone. While its process is a zombie the pid is nobody else's,
 * and a keeper that is asked finds it dead; afterwards another process that opens the table might
 * get the pid, and the slot would pass for its own. So the master keeps its dead for the moment
 * that a keeper takes to answer, and a second at most.
 */
#ifndef BURIAL_H
#define BURIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct crew;
struct talk;

/* A child of the master, found dead (WNOWAIT). */
void burial_add(pid_t pid);
bool burial_has(pid_t pid);

/* Ask the keepers of the crews, reap who may be reaped; when there is something to do again,
 * INT64_MAX for never. */
int64_t burial_tend(struct crew *crews);

/* A keeper has answered. */
void burial_cleared(const struct talk *talk);

#endif
