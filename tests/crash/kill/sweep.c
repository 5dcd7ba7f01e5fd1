/* sweep.c - one of several writers is killed at each point of its work, one point a round.
 *
 *   sweep [-d DIR] [-p PLAYERS] [-n POINTS] [-a] [-e STRIDE] PART...
 *
 * The survivors go on from round to round, in processes of their own; each round has a new victim,
 * which is traced to its point and killed (or stopped) there. Then every survivor must be answered
 * in time, and the judge (judge.c) finds the table as the story has it. The parts:
 *
 *   calls   each system call of some writes, before it is made: 1, 2, 3, ... until none is left
 *   returns each of them when it was made, a sleep in it over
 *   leads   both, of those calls alone that come once it has begun to commit for all
 *   open    as calls, from before the table is opened
 *   steps   POINTS random instructions between them
 *   posts   POINTS random instructions after a commit is on disk: until all have their answers
 *   stops   POINTS of all these; the victim is stopped and not killed
 *
 * The victim submits, claims, reports and finishes; with -a it does all that can be done to a job
 * and to the table (course.c), and the points are counted by what they were in. With -e it is every
 * STRIDE-th point alone, from a random one on. A process apart waits for the bell all the time.
 *
 * JOBTAB_SEED replays a run. Prints TAP, a part a line. Exit: 0 all held, 1 a fault (with the point
 * and the seed), 77 tracing is not permitted here.
 */
#include "stage.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOUND      2000  /* ms for a survivor to be answered after the kill */
#define PATIENCE   20000 /* ms for what is not measured */
#define PACE_TIME  200   /* ms in which answers are counted, at the beginning and at the end */
#define PACE_LOSS  8     /* so many times fewer they may be at the end: all have long been buried */
#define MOVES      3     /* of a victim's life: calls for one and for several, small and large */
#define MOVES_OPEN 1
#define ENDED      5 /* victims in a row that ended before their point: there is none so late */

/* What happened in a part. */
struct tally {
    long rounds, reached; /* the point, before the victim had ended */
    long syncs;           /* rounds whose victim had begun to sync */
    long waits;           /* whose victim came to its point while it waited for another */
    long acts[ACTS];      /* the points, by what they are in */
};

struct part {
    const char *name, *what;
    void (*run)(struct tally *tally);
};

static struct stage *stage;
static long points = 100, stride = 1;
static bool all_verbs;
static unsigned seed;
static pid_t pids[PLAYERS_MAX];

static void survive(int number)
{
    srand(seed + (unsigned)number);
    if (number == VICTIM) /* there is none while it lives: its place */
        listener_main(stage);
    player_main(stage, number, all_verbs ? COURSES_SHARED : 2, 0, NULL);
}

/* ------------------------------------------------------------------ the victim */

static void open_and_die(int number)
{
    srand(seed + stage->played);
    trace_me();
    player_main(stage, number, 1, MOVES_OPEN, NULL);
}

static void work_and_die(int number)
{
    srand(seed + stage->played);
    if (all_verbs)
        player_main(stage, number, COURSES, COURSES, trace_me);
    else
        player_main(stage, number, 1, MOVES, trace_me);
}

/* --------------------------------------------------------------------- a round */

/* Until the condition holds for every survivor. */
static void await(bool (*holds)(const struct player *player, uint64_t than), const uint64_t *than,
                  int64_t bound, const char *what)
{
    int64_t begun = round_clock();

    for (int i = VICTIM + 1; i < stage->players && !stage->fault.is; i++)
        while (!holds(&stage->player[i], than[i]) && !stage->fault.is) {
            if (round_clock() - begun > bound)
                fault_note(&stage->fault, "player %d was not %s within %lld ms", i, what,
                           (long long)bound);
            round_nap(300);
        }
}

/* One call may have been on its way and answered without the victim: the next but one was not. */
static bool answered(const struct player *player, uint64_t before)
{
    return player->full || player->answers >= before + 2;
}

static bool parked(const struct player *player, uint64_t round)
{
    return player->parked == round;
}

static void ask_judge(int number)
{
    (void)number;
    judge(stage);
}

static void clear_stories(void)
{
    for (int i = 0; i < stage->players; i++) {
        struct player *player = &stage->player[i];
        memset(player->entries, 0, sizeof player->entries);
        player->jobs = 0;
        player->full = false;
    }
}

