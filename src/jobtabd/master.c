/* master.c - keeps the roles alive and obeys signals.
 * Born:  by main, with a configuration that has been checked.
 * Loop:  wait for a signal, a role's word that it is ready, or the time to act.
 * Ends:  TERM and INT tell the roles to stop, QUIT lets what runs end; then whatever job
 *        processes are left are killed and the pid file goes.
 * Crash: the roles see the end of their lifeline and stop; the next master kills the job processes
 *        that are left, by the run id in their environment.
 *
 * It has one thread, opens no table and runs no event library, so that a fork is always safe.
 */
#include "config.h"

#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "burial.h"
#include "conf.h"
#include "conf_apart.h"
#include "conf_rows.h"
#include "crew.h"
#include "log.h"
#include "monotonic.h"
#include "muster.h"
#include "pidfile.h"
#include "strays.h"
#include "talk.h"
#include "watchdog.h"

#define STRAYS_AGAIN_MS 500
#define LAST_STRAYS_MS  3000
#define LONGEST_WAIT_MS 60000
#define POLLS           16 /* signals, roles that are ready, the keepers of as many crews */

static struct master {
    struct crew *crews; /* at most one coming, at most one serving, any number leaving */
    struct crew_links links;
    int signals, ready, lifeline; /* our ends: a signalfd, and of two pipes */
    int started;                  /* where to say that the start is done; -1: nobody waits */
    char *pid_file;               /* as long as it is ours */
    char run_id[RUN_ID_TEXT], last_run_id[RUN_ID_TEXT];
    int64_t strays_at; /* when to look for the last master's job processes again */
    bool hunting;      /* a runner died and its job processes are not all gone yet */
    bool said_started, stopping, reload_wanted;
} master = {.signals = -1, .ready = -1, .lifeline = -1, .started = -1};

static struct crew *crew_in(enum crew_phase phase)
{
    struct crew *crew = master.crews;

    while (crew && crew->phase != phase) {
        crew = crew->next;
    }
    return crew;
}

static bool enlist(struct crew *crew)
{
    if (crew) {
        crew->next = master.crews;
        master.crews = crew;
    }
    return crew != NULL;
}

