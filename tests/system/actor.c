/* actor.c - a job child that does what its parameters say, for the system tests.
 *
 *   actor [EFFECTS]        a child of one job, without the table (JOBTAB_REPORT_FD)
 *   actor -t [EFFECTS]     a child of one job, with the table
 *   actor -w [EFFECTS] [EVENTS]   a warm child; logs every operation to EVENTS/<pid> (event.h)
 *
 * Parameters: {"do": "step; step; ..."}. The steps:
 *
 *   progress N TEXT   report                       out TEXT, err TEXT   one line
 *   sleep MS          gives way to a stop          flood FD BYTES       'x' lines of 100
 *   hold FILE         until the file exists        close FD
 *   effect TEXT       "ID ATTEMPT TEXT" to EFFECTS ignore               SIGTERM from here on
 *   spawn MS          a grandchild that sleeps     exit N, signal N     at once
 *   finish WHAT       success, again, give-up, vanish (warm: leave without a word)
 *   story N           N reports whose message tells the job, then a result that does
 *
 * Born:  spawned by a runner.
 * Loop:  one job's steps; a warm one waits for work, claims, does the steps, finishes.
 * Ends:  SIGTERM stops the current job and ends it, SIGQUIT lets it finish first.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "event.h"
#include "jobtab.h"

struct actor {
    struct jobtab *table; /* or NULL */
    struct jobtab_id id;
    struct jobtab_token token;
    char id_text[JOBTAB_ID_TEXT];
    uint32_t attempt;
    const char *effects;
    struct events *events; /* or NULL */
    struct jobtab_finish finish;
    char result[128];
    bool vanish;
    bool stopped; /* the table said so: this job only */
    bool stale;   /* another attempt has the job: say no more */
};

static volatile sig_atomic_t terminated, quit, deaf;

static void on_signal(int number)
{
    if (number == SIGTERM && !deaf)
        terminated = 1;
    if (number == SIGQUIT)
        quit = 1;
}

static bool halted(const struct actor *a)
{
    return terminated || a->stopped;
}

static void nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void die(const char *what)
{
    fprintf(stderr, "actor: %s: %s %s\n", what, strerror(errno), jobtab_why());
    exit(70);
}

/* One operation on the current job. JOBTAB_STOP and JOBTAB_STALE end the steps. */
static int apply(struct actor *a, struct jobtab_op *op)
{
    struct jobtab_job job;
    int64_t begun = event_clock();

    op->id = a->id;
    op->token = a->token;
    op->job = &job;
    if (jobtab_apply(a->table, op, 1) != JOBTAB_OK && op->result == JOBTAB_OK)
        op->result = JOBTAB_SYSTEM;
    if (a->events)
        event_op(a->events, op, begun);
    if (op->result == JOBTAB_STOP || op->result == JOBTAB_STALE)
        a->stopped = true;
    if (op->result == JOBTAB_STALE)
        a->stale = true;
    if (op->result != JOBTAB_OK && op->result != JOBTAB_STOP)
        fprintf(stderr, "actor: %s: %s\n", jobtab_strerror(op->result), op->why);
    return op->result;
}

static void report(struct actor *a, unsigned progress, const char *text)
{
    if (a->table) {
        struct jobtab_op op = { .verb = JOBTAB_REPORT, .report = { progress, text } };
        apply(a, &op);
    } else if (dprintf(3, "progress %u %s\n", progress, text) < 0) {
        fprintf(stderr, "actor: report: %s\n", strerror(errno));
    }
}

static void story(struct actor *a, unsigned steps)
{
    char text[128];

    for (unsigned i = 1; i <= steps && !halted(a); i++) {
        unsigned progress = i * 99 / steps;
        event_message(text, sizeof text, progress, a->id_text, a->attempt);
        report(a, progress, text);
    }
    snprintf(a->result, sizeof a->result, "{\"of\":\"%s\",\"by\":%d}", a->id_text, (int)getpid());
    if (!a->table && !halted(a)) { /* one with the table says it with its finish */
        event_message(text, sizeof text, 100, a->id_text, a->attempt);
        report(a, 100, text);
        puts(a->result);
    }
}

static void effect(struct actor *a, const char *text)
{
    char line[256];
    int fd = open(a->effects, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int n = snprintf(line, sizeof line, "%s %u %s\n", a->id_text, a->attempt, text);

    if (fd < 0 || write(fd, line, (size_t)n) != n)
        die(a->effects);
    close(fd);
}

static void flood(int fd, long bytes)
{
    char line[101];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    while (bytes > 0) {
        ssize_t n = write(fd, line, sizeof line);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        bytes -= n;
    }
}

static void step(struct actor *a, char *word, char *rest)
{
    long n = strtol(rest, NULL, 10);

    if (!strcmp(word, "progress")) {
        char *text = rest + strspn(rest, "0123456789");
        report(a, (unsigned)n, text + strspn(text, " "));
    } else if (!strcmp(word, "sleep")) {
        for (int64_t end = event_clock() + n * 1000000; !halted(a) && event_clock() < end;)
            nap(5);
    } else if (!strcmp(word, "hold")) {
        while (!halted(a) && access(rest, F_OK) != 0)
            nap(5);
    } else if (!strcmp(word, "out")) {
        printf("%s\n", rest);
        fflush(stdout);
    } else if (!strcmp(word, "err")) {
        fprintf(stderr, "%s\n", rest);
    } else if (!strcmp(word, "flood")) {
        flood((int)n, strtol(rest + strspn(rest, "0123456789"), NULL, 10));
    } else if (!strcmp(word, "close")) {
        close((int)n);
    } else if (!strcmp(word, "effect")) {
        effect(a, rest);
    } else if (!strcmp(word, "ignore")) {
        deaf = 1;
        terminated = 0;
    } else if (!strcmp(word, "spawn")) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            deaf = 1;
            for (int64_t end = event_clock() + n * 1000000; event_clock() < end;)
                nap(n);
            _exit(0);
        }
    } else if (!strcmp(word, "exit")) {
        fflush(stdout);
        _exit((int)n);
    } else if (!strcmp(word, "signal")) {
        signal((int)n, SIG_DFL);
        raise((int)n);
    } else if (!strcmp(word, "story")) {
        story(a, (unsigned)n);
    } else if (!strcmp(word, "finish")) {
        if (!strcmp(rest, "again"))
            a->finish.outcome = JOBTAB_TRY_AGAIN;
        if (!strcmp(rest, "give-up"))
            a->finish.outcome = JOBTAB_GIVE_UP;
        a->vanish = !strcmp(rest, "vanish");
    } else {
        fprintf(stderr, "actor: no such step: %s\n", word);
        exit(64);
    }
}

