/* openers.c - one opener is killed at each system call of jobtab_open, others open meanwhile.
 *
 *   openers [-d DIR] [PART...]
 *
 * A round: the victim is led to its next system call and stands there. Another process opens the
 * table, waits where it has to, and is still about it when the victim is killed (in every other
 * round it begins after that). Then a third opens. Both must succeed in time, and what they and
 * those before them were told stays: a fourth finds it all, once, and the table sound. Between two
 * rounds nobody has the table open. The parts are what the victim finds:
 *
 *   new     nothing
 *   old     a table that had been closed, the lock file of those who had it open beside it
 *   boot    the same, without the shared file: the first open after a boot
 *
 * Prints TAP, a part a line. Exit: 0 all held, 1 a fault, 77 tracing is not permitted here.
 */
#include "jobtab.h"
#include "round.h"
#include "trace.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOUND    2000 /* ms, for an opener to have opened and submitted */
#define JOBS     5    /* that an opener submits */
#define JOBS_MAX 4096 /* of all rounds of a part */

struct stage {
    char dir[256];
    struct fault fault;
    _Atomic bool opening[2], told[2]; /* of the two who live: about to open; have their answers */
    _Atomic unsigned acked;
    struct jobtab_id ids[JOBS_MAX];
};

static struct stage *stage;

/* --------------------------------------------------------------- the processes */

static void open_and_die(int number)
{
    struct jobtab *table;

    (void)number;
    trace_me();
    jobtab_open(stage->dir, NULL, &table);
}

/* Opens, submits, and has it open until it is told to leave. */
static void open_and_live(int number)
{
    struct jobtab *table;
    struct jobtab_job job;

    atomic_store(&stage->opening[number], true);
    if (jobtab_open(stage->dir, NULL, &table) != JOBTAB_OK) {
        fault_note(&stage->fault, "opener %d cannot open: %s", number, jobtab_why());
        return;
    }
    for (int i = 0; i < JOBS; i++) {
        if (jobtab_submit(table, &(struct jobtab_submit){.kind = "k"}, &job) != JOBTAB_OK) {
            fault_note(&stage->fault, "opener %d cannot submit: %s", number, jobtab_why());
            return;
        }
        unsigned place = atomic_fetch_add(&stage->acked, 1);
        if (place < JOBS_MAX)
            stage->ids[place] = job.id;
    }
    atomic_store(&stage->told[number], true);
    pause();
}

static void tell_fault(const char *text, void *context)
{
    (void)context;
    fault_note(&stage->fault, "verify: %s", text);
}

static void judge(int number)
{
    struct jobtab *table;
    struct jobtab_stat stat;
    struct jobtab_job job;
    uint64_t records, faults;

    (void)number;
    if (jobtab_open(stage->dir, NULL, &table) != JOBTAB_OK ||
        jobtab_stat(table, &stat, NULL, 0) != JOBTAB_OK ||
        jobtab_verify(table, tell_fault, NULL, NULL, &records, &faults) != JOBTAB_OK) {
        fault_note(&stage->fault, "the judge cannot look: %s", jobtab_why());
        return;
    }
    for (unsigned i = 0; i < stage->acked; i++)
        if (jobtab_get(table, &stage->ids[i], &job) != JOBTAB_OK)
            fault_note(&stage->fault, "job %u of %u was acknowledged and is lost: %s", i,
                       stage->acked, jobtab_why());
    if (stat.jobs != stage->acked)
        fault_note(&stage->fault, "there are %llu jobs, and %u were acknowledged",
                   (unsigned long long)stat.jobs, stage->acked);
    jobtab_close(table);
}

/* --------------------------------------------------------------------- a round */

/* It has come to its end, or waits for another. */
static bool at_rest(pid_t pid, int number)
{
    char path[40], text[512] = "";

    if (stage->told[number] || stage->fault.is)
        return true;
    if (!stage->opening[number])
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (!fgets(text, sizeof text, file))
            text[0] = '\0';
        fclose(file);
    }
    const char *state = strrchr(text, ')');
    return state && state[1] && state[2] == 'S';
}

static bool told(pid_t pid, int number)
{
    (void)pid;
    return stage->told[number] || stage->fault.is;
}

