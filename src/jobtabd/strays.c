/* strays.c - find and end what dead processes left behind. */
#include "config.h"

#include "strays.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"
#include "proc.h"
#include "role.h"

/* Those who were our children before there were roles. */
static pid_t *bystanders;
static size_t n_bystanders;

/* Call `visit` for every process there is; returns the sum of what it returns. */
static unsigned each_process(unsigned (*visit)(const struct process *process, const void *context),
                             const void *context)
{
    struct process process;
    struct dirent *entry;
    unsigned sum = 0;
    DIR *proc = opendir("/proc");

    if (!proc) {
        log_warn("cannot read /proc: %s", strerror(errno));
        return 0;
    }
    while ((entry = readdir(proc)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) &&
            proc_read((pid_t)atol(entry->d_name), &process)) {
            sum += visit(&process, context);
        }
    }
    closedir(proc);
    return sum;
}

static unsigned note_bystander(const struct process *process, const void *context)
{
    (void)context;
    if (process->parent != getpid()) {
        return 0;
    }
    pid_t *grown = reallocarray(bystanders, n_bystanders + 1, sizeof *grown);
    if (!grown) {
        return 0;
    }
    bystanders = grown;
    bystanders[n_bystanders++] = process->pid;
    return 1;
}

void strays_adopt(void)
{
    each_process(note_bystander, NULL);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        log_warn("cannot become a subreaper: %s; job children may outlive a runner that dies",
                 strerror(errno));
    }
}

static bool is_bystander(pid_t pid)
{
    for (size_t i = 0; i < n_bystanders; i++) {
        if (bystanders[i] == pid) {
            return true;
        }
    }
    return false;
}

struct search {
    bool (*is_role)(pid_t pid);
};

static unsigned kill_child(const struct process *process, const void *context)
{
    const struct search *search = context;
    struct process leader;

    if (process->parent != getpid() || process->state == 'Z' || search->is_role(process->pid) ||
        is_bystander(process->pid)) {
        return 0;
    }
    /* One whose parent ended, in the group of a job that goes on, belongs to that job. */
    if (process->group != process->pid && proc_read(process->group, &leader) &&
        search->is_role(leader.parent)) {
        return 0;
    }
    if (process->group > 1 && process->group != getpgrp()) {
        kill(-process->group, SIGKILL);
    }
    kill(process->pid, SIGKILL);
    return 1;
}

unsigned strays_kill(bool (*is_role)(pid_t pid))
{
    const struct search search = {.is_role = is_role};

    return each_process(kill_child, &search);
}

static bool is_of_jobtabd(const struct process *process)
{
    return strncmp(process->name, ROLE_COMMAND, strlen(ROLE_COMMAND)) == 0;
}

static unsigned kill_carrier(const struct process *process, const void *context)
{
    const char *owner = context;
    struct process parent;

    /* The pidfd first: what is read after it is about the process that it names. */
    int pidfd = pidfd_open(process->pid, 0);
    if (pidfd < 0) {
        return 0;
    }
    enum proc_answer found =
        process->pid == getpid() ? PROC_NO : proc_was_given(process->pid, owner);
    if (found == PROC_YES) {
        /* A runner that outlived its master stops its children and hands their jobs back. */
        bool looked_after =
            proc_read(process->parent, &parent) && is_of_jobtabd(&parent) && parent.pid != getpid();
        if (!looked_after && pidfd_send_signal(pidfd, SIGKILL, NULL, 0) == 0) {
            log_notice("killed process %d (%s), left behind by an earlier master",
                       (int)process->pid, process->name);
        }
    }
    close(pidfd);
    return found != PROC_NO;
}

unsigned strays_kill_run(const char *run_id)
{
    char owner[128];

    snprintf(owner, sizeof owner, "JOBTAB_OWNER=%s", run_id);
    return each_process(kill_carrier, owner);
}
