/* queue.h - operations that wait for a commit, of all processes, and the lead over them.
 *
 * Born:  a slot is taken for one call of jobtab_apply, filled, and queued.
 * Life:  its caller waits for the answer, or for its turn to lead. The leader holds the one lock:
 *        it applies what all have queued in one transaction, posts the answers, gives the lock up,
 *        and calls whoever has waited longest among those that came meanwhile.
 * Ends:  the caller takes the answer and frees the slot.
 * Crash: a leader that is killed leaves the lock to the next one, who is told (the mutex is robust)
 *        and heals: see batch.h. A caller that is killed has its operation done, and its slot is
 *        taken by whoever needs one. A leader that is stopped is ended by those that wait for it.
 *
 * Nothing here knows what an operation is: a slot has room for a request and for its answers.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "jobtab.h"
#include "turn.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Small slots for one operation, or a warm child's two: the end of a job and the claim of the next.
 * Large ones for a batch of one thread. A call that fits in none waits for its turn to lead and
 * applies its operations from its own memory. */
#define QUEUE_SMALL 128
#define QUEUE_LARGE 12
#define QUEUE_SLOTS (QUEUE_SMALL + QUEUE_LARGE)
#define SMALL_REQUEST 1024
#define SMALL_ANSWERS 2
#define LARGE_REQUEST 16384
#define LARGE_ANSWERS 32

/* What the leader has to say of one operation. */
struct answer {
    int32_t result;
    bool repeated;
    struct jobtab_id id;
    struct jobtab_token token;
    char why[JOBTAB_WHY_MAX];
    struct jobtab_job job;
};

enum slot_state {
    SLOT_IDLE,   /* being filled or emptied by its holder */
    SLOT_QUEUED, /* waits */
    SLOT_CALLED, /* the same, and its holder is to take the lead */
    SLOT_PASSED, /* was called and did not come: is nobody's concern until it shows itself */
    SLOT_DONE,   /* answered */
};

struct slot {
    _Atomic uint64_t holder; /* the process, 0 when free: pid and part of its start time */
    _Atomic uint32_t state;  /* futex */
    uint32_t n;              /* operations in the request; 0: its caller can only lead */
    uint64_t ticket;         /* one for every use of a slot, in the order of coming */
    struct jobtab_owner self; /* the caller, as the owner of what it claims */
    int32_t rc;              /* answer: the transaction's own */
    uint32_t size;           /* of the request */
    char pad[8];
};

struct small_room {
    char request[SMALL_REQUEST];
    struct answer answers[SMALL_ANSWERS];
};

struct large_room {
    char request[LARGE_REQUEST];
    struct answer answers[LARGE_ANSWERS];
};

/* A part of the shared file. */
struct queue {
    struct turn turn; /* whoever has it leads */
    uint64_t epoch; /* random: tickets of another boot are none of ours */
    /* Of the leader, under the lock. */
    _Atomic int64_t leader_since; /* boot clock: when the newest one said so */
    int64_t since;          /* monotonic ns: it began to work */
    uint32_t heal;          /* a leader died, and nobody has put right what it left */
    uint32_t alone;         /* so many leaders are to apply their own operations only */
    uint32_t served;        /* callers that the last commit answered */
    uint32_t served_arrivals; /* arrivals as that commit collected */
    int64_t commit_time;      /* of the last commit, ns */
    char pad[64];
    /* Of all. */
    _Atomic uint64_t tickets;
    _Atomic uint32_t arrivals; /* futex: counts requests that were queued */
    _Atomic uint32_t wanted;   /* the arrival at which the leader is to be woken */
    _Atomic uint32_t called;   /* slot + 1 whose holder was called and has not come yet */
    _Atomic int64_t watched;   /* boot clock: when somebody last looked whether the leader is stopped */
    _Atomic int64_t suspect;   /* leader_since of one that was found stopped */
    char pad2[64];
    /* The slots lie together, since a leader looks at all of them, and their rooms behind. */
    struct slot slots[QUEUE_SLOTS];
    struct small_room small[QUEUE_SMALL];
    struct large_room large[QUEUE_LARGE];
};

/* All is zero but the rooms, which hold anything; the caller holds the open lock. */
void queue_make(struct queue *queue);

/* ---------------------------------------------------------------- of a caller */

/* A slot for `n` operations with a request of `size` bytes, idle. One that is too small for them
 * has room 0 (see slot_room) and serves to wait in; NULL when none is free. */
struct slot *queue_take(struct queue *queue, const struct jobtab_owner *self, size_t size, size_t n);
void queue_put_back(struct slot *slot);

/* Bytes of request, and answers, that the slot has room for. */
size_t slot_room(const struct queue *queue, const struct slot *slot);
size_t slot_answers(const struct queue *queue, const struct slot *slot);
char *slot_request(struct queue *queue, const struct slot *slot);
struct answer *slot_answer(struct queue *queue, const struct slot *slot);

/* Queue the slot and wait: true when the caller leads, with its own slot still queued; false when
 * it was answered. `slot` NULL: wait for the lead. */
bool queue_wait(struct queue *queue, struct slot *slot);

/* ---------------------------------------------------------------- of the leader */

/* Wait for the lead without operations. */
void queue_lead(struct queue *queue, const struct jobtab_owner *self);
/* Take the leader's own slot out of the line, after the healing (which may have answered it) and
 * before anything is applied: a leader that dies must not leave queued what it may have committed.
 * False when it was answered. */
bool queue_withdraw(struct slot *slot);
/* Wait a moment for as many as came last time. */
void queue_gather(struct queue *queue);
/* The slots that are queued, longest waiting first; how many. At most QUEUE_SLOTS. */
size_t queue_collect(struct queue *queue, struct slot *slots[QUEUE_SLOTS]);
/* The answer is there. Its caller is woken by queue_leave, or by queue_wake. */
void queue_post(struct slot *slot, int rc);
void queue_wake(struct slot *slot);
/* Give up the lead, wake the n that were answered, call the next. */
void queue_leave(struct queue *queue, struct slot *const *answered, size_t n);

#endif
