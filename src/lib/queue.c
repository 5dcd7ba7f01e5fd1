/* queue.c - slots, the lead, and who is woken when. See queue.h. */
#include "queue.h"

#include "clock.h"
#include "futex.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A caller that sleeps looks this often whether the one that leads is still there (ns), and waits
 * for one that was called so many times as long. Only a process that died, or was stopped, makes
 * anyone wait for it. */
#define PATIENCE INT64_C(20000000)
#define CALLED_PATIENCE 5

/* A leader waits at most this long for those that were here last time (ns), and not longer than a
 * commit takes: what is lost by waiting is then won by sharing. */
#define GATHER INT64_C(300000)

/* When no slot is free, so many are looked at for a holder that died: each look asks the kernel. */
#define DEAD_LOOKS 8

/* ms that a leader must have led before anyone asks whether it is stopped, and between two
 * looks. */
#define SUSPECT_AFTER 500
#define LOOK_EVERY 250

void queue_make(struct queue *queue)
{
    turn_make(&queue->turn);
    queue->epoch = random_u64();
}

/* ---------------------------------------------------------------------- slots */

static size_t index_of(const struct queue *queue, const struct slot *slot)
{
    return (size_t)(slot - queue->slots);
}

static bool is_small(const struct queue *queue, const struct slot *slot)
{
    return index_of(queue, slot) < QUEUE_SMALL;
}

size_t slot_room(const struct queue *queue, const struct slot *slot)
{
    return is_small(queue, slot) ? SMALL_REQUEST : LARGE_REQUEST;
}

size_t slot_answers(const struct queue *queue, const struct slot *slot)
{
    return is_small(queue, slot) ? SMALL_ANSWERS : LARGE_ANSWERS;
}

char *slot_request(struct queue *queue, const struct slot *slot)
{
    size_t i = index_of(queue, slot);

    return i < QUEUE_SMALL ? queue->small[i].request : queue->large[i - QUEUE_SMALL].request;
}

struct answer *slot_answer(struct queue *queue, const struct slot *slot)
{
    size_t i = index_of(queue, slot);

    return i < QUEUE_SMALL ? queue->small[i].answers : queue->large[i - QUEUE_SMALL].answers;
}

static bool waits(struct slot *slot)
{
    uint32_t state = atomic_load(&slot->state);

    return state == SLOT_QUEUED || state == SLOT_CALLED;
}

static uint64_t holder_of(const struct jobtab_owner *self)
{
    return (uint64_t)(uint32_t)self->pid << 32 | (uint32_t)self->start_time;
}

static bool holder_lives(uint64_t holder)
{
    uint64_t start = process_start((int32_t)(holder >> 32));

    return start != 0 && (uint32_t)start == (uint32_t)holder;
}

/* Whether the slot can be had: it is free, or its holder died and nobody waits for its
 * operation. */
static bool take(struct slot *slot, uint64_t self, bool from_the_dead)
{
    uint64_t holder = atomic_load(&slot->holder);

    if (holder != 0) {
        if (!from_the_dead || waits(slot) || holder_lives(holder))
            return false;
    }
    return atomic_compare_exchange_strong(&slot->holder, &holder, self);
}

static struct slot *take_from(struct queue *queue, size_t begin, size_t end, uint64_t self)
{
    /* Everyone begins where it ended last time: then nobody runs into the others. */
    static _Thread_local size_t last;
    size_t n = end - begin;

    for (size_t i = 0; i < n + DEAD_LOOKS; i++) {
        size_t at = begin + (last + i) % n;
        if (take(&queue->slots[at], self, i >= n)) {
            last = at - begin;
            return &queue->slots[at];
        }
    }
    last += DEAD_LOOKS; /* next time at others */
    return NULL;
}

struct slot *queue_take(struct queue *queue, const struct jobtab_owner *self, size_t size, size_t n)
{
    uint64_t holder = holder_of(self);
    struct slot *slot = NULL;

