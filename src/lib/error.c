/* error.c - codes and their words. The words are per thread and of the last call only. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char words[JOBTAB_WHY_MAX];

static const char *const lines[] = {
    [JOBTAB_OK] = "done",
    [JOBTAB_NOTFOUND] = "no such job",
    [JOBTAB_EMPTY] = "no job to claim",
    [JOBTAB_FORBIDDEN] = "the job's state forbids it",
    [JOBTAB_STALE] = "another attempt has the job",
    [JOBTAB_STOP] = "the job is to be cancelled",
    [JOBTAB_CONFLICT] = "the idempotency key belongs to a different request",
    [JOBTAB_FULL] = "the table is full",
    [JOBTAB_INVALID] = "invalid argument",
    [JOBTAB_TOOBIG] = "over the size limit",
    [JOBTAB_TIMEOUT] = "timed out",
    [JOBTAB_FORKED] = "the table was opened by another process",
    [JOBTAB_BUSY] = "this process has the table open already",
    [JOBTAB_NOTABLE] = "there is no table",
    [JOBTAB_SCHEMA] = "the table is of an incompatible version",
    [JOBTAB_DAMAGED] = "a record is damaged",
    [JOBTAB_SYSTEM] = "system error",
    [JOBTAB_BROKEN] = "a commit failed; close and open again",
};

const char *jobtab_strerror(int error)
{
    if (error < 0 || (size_t)error >= sizeof lines / sizeof *lines)
        return "unknown error";
    return lines[error];
}

const char *jobtab_why(void)
{
    return words;
}

void fail_clear(void)
{
    words[0] = '\0';
}

int fail(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return code;
}

int fail_errno(int code, int errnum, const char *format, ...)
{
    char reason[80];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof words)
        snprintf(words + n, sizeof words - (size_t)n, ": %s",
                 strerror_r(errnum, reason, sizeof reason));
    return code;
}
