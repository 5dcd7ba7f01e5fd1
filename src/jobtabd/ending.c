/* ending.c - what a child's end means for its job. Pure. */
#include "config.h"

#include "ending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "json_scan.h"
#include "text.h"

/* "text" or "text: last line", cut between characters. */
static void explain(char *error, const char *text, const char *last_line)
{
    char whole[2 * JOBTAB_MESSAGE_MAX];

    snprintf(whole, sizeof whole, "%s%s%s", text, last_line[0] != '\0' ? ": " : "", last_line);
    text_one_line(error, JOBTAB_MESSAGE_MAX + 1, whole, strlen(whole));
}

static void judge_exit(const struct ending *ending, struct jobtab_finish *finish, char *error)
{
    char text[64];

    if (ending->code == 0) {
        finish->outcome = JOBTAB_SUCCEEDED;
        return;
    }
    snprintf(text, sizeof text,
             ending->code == EX_TEMPFAIL ? "exit code %d (try again)" : "exit code %d",
             ending->code);
    explain(error, text, ending->last_line);
    finish->outcome = JOBTAB_TRY_AGAIN;
    finish->reason = JOBTAB_BY_EXIT;
}

static void judge_signal(const struct ending *ending, struct jobtab_finish *finish, char *error)
{
    const char *name = sigabbrev_np(ending->code);
    char text[64];

    finish->outcome = JOBTAB_TRY_AGAIN;
    if (ending->oom) {
        finish->reason = JOBTAB_BY_OOM;
        explain(error, "killed by the kernel for memory", ending->last_line);
        return;
    }
    finish->reason = JOBTAB_BY_SIGNAL;
    snprintf(text, sizeof text, "signal %d (%s)", ending->code, name != NULL ? name : "?");
    explain(error, text, ending->last_line);
}

void ending_judge(const struct ending *ending, struct jobtab_finish *finish,
                  char error[JOBTAB_MESSAGE_MAX + 1])
{
    char text[64];

    finish->reason = JOBTAB_NO_REASON;
    error[0] = '\0';
    switch (ending->cause) {
    case ENDING_CANCEL:
    case ENDING_SHUTDOWN:
    case ENDING_STARVED:
    case ENDING_LOST:
        finish->outcome = JOBTAB_STOPPED;
        break;
    case ENDING_TIMEOUT:
        finish->outcome = JOBTAB_TRY_AGAIN;
        finish->reason = JOBTAB_BY_TIMEOUT;
        snprintf(text, sizeof text, "timed out after %g s", (double)ending->timeout / 1000);
        explain(error, text, ending->last_line);
        break;
    case ENDING_OVERFLOW:
        finish->outcome = JOBTAB_GIVE_UP;
        finish->reason = JOBTAB_BY_INVALID;
        snprintf(error, JOBTAB_MESSAGE_MAX + 1, "result over %llu bytes",
                 (unsigned long long)ending->result_max);
        break;
    case ENDING_NO_ROOM:
        finish->outcome = JOBTAB_TRY_AGAIN;
        finish->reason = JOBTAB_BY_OOM;
        explain(error, "the runner had no memory for its result", "");
        break;
    case ENDING_OWN:
        if (ending->not_started != NULL) {
            finish->outcome = JOBTAB_TRY_AGAIN;
            finish->reason = JOBTAB_BY_SPAWN;
            explain(error, ending->not_started, "");
        } else if (ending->signalled) {
            judge_signal(ending, finish, error);
        } else {
            judge_exit(ending, finish, error);
        }
        break;
    }
    finish->error = error[0] != '\0' ? error : NULL;
}

enum jobtab_format ending_format(const char **bytes, size_t *size)
{
    static const char space[] = " \t\r\n";
    const char *begin = *bytes, *end = *bytes + *size;

    if (*size == 0)
        return JOBTAB_NONE;
    while (begin < end && memchr(space, *begin, sizeof space - 1) != NULL)
        begin++;
    while (end > begin && memchr(space, end[-1], sizeof space - 1) != NULL)
        end--;

    /* As the table will check it. In place: a parser would build a tree of many times its size. */
    struct json_fault fault;
    if (json_scan(begin, (size_t)(end - begin), &fault)) {
        *bytes = begin;
        *size = (size_t)(end - begin);
        return JOBTAB_JSON;
    }
    return text_is_utf8(*bytes, *size) ? JOBTAB_TEXT : JOBTAB_BYTES;
}

uint64_t ending_counter(const char *text, const char *name)
{
    size_t length = strlen(name);

    while (text != NULL && *text != '\0') {
        if (strncmp(text, name, length) == 0 && text[length] == ' ')
            return strtoull(text + length + 1, NULL, 10);
        text = strchr(text, '\n');
        if (text != NULL)
            text++;
    }
    return 0;
}
