/* memory.c - the library when memory is refused: every call, each of its allocations in turn.
 *
 *   memory [-d DIR] [-r ROUNDS] [-s SEED] [CALL...]
 *
 * A call is made with its first allocation failing, then its second, ... until one comes through
 * without having met its failure; once with that one alone failing, once with all after it. It must
 * say that it failed, and why, and have changed nothing; the same call must then work; a neighbour,
 * another process, must get its turn to write; verify must find the table sound; and after the
 * close nothing may be left, of memory or descriptors. The last part makes victims of those that
 * share commits with others.
 *
 * Prints TAP, a call a line. Exit: 0 all held, 1 a fault (with the point), 77 this build has no
 * allocator that could be replaced (sanitizers have their own).
 */
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOUND     5000 /* ms for the neighbour to write */
#define JOBS      20   /* finished ones that the table begins with; it holds twice as many */
#define POINTS    5000 /* a call that needs more allocations than this is one that never ends */

char fault[WORDS];
static pid_t neighbor;
static int to_neighbor, from_neighbor;

void note(const char *format, ...)
{
    va_list arguments;

    if (fault[0])
        return;
    va_start(arguments, format);
    vsnprintf(fault, sizeof fault, format, arguments);
    va_end(arguments);
}

void need(int rc, const char *what)
{
    if (rc == JOBTAB_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, jobtab_strerror(rc), jobtab_why());
    exit(1);
}

/* ------------------------------------------------------------ what is looked at */