static void judge_round(void)
{
    uint64_t rounds[PLAYERS_MAX];
    int status;

    for (int i = 0; i < PLAYERS_MAX; i++)
        rounds[i] = stage->played + 1;
    atomic_fetch_add(&stage->round, 1);
    await(parked, rounds, round_slowed(PATIENCE), "at rest");
    if (stage->fault.is)
        return;
    pid_t pid = round_start(ask_judge, 0);
    waitpid(pid, &status, 0);
    if (status != 0)
        fault_note(&stage->fault, "the judge ended with status %#x", (unsigned)status);
    clear_stories();
    atomic_store(&stage->played, stage->round);
}

/* False when the victim ended by itself before its point. */
static bool play(struct tally *tally, const struct point *point)
{
    uint64_t before[PLAYERS_MAX] = {0};

    struct way way;

    stage->player[VICTIM].act = -1;
    pid_t pid = round_start(point->opening ? open_and_die : work_and_die, VICTIM);
    enum fate fate = trace_to(pid, point, &way);
    bool reached = fate == AT_ITS_POINT;
    int act = stage->player[VICTIM].act;
    if (way.signal)
        fault_note(&stage->fault, "the victim was ended by signal %d", way.signal);
    tally->rounds++;
    tally->reached += reached;
    tally->syncs += way.synced;
    tally->waits += reached && way.waits;
    if (reached && act >= 0)
        tally->acts[act]++;
    for (int i = 0; i < stage->players; i++)
        before[i] = stage->player[i].answers;
    if (reached && point->stop)
        trace_leave_stopped(pid);
    else if (reached)
        trace_end(pid);
    await(answered, before, round_slowed(BOUND), "answered");
    if (reached && point->stop)
        trace_end(pid);
    if (!stage->fault.is)
        judge_round();
    if (stage->fault.is)
        printf("# %s; the victim was %s at %s %ld%s%s%s and %ld instructions, seed %u, round %ld\n",
               stage->fault.words, point->stop ? "stopped" : "killed",
               point->sync ? "sync" : "call", point->call, point->leading ? " of its lead" : "",
               point->made ? ", made," : "", point->opening ? " from its opening on" : "",
               point->steps, seed, tally->rounds);
    return fate != AT_ITS_END;
}

/* ------------------------------------------------------------------- the parts */

static long dice(long below)
{
    return rand() % below;
}

/* As many points near as far. */
static long dice_steps(int bits)
{
    return 1 + dice(1L << (1 + dice(bits)));
}

/* The first call, the second, ... until a victim gets to its end. */
static void run_all(struct tally *tally, struct point point)
{
    point.call = 1 + dice(stride);
    while (!stage->fault.is && play(tally, &point))
        point.call += stride;
}

/* Not every victim comes to lead, or leads as often: the end is reached when many in a row did not
 * get to their point. */
static void run_leads(struct tally *tally)
{
    struct point point = {.leading = true};
    int ended = 0;

    for (long n = 2 + dice(stride); !stage->fault.is && ended < ENDED; n += stride) {
        point.call = n / 2;
        point.made = n % 2;
        ended = play(tally, &point) ? 0 : ended + 1;
    }
}

static void run_calls(struct tally *tally)
{
    run_all(tally, (struct point){.made = false});
}

static void run_returns(struct tally *tally)
{
    run_all(tally, (struct point){.made = true});
}

static void run_open(struct tally *tally)
{
    run_all(tally, (struct point){.opening = true});
}

static struct point random_point(void)
{
    return (struct point){.call = 1 + dice(150), .steps = dice_steps(11)};
}

static struct point random_post(void)
{
    return (struct point){.call = 1 + dice(4), .sync = true, .steps = 1 + dice(6000)};
}

static void run_steps(struct tally *tally)
{
    for (long n = 0; !stage->fault.is && n < points; n++) {
        struct point point = random_point();
        play(tally, &point);
    }
}

static void run_posts(struct tally *tally)
{
    for (long n = 0; !stage->fault.is && n < points; n++) {
        struct point point = random_post();
        play(tally, &point);
    }
}

static void run_stops(struct tally *tally)
{
    for (long n = 0; !stage->fault.is && n < points; n++) {
        struct point point = n % 2 ? random_post() : random_point();
        point.stop = true;
        play(tally, &point);
    }
}

static const struct part parts[] = {
    {"calls", "a writer killed at each of its system calls", run_calls},
    {"returns", "a writer killed as each of its system calls returns", run_returns},
    {"leads", "a leader killed at each of its system calls and as it returns", run_leads},
    {"open", "a writer killed at each system call of its opening", run_open},
    {"steps", "a writer killed at random instructions", run_steps},
    {"posts", "a writer killed when its commit is on disk, before all are answered", run_posts},
    {"stops", "a writer stopped wherever it is", run_stops},
};
#define PARTS (sizeof parts / sizeof parts[0])

