/* round.c - see round.h. */
#include "round.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS_MAX 32
#define BOUND     10000 /* ms in which all goes on once the disk is well */
#define HANG      60    /* s of a round */

/* EINTR for ever is what no disk does. */
const struct kind kinds[KINDS] = {
    {"eio", "an I/O error", EIO, true},
    {"enospc", "a disk without space", ENOSPC, true},
    {"eintr", "a call that a signal ends", EINTR, false},
    {"short", "a write that is cut short", FAULT_SHORT, true},
};

static struct view views[STEPS_MAX + 1]; /* after so many steps, on a sound disk */
static uint32_t counted[STEPS_MAX];      /* calls of each */


/* Of the one round of this process. */
static struct stage stage;
static struct point point;

static void __attribute__((format(printf, 1, 2), noreturn)) give_up(const char *format, ...)
{
    va_list arguments;
    char words[500];

    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    printf("# %s: %s; the call was %s; -r %u:%u:%s:%u, in %s\n", steps[point.step].name, words,
           fault_call_name(stage.fault->last), point.step, point.call, kinds[point.kind].name,
           point.times, stage.folder);
    _exit(1);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static bool same(const struct view *a, const struct view *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* A code that a disk may cause, and words to it. */
static void check_error(int rc)
{
    if (rc != JOBTAB_SYSTEM && rc != JOBTAB_BROKEN && rc != JOBTAB_FULL)
        give_up("the error is \"%s\": %s", jobtab_strerror(rc), jobtab_why());
    if (!jobtab_why()[0])
        give_up("the error \"%s\" has no words", jobtab_strerror(rc));
}

/* What the table shows is what `least` or `most` steps leave. Returns which. */
static unsigned judge(unsigned least, unsigned most, const char *who)
{
    struct view view;

    int rc = stage_view(&stage, &view);
    if (rc)
        give_up("%s cannot read: %s", who, jobtab_why());
    if (same(&view, &views[most]))
        return most;
    if (!same(&view, &views[least]))
        give_up("%s finds what no step leaves", who);
    return least;
}

static void tell_fault(const char *fault, void *who)
{
    give_up("%s: verify: %s", (const char *)who, fault);
}

static void check_sound(struct jobtab *table, const char *who)
{
    uint64_t records, faults;

    if (jobtab_verify(table, tell_fault, NULL, (void *)(uintptr_t)who, &records, &faults))
        give_up("%s cannot verify: %s", who, jobtab_why());
}

/* Somebody else's write, once the disk is well. */
static void poke(struct jobtab *table, const char *who)
{
    int64_t begun = now_ms();
    int rc;

    while ((rc = jobtab_submit(table, &(struct jobtab_submit){.kind = NEIGHBOUR_KIND}, NULL)) != 0) {
        if (rc == JOBTAB_BROKEN || now_ms() - begun > BOUND)
            give_up("%s cannot write: %s", who, jobtab_why());
        nap();
    }
}

/* Open again where that is what the last error asks for. */
static int recover(int rc)
{
    if (rc == JOBTAB_BROKEN) {
        jobtab_close(stage.table);
        stage.table = NULL;
    }
    return stage_open(&stage);
}

/* ------------------------------------------------------------------ the neighbour */

static struct neighbour {
    pid_t pid;
    int go[2], done[2];
} neighbour;

static void await_byte(int fd)
{
    char byte;

    if (read(fd, &byte, 1) != 1)
        _exit(1); /* the others have told why */
}

static void send_byte(int fd)
{
    if (write(fd, "", 1) != 1)
        give_up("a pipe: %s", strerror(errno));
}

/* Has the table open while the other one's disk fails; then writes to it. */
static void be_neighbour(void)
{
    fault_disarm(stage.fault);
    stage.table = NULL;
    if (stage_open(&stage))
        give_up("the neighbour cannot open: %s", jobtab_why());
    poke(stage.table, "the neighbour");
    send_byte(neighbour.done[1]);
    await_byte(neighbour.go[0]);
    poke(stage.table, "the neighbour");
    check_sound(stage.table, "the neighbour");
    send_byte(neighbour.done[1]);
    await_byte(neighbour.go[0]);
    jobtab_close(stage.table);
    _exit(0);
}

/* Before the player opens its own: a forked handle would be the player's. */
static void have_neighbour(void)
{
    if (pipe(neighbour.go) < 0 || pipe(neighbour.done) < 0)
        give_up("a pipe: %s", strerror(errno));
    neighbour.pid = fork();
    if (neighbour.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        be_neighbour();
    }
    await_byte(neighbour.done[0]);
}

static void ask_neighbour(void)
{
    if (!neighbour.pid)
        return;
    send_byte(neighbour.go[1]);
    await_byte(neighbour.done[0]);
}

static void end_neighbour(void)
{
    int status;

    if (!neighbour.pid)
        return;
    send_byte(neighbour.go[1]);
    while (waitpid(neighbour.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status)
        give_up("the neighbour ended with status %#x", (unsigned)status);
}

/* ----------------------------------------------------------------------- the round */

/* The step under fault. Returns what it was answered. */
static int suffer(const struct step *step, _Atomic uint32_t *failed)
{
    unsigned done = point.step;
    struct view view;

    fault_arm(stage.fault, kinds[point.kind].error, point.call, point.times);
    int rc = step->run(&stage);
    if (rc)
        check_error(rc);
    for (int tries = 0; rc && point.times > 1 && tries < 2; tries++) {
        /* The disk may be as bad as it was: nobody is told wrongly, and what can be read is
         * right. */
        if (recover(rc)) {
            check_error(JOBTAB_SYSTEM);
            break;
        }
        if (stage_view(&stage, &view) == JOBTAB_OK && !same(&view, &views[done]) &&
            !same(&view, &views[done + 1]))
            give_up("a read on the bad disk shows what no step leaves");
        int again = jobtab_submit(stage.table, &(struct jobtab_submit){.kind = NEIGHBOUR_KIND}, NULL);
        if (again)
            check_error(again);
        rc = again ? again : rc == JOBTAB_BROKEN ? JOBTAB_SYSTEM : rc;
    }
    fault_disarm(stage.fault);
    if (stage.fault->failed)
        atomic_fetch_add(failed, 1);
    return rc;
}

/* The disk is well. Finish the step, if it was not done. */
static void mend(const struct step *step, int rc)
{
    int64_t begun = now_ms();

    while (rc) {
        if (now_ms() - begun > BOUND)
            give_up("it does not go on: %s", jobtab_why());
        if (recover(rc)) {
            rc = JOBTAB_SYSTEM;
            nap();
            continue;
        }
        if (point.step > 0 && judge(point.step, point.step + 1, "who goes on") > point.step &&
            !same(&views[point.step], &views[point.step + 1]))
            break; /* it was done, and only its answer was lost */
        rc = step->run(&stage);
        if (rc)
            nap();
    }
}

static void check_backup(void)
{
    struct stage copy = {.fault = stage.fault};
    struct jobtab_stat stat;
    char dir[PATH_ROOM];

    snprintf(dir, sizeof dir, "%s/backup", stage.folder);
    if (jobtab_open(dir, &(struct jobtab_options){.must_exist = true}, &copy.table) ||
        jobtab_stat(copy.table, &stat, NULL, 0) || stat.jobs < 2)
        give_up("the backup is none: %s", jobtab_why());
    check_sound(copy.table, "the backup");
    jobtab_close(copy.table);
}

static int remove_one(const char *path, const struct stat *file, int type, struct FTW *ftw)
{
    (void)file, (void)type, (void)ftw;
    return remove(path);
}

static void begin_stage(const char *folder)
{
    stage = (struct stage){.fault = fault_in_force()};
    snprintf(stage.folder, sizeof stage.folder, "%.200s/jobtab-disk-XXXXXX", folder);
    if (!mkdtemp(stage.folder))
        give_up("%s", strerror(errno));
    fault_disarm(stage.fault);
    snprintf(stage.fault->dir, sizeof stage.fault->dir, "%s/", stage.folder);
}

static void end_stage(void)
{
    jobtab_close(stage.table);
    stage.table = NULL;
    nftw(stage.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void round_play(const char *folder, const struct point *at, unsigned number, _Atomic uint32_t *failed)
{
    bool first_to_write = number % 2;

    point = *at;
    alarm(HANG);
    begin_stage(folder);
    if (point.step > 0 && number % 4 < 2)
        have_neighbour();
    for (unsigned i = 0; i < n_steps; i++) {
        int rc = i == point.step ? suffer(&steps[i], failed) : steps[i].run(&stage);
        if (i == point.step) {
            if (first_to_write)
                ask_neighbour();
            mend(&steps[i], rc);
        } else if (rc) {
            give_up("on a sound disk: %s: %s", steps[i].name, jobtab_why());
        }
        judge(i + 1, i + 1, "who goes on");
        if (i == point.step && strcmp(steps[i].name, "claim") == 0 && rc)
            break; /* the answer that was lost had the token */
    }
    if (!first_to_write)
        ask_neighbour();
    check_sound(stage.table, "who goes on");
    struct view last;
    stage_view(&stage, &last);
    jobtab_close(stage.table);
    stage.table = NULL;
    end_neighbour();
    /* Nobody has it open now: what is in the file alone counts. */
    if (stage_open(&stage))
        give_up("it cannot be opened in the end: %s", jobtab_why());
    struct view found;
    if (stage_view(&stage, &found) || !same(&found, &last))
        give_up("who opens it in the end finds another table");
    check_sound(stage.table, "who opens it in the end");
    poke(stage.table, "who opens it in the end");
    if (found.backup)
        check_backup();
    end_stage();
    _exit(0);
}

bool round_rehearse(const char *folder)
{
    int rc = JOBTAB_OK;

    begin_stage(folder);
    for (unsigned i = 0; i < n_steps && !rc; i++) {
        fault_arm(stage.fault, 0, 0, 0);
        rc = steps[i].run(&stage);
        counted[i] = stage.fault->calls;
        if (!rc)
            rc = stage_view(&stage, &views[i + 1]);
        if (rc)
            printf("# the rehearsal failed: %s: %s\n", steps[i].name, jobtab_why());
    }
    end_stage();
    return rc == JOBTAB_OK;
}

uint32_t round_calls(unsigned step)
{
    return counted[step];
}
