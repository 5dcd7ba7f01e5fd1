/* sweep.c - a disk that fails, at each system call that touches a table's files: once, for ever,
 * for a while.
 *
 * Each point is a round (round.h) in a process of its own, several at a time.
 *
 *     sweep [-d FOLDER] [-c CALLS] [-w WHILES] [-j JOBS] [-s SEED] [-r STEP:CALL:KIND:TIMES]
 *     [STEP...]
 *
 *   -c CALLS    at most so many calls of a step (200)
 *   -w WHILES   of each kind of error besides so many rounds at random calls, for a while
 *   -j JOBS     rounds at a time (8): they wait more than they work
 *   -r          one round again, as a fault was told
 *   STEP        at these alone, by their names
 *
 * Prints TAP, a kind of error a line. Exit: 0 all held, 1 a fault.
 */
#include "round.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WHILE 12 /* calls that fail at most, for a while */

static struct {
    const char *folder;
    unsigned calls, whiles, jobs, seed;
    char *const *steps; /* NULL: all */
} set = {.folder = "/dev/shm", .calls = 200, .jobs = 8};

static _Atomic uint32_t *tally; /* shared by rounds: those in which a call failed, by kind */

static struct running {
    pid_t pid;
    struct point point;
} *running;
static unsigned n_running, faults;

static double seconds_since(const struct timespec *begun)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

static void reap_one(void)
{
    int status;
    pid_t pid = wait(&status);

    for (unsigned i = 0; i < n_running; i++) {
        if (running[i].pid != pid)
            continue;
        const struct point *p = &running[i].point;
        faults += status != 0;
        if (WIFSIGNALED(status))
            printf("# %s: ended by signal %d; -r %u:%u:%s:%u\n", steps[p->step].name,
                   WTERMSIG(status), p->step, p->call, kinds[p->kind].name, p->times);
        running[i] = running[--n_running];
        return;
    }
}

static void start(struct point p, unsigned number)
{
    while (n_running == set.jobs)
        reap_one();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        round_play(set.folder, &p, number, &tally[p.kind]);
    }
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    running[n_running++] = (struct running){.pid = pid, .point = p};
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %s, call %u\033[K", kinds[p.kind].name, steps[p.step].name, p.call);
}

static void end_all(void)
{
    while (n_running)
        reap_one();
}

/* How many pages a commit has differs by a few. */
static unsigned calls_of(unsigned step)
{
    return round_calls(step) + 2 < set.calls ? round_calls(step) + 2 : set.calls;
}

static bool wanted(unsigned step)
{
    for (char *const *name = set.steps; name && *name; name++)
        if (strcmp(*name, steps[step].name) == 0)
            return true;
    return !set.steps;
}

/* All points of a kind of error. */
static void run_kind(unsigned kind)
{
    unsigned rounds = 0, before = faults;
    struct timespec begun;

    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (unsigned step = 0; step < n_steps; step++) {
        for (unsigned call = 1; call <= calls_of(step) && wanted(step); call++) {
            start((struct point){step, call, kind, 1}, rounds++);
            if (kinds[kind].lasts)
                start((struct point){step, call, kind, FAULT_FOR_EVER}, rounds++);
        }
    }
    for (unsigned n = 0; n < set.whiles; n++) {
        unsigned step = (unsigned)rand() % n_steps;
        unsigned call = 1 + (unsigned)rand() % calls_of(step);
        start((struct point){step, call, kind, 2 + (unsigned)rand() % (WHILE - 1)}, rounds++);
    }
    end_all();
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    if (faults == before && tally[kind] == 0) {
        printf("# no call ever failed\n");
        faults++;
    }
    printf("%s - %s at any call is told, and the table goes on: %u rounds, in %u a call failed (%.1f s)\n",
           faults == before ? "ok" : "not ok", kinds[kind].what, rounds, tally[kind],
           seconds_since(&begun));
}

static void run_again(const char *text)
{
    struct point p = {0};
    char kind[16];

    if (sscanf(text, "%u:%u:%15[^:]:%u", &p.step, &p.call, kind, &p.times) != 4 || p.step >= n_steps) {
        fprintf(stderr, "sweep: -r STEP:CALL:KIND:TIMES\n");
        exit(2);
    }
    while (p.kind < KINDS - 1 && strcmp(kinds[p.kind].name, kind) != 0)
        p.kind++;
    for (unsigned number = 0; number < 4; number++) /* with and without a neighbour */
        start(p, number);
    end_all();
}

int main(int argc, char **argv)
{
    const char *again = NULL;
    int option;

    set.seed = (unsigned)time(NULL);
    while ((option = getopt(argc, argv, "d:c:w:j:s:r:")) != -1) {
        switch (option) {
        case 'd': set.folder = optarg; break;
        case 'c': set.calls = (unsigned)atoi(optarg); break;
        case 'w': set.whiles = (unsigned)atoi(optarg); break;
        case 'j': set.jobs = (unsigned)atoi(optarg); break;
        case 's': set.seed = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'r': again = optarg; break;
        default: return 2;
        }
    }
    if (!set.calls || !set.jobs)
        return 2;
    set.steps = optind < argc ? argv + optind : NULL;
    srand(set.seed);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGXFSZ, SIG_IGN);
    running = calloc(set.jobs, sizeof *running);
    tally = mmap(NULL, sizeof *tally * KINDS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!running || tally == MAP_FAILED) {
        perror("sweep");
        return 1;
    }
    if (!round_rehearse(set.folder))
        return 1;
    if (again) {
        run_again(again);
    } else {
        uint32_t calls = 0;
        for (unsigned i = 0; i < n_steps; i++)
            calls += round_calls(i);
        printf("# %u calls in %u steps, seed %u\n", calls, n_steps, set.seed);
        for (unsigned kind = 0; kind < KINDS; kind++)
            run_kind(kind);
    }
    free(running);
    return faults ? 1 : 0;
}
