/* power.c - the power fails: recordings, and images of what a disk may hold. See power.h.
 *
 *   power -d FOLDER [-n IMAGES] [-r RECORDINGS] [-c CLIENTS] [-j WORKERS] [-s SEED]
 *         [-m FAULT] [-b pwrite|writev|fsync]
 *
 * FOLDER is best in memory. -m: the recorded clients have that fault (mutant.h); -b: the recorder
 * does not see that call. Both are controls, and end with 1.
 *
 * The first process opens no table. It forks the clients, then a teller, who reads the log and
 * forks those that try the images: a library that falls over an image takes one of them with it.
 *
 * Prints TAP. Exit: 0 all held, 1 a fault, with the image kept.
 */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 16
#define WRITES      5000 /* of a recording */
#define IMAGE_BOUND 60   /* seconds for one image: nothing may hang */
#define SNAPSHOT    0.4  /* of a recording, when the files beside the table are taken */

/* What the processes tell each other, for all recordings. */
struct tally {
    _Atomic unsigned long images, prefixes, choices, others, instants, commits, answers;
    _Atomic unsigned long writes, bytes, verbs[READ_VERB + 1];
    char trying[WORKERS_MAX][256]; /* the image of each worker */
};

static struct {
    const char *folder, *fault;
    unsigned long images, recordings;
    unsigned clients, workers, seed;
    enum blind blind;
} options = {.images = 20000, .recordings = 1, .clients = 6, .workers = 2};

static struct log *log_of_all;
static struct tally *tally;
static char root[200], table[220];

static void *share(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);

    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

static pid_t start(void)
{
    fflush(stdout);
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void await(pid_t pid, const char *what)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        log_fault(log_of_all, "signal %d (%s) ended %s", WTERMSIG(status),
                  strsignal(WTERMSIG(status)), what);
    else if (status)
        log_fault(log_of_all, "%s ended with %d", what, WEXITSTATUS(status));
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---------------------------------------------------------------------- recording */

/* A file's bytes, all at once; NULL while it is not there or empty. */
static char *read_file(const char *name, size_t *size)
{
    char path[256], *bytes = NULL;
    struct stat file;

    snprintf(path, sizeof path, "%s/%s", table, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) < 0 || file.st_size == 0 ||
        !(bytes = malloc((size_t)file.st_size)) ||
        read(fd, bytes, (size_t)file.st_size) != file.st_size) {
        free(bytes);
        bytes = NULL;
    } else {
        *size = (size_t)file.st_size;
    }
    if (fd >= 0)
        close(fd);
    return bytes;
}

/* Taken while all are at work: somebody has the lead, others wait, and read. */
static void take_leavings(struct leavings *leavings)
{
    while (log_of_all->n_io < WRITES * SNAPSHOT && !log_of_all->faulty)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    leavings->lock = read_file("lock.mdb", &leavings->lock_size);
    leavings->shared = read_file("shared", &leavings->shared_size);
    if (!leavings->lock || !leavings->shared)
        log_fault(log_of_all, "there is no lock file or no shared file");
}

/* The log makes the file that is there, to the byte: the recorder has seen all that was written. */
static void compare_with_file(void)
{
    struct story story = {.log = log_of_all};
    size_t size = 0;
    char *file = read_file(TABLE_FILE, &size);
    char *replayed = calloc(FILE_MAX, 1);
    uint64_t length = 0;

    story_sort(&story);
    for (uint32_t i = 0; i < story.n_writes; i++) {
        const struct io *write = &story.writes[i];
        memcpy(replayed + write->at, log_of_all->bytes + write->bytes, write->size);
        if (write->at + write->size > length)
            length = write->at + write->size;
    }
    if (!file || length != size || memcmp(file, replayed, size) != 0)
        log_fault(log_of_all, "the recorder missed something: %u writes make a file of %llu bytes, "
                  "and the file has %zu%s", story.n_writes, (unsigned long long)length, size,
                  length == size ? " others" : "");
    story_free(&story);
    free(file);
    free(replayed);
}

static void record(unsigned number, struct leavings *leavings)
{
    pid_t pids[CLIENTS_MAX];

    for (unsigned i = 0; i < options.clients; i++) {
        pids[i] = start();
        if (pids[i])
            continue;
        if (options.fault)
            setenv("JOBTAB_MUTANT", options.fault, 1);
        record_begin(log_of_all, table, options.blind);
        load_client(log_of_all, table, i, options.seed + number * 1000003u, WRITES);
    }
    take_leavings(leavings);
    for (unsigned i = 0; i < options.clients; i++)
        await(pids[i], "a client");
    if (!log_of_all->faulty)
        compare_with_file();
}