/* The steps stand in the parameters' "do", without any escape. */
static void perform(struct actor *a, char *params)
{
    char *text = strstr(params, "\"do\""), *end, *one, *save;

    if (!text || !(text = strchr(text + 4, '"')) || !(end = strchr(text + 1, '"')))
        return;
    *end = '\0';
    for (one = strtok_r(text + 1, ";", &save); one && !halted(a); one = strtok_r(NULL, ";", &save)) {
        char *word = one + strspn(one, " ");
        char *rest = word + strcspn(word, " ");
        if (*rest)
            *rest++ = '\0';
        step(a, word, rest);
    }
}

static void work_on(struct actor *a, char *params)
{
    struct jobtab_op op = { .verb = JOBTAB_FINISH };
    char text[128];

    a->finish = (struct jobtab_finish){ .outcome = JOBTAB_SUCCEEDED };
    a->result[0] = '\0';
    a->vanish = a->stopped = a->stale = false;
    perform(a, params);
    if (!a->table || a->vanish || a->stale)
        return;
    if (halted(a)) {
        a->finish.outcome = JOBTAB_STOPPED;
    } else if (a->finish.outcome != JOBTAB_SUCCEEDED) {
        a->finish.reason = JOBTAB_BY_EXIT;
        a->finish.error = "as told";
    } else if (a->result[0]) {
        event_message(text, sizeof text, 100, a->id_text, a->attempt);
        a->finish.message = text;
        a->finish.result = a->result;
        a->finish.result_size = strlen(a->result);
        a->finish.format = JOBTAB_JSON;
    }
    op.finish = a->finish;
    apply(a, &op);
}

static char *read_params(struct actor *a)
{
    uint64_t offset = 0;
    size_t size;
    char *bytes;

    if (jobtab_read(a->table, &a->id, JOBTAB_PARAMS, &offset, 1 << 20, &bytes, &size))
        die("read");
    return bytes;
}

static void warm(struct actor *a)
{
    const char *kind = getenv("JOBTAB_KIND");

    while (!terminated && !quit) {
        struct jobtab_job job;
        struct jobtab_op op = { .verb = JOBTAB_CLAIM, .claim = { kind, 0 }, .job = &job };
        int64_t begun = event_clock();
        int error = jobtab_apply(a->table, &op, 1);

        if (error == JOBTAB_OK)
            error = op.result;
        if (error == JOBTAB_EMPTY) {
            error = jobtab_wait_work(a->table, kind, 1000);
            if (error != JOBTAB_OK && error != JOBTAB_TIMEOUT)
                die("wait");
            continue;
        }
        if (error != JOBTAB_OK)
            die("claim");
        if (a->events)
            event_op(a->events, &op, begun);
        a->id = op.id;
        a->token = op.token;
        a->attempt = job.attempt;
        jobtab_id_format(&a->id, a->id_text);
        char *params = read_params(a);
        work_on(a, params);
        free(params);
        if (a->vanish)
            _exit(0);
        deaf = 0;
    }
}

int main(int argc, char **argv)
{
    struct actor a = { .effects = "/dev/null" };
    struct sigaction action = { .sa_handler = on_signal };
    int mode = 0;
    bool has_job = false;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    if (argc > 1 && argv[1][0] == '-') {
        mode = argv[1][1];
        argv++;
        argc--;
    }
    if (argc > 1)
        a.effects = argv[1];
    if (argc > 2 && !(a.events = events_open(argv[2])))
        die(argv[2]);

    if (mode && jobtab_attach(&a.table, &has_job, &a.id, &a.token) != JOBTAB_OK)
        die("attach");
    if (mode == 'w') {
        warm(&a);
    } else {
        static char params[1 << 20];
        size_t n = fread(params, 1, sizeof params - 1, stdin);
        const char *id = getenv("JOBTAB_JOB_ID"), *attempt = getenv("JOBTAB_ATTEMPT");
        params[n] = '\0';
        snprintf(a.id_text, sizeof a.id_text, "%s", id ? id : "");
        a.attempt = (uint32_t)atoi(attempt ? attempt : "0");
        work_on(&a, params);
        if (terminated && !a.table) { /* as a program does that knows nothing of us */
            signal(SIGTERM, SIG_DFL);
            raise(SIGTERM);
        }
    }
    if (a.events)
        events_close(a.events);
    jobtab_close(a.table);
    return 0;
}
