/* muster.h - what a crew needs before its roles are forked. */
#ifndef MUSTER_H
#define MUSTER_H

#include "crew.h"

/* A crew for `conf`, which it takes, with its listeners open: those of the crew `before` (or NULL)
 * where it has the same address. Makes the table's directory. NULL after logging why not. */
struct crew *muster(struct conf *conf, enum crew_phase phase, const struct crew *before);

/* Close those of its listeners that the crew `but` (or NULL) does not go on with. */
void muster_close(struct crew *crew, const struct crew *but);

#endif