static bool is_role(pid_t pid)
{
    for (const struct crew *crew = master.crews; crew; crew = crew->next) {
        if (crew_find(crew, pid)) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------ start and reload */

static void log_fault(const char *text, void *context)
{
    (void)context;
    log_error("%s", text);
}

/* Carry over what only a restart can change. */
static int keep_values(struct conf *conf, struct conf *current)
{
    char why[256];

    for (const struct conf_row *row = conf_rows; row < conf_rows + conf_n_rows; row++) {
        if (row->reload != RELOAD_KEEP) {
            continue;
        }
        const char *old = *(char **)((char *)current + row->offset);
        if (strcmp(old, *(char **)((char *)conf + row->offset)) != 0) {
            log_warn("%s stays \"%s\" until a restart", row->name, old);
            if (conf_row_read(row, old, conf, why, sizeof why) != 0) {
                log_error("%s", why);
                return -1;
            }
        }
    }
    return 0;
}

static void reload(void)
{
    struct crew *serving = crew_in(CREW_SERVING);

    master.reload_wanted = false;
    log_notice("reading %s again", serving->conf->file);
    struct conf *conf = conf_load_by(conf_apart_read, serving->conf->file, log_fault, NULL);
    if (!conf || keep_values(conf, serving->conf) != 0) {
        conf_free(conf);
        log_error("nothing was changed: the configuration is faulty");
        return;
    }
    if (log_open(conf->error_log) != 0) {
        log_error("nothing was changed: cannot open %s: %s", conf->error_log, strerror(errno));
        conf_free(conf);
        return;
    }
    if (!enlist(muster(conf, CREW_COMING, serving))) {
        log_open(serving->conf->error_log);
        log_error("nothing was changed");
    }
}

static void take_over(struct crew *coming)
{
    struct crew *serving = crew_in(CREW_SERVING);

    log_notice("the new configuration is in force");
    coming->phase = CREW_SERVING;
    muster_close(serving, coming);
    crew_leave(serving, SIGQUIT);
}

static void give_up(struct crew *coming)
{
    struct crew *serving = crew_in(CREW_SERVING);

    muster_close(coming, serving);
    crew_leave(coming, SIGTERM);
    if (serving) {
        log_open(serving->conf->error_log);
    }
    log_error("nothing was changed: the new processes could not start to work");
}

static void say_started(void)
{
    master.said_started = true;
    log_notice("ready");
    if (master.started >= 0) {
        if (write(master.started, "", 1) < 0) {
            log_warn("nobody waits for the start any more: %s", strerror(errno));
        }
        close(master.started);
        master.started = -1;
    }
}

static void stop(int number)
{
    master.stopping = true;
    for (struct crew *crew = master.crews; crew; crew = crew->next) {
        if (crew->phase == CREW_COMING) {
            muster_close(crew, crew_in(CREW_SERVING));
            crew_leave(crew, SIGTERM);
        }
    }
    for (struct crew *crew = master.crews; crew; crew = crew->next) {
        muster_close(crew, NULL);
        crew_leave(crew, number);
    }
}

/* ----------------------------------------------------------------------- loop */

static void take_ready(void)
{
    pid_t pid;

    while (read(master.ready, &pid, sizeof pid) == (ssize_t)sizeof pid) {
        for (struct crew *crew = master.crews; crew && !crew_said_ready(crew, pid);
             crew = crew->next) {
        }
    }
}

static void take_talk(struct crew *crew, const struct slot *slot)
{
    struct talk talk;

    while (slot->talk >= 0 &&
           recv(slot->talk, &talk, sizeof talk, MSG_DONTWAIT) == (ssize_t)sizeof talk) {
        if (talk.what == TALK_HOLDER) {
            watchdog_told(crew, &talk);
        } else if (talk.what == TALK_CLEARED) {
            burial_cleared(&talk);
        }
    }
}

/* What keepers say, and who of the roles has died; true when a runner has. */
static bool look_after_roles(void)
{
    bool runner_died = false;
    int status;

    for (struct crew *crew = master.crews; crew; crew = crew->next) {
        for (struct slot *slot = crew->slots; slot < crew->slots + crew->n_slots; slot++) {
            take_talk(crew, slot);
            if (!crew_look(slot, &status)) {
                continue;
            }
            runner_died = runner_died || slot->kind == ROLE_RUNNER;
            burial_add(slot->pid);
            crew_died(crew, slot->pid, status);
        }
    }
    return runner_died;
}

/* Those that dead roles left us. The first of the dead is all that the kernel tells of without
 * reaping. */
static void bury_strays(void)
{
    siginfo_t info = {0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
        !burial_has(info.si_pid) && !is_role(info.si_pid)) {
        burial_add(info.si_pid);
    }
}

static void reap(void)
{
    bool runner_died = look_after_roles();

    bury_strays();
    /* What a runner leaves becomes ours at its death, and what those leave at theirs. */
    if (runner_died || master.hunting) {
        unsigned n = strays_kill(is_role);
        if (n > 0 && runner_died) {
            log_notice("killing %u job processes of a runner that is gone", n);
        }
        master.hunting = n > 0;
    }
}

static void take_signals(void)
{
    struct signalfd_siginfo info;

    while (read(master.signals, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            break; /* several may come as one: reap looks at every turn */
        case SIGTERM:
        case SIGINT:
            log_notice("SIG%s: stopping", sigabbrev_np((int)info.ssi_signo));
            stop(SIGTERM);
            break;
        case SIGQUIT:
            log_notice("SIGQUIT: stopping once what runs has ended");
            stop(SIGQUIT);
            break;
        case SIGHUP:
            master.reload_wanted = true;
            break;
        default:
            log_warn("SIG%s asks for nothing that this version can do",
                     sigabbrev_np((int)info.ssi_signo));
        }
    }
}

/* Move on from what has happened. */
static void settle(void)
{
    struct crew *coming = crew_in(CREW_COMING);

    if (coming && crew_is_ready(coming)) {
        take_over(coming);
    } else if (coming && (crew_failed(coming) || monotonic_ms() >= coming->deadline)) {
        give_up(coming);
    } else if (!coming && master.reload_wanted && !master.stopping) {
        reload();
    }
    if (!master.said_started && !master.stopping && crew_is_ready(crew_in(CREW_SERVING))) {
        say_started();
    }
    for (struct crew **link = &master.crews; *link;) {
        struct crew *crew = *link;
        if (crew->phase == CREW_LEAVING && crew_running(crew) == 0) {
            *link = crew->next;
            crew_free(crew);
        } else {
            link = &crew->next;
        }
    }
}

static int64_t tend_strays(void)
{
    int64_t now = monotonic_ms();

    if (now >= master.strays_at) {
        master.strays_at =
            strays_kill_run(master.last_run_id) > 0 ? now + STRAYS_AGAIN_MS : INT64_MAX;
    }
    return master.strays_at;
}

/* Until something happens or the time has come. */
static void wait_for(int64_t next)
{
    struct pollfd polls[POLLS] = {{.fd = master.signals, .events = POLLIN},
                                  {.fd = master.ready, .events = POLLIN}};
    nfds_t n = 2;
    int64_t now = monotonic_ms();

    for (const struct crew *crew = master.crews; crew; crew = crew->next) {
        for (size_t i = 0; i < crew->n_slots && n < POLLS; i++) {
            if (crew->slots[i].talk >= 0) {
                polls[n++] = (struct pollfd){.fd = crew->slots[i].talk, .events = POLLIN};
            }
        }
    }
    int64_t wait = next > now ? next - now : 0;
    poll(polls, n, wait > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : (int)wait);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void loop(void)
{
    for (settle(); master.crews; settle()) {
        int64_t next = earlier(tend_strays(), burial_tend(master.crews));
        for (struct crew *crew = master.crews; crew; crew = crew->next) {
            next = earlier(next, crew_tend(crew, &master.links));
            next = earlier(next, watchdog_tend(crew));
        }
        wait_for(next);
        take_ready();
        take_signals(); /* before reap: whoever ends because we stop is not replaced */
        reap();
    }
}

/* ----------------------------------------------------------------- first and last */

static int open_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT,  SIGQUIT,  SIGHUP,
                                  SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&set, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* whoever started us may have ignored it: then nothing to reap */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_links(void)
{
    int lifeline[2], ready[2];

    if (pipe2(lifeline, O_CLOEXEC) != 0) {
        return -1;
    }
    if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) != 0) {
        return -1;
    }
    master.lifeline = lifeline[1];
    master.ready = ready[0];
    master.links =
        (struct crew_links){.run_id = master.run_id, .lifeline = lifeline[0], .ready = ready[1]};
    return 0;
}

static int begin(struct conf *conf)
{
    char why[256];

    if (pidfile_take(conf->pid_file, why, sizeof why) != 0) {
        log_error("%s", why);
        conf_free(conf);
        return -1;
    }
    master.pid_file = strdup(conf->pid_file);
    master.signals = open_signals();
    if (!master.pid_file || master.signals < 0 || open_links() != 0 ||
        pidfile_run_id(conf->pid_file, master.last_run_id, master.run_id) != 0) {
        log_error("cannot start: %s", strerror(errno));
        conf_free(conf);
        return -1;
    }
    strays_adopt();
    master.strays_at = INT64_MAX;
    if (master.last_run_id[0]) {
        log_warn("the last master did not end in order");
        master.strays_at = monotonic_ms();
        tend_strays(); /* now: a start that fails leaves nobody who knows of them */
    }
    return enlist(muster(conf, CREW_SERVING, NULL)) ? 0 : -1;
}

/* From here on only the log is told. In the background nothing holds on to the terminal, or to the
 * pipe of whoever started us; what a library prints goes to the log. */
static void leave_stderr(void)
{
    log_echo(false);
    if (master.started >= 0 && log_fd() != STDERR_FILENO) {
        dup2(log_fd() >= 0 ? log_fd() : STDOUT_FILENO, STDERR_FILENO); /* stdout: /dev/null */
    }
}

/* No role is left: end what jobs left behind. */
static void last_strays(void)
{
    struct pollfd polls = {.fd = master.signals, .events = POLLIN};
    int64_t until = monotonic_ms() + LAST_STRAYS_MS;

    do {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (strays_kill(is_role) == 0) {
            return;
        }
        poll(&polls, 1, 100);
        take_signals();
    } while (monotonic_ms() < until);
    log_warn("job processes are left that do not die");
}

int master_run(struct conf *conf, int started)
{
    int code = 1;

    log_role("master");
    log_echo(true);
    if (log_open(conf->error_log) != 0) {
        log_error("cannot open %s: %s", conf->error_log, strerror(errno));
        conf_free(conf);
        return 1;
    }
    master.started = started;
    if (begin(conf) == 0) {
        log_notice("jobtabd " PACKAGE_VERSION " started");
        leave_stderr();
        loop();
        last_strays();
        log_notice("stopped");
        code = 0;
    }
    if (master.pid_file) {
        pidfile_drop(master.pid_file);
        free(master.pid_file);
    }
    return code;
}