/* ------------------------------------------------------------------------- images */

/* How many there are to be of each instant. */
struct plan {
    unsigned long prefixes, weight, choices;
};

static unsigned long weight_of(const struct disk *disk)
{
    unsigned long sectors = 0;

    for (uint32_t i = 0; i < disk->n_open; i++) {
        const struct io *write = &disk->story->writes[disk->open[i]];
        sectors += (write->at % SECTOR + write->size + SECTOR - 1) / SECTOR;
    }
    /* Of one, as a commit's last write is, prefixes are all there is. */
    return sectors > 1 ? sectors : 0;
}

static struct plan make_plan(const struct story *story)
{
    struct plan plan = {.choices = options.images / options.recordings};
    struct disk disk;

    disk_begin(&disk, story);
    while (disk_next(&disk)) {
        plan.prefixes += disk.n_open + 1;
        plan.weight += weight_of(&disk);
        tally->instants++;
    }
    disk_end(&disk);
    plan.choices = plan.choices > plan.prefixes ? plan.choices - plan.prefixes : 0;
    return plan;
}

static void show_progress(void)
{
    static time_t last;
    time_t now = time(NULL);

    if (now == last || !isatty(STDERR_FILENO))
        return;
    last = now;
    fprintf(stderr, "\r# %lu of %lu images ", tally->images, options.images);
}

struct worker {
    struct trial trial;
    struct image image;
    unsigned number;
    unsigned long next; /* counts images, of which every so many-th is ours */
};

static bool is_ours(struct worker *worker)
{
    return worker->next++ % options.workers == worker->number && !log_of_all->faulty;
}

static void try(struct worker *worker, const struct disk *disk)
{
    memcpy(tally->trying[worker->number], worker->image.what, sizeof worker->image.what);
    alarm(IMAGE_BOUND);
    trial_run(&worker->trial, &worker->image, disk->instant);
    tally->images++;
    if (worker->number == 0)
        show_progress();
}

static void try_instant(struct worker *worker, const struct disk *disk, unsigned long choices)
{
    for (uint32_t n = 0; n <= disk->n_open; n++)
        if (is_ours(worker)) {
            disk_prefix(disk, n, &worker->image);
            try(worker, disk);
            tally->prefixes++;
        }
    for (unsigned long n = 0; n < choices; n++)
        if (is_ours(worker)) {
            disk_choose(disk, n % 2 ? PAGE : SECTOR, &worker->trial.seed, &worker->image);
            try(worker, disk);
            tally->choices++;
        }
}

static void work(unsigned number, const struct story *story, const struct plan *plan,
                 const struct leavings *leavings)
{
    static struct worker worker;
    unsigned long weight = 0, made = 0;
    struct disk disk;
    char dir[240];

    worker.number = number;
    worker.image.bytes = calloc(FILE_MAX, 1);
    snprintf(dir, sizeof dir, "%s/image-%u", root, number);
    trial_begin(&worker.trial, story, leavings, dir, options.seed + number);
    disk_begin(&disk, story);
    while (disk_next(&disk) && !log_of_all->faulty) {
        weight += weight_of(&disk);
        unsigned long until = plan->weight ? plan->choices * weight / plan->weight : 0;
        try_instant(&worker, &disk, until - made);
        made = until;
    }
    tally->others += worker.trial.others;
    if (!log_of_all->faulty)
        remove_all(dir);
    _exit(0);
}

static void try_all(const struct story *story, const struct leavings *leavings)
{
    struct plan plan = make_plan(story);
    pid_t pids[WORKERS_MAX];

    for (unsigned i = 0; i < options.workers; i++) {
        pids[i] = start();
        if (pids[i] == 0)
            work(i, story, &plan, leavings);
    }
    for (unsigned i = 0; i < options.workers; i++) {
        char what[300];
        snprintf(what, sizeof what, "who tried image-%u (%s)", i, tally->trying[i]);
        await(pids[i], what);
    }
}

