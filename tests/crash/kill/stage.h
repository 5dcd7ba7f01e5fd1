/* stage.h - what the processes of the kill sweep share: a story of what each asked and was
 * answered, in memory that none of their deaths touches.
 *
 * A job goes through a course, step by step. A player notes a step as asked before the call and as
 * acknowledged after it. So the table must hold each job as one of the two has it, and its sequence
 * must have grown by all these steps and by no more.
 */
#ifndef STAGE_H
#define STAGE_H

#include "jobtab.h"
#include "round.h"

#include <stdatomic.h>
#include <sys/types.h>

#define VICTIM      0 /* the player who is killed; the others survive */
#define PLAYERS_MAX 16
#define JOBS_MAX    600 /* of one player in one round */
#define BATCH       3   /* jobs that are moved by one call, in every other call */

/* --------------------------------------------------------------------- courses */

/* What a player does: the verbs of enum jobtab_verb, and */
enum {
    ACT_SWEEP = JOBTAB_VERBS,
    ACT_BACKUP,
    ACT_LATE, /* a report with the token of an earlier claim: it is refused */
    ACTS
};
extern const char *const act_names[ACTS];

struct step {
    int act;
    enum jobtab_state state; /* the job's when it is done, and so are these */
    uint32_t attempt, crashes, progress;
};

#define STEPS_MAX 11

struct course {
    bool remote;                      /* its owner has a lease, which is over at once */
    struct step steps[STEPS_MAX + 1]; /* from 1 on; 0 is before the first */
    unsigned n;
};

/* The first is the usual one. The first COURSES_SHARED can be gone through by many at once; of the
 * others some step is what any process may do, at any time. */
#define COURSES        5
#define COURSES_SHARED 3
extern const struct course courses[COURSES];

/* Whether it makes a change, which takes a version. (That of a deletion is nobody's to tell.) */
bool step_counts(const struct step *step);

/* ----------------------------------------------------------------------- stage */

struct entry {
    uint8_t course;
    _Atomic uint8_t asked; /* number of the step */
    _Atomic uint64_t answered; /* the last that was acknowledged, its number and version at once */
    struct jobtab_id id; /* from its submit's answer on */
};

static inline uint64_t answer_of(unsigned step, uint64_t version)
{
    return version << 8 | step;
}

static inline unsigned acked_step(const struct entry *entry)
{
    return entry->answered & 0xff;
}

static inline uint64_t acked_version(const struct entry *entry)
{
    return entry->answered >> 8;
}

struct player {
    _Atomic uint64_t answers;
    _Atomic uint32_t parked; /* the newest round that it has stopped for */
    _Atomic bool full;       /* it has no entry left in this round, and waits */
    _Atomic uint32_t jobs;   /* entries used */
    _Atomic int act;         /* that it is about, -1: none */
    struct entry entries[JOBS_MAX];
};

struct stage {
    char dir[256], backup[272];
    int players;
    _Atomic uint32_t round;  /* all players stop for it between two jobs */
    _Atomic uint32_t played; /* and go on when it is done with */
    struct fault fault;
    uint64_t version; /* the table's, when the round began */
    struct player player[PLAYERS_MAX];
};

/* The kind of a player's jobs. */
void stage_kind(int player, char kind[JOBTAB_KIND_MAX + 1]);
/* Parameters of a job: nobody else's, and of many sizes, other ones each round. Returns the
 * length. */
#define PARAMS_MAX 21000
size_t stage_params(const struct stage *stage, int player, unsigned job, char text[PARAMS_MAX]);
size_t stage_result(int player, unsigned job, char text[64]);
/* What the log is, after so many steps of a course: LOG_SIZE bytes from each that logs. */
#define LOG_SIZE 900
size_t stage_log(const struct course *course, unsigned step, char text[STEPS_MAX * LOG_SIZE]);

/* A player's life, in its own process: open the table, call `opened`, lead jobs through `n` of the
 * courses in turn, one or BATCH at a time, `moves` times; 0: without end. Leaves the process at the
 * first fault. */
void player_main(struct stage *stage, int number, unsigned n, unsigned moves, void (*opened)(void));

/* In a process of its own, without end: wait for the bell, and find in the table what it
 * rang for. */
void listener_main(struct stage *stage);

/* In a process of its own, while all who live are parked: hold the table against the story, then
 * empty it. Faults go to the stage. */
void judge(struct stage *stage);

#endif
