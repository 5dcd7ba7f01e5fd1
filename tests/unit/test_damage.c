/* test_damage.c - copies of a table with damaged bytes and pages: whoever opens one and has it
 * verified is told, lives, and is done in time; what verify calls sound is what it was; and who
 * reads one carefully lives, and finds what stands on sound pages.
 *
 * Each copy is opened by a child of its own. The pages that matter are all damaged in turn, the
 * rest at random; a copy that verify refuses is read all the same by another child, to count how
 * often that kills: the control, without which the damage might be none. JOBTAB_SEED,
 * JOBTAB_DAMAGES (how many at random). */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#define PAGE    4096
#define SECONDS 20 /* for one child, which needs some milliseconds */
#define JOBS    60
#define NAMED   32 /* pages that one damaged page can name here, and more */

struct bytes {
    unsigned char *data;
    size_t size;
};

/* The table at two times. A page of the older in the newer is a write that the disk forgot. */
struct tables {
    struct fixture *f;
    struct bytes older, newer;
    uint64_t content; /* hash of all that can be read of the newer */
    uint64_t hashes[JOBS], n_jobs; /* of each job of it, in their order */
};

struct verdict {
    int opened, verified;
    uint64_t faults, content;
    /* of who reads carefully */
    uint64_t told, found, as_they_were;
};

enum way { VERIFYING, READING, CAREFULLY };

/* ------------------------------------------------------------------- the table */

static void work(struct fixture *f, unsigned from, unsigned to)
{
    static char text[9000];
    static const size_t sizes[] = {2, 40, 600, 3000, 4064, sizeof text};
    struct jobtab_token token;
    struct jobtab_job job;

    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    for (unsigned i = from; i < to; i++) {
        char key[16], kind[2] = {(char)('a' + i % 3), '\0'};
        struct jobtab_submit submit = {.kind = kind, .params = text,
                                       .params_size = sizes[i % 6], .max_attempts = 1 + i % 2,
                                       .delay = i % 11 == 3 ? 100000 : 0};
        snprintf(key, sizeof key, "key-%u", i);
        if (i % 4 == 0)
            submit.key = key;
        assert_ok(jobtab_submit(f->table, &submit, &job));
        if (i % 3 == 0 || jobtab_claim(f->table, kind, &token, &job) != JOBTAB_OK)
            continue;
        assert_ok(jobtab_report(f->table, &job.id, &token, i % 100, "under way"));
        for (unsigned n = 0; n < i % 5; n++)
            assert_ok(jobtab_log(f->table, &job.id, &token, text, 3000));
        if (i % 7 == 0)
            continue;
        assert_ok(jobtab_finish(f->table, &job.id, &token,
                                &(struct jobtab_finish){.outcome = i % 4 ? JOBTAB_SUCCEEDED
                                                                         : JOBTAB_TRY_AGAIN,
                                                        .reason = JOBTAB_BY_EXIT,
                                                        .result = text,
                                                        .result_size = sizes[(i + 2) % 6],
                                                        .format = JOBTAB_JSON}));
        if (i % 5 == 0 && i % 4 != 0) /* pages become free */
            assert_ok(jobtab_delete(f->table, &job.id));
    }
}

static void file_of(const struct fixture *f, char path[96])
{
    snprintf(path, 96, "%s/data.mdb", f->dir);
}

static struct bytes read_file(const struct fixture *f)
{
    struct bytes bytes;
    struct stat file;
    char path[96];

    file_of(f, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &file), 0);
    bytes.size = (size_t)file.st_size;
    bytes.data = malloc(bytes.size);
    assert_non_null(bytes.data);
    assert_int_equal(read(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    close(fd);
    return bytes;
}

static void write_file(const struct fixture *f, const struct bytes *bytes)
{
    char path[96];

    file_of(f, path);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes->data, bytes->size), (ssize_t)bytes->size);
    close(fd);
}

/* ------------------------------------------------------------------- a child */

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#define NO_HASH UINT64_C(0xcbf29ce484222325)

/* What the table says of a job. */
static uint64_t read_job(struct jobtab *table, const struct jobtab_id *id, uint64_t hash)
{
    static char text[65536];
    uint64_t version = 0, offset = 0;
    size_t length = 0, size = 0;
    char *log = NULL;

    if (jobtab_get_json(table, id, text, sizeof text, &length, &version) == 0)
        hash = mix(hash, text, length < sizeof text ? length : sizeof text);
    if (jobtab_read(table, id, JOBTAB_LOGTEXT, &offset, 1 << 20, &log, &size) == 0)
        hash = mix(hash, log, size);
    free(log);
    return hash;
}

