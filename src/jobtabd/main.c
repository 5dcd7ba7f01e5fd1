/* main.c - jobtabd's command line. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"
#include "master.h"
#include "memory.h"
#include "pidfile.h"
#include "role.h"

#define EXIT_USAGE    2
#define START_WAIT_MS 30000

static const struct {
    const char *name;
    int signal;
} orders[] = {
    {"stop", SIGTERM}, {"quit", SIGQUIT}, {"reload", SIGHUP}, {"reopen", 0}, {"upgrade", 0},
};
#define N_ORDERS (sizeof orders / sizeof orders[0])

static int usage(void)
{
    fputs("usage: jobtabd [-c FILE] [-t | -T | -s stop|quit|reload] [-D] [-V]\n"
          "  -c FILE   configuration; default " JOBTABD_CONF "\n"
          "  -t        test the configuration, then exit\n"
          "  -T        print it in full, defaults filled in, then exit\n"
          "  -s ORDER  signal the running master, then exit\n"
          "  -D        go to the background once every process can work\n"
          "  -V        print the version, then exit\n",
          stderr);
    return EXIT_USAGE;
}

static void print_fault(const char *text, void *context)
{
    (void)context;
    fprintf(stderr, "jobtabd: %s\n", text);
}

static int send_order(const struct conf *conf, const char *name)
{
    size_t i = 0;

    while (i < N_ORDERS && strcmp(orders[i].name, name) != 0) {
        i++;
    }
    if (i == N_ORDERS || orders[i].signal == 0) {
        fprintf(stderr, "jobtabd: -s %s: %s\n", name,
                i == N_ORDERS ? "no such order" : "not supported by this version");
        return EXIT_USAGE;
    }
    pid_t pid = pidfile_holder(conf->pid_file);
    if (pid == 0) {
        fprintf(stderr, "jobtabd: nobody holds %s: jobtabd is not running\n", conf->pid_file);
        return 1;
    }
    if (pid < 0 || kill(pid, orders[i].signal) != 0) {
        fprintf(stderr, "jobtabd: cannot signal the master of %s: %s\n", conf->pid_file,
                strerror(errno));
        return 1;
    }
    return 0;
}

/* In the foreground process: wait for the word that the start is done. */
static int await_start(int fd, pid_t daemon)
{
    struct pollfd started = {.fd = fd, .events = POLLIN};
    char byte;

    if (poll(&started, 1, START_WAIT_MS) == 0) {
        fprintf(stderr, "jobtabd: process %d is still not ready: see its log\n", (int)daemon);
        return 0;
    }
    if (read(fd, &byte, 1) == 1) {
        return 0;
    }
    waitpid(daemon, NULL, 0);
    return 1;
}

/* Go to the background: returns there, with the descriptor on which the start is reported. stderr
 * stays for the start's faults, and may be the log. */
static int daemonize(void)
{
    int started[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || pipe2(started, O_CLOEXEC) != 0) {
        fprintf(stderr, "jobtabd: cannot go to the background: %s\n", strerror(errno));
        exit(1);
    }
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "jobtabd: cannot fork: %s\n", strerror(errno));
        exit(1);
    }
    if (pid > 0) {
        close(started[1]);
        _exit(await_start(started[0], pid)); /* what main holds is the daemon's to free */
    }
    close(started[0]);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
    return started[1];
}

int main(int argc, char **argv)
{
    const char *file = JOBTABD_CONF, *order = NULL;
    bool test = false, print = false, background = false;
    int option;

    while ((option = getopt(argc, argv, "c:tTs:DV")) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 't':
            test = true;
            break;
        case 'T':
            print = true;
            break;
        case 's':
            order = optarg;
            break;
        case 'D':
            background = true;
            break;
        case 'V':
            puts("jobtabd " PACKAGE_VERSION);
            return 0;
        default:
            return usage();
        }
    }
    if (optind < argc || test + print + (order != NULL) > 1) {
        return usage();
    }
    struct conf *conf = conf_load(file, print_fault, NULL);
    if (!conf) {
        return 1;
    }
    int code = 0;
    if (test) {
        fprintf(stderr, "jobtabd: %s is fine\n", file);
    } else if (print) {
        conf_print(conf, STDOUT_FILENO);
    } else if (order) {
        code = send_order(conf, order);
    } else {
        int started = background ? daemonize() : -1;
        role_title_init(argc, argv);
        memory_return_large();
        return master_run(conf, started); /* which takes conf */
    }
    conf_free(conf);
    return code;
}