/* Looks twice: it may have been asleep on its way. */
static void await(bool (*holds)(pid_t pid, int number), pid_t pid, int number, const char *what)
{
    int64_t begun = round_clock();

    for (int looks = 0; looks < 2; looks = holds(pid, number) ? looks + 1 : 0) {
        if (round_clock() - begun > round_slowed(BOUND)) {
            fault_note(&stage->fault, "opener %d was not %s within %lld ms", number, what,
                       (long long)round_slowed(BOUND));
            return;
        }
        round_nap(200);
    }
}

/* False when the victim opened the table before its point. */
static bool play(const struct point *point, bool after)
{
    struct way way;
    pid_t other[2];
    int status;

    for (int i = 0; i < 2; i++) {
        stage->opening[i] = false;
        stage->told[i] = false;
    }
    pid_t victim = round_start(open_and_die, 0);
    bool reached = trace_to(victim, point, &way) == AT_ITS_POINT;
    if (way.signal)
        fault_note(&stage->fault, "the victim was ended by signal %d", way.signal);
    if (reached && after)
        trace_end(victim);
    other[0] = round_start(open_and_live, 0);
    if (reached && !after) {
        await(at_rest, other[0], 0, "at rest");
        trace_end(victim);
    }
    other[1] = round_start(open_and_live, 1);
    for (int i = 0; i < 2; i++)
        await(told, other[i], i, "told");
    for (int i = 0; i < 2; i++)
        trace_end(other[i]);
    if (!stage->fault.is)
        waitpid(round_start(judge, 0), &status, 0);
    if (stage->fault.is)
        printf("# %s; the victim was killed at call %ld, the other began %s\n", stage->fault.words,
               point->call, after ? "after that" : "before that");
    return reached;
}

/* ------------------------------------------------------------------------ main */

static void set_nothing(void)
{
    round_remove(stage->dir);
    stage->acked = 0;
}

static void set_table(void)
{
    int status;

    waitpid(round_start(judge, 0), &status, 0); /* it has been opened once, and closed */
}

static void set_boot(void)
{
    char path[280];

    set_table();
    snprintf(path, sizeof path, "%s/shared", stage->dir);
    if (unlink(path) < 0)
        fault_note(&stage->fault, "there is no shared file to be removed");
}

static const struct part {
    const char *name, *what;
    void (*set)(void);
} parts[] = {
    {"new", "an opener killed at each system call, where there was no table", set_nothing},
    {"old", "an opener killed at each system call, of a table that nobody has open", set_table},
    {"boot", "an opener killed at each system call, first after a boot", set_boot},
};
#define PARTS (sizeof parts / sizeof parts[0])

static bool run(const struct part *part)
{
    struct point point = {.call = 0};
    int64_t begun = round_clock();
    long rounds = 0, reached = 0;
    bool again = true;

    set_nothing();
    for (; again && !stage->fault.is && stage->acked + 2 * JOBS <= JOBS_MAX; rounds++) {
        bool after = rounds % 2;
        point.call = 1 + rounds / 2;
        part->set();
        again = play(&point, after);
        reached += again;
    }
    if (!stage->fault.is && (again || reached == 0))
        fault_note(&stage->fault, "the victim did not get from its beginning to its end");
    if (stage->fault.is)
        printf("# %s\n", stage->fault.words);
    printf("%s - %s: %ld rounds, %ld system calls (%.1f s)\n", stage->fault.is ? "not ok" : "ok",
           part->what, rounds, reached / 2, (double)(round_clock() - begun) / 1000);
    if (!stage->fault.is)
        set_nothing();
    return !stage->fault.is;
}

int main(int argc, char **argv)
{
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    bool held = true;
    int option;

    while ((option = getopt(argc, argv, "d:")) != -1) {
        if (option != 'd')
            return 2;
        folder = optarg;
    }
    stage = round_share(sizeof *stage);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < PARTS; i++) {
        bool asked = optind == argc;
        for (int k = optind; k < argc; k++)
            asked |= strcmp(argv[k], parts[i].name) == 0;
        snprintf(stage->dir, sizeof stage->dir, "%.200s/jobtab-openers-%d-%s", folder,
                 (int)getpid(), parts[i].name);
        stage->fault.is = false;
        if (asked)
            held &= run(&parts[i]);
    }
    return held ? 0 : 1;
}