/* ------------------------------------------------------------------------ main */

static void set_stage(const char *folder, int players)
{
    if (stage)
        munmap(stage, sizeof *stage);
    stage = round_share(sizeof *stage);
    stage->players = players;
    snprintf(stage->dir, sizeof stage->dir, "%.200s/jobtab-sweep-XXXXXX", folder);
    if (!mkdtemp(stage->dir)) {
        perror(stage->dir);
        exit(1);
    }
    snprintf(stage->backup, sizeof stage->backup, "%s/copy", stage->dir);
}

/* Answers of all survivors in PACE_TIME. */
static uint64_t pace(void)
{
    uint64_t answers = 0;

    for (int i = VICTIM + 1; i < stage->players; i++)
        answers -= stage->player[i].answers;
    round_nap(PACE_TIME * 1000);
    for (int i = VICTIM + 1; i < stage->players; i++)
        answers += stage->player[i].answers;
    return answers;
}

/* With all verbs, each has to have had its points. */
static void tell_acts(const struct tally *tally)
{
    printf("# seed %u, points in", seed);
    for (int act = 0; act < ACTS; act++)
        if (tally->acts[act])
            printf("%s%s %ld", act ? ", " : " ", act_names[act], tally->acts[act]);
    printf("\n");
}

static const char *missing_act(const struct tally *tally)
{
    for (int act = 0; act < ACTS; act++)
        if (!tally->acts[act])
            return act_names[act];
    return NULL;
}

/* A table and survivors of its own. True when all held. */
static bool run_part(const struct part *part, const char *folder, int players)
{
    int64_t begun = round_clock();
    struct tally tally = {.rounds = 0};
    const uint64_t none[PLAYERS_MAX] = {0};

    set_stage(folder, players);
    for (int i = 0; i < players; i++)
        pids[i] = round_start(survive, i);
    await(answered, none, round_slowed(PATIENCE), "answered at the start");
    uint64_t before = pace();
    judge_round();
    part->run(&tally);
    uint64_t after = stage->fault.is ? before : pace();
    if (after < before / PACE_LOSS)
        fault_note(&stage->fault, "%llu answers in %d ms at the start, %llu at the end",
                   (unsigned long long)before, PACE_TIME, (unsigned long long)after);
    for (int i = 0; i < players; i++)
        trace_end(pids[i]);
    if (!stage->fault.is && (tally.reached == 0 || tally.syncs == 0))
        fault_note(&stage->fault, "no victim came to its point, or none ever led a commit");
    if (all_verbs && stride == 1 && !stage->fault.is && missing_act(&tally))
        fault_note(&stage->fault, "nobody was killed in a %s", missing_act(&tally));
    if (stage->fault.is)
        printf("# %s\n", stage->fault.words);
    printf("%s - %s: %ld rounds, %ld at their point, %ld of them waiting, %ld had synced "
           "(%d writers, %.1f s)\n",
           stage->fault.is ? "not ok" : "ok", part->what, tally.rounds, tally.reached, tally.waits,
           tally.syncs, players, (double)(round_clock() - begun) / 1000);
    tell_acts(&tally);
    if (!stage->fault.is)
        round_remove(stage->dir);
    return !stage->fault.is;
}

static const struct part *part_of(const char *name)
{
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(parts[i].name, name) == 0)
            return &parts[i];
    fprintf(stderr, "sweep: there is no part %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    const char *replayed = getenv("JOBTAB_SEED");
    int option, players = 5;
    bool held = true;

    seed = replayed ? (unsigned)strtoul(replayed, NULL, 10) : (unsigned)time(NULL);
    while ((option = getopt(argc, argv, "d:p:n:ae:")) != -1) {
        switch (option) {
        case 'd': folder = optarg; break;
        case 'p': players = atoi(optarg); break;
        case 'n': points = atol(optarg); break;
        case 'a': all_verbs = true; break;
        case 'e': stride = atol(optarg); break;
        default: return 2;
        }
    }
    if (players < 2 || players > PLAYERS_MAX || points < 1 || stride < 1)
        return 2;
    srand(seed);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = optind; i < argc; i++)
        held &= run_part(part_of(argv[i]), folder, players);
    return held ? 0 : 1;
}