static void tell(const struct leavings *leavings)
{
    static struct story story;
    char dir[240];

    snprintf(dir, sizeof dir, "%s/story", root);
    story_make(&story, log_of_all, dir);
    tally->commits += story.n_commits;
    tally->answers += story.n_needs;
    tally->writes += story.n_writes;
    tally->bytes += log_of_all->n_bytes;
    for (uint32_t i = 0; i < log_of_all->n_told; i++)
        tally->verbs[log_of_all->told[i].verb]++;
    if (!log_of_all->faulty)
        try_all(&story, leavings);
    _exit(0);
}

/* ---------------------------------------------------------------------------- main */

/* The fault's words, or NULL. */
static const char *run(unsigned number)
{
    static char words[sizeof log_of_all->words];
    struct leavings leavings = {0};

    snprintf(table, sizeof table, "%s/table", root);
    log_of_all = share(sizeof *log_of_all + BYTES_MAX);
    record(number, &leavings);
    if (!log_of_all->faulty) {
        pid_t pid = start();
        if (pid == 0)
            tell(&leavings);
        await(pid, "who tells the story");
    }
    bool faulty = log_of_all->faulty;
    memcpy(words, log_of_all->words, sizeof words);
    munmap(log_of_all, sizeof *log_of_all + BYTES_MAX);
    free(leavings.lock);
    free(leavings.shared);
    if (!faulty)
        remove_all(table);
    return faulty ? words : NULL;
}

static enum blind blind_of(const char *call)
{
    static const char *const calls[] = {
        [BLIND_PWRITE] = "pwrite", [BLIND_WRITEV] = "writev", [BLIND_FSYNC] = "fsync"};

    for (enum blind blind = BLIND_PWRITE; blind <= BLIND_FSYNC; blind++)
        if (strcmp(calls[blind], call) == 0)
            return blind;
    fprintf(stderr, "power: there is no call %s to be blind to\n", call);
    exit(2);
}

/* A run in which some verb was never done would tell nothing of it. */
static const char *find_undone(void)
{
    static char words[64];

    for (int verb = 0; verb <= READ_VERB; verb++)
        if (!tally->verbs[verb]) {
            snprintf(words, sizeof words, "verb %d was not done by anybody", verb);
            return words;
        }
    return NULL;
}

/* What it cost, however many others were at work on this machine. */
static double processor_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool parse(int argc, char **argv)
{
    int option;

    options.seed = (unsigned)time(NULL);
    while ((option = getopt(argc, argv, "d:n:r:c:j:s:m:b:")) != -1) {
        switch (option) {
        case 'd': options.folder = optarg; break;
        case 'n': options.images = strtoul(optarg, NULL, 10); break;
        case 'r': options.recordings = strtoul(optarg, NULL, 10); break;
        case 'c': options.clients = (unsigned)atoi(optarg); break;
        case 'j': options.workers = (unsigned)atoi(optarg); break;
        case 's': options.seed = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'm': options.fault = optarg; break;
        case 'b': options.blind = blind_of(optarg); break;
        default: return false;
        }
    }
    return options.folder && optind == argc && options.recordings > 0 && options.clients > 0 &&
           options.clients <= CLIENTS_MAX && options.workers > 0 && options.workers <= WORKERS_MAX;
}

int main(int argc, char **argv)
{
    const char *fault = NULL;
    struct timespec begun, ended;

    if (!parse(argc, argv))
        return 2;
    snprintf(root, sizeof root, "%.150s/jobtab-power-XXXXXX", options.folder);
    if (!mkdtemp(root)) {
        perror(root);
        return 1;
    }
    tally = share(sizeof *tally);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (unsigned i = 0; i < options.recordings && !fault; i++)
        fault = run(i);
    if (!fault)
        fault = find_undone();
    clock_gettime(CLOCK_MONOTONIC, &ended);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r");
    printf("# %lu recordings, seed %u: %lu writes of %lu bytes, %lu commits, %lu answers, "
           "%lu instants\n",
           options.recordings, options.seed, tally->writes, tally->bytes, tally->commits,
           tally->answers, tally->instants);
    if (fault)
        printf("# %s; all is kept in %s\n", fault, root);
    printf("%s - whatever a disk may hold when the power fails has all that was answered: "
           "%lu images (%lu prefixes, %lu choices; %lu read by mdb_stat and mdb_copy, too), "
           "%.1f s, %.1f s of processors\n",
           fault ? "not ok" : "ok", tally->images, tally->prefixes, tally->choices, tally->others,
           (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9,
           processor_seconds());
    if (!fault)
        remove_all(root);
    return fault != NULL;
}
