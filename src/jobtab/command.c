/* command.c - the table of commands: what each is called, takes, needs, and does. */
#include "command.h"

#include <string.h>

const struct command commands[COMMANDS] = {
    [SUBMIT] = {"submit", "[KIND]", 0, 1, ANYWHERE, true, submit_command,
                "add a job and print its id"},
    [STATUS] = {"status", "ID...", 1, SIZE_MAX, ANYWHERE, false, status_command,
                "show all of a job"},
    [WATCH] = {"watch", "ID", 1, 1, ANYWHERE, false, watch_command, "follow a job to its end"},
    [LIST] = {"list", "", 0, 0, ANYWHERE, false, list_command, "list jobs, newest first"},
    [RESULT] = {"result", "ID", 1, 1, ANYWHERE, false, result_command, "print a job's result"},
    [LOG] = {"log", "ID", 1, 1, ANYWHERE, false, log_command, "print a job's log"},
    [CANCEL] = {"cancel", "ID...", 1, SIZE_MAX, ANYWHERE, false, cancel_command, "cancel jobs"},
    [RETRY] = {"retry", "ID...", 1, SIZE_MAX, ANYWHERE, false, retry_command,
               "start failed or cancelled jobs over"},
    [RM] = {"rm", "ID...", 1, SIZE_MAX, ANYWHERE, false, rm_command,
            "remove jobs that are not running"},
    [STAT] = {"stat", "", 0, 0, TABLE, false, stat_command, "show the table at a glance"},
    [VERIFY] = {"verify", "", 0, 0, TABLE, false, verify_command,
                "check every record against the others"},
    [BACKUP] = {"backup", "DIR", 1, 1, TABLE, false, backup_command,
                "copy the table while it is in use"},
    [EXPORT] = {"export", "", 0, 0, TABLE, false, export_command,
                "print every job as a line of JSON, or write an SQLite file"},
    [IMPORT] = {"import", "[FILE]", 0, 1, TABLE, true, import_command,
                "take in jobs: JSON lines, a Redis, an SQLite file"},
    [REPORT] = {"report", "PERCENT [MESSAGE]", 1, 2, NOWHERE, false, report_command,
                "report progress, from inside a job"},
    [HELP] = {"help", "[COMMAND]", 0, 1, NOWHERE, false, help_command, "explain a command"},
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
