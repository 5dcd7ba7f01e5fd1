/* muster.c - listeners and the table's directory. Both need what only the master has: the sockets
 * of the crew before, and root. */
#include "config.h"

#include "muster.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "listen.h"
#include "log.h"
#include "pidfile.h"

static bool has_listener(const struct crew *crew, int fd)
{
    for (size_t i = 0; crew && i < crew->conf->n_listens; i++) {
        if (crew->listeners[i] == fd) {
            return true;
        }
    }
    return false;
}

void muster_close(struct crew *crew, const struct crew *but)
{
    for (size_t i = 0; i < crew->conf->n_listens; i++) {
        if (crew->listeners[i] >= 0 && !has_listener(but, crew->listeners[i])) {
            if (but) {
                log_notice("no longer listening on %s", crew->conf->listens[i].address);
            }
            listen_close(crew->conf->listens[i].address, crew->listeners[i]);
        }
        crew->listeners[i] = -1;
    }
}

/* Take over from the crew before what has the same address, open the rest. */
static int open_listeners(struct crew *crew, const struct crew *before)
{
    char why[256], name[160];

    for (size_t i = 0; i < crew->conf->n_listens; i++) {
        const char *address = crew->conf->listens[i].address;
        for (size_t j = 0; before && j < before->conf->n_listens; j++) {
            if (strcmp(before->conf->listens[j].address, address) == 0) {
                crew->listeners[i] = before->listeners[j];
            }
        }
        if (crew->listeners[i] >= 0) {
            continue;
        }
        crew->listeners[i] = listen_open(address, before == NULL, why, sizeof why);
        if (crew->listeners[i] < 0) {
            log_error("cannot listen on %s: %s", address, why);
            return -1;
        }
        listen_name(crew->listeners[i], name, sizeof name);
        log_notice("listening on %s", name);
    }
    return 0;
}

/* The roles open the table as `user`; only the master can make a directory that is theirs. Where it
 * had one it makes none: the roles say that it is gone. */
static int prepare_table(const struct crew *crew)
{
    const struct conf *conf = crew->conf;
    const char *dir = conf->table.dir;

    if (crew->had_table) {
        return 0;
    }
    if (pidfile_make_parents(dir) != 0 || (mkdir(dir, 0750) != 0 && errno != EEXIST)) {
        log_error("cannot make the directory %s: %s", dir, strerror(errno));
        return -1;
    }
    if (geteuid() != 0 || !conf->user[0]) {
        return 0;
    }
    const struct passwd *account = getpwnam(conf->user);
    if (!account || chown(dir, account->pw_uid, account->pw_gid) != 0) {
        log_error("cannot give %s to user %s: %s", dir, conf->user,
                  account ? strerror(errno) : "there is no such account");
        return -1;
    }
    return 0;
}

struct crew *muster(struct conf *conf, enum crew_phase phase, const struct crew *before)
{
    struct crew *crew = crew_new(conf, phase);

    if (!crew) {
        log_error("%s", strerror(ENOMEM));
        conf_free(conf);
        return NULL;
    }
    crew->had_table = before && before->had_table &&
                      strcmp(before->conf->table.dir, conf->table.dir) == 0;
    if (prepare_table(crew) != 0 || open_listeners(crew, before) != 0) {
        muster_close(crew, before);
        crew_free(crew);
        return NULL;
    }
    return crew;
}
