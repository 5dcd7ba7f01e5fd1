/* stage.h - what the processes of the kill sweep share: a story of what each asked and was answered,
 * in memory that none of their deaths touches.
 *
 * A job goes up steps: submitted, claimed, reported twice, finished. A player notes a step as asked
 * before the call and as acknowledged after it. So the table must hold each job at a step between the two,
 * and its sequence must have grown by all these steps and by no more.
 */
#ifndef STAGE_H
#define STAGE_H

#include "jobtab.h"

#include <stdatomic.h>
#include <sys/types.h>

#define VICTIM      0 /* the player who is killed; the others survive */
#define PLAYERS_MAX 16
#define JOBS_MAX    600 /* of one player in one round */
#define BATCH       3   /* jobs that are moved by one call, in every other call */
#define WORDS_MAX   400

enum step { NO_STEP, SUBMITTED, CLAIMED, REPORTED, REPORTED_AGAIN, FINISHED };

struct entry {
    _Atomic uint8_t asked, acked; /* enum step */
    struct jobtab_id id;          /* from its submit's answer on */
    uint64_t version;             /* of the last answer */
};

struct player {
    _Atomic uint64_t answers;
    _Atomic uint32_t parked; /* the newest round that it has stopped for */
    _Atomic bool full;       /* it has no entry left in this round, and waits */
    _Atomic uint32_t jobs;   /* entries used */
    struct entry entries[JOBS_MAX];
};

struct stage {
    char dir[256];
    int players;
    _Atomic uint32_t round;  /* all players stop for it between two jobs */
    _Atomic uint32_t played; /* and go on when it is done with */
    _Atomic bool faulty;     /* words has why */
    char words[WORDS_MAX];
    uint64_t version; /* the table's, when the round began */
    struct player player[PLAYERS_MAX];
};

/* The first fault of a round is kept. */
void stage_fault(struct stage *stage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void stage_nap(long us);

/* The kind of a player's jobs. */
void stage_kind(int player, char kind[JOBTAB_KIND_MAX + 1]);
/* Parameters of a job: nobody else's, and of many sizes, other ones each round. Returns the length. */
#define PARAMS_MAX 21000
size_t stage_params(const struct stage *stage, int player, unsigned job, char text[PARAMS_MAX]);
size_t stage_result(int player, unsigned job, char text[64]);

/* A player's life, in its own process: open the table, call `opened`, move jobs. `jobs` is how many, 0:
 * without end. Leaves the process at the first fault. */
void player_main(struct stage *stage, int number, unsigned jobs, void (*opened)(void));

/* In a process of its own, while all who live are parked: hold the table against the story, then empty
 * it. Faults go to the stage. */
void judge(struct stage *stage);

#endif
