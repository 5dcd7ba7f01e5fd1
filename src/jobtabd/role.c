/* role.c - what every role does first, and how it is told to end. */
#include "config.h"

#include "role.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"

extern char **environ;

static volatile sig_atomic_t asked; /* enum role_stop; only grows */
static int wake_fd = -1;

static char *title_begin;
static size_t title_size;

const char *role_name(enum role_kind kind)
{
    static const char *const names[] = {
        [ROLE_WORKER] = "worker", [ROLE_RUNNER] = "runner", [ROLE_KEEPER] = "keeper"};
    return names[kind];
}

void role_title_init(int argc, char **argv)
{
    char *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;

    /* The kernel lays the variables out behind the arguments. Those moved away make room. */
    for (char **variable = environ; *variable && *variable == end; variable++) {
        size_t size = strlen(end) + 1;
        char *copy = strdup(end);
        if (!copy) {
            break;
        }
        *variable = copy;
        end += size;
    }
    title_begin = argv[0];
    title_size = (size_t)(end - argv[0]);
}

/* What ps shows: the command's name and its arguments. */
static void set_title(enum role_kind kind, const char *name)
{
    char command[16];

    snprintf(command, sizeof command, ROLE_COMMAND "-%s", role_name(kind));
    prctl(PR_SET_NAME, command);
    if (title_size > 0) {
        memset(title_begin, 0, title_size);
        snprintf(title_begin, title_size, ROLE_COMMAND ": %s", name);
    }
}

static void on_signal(int number)
{
    const uint64_t one = 1;
    int stop = number == SIGQUIT ? ROLE_QUIT : ROLE_TERM;
    int saved = errno;

    if (stop > asked) {
        asked = stop;
    }
    if (write(wake_fd, &one, sizeof one) < 0) {
        /* Its counter is full: it is readable anyway. */
    }
    errno = saved;
}

static void set_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigset_t none;

    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        sigaction(ignored[i], &action, NULL);
    }
    action.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &action, NULL);
    action.sa_handler = on_signal; /* without SA_RESTART: a wait ends, and its loop looks up */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int change_user(const char *name)
{
    const struct passwd *account = getpwnam(name);

    if (!account) {
        errno = ENOENT;
        return -1;
    }
    return initgroups(name, account->pw_gid) == 0 && setgid(account->pw_gid) == 0 &&
                   setuid(account->pw_uid) == 0
               ? 0
               : -1;
}

void role_begin(struct role *role)
{
    char name[32];

    snprintf(name, sizeof name, role->kind == ROLE_KEEPER ? "%s" : "%s %d", role_name(role->kind),
             role->slot);
    log_role(name);
    set_title(role->kind, name);
    if (geteuid() == 0 && role->conf->user[0] && change_user(role->conf->user) != 0) {
        log_error("cannot become user %s: %s", role->conf->user, strerror(errno));
        exit(1);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* after the change of account, which clears it */
    role->wake = wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) {
        log_error("cannot make an eventfd: %s", strerror(errno));
        exit(1);
    }
    set_signals();
    if (role_stopping(role) == ROLE_TERM) {
        raise(SIGTERM); /* the master died before its death could be signalled */
    }
}

void role_ready(struct role *role)
{
    const pid_t self = getpid();

    if (write(role->ready, &self, sizeof self) != (ssize_t)sizeof self) {
        log_warn("cannot tell the master that I am ready: %s", strerror(errno));
    }
    close(role->ready);
    role->ready = -1;
}

enum role_stop role_stopping(const struct role *role)
{
    struct pollfd lifeline = {.fd = role->lifeline, .events = POLLIN};

    if (asked != ROLE_TERM && poll(&lifeline, 1, 0) > 0) {
        asked = ROLE_TERM;
    }
    return (enum role_stop)asked;
}