    bool small = size <= SMALL_REQUEST && n <= SMALL_ANSWERS;
    bool large = !small && size <= LARGE_REQUEST && n <= LARGE_ANSWERS;
    if (large)
        slot = take_from(queue, QUEUE_SMALL, QUEUE_SLOTS, holder);
    if (!slot) {
        slot = take_from(queue, 0, QUEUE_SMALL, holder);
        large = false;
    }
    if (!slot)
        return NULL;
    atomic_store(&slot->state, SLOT_IDLE);
    slot->n = small || large ? (uint32_t)n : 0;
    slot->size = slot->n ? (uint32_t)size : 0;
    slot->self = *self;
    slot->ticket = atomic_fetch_add(&queue->tickets, 1) + 1;
    return slot;
}

void queue_put_back(struct slot *slot)
{
    if (!slot)
        return;
    atomic_store(&slot->state, SLOT_IDLE);
    atomic_store(&slot->holder, 0);
}

/* ------------------------------------------------------------------- the lead */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Somebody else was called and did not come. If it has operations, they are done now. If it could
 * only lead and is dead or stopped, everyone would wait for it again after every commit. */
static void pass_over(struct queue *queue, uint32_t called, const struct slot *own)
{
    struct slot *slot = called && called <= QUEUE_SLOTS ? &queue->slots[called - 1] : NULL;
    uint32_t state = SLOT_CALLED;

    if (slot && slot != own && slot->n == 0)
        atomic_compare_exchange_strong(&slot->state, &state, SLOT_PASSED);
}

/* The turn is ours. */
static void lead(struct queue *queue, const struct slot *own, bool died)
{
    if (died)
        queue->heal = 1; /* from now on it is told by this: the turn tells it once */
    atomic_store(&queue->leader_since, clock_boot());
    pass_over(queue, atomic_exchange(&queue->called, 0), own);
    queue->since = now_ns();
}

static bool try_lead(struct queue *queue, const struct slot *own)
{
    bool died;

    if (!turn_try(&queue->turn, &died))
        return false;
    lead(queue, own, died);
    return true;
}