/* All that the table says, as far as it says anything. Of each job, what, into `hashes`. */
static uint64_t read_all(struct jobtab *table, uint64_t *hashes, uint64_t *n_jobs)
{
    static struct jobtab_job jobs[64];
    struct jobtab_filter filter = {.oldest_first = true};
    uint64_t hash = NO_HASH;
    bool more = true;

    *n_jobs = 0;

    while (more) {
        size_t n = 64;
        if (jobtab_list(table, &filter, jobs, &n, &filter.after, &more))
            return 0;
        filter.after_set = true;
        for (size_t i = 0; i < n; i++) {
            hash = read_job(table, &jobs[i].id, hash);
            if (hashes && *n_jobs < JOBS)
                hashes[*n_jobs] = read_job(table, &jobs[i].id, NO_HASH);
            ++*n_jobs;
        }
    }
    return hash;
}

static void count_fault(const char *fault, void *context)
{
    uint64_t *told = context;

    (void)fault;
    ++*told;
}

/* How many of the jobs are as they were. Both are in one order. */
static uint64_t same_jobs(const struct tables *t, const uint64_t *hashes, uint64_t n)
{
    uint64_t same = 0;

    for (uint64_t i = 0, at = 0; i < n && i < JOBS; i++) {
        uint64_t k = at;
        while (k < t->n_jobs && t->hashes[k] != hashes[i])
            k++;
        if (k == t->n_jobs)
            continue; /* it is another: a chunk of it is gone, or a bit of it is not what it was */
        same++;
        at = k + 1;
    }
    return same;
}

static void look(const struct tables *t, enum way way, struct verdict *verdict)
{
    bool verify = way == VERIFYING;
    uint64_t records, hashes[JOBS];
    struct jobtab *table;
    struct jobtab_stat stat;
    const struct fixture *f = t->f;

    verdict->opened = jobtab_open(f->dir, &(struct jobtab_options){.must_exist = true}, &table);
    if (verdict->opened)
        return;
    if (verify)
        verdict->verified =
            jobtab_verify(table, NULL, NULL, NULL, &records, &verdict->faults);
    if (way == CAREFULLY && (jobtab_careful(table, count_fault, &verdict->told) ||
                             jobtab_submit(table, &(struct jobtab_submit){.kind = "a"}, NULL) !=
                                 JOBTAB_FORBIDDEN))
        verdict->opened = -1;
    if (!verify || (!verdict->verified && !verdict->faults))
        verdict->content = read_all(table, hashes, &verdict->found);
    if (way == CAREFULLY) {
        verdict->as_they_were = same_jobs(t, hashes, verdict->found);
        jobtab_stat(table, &stat, NULL, 0); /* and lives */
    }
    jobtab_close(table);
}

/* The signal that ended the child, or 0 and its verdict. */
static int look_in_child(const struct tables *t, enum way way, struct verdict *verdict)
{
    int ends[2], status;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct verdict own = {.opened = 0};
        static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            signal(signals[i], SIG_DFL); /* cmocka's go on with the next test */
        if (way == READING) /* LMDB says which assertion it was */
            close(STDERR_FILENO);
        prctl(PR_SET_DUMPABLE, 0);
        alarm((unsigned)slowed(SECONDS));
        look(t, way, &own);
        _exit(write(ends[1], &own, sizeof own) == sizeof own ? 0 : 1);
    }
    close(ends[1]);
    bool told = read(ends[0], verdict, sizeof *verdict) == sizeof *verdict;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    assert_true(told && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static int make_tables(void **state)
{
    struct tables *t = calloc(1, sizeof *t);
    struct verdict verdict = {.opened = -1};

    if (!t || (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 1)) ||
        fixture_open((void **)&t->f))
        return -1;
    work(t->f, 0, JOBS / 2);
    jobtab_close(t->f->table);
    t->older = read_file(t->f);
    t->f->table = NULL;
    fixture_reopen(t->f, NULL);
    work(t->f, JOBS / 2, JOBS);
    assert_sound(t->f);
    jobtab_close(t->f->table);
    t->f->table = NULL;
    t->newer = read_file(t->f);
    t->f->table = NULL;
    fixture_reopen(t->f, NULL);
    read_all(t->f->table, t->hashes, &t->n_jobs);
    jobtab_close(t->f->table);
    t->f->table = NULL;
    assert_int_equal(look_in_child(t, VERIFYING, &verdict), 0);
    t->content = verdict.content;
    assert_true(!verdict.opened && !verdict.verified && !verdict.faults && t->content);
    *state = t;
    return 0;
}

