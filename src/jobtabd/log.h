/* log.h - the error log: one line an event, naming time, level, role, pid and job. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO };

/* "stderr", "off" or a path. -1 with errno when it cannot be opened. Safe to call again: the old
 * file stays until the new one is open. */
int log_open(const char *target);
/* The descriptor that log_open opened; -1: off. For who closes all others after a fork. */
int log_fd(void);
/* While on, errors also go to stderr, for somebody who watches the daemon start. */
void log_echo(bool on);
/* Who speaks: "master", "worker 0". Kept across log_open, copied. */
void log_role(const char *role);

/* One line in one write(2). `job` is a job id's text, or NULL. */
void log_write(enum log_level level, const char *job, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...)  log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warn(...)   log_write(LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)   log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)

#endif
