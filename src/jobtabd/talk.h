/* talk.h - what the master and a keeper say to each other, a message in one packet of a socket that
 * the two of them have alone.
 *
 *   TALK_CLEAR    master: somebody died and is not reaped yet; clear the slots of the dead
 *   TALK_CLEARED  keeper: they are cleared, for the request of that number
 *   TALK_HOLDER   keeper: this process is in the others' way; the master looks for itself and ends
 *   it
 */
#ifndef TALK_H
#define TALK_H

#include <stdint.h>

#include "jobtab.h"

enum talk_what { TALK_CLEAR, TALK_CLEARED, TALK_HOLDER };

struct talk {
    enum talk_what what;
    uint32_t number; /* of TALK_CLEAR and TALK_CLEARED */
    struct jobtab_holder holder;
    int64_t lasted; /* ms that the holder has been seen stopped, or doing nothing */
};

#endif