static int end_tables(void **state)
{
    struct tables *t = *state;
    int rc = fixture_close((void **)&t->f);

    free(t->older.data);
    free(t->newer.data);
    free(t);
    return rc;
}

/* ------------------------------------------------------------------- the damage */

struct random {
    uint64_t state;
};

static size_t below(struct random *random, size_t bound)
{
    random->state = random->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(random->state >> 33) % bound;
}

enum damage { ZERO, STALE, OTHER, CUT, CHILD, HEADER, BIT, WORD, RANGE, DAMAGES };

static const char *const names[DAMAGES] = {
    [ZERO] = "page zeroed",       [STALE] = "page of an earlier time",
    [OTHER] = "page of another",  [CUT] = "file cut",
    [CHILD] = "pages that are not there",
    [HEADER] = "header of a page", [BIT] = "bit",
    [WORD] = "number",            [RANGE] = "bytes",
};

/* Changes nothing where the copy says so already. */
static void damage(struct bytes *copy, const struct tables *t, enum damage what, size_t page,
                   struct random *random)
{
    unsigned char *at = copy->data + page * PAGE;
    size_t offset = below(random, PAGE - 8), n;
    uint64_t number = below(random, 3) ? below(random, 5000) : below(random, SIZE_MAX);

    switch (what) {
    case ZERO:
        memset(at, 0, PAGE);
        break;
    case STALE:
        if ((page + 1) * PAGE <= t->older.size)
            memcpy(at, t->older.data + page * PAGE, PAGE);
        break;
    case OTHER:
        memcpy(at, t->newer.data + below(random, copy->size / PAGE) * PAGE, PAGE);
        break;
    case CUT:
        copy->size = page * PAGE + offset;
        break;
    case CHILD: /* what a branch names, each beyond the file */
        for (size_t i = 0; at[10] == 1 && i < (at[12] + 256u * at[13] - 16u) / 2; i++)
            memcpy(at + at[16 + 2 * i] + 256u * at[17 + 2 * i], &(uint32_t){0x7fffff00u + (uint32_t)i},
                   4);
        break;
    case HEADER: /* number, flags, lower, upper, the first offsets */
        at[below(random, 24)] ^= (unsigned char)(1u << below(random, 8));
        break;
    case BIT:
        at[offset] ^= (unsigned char)(1u << below(random, 8));
        break;
    case WORD:
        memcpy(at + (offset & ~(size_t)1), &number, (size_t)2 << below(random, 3));
        break;
    case RANGE:
        n = below(random, PAGE - offset);
        for (size_t i = 0; i < n; i++)
            at[offset + i] = (unsigned char)below(random, 256);
        break;
    case DAMAGES:
        break;
    }
}

struct tally {
    unsigned copies, refused, found, sound, killed;
    uint64_t jobs, gone, missed; /* read carefully: all, not listed, not as they were */
    uint64_t most_told;          /* pages, of one copy */
};

/* Nobody dies of it, and no job that is found is another's. */
static void read_carefully(struct tables *t, enum damage what, size_t page,
                           const struct bytes *copy, bool sound, uint64_t seed,
                           struct tally *tally)
{
    struct verdict verdict = {.opened = -1};

    write_file(t->f, copy);
    int signal = look_in_child(t, CAREFULLY, &verdict);
    bool missed = sound && (verdict.told || verdict.found != t->n_jobs);
    if (signal || verdict.opened || missed)
        print_error("%s, page %zu, state %llu: careful: signal %d, opened %d, told %llu, "
                    "found %llu\n", names[what], page, (unsigned long long)seed, signal, verdict.opened,
                    (unsigned long long)verdict.told, (unsigned long long)verdict.found);
    assert_true(!signal && !verdict.opened && !missed);
    assert_true(verdict.told <= NAMED); /* each once, however often it is met */
    tally->most_told = verdict.told > tally->most_told ? verdict.told : tally->most_told;
    tally->jobs += t->n_jobs;
    tally->gone += t->n_jobs - verdict.found;
    tally->missed += t->n_jobs - verdict.as_they_were;
}

