/* stage.h - a story of calls that is told twice: once on a sound disk, to know what each call
 * leaves in the table, then on one that fails at a given system call of a given one.
 */
#ifndef STAGE_H
#define STAGE_H

#include "fault.h"
#include "jobtab.h"

#define STAGE_JOBS 3
#define FOLDER_ROOM 240
#define PATH_ROOM   320

/* What a step leaves, as far as it can be told beforehand. */
struct view {
    struct {
        bool there;
        enum jobtab_state state;
        uint32_t attempt, progress;
        uint64_t params, result, log;
    } jobs[STAGE_JOBS];
    uint64_t others; /* of these: there are none */
    bool backup;
};

struct stage {
    char folder[FOLDER_ROOM]; /* the table is beneath, and its backup */
    struct fault *fault;
    struct jobtab *table; /* NULL: not open */
    struct jobtab_id ids[STAGE_JOBS];
    struct jobtab_token token;
};

struct step {
    const char *name;
    int (*run)(struct stage *stage); /* done again when its answer was an error and its view is not there */
};
extern const struct step steps[];
extern const unsigned n_steps;

/* Open the table, if it is not. */
int stage_open(struct stage *stage);
/* JOBTAB_OK, or the table's own error when it could not be read. */
int stage_view(struct stage *stage, struct view *view);
/* The kind of all jobs of the story, and of those of whoever else is there. */
#define STAGE_KIND     "story"
#define NEIGHBOUR_KIND "neighbour"

#endif