static int descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void clear(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Another process submits a job and deletes it. */
static void be_neighbor(const char *dir, int in, int out)
{
    struct jobtab_submit submit = {.kind = "neighbor"};
    struct jobtab_job job;
    struct jobtab *table;
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    need(jobtab_open(dir, NULL, &table), "the neighbour's open");
    while (read(in, &byte, 1) == 1) {
        need(jobtab_submit(table, &submit, &job), "the neighbour's submit");
        need(jobtab_delete(table, &job.id), "the neighbour's delete");
        if (write(out, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

static void ask_neighbor(void)
{
    struct pollfd answer = {.fd = from_neighbor, .events = POLLIN};
    const char *slow = getenv("JOBTAB_TEST_SLOW");
    char byte = 0;

    if (write(to_neighbor, &byte, 1) != 1 ||
        poll(&answer, 1, BOUND * (slow && atoi(slow) > 1 ? atoi(slow) : 1)) != 1 ||
        read(from_neighbor, &byte, 1) != 1)
        note("another process could not write");
}

static bool speaks_of_memory(const char *why)
{
    return strstr(why, "memory") || strstr(why, strerror(EAGAIN)); /* of a thread that cannot begin */
}

/* ---------------------------------------------------------------------- a point */

/* What the point leaves must not fill the table: only finished jobs are evicted. */
static void tidy(struct stage *stage)
{
    const struct jobtab_filter waiting = {
        .states = JOBTAB_STATE_BIT(JOBTAB_PENDING) | JOBTAB_STATE_BIT(JOBTAB_SCHEDULED)};
    struct jobtab_finish stopped = {.outcome = JOBTAB_SUCCEEDED};
    struct jobtab_job jobs[PAGE];
    struct jobtab_id cursor;
    bool more = true;

    if (stage->unfinished)
        need(jobtab_finish(stage->table, &stage->id, &stage->token, &stopped), "finish");
    stage->unfinished = false;
    while (more) {
        size_t n = PAGE;
        need(jobtab_list(stage->table, &waiting, jobs, &n, &cursor, &more), "list");
        for (size_t i = 0; i < n; i++)
            need(jobtab_delete(stage->table, &jobs[i].id), "delete");
    }
}

/* It said that it failed: it must not have done anything, and work now. */
static void judge_failure(struct stage *stage, const struct call *call, int rc, uint64_t before)
{
    bool broken = rc == JOBTAB_BROKEN && call->sort == WRITE;

    if (rc != JOBTAB_SYSTEM && !broken)
        note("it returned \"%s\" (%s)", jobtab_strerror(rc), jobtab_why());
    else if (!speaks_of_memory(jobtab_why()))
        note("its words are \"%s\"", jobtab_why());
    if (broken) { /* at the commit, whose outcome only a new look can tell */
        jobtab_close(stage->table);
        need(make_open(stage), "open after a broken commit");
    }
    if (call->sort == OPEN && stage->table) {
        note("it failed and gave a table");
        jobtab_close(stage->table);
        stage->table = NULL;
    }
    if (stage->table && picture(stage) != before)
        note("it failed with \"%s\" and changed the table", jobtab_why());
    rc = call->make(stage);
    if (rc)
        note("it failed again without need: \"%s\" (%s)", jobtab_strerror(rc), jobtab_why());
}

/* False when the call came to its end before its point. */
static bool play(struct stage *stage, const struct call *call, int64_t at, int forever)
{
    int64_t live = nomem_page->live;
    int open_files = descriptors();
    uint64_t before = 0, expected = 0;

    clear(stage->copy);
    if (call->sort != OPEN)
        need(make_open(stage), "open");
    if (call->prepare)
        call->prepare(stage);
    if (call->sort == READ)
        need(call->make(stage), call->name);
    expected = stage->seen;
    clear(stage->copy);
    /* Anew, as a caller finds it that has just begun: what an earlier call left for the next is not
     * there. */
    if (call->sort == READ || call->sort == WRITE) {
        before = picture(stage);
        bool unfinished = stage->unfinished;
        jobtab_close(stage->table);
        need(make_open(stage), "open");
        stage->unfinished = unfinished;
    }
    nomem_arm(at, forever);
    int rc = call->make(stage);
    nomem_disarm();
    bool reached = nomem_page->failed > 0;
    if (rc)
        judge_failure(stage, call, rc, before);
    if (call->sort == READ && stage->seen != expected)
        note("it showed something else than before");
    if (!reached && rc)
        note("it failed, and nothing had been refused");
    ask_neighbor();
    if (!stage->table || call->sort == OPEN) {
        jobtab_close(stage->table);
        need(make_open(stage), "open");
    }
    tidy(stage);
    need(make_verify(stage), "verify");
    jobtab_close(stage->table);
    stage->table = NULL;
    if (nomem_page->live != live)
        note("%lld pieces of memory are left", (long long)(nomem_page->live - live));
    if (descriptors() != open_files)
        note("%d descriptors are left", descriptors() - open_files);
    return reached;
}

static bool run(struct stage *stage, const struct call *call)
{
    long points = 0;

    play(stage, call, NOMEM_COUNT, 0); /* what is allocated once in a process's life */
    fault[0] = '\0';
    for (int forever = 0; forever < 2; forever++) {
        int64_t at = 1;
        while (!fault[0] && at < POINTS && play(stage, call, at, forever))
            at++;
        if (at == POINTS)
            note("it does not come to an end");
        points += at - 1;
        if (fault[0]) {
            printf("# %s: allocation %lld%s refused at %s: %s\n", call->name, (long long)at,
                   forever ? " and all after it" : "", nomem_page->where, fault);
            break;
        }
    }
    printf("%s - %s, each of its allocations refused: %ld points\n", fault[0] ? "not ok" : "ok",
           call->name, points);
    return !fault[0];
}

/* ------------------------------------------------------------------------- main */

static bool is_wanted(int argc, char **argv, const char *name)
{
    for (int i = optind; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct jobtab_options bounds = {.map_size = 64 << 20, .max_jobs = 2 * JOBS};
    struct stage stage = {.table = NULL};
    const char *folder = "/dev/shm";
    unsigned seed = (unsigned)getpid();
    long rounds = 600;
    bool sound = true;
    int option, in[2], out[2];

#ifdef __SANITIZE_ADDRESS__
    return 77;
#endif
    while ((option = getopt(argc, argv, "d:r:s:")) != -1) {
        if (option == 'd')
            folder = optarg;
        else if (option == 'r')
            rounds = atol(optarg);
        else if (option == 's')
            seed = (unsigned)atol(optarg);
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    srand(seed);
    memset(big, 'x', BIG);
    memcpy(big, "{\"x\":\"", 6);
    memcpy(big + BIG - 2, "\"}", 2);
    snprintf(stage.dir, sizeof stage.dir, "%.150s/jobtab-memory-XXXXXX", folder);
    if (!mkdtemp(stage.dir) || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        perror(stage.dir);
        return 1;
    }
    snprintf(stage.copy, sizeof stage.copy, "%s/copy", stage.dir);
    setenv("JOBTAB_TABLE", stage.dir, 1);
    need(jobtab_open(stage.dir, &bounds, &stage.table), "open");
    for (int i = 0; i < JOBS; i++)
        finish_one(&stage);
    jobtab_close(stage.table);
    stage.table = NULL;
    neighbor = fork();
    if (neighbor == 0) {
        close(in[1]); /* its end is the sweep's */
        be_neighbor(stage.dir, in[0], out[1]);
    }
    to_neighbor = in[1];
    from_neighbor = out[0];
    printf("# seed %u\n", seed);
    for (const struct call *call = calls; call->name; call++)
        if (is_wanted(argc, argv, call->name))
            sound &= run(&stage, call);
    if (is_wanted(argc, argv, "shared"))
        sound &= run_shared(&stage, rounds);
    close(to_neighbor);
    waitpid(neighbor, NULL, 0);
    clear(stage.dir);
    return sound ? 0 : 1;
}