/* One damaged copy. */
static void check_copy(struct tables *t, enum damage what, size_t page, struct random *random,
                       struct tally *tally)
{
    struct bytes copy = {.data = malloc(t->newer.size), .size = t->newer.size};
    struct verdict verdict = {.opened = -1}, ignored;
    uint64_t seed = random->state;

    assert_non_null(copy.data);
    memcpy(copy.data, t->newer.data, copy.size);
    damage(&copy, t, what, page, random);
    write_file(t->f, &copy);
    int signal = look_in_child(t, VERIFYING, &verdict);
    bool sound = !signal && !verdict.opened && !verdict.verified && !verdict.faults;
    /* A bit of a text may change what is said and break no rule; a page may not. Only a meta page
     * of an earlier time is as if the last commit had not been. */
    bool same = what <= CUT && !(what == STALE && page < 2);
    bool lost = sound && same && verdict.content != t->content;
    if (signal || lost)
        print_error("%s, page %zu, state %llu: %s %d\n", names[what], page,
                    (unsigned long long)seed, lost ? "called sound and is not" : "signal", signal);
    assert_true(!signal && !lost);
    tally->copies++;
    tally->refused += verdict.opened != 0;
    tally->found += !verdict.opened && !sound;
    tally->sound += sound;
    if (!verdict.opened)
        read_carefully(t, what, page, &copy, sound, seed, tally);
    if (!sound && !verdict.opened) {
        write_file(t->f, &copy);
        tally->killed += look_in_child(t, READING, &ignored) != 0;
    }
    free(copy.data);
}

static void print_tally(enum damage what, const struct tally *tally)
{
    print_message("# %-24s %5u copies: %4u refused at open, %4u found by verify, "
                  "%4u sound; %4u kill who reads all the same; "
                  "who is careful misses %llu of %llu jobs, and names %llu pages\n",
                  names[what], tally->copies, tally->refused, tally->found, tally->sound,
                  tally->killed, (unsigned long long)tally->missed,
                  (unsigned long long)tally->jobs, (unsigned long long)tally->most_told);
}

/* ------------------------------------------------------------------------ tests */

static uint64_t seed(void)
{
    const char *given = getenv("JOBTAB_SEED");
    uint64_t value = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

    print_message("# JOBTAB_SEED=%llu\n", (unsigned long long)value);
    return value;
}

static void no_damaged_page_goes_unseen(void **state)
{
    struct tables *t = *state;
    struct random random = {.state = seed()};
    unsigned killed = 0;

    for (enum damage what = ZERO; what <= HEADER; what++) {
        struct tally tally = {.copies = 0};
        for (size_t page = 0; page < t->newer.size / PAGE; page++)
            check_copy(t, what, page, &random, &tally);
        print_tally(what, &tally);
        assert_true(tally.refused + tally.found > 0);
        killed += tally.killed;
        /* Each page in turn: a leaf takes its own jobs with it, once, and the root all; those that
         * run have a page more. */
        if (what == ZERO)
            assert_in_range(tally.gone, 2 * t->n_jobs, 3 * t->n_jobs);
    }
    assert_true(killed > 0);
}

static void no_damage_kills_who_verifies(void **state)
{
    struct tables *t = *state;
    const char *asked = getenv("JOBTAB_DAMAGES");
    unsigned n = asked ? (unsigned)strtoul(asked, NULL, 10) : 400;
    struct random random = {.state = seed() + 1};
    struct tally tallies[DAMAGES] = {{.copies = 0}};

    for (unsigned i = 0; i < n; i++) {
        enum damage what = (enum damage)below(&random, DAMAGES);
        check_copy(t, what, below(&random, t->newer.size / PAGE), &random, &tallies[what]);
    }
    for (enum damage what = ZERO; what < DAMAGES; what++)
        print_tally(what, &tallies[what]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_damaged_page_goes_unseen),
        cmocka_unit_test(no_damage_kills_who_verifies),
    };
    return cmocka_run_group_tests_name("damage", tests, make_tables, end_tables);
}