static void end_process(pid_t pid, int fd)
{
    if (fd < 0)
        kill(pid, SIGKILL);
    else
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

/* A leader that somebody stopped (SIGSTOP, a debugger) would stop all writers for ever. One that
 * has led for long and is found stopped twice is ended: the kernel then gives the lock to the next,
 * and what it had not committed is done by others. One that is slow, or waits for the disk, is left
 * alone. */
static void end_stopped_leader(struct queue *queue)
{
    int32_t thread = turn_holder(&queue->turn);
    int64_t since = atomic_load(&queue->leader_since), now = clock_boot();
    int64_t watched = atomic_load(&queue->watched);

    if (thread == 0 || now - since < SUSPECT_AFTER || now - watched < LOOK_EVERY ||
        !atomic_compare_exchange_strong(&queue->watched, &watched, now))
        return; /* nobody is suspect, or somebody looks already */
    int32_t pid = process_of(thread);
    int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (fd < 0 && (pid == 0 || errno != ENOSYS))
        return; /* it has died: the lock is on its way */
    /* It has the turn after we have a hold of the process: its number is nobody else's yet. Without
     * such a hold (a kernel before 5.3, valgrind) the look is as near to the end as it can be. */
    if (thread_stopped(thread) && turn_holder(&queue->turn) == thread) {
        if (atomic_load(&queue->suspect) == since)
            end_process(pid, fd);
        atomic_store(&queue->suspect, since);
    }
    if (fd >= 0)
        close(fd);
}

/* Without a slot to be called by. */
static void wait_for_turn(struct queue *queue)
{
    bool died;

    while (!turn_wait(&queue->turn, &died))
        end_stopped_leader(queue);
    lead(queue, NULL, died);
}

static void arrive(struct queue *queue, struct slot *slot)
{
    atomic_store(&slot->state, SLOT_QUEUED);
    uint32_t arrival = atomic_fetch_add(&queue->arrivals, 1) + 1;
    if (arrival == atomic_load(&queue->wanted))
        futex_wake(&queue->arrivals, 1);
}

bool queue_wait(struct queue *queue, struct slot *slot)
{
    uint32_t called = 0;
    int looks = 0;

    if (!slot) {
        wait_for_turn(queue);
        return true;
    }
    arrive(queue, slot);
    for (;;) {
        uint32_t state = atomic_load(&slot->state);
        if (state == SLOT_DONE)
            return false;
        if (state == SLOT_PASSED) {
            atomic_store(&slot->state, SLOT_QUEUED);
            continue;
        }
        /* Whoever was called goes first, unless it does not come: it may be dead. */
        uint32_t before = called;
        called = atomic_load(&queue->called);
        if (called != before)
            looks = 0;
        bool mine = state == SLOT_CALLED || called == 0 || looks >= CALLED_PATIENCE;
        if (mine && try_lead(queue, slot)) {
            if (atomic_load(&slot->state) != SLOT_DONE)
                return true;
            queue_leave(queue, NULL, 0);
            return false;
        }
        if (futex_wait(&slot->state, state, PATIENCE) == FUTEX_TIME) {
            looks++;
            end_stopped_leader(queue);
        }
    }
}

void queue_lead(struct queue *queue, const struct jobtab_owner *self)
{
    /* Through a slot, so as to have a place in the line. */
    struct slot *slot = queue_take(queue, self, 0, 0);

    queue_wait(queue, slot);
    queue_put_back(slot);
}

bool queue_withdraw(struct slot *slot)
{
    if (!slot)
        return true;
    if (atomic_load(&slot->state) == SLOT_DONE)
        return false;
    atomic_store(&slot->state, SLOT_IDLE);
    return true;
}

void queue_gather(struct queue *queue)
{
    uint32_t wanted = queue->served_arrivals + queue->served;
    int64_t limit = queue->commit_time < GATHER ? queue->commit_time : GATHER;
    int64_t until = now_ns() + limit;

    if (queue->served <= 1)
        return;
    atomic_store(&queue->wanted, wanted);
    for (;;) {
        uint32_t arrived = atomic_load(&queue->arrivals);
        int64_t left = until - now_ns();
        if ((int32_t)(arrived - wanted) >= 0 || left <= 0)
            break;
        futex_wait(&queue->arrivals, arrived, left);
    }
    queue->since = now_ns();
}

static int by_ticket(const void *a, const void *b)
{
    uint64_t left = (*(struct slot *const *)a)->ticket, right = (*(struct slot *const *)b)->ticket;

    return left < right ? -1 : left > right;
}

size_t queue_collect(struct queue *queue, struct slot *slots[QUEUE_SLOTS])
{
    size_t n = 0;

    queue->served_arrivals = atomic_load(&queue->arrivals);
    for (size_t i = 0; i < QUEUE_SLOTS; i++) {
        struct slot *slot = &queue->slots[i];
        if (waits(slot) && slot->n)
            slots[n++] = slot;
    }
    qsort(slots, n, sizeof *slots, by_ticket);
    return n;
}

void queue_post(struct slot *slot, int rc)
{
    slot->rc = rc;
    atomic_store(&slot->state, SLOT_DONE);
}

void queue_wake(struct slot *slot)
{
    futex_wake(&slot->state, 1);
}

/* Slot + 1 of whoever has waited longest, 0 when nobody waits. */
static uint32_t longest_waiting(struct queue *queue)
{
    uint32_t found = 0;
    uint64_t oldest = UINT64_MAX;

    for (uint32_t i = 0; i < QUEUE_SLOTS; i++) {
        struct slot *slot = &queue->slots[i];
        if (waits(slot) && slot->ticket < oldest) {
            oldest = slot->ticket;
            found = i + 1;
        }
    }
    return found;
}

/* Whoever has waited longest is to lead. */
static void call_next(struct queue *queue)
{
    uint32_t next;

    while ((next = longest_waiting(queue)) != 0) {
        struct slot *slot = &queue->slots[next - 1];
        uint32_t state = SLOT_QUEUED;
        atomic_store(&queue->called, next);
        if (atomic_compare_exchange_strong(&slot->state, &state, SLOT_CALLED) ||
            state == SLOT_CALLED) {
            queue_wake(slot);
            return;
        }
        atomic_store(&queue->called, 0); /* a leader was faster; are there others? */
    }
}

void queue_leave(struct queue *queue, struct slot *const *answered, size_t n)
{
    queue->served = (uint32_t)n + 1;
    queue->commit_time = now_ns() - queue->since;
    atomic_store(&queue->called, 0);
    turn_give(&queue->turn);
    /* After the unlock: who queued before it and found the lock taken is seen here, and who comes
     * after it finds the lock free. */
    call_next(queue);
    for (size_t i = 0; i < n; i++)
        queue_wake(answered[i]);
}
