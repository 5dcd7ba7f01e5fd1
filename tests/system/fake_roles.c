/* fake_roles.c - roles for tests of the master alone. What each does is told by files in the
 * directory that TMPDIR names, looked at when it is born:
 *
 *   NAME.die      exit with code 3 before it is ready
 *   NAME.want     the same, for want of the table
 *   NAME.hang     never say that it is ready
 *   NAME.stay     ignore SIGQUIT and SIGTERM
 *   NAME.orphan   start a child "sleep 600" in a group of its own, as a runner does
 *
 * NAME is worker, runner or keeper. A worker answers every connection with its process id, the
 * number of listeners it has and the number of descriptors it holds.
 */
#include "config.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "role.h"

static int is_told(const struct role *role, const char *what)
{
    const char *directory = getenv("TMPDIR");
    char path[4096];

    snprintf(path, sizeof path, "%s/%s.%s", directory ? directory : "", role_name(role->kind),
             what);
    return directory && access(path, F_OK) == 0;
}

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int n = 0;

    while (directory && readdir(directory)) {
        n++;
    }
    if (directory) {
        closedir(directory);
    }
    return n - 3; /* ".", ".." and the directory itself */
}

static void answer(const struct role *role, int listener)
{
    char text[64];
    int fd = accept(listener, NULL, NULL);

    if (fd >= 0) {
        int length = snprintf(text, sizeof text, "%d %zu %d\n", (int)getpid(),
                              role->conf->n_listens, count_descriptors() - 1);
        if (write(fd, text, (size_t)length) < 0) {
            perror("write");
        }
        close(fd);
    }
}

static void start_orphan(const struct role *role)
{
    char owner[80];

    snprintf(owner, sizeof owner, "JOBTAB_OWNER=%s", role->run_id);
    if (fork() == 0) {
        char *const arguments[] = {"sleep", "600", NULL};
        char *const environment[] = {owner, NULL};
        setpgid(0, 0);
        execve("/bin/sleep", arguments, environment);
        _exit(127);
    }
}

static int run(struct role *role)
{
    struct pollfd polls[32] = {{.events = POLLIN}};
    nfds_t n = 2;

    role_begin(role);
    if (is_told(role, "die")) {
        return 3;
    }
    if (is_told(role, "want")) {
        return ROLE_NO_TABLE;
    }
    if (is_told(role, "orphan")) {
        start_orphan(role);
    }
    if (is_told(role, "stay")) {
        signal(SIGTERM, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
    }
    if (!is_told(role, "hang")) {
        role_ready(role);
    }
    polls[0] = (struct pollfd){.fd = role->wake, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = role->lifeline, .events = POLLIN};
    for (size_t i = 0; role->listeners && i < role->conf->n_listens && n < 32; i++) {
        polls[n++] = (struct pollfd){.fd = role->listeners[i], .events = POLLIN};
    }
    while (role_stopping(role) == ROLE_GO_ON) {
        poll(polls, n, -1);
        for (nfds_t i = 2; i < n; i++) {
            if (polls[i].revents) {
                answer(role, polls[i].fd);
            }
        }
    }
    return 0;
}

int worker_main(struct role *role)
{
    return run(role);
}

int runner_main(struct role *role)
{
    return run(role);
}

int keeper_main(struct role *role)
{
    return run(role);
}
