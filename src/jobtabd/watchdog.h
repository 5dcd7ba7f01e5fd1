/* watchdog.h - the master ends who does not go on.
 *
 * Roles: one whose loop has not turned, or whose call to the table has lasted, beyond
 * stall_timeout; a keeper, or one that is not ready yet, that is stopped, since nobody else could
 * tell whether it is in the way.
 * Anybody: whom the keeper has found in the way (lookout.h), if it still is what the keeper says
 * and has the table open. Whoever is ended is killed; roles are replaced as after any death.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdint.h>

struct crew;
struct talk;

/* Look after the roles of a crew; returns when there is to be another look, INT64_MAX for never. */
int64_t watchdog_tend(struct crew *crew);

/* The crew's keeper has found somebody in the way. */
void watchdog_told(struct crew *crew, const struct talk *talk);

#endif
