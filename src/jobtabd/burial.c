/* burial.c - see burial.h. */
#include "config.h"

#include "burial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "crew.h"
#include "log.h"
#include "monotonic.h"
#include "talk.h"

#define DEAD_MAX    64   /* those beyond are reaped at once */
#define PATIENCE_MS 1000 /* with keepers that do not answer, or are not there */

static struct {
    pid_t dead[DEAD_MAX];
    size_t n;
    size_t asked;    /* so many of them are covered by the request at hand; 0: there is none */
    uint32_t number; /* of the newest request */
    size_t waiting;  /* answers that it still wants */
    int64_t until;   /* they are waited for */
} burial;

static void reap(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        while (waitpid(burial.dead[i], NULL, 0) < 0 && errno == EINTR) {
        }
    }
    burial.n -= n;
    for (size_t i = 0; i < burial.n; i++) {
        burial.dead[i] = burial.dead[i + n];
    }
    burial.asked = 0;
    burial.until = monotonic_ms() + PATIENCE_MS;
}

void burial_add(pid_t pid)
{
    if (burial.n == DEAD_MAX) {
        reap(1);
    }
    if (burial.n == 0) {
        burial.until = monotonic_ms() + PATIENCE_MS;
    }
    burial.dead[burial.n++] = pid;
}

bool burial_has(pid_t pid)
{
    for (size_t i = 0; i < burial.n; i++) {
        if (burial.dead[i] == pid) {
            return true;
        }
    }
    return false;
}

/* How many keepers were asked. */
static size_t ask(struct crew *crews)
{
    struct talk talk;
    size_t n = 0;

    memset(&talk, 0, sizeof talk); /* the padding goes over the wire, too */
    talk.what = TALK_CLEAR;
    talk.number = ++burial.number;
    for (struct crew *crew = crews; crew; crew = crew->next) {
        for (size_t i = 0; i < crew->n_slots; i++) {
            const struct slot *slot = &crew->slots[i];
            n += slot->pid > 0 && slot->ready && slot->talk >= 0 &&
                 send(slot->talk, &talk, sizeof talk, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
        }
    }
    return n;
}

int64_t burial_tend(struct crew *crews)
{
    if (burial.asked > 0 && burial.waiting == 0) {
        reap(burial.asked);
    }
    if (burial.n > 0 && monotonic_ms() >= burial.until) {
        log_warn("reaping %zu processes whose slots in the table may not be cleared", burial.n);
        reap(burial.n);
    }
    if (burial.n > 0 && burial.asked == 0 && (burial.waiting = ask(crews)) > 0) {
        burial.asked = burial.n;
    }
    return burial.n > 0 ? burial.until : INT64_MAX;
}

void burial_cleared(const struct talk *talk)
{
    if (burial.asked > 0 && talk->number == burial.number && burial.waiting > 0) {
        burial.waiting--;
    }
}
