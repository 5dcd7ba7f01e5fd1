/* keep.c - the commands that keep a table: verify, backup. */
#include "cli.h"
#include "need.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* -------------------------------------------------------------------- verify */

struct verifying {
    struct cli *cli;
    json_t *faults; /* for -o json */
};

static void on_fault(const char *fault, void *context)
{
    struct verifying *verifying = context;
    struct cli *cli = verifying->cli;
    char *escaped;

    if (cli->json) {
        escaped = show_escaped(fault, strlen(fault), true); /* as UTF-8, which JSON must be */
        json_array_append_new(verifying->faults, need(json_string(escaped)));
    } else {
        escaped = show_escaped(fault, strlen(fault), false);
        show_bar_end(&cli->err);
        fprintf(cli->out.out, "%s\n", escaped);
    }
    free(escaped);
}

static void on_progress(uint64_t done, uint64_t all, void *context)
{
    show_progress(&((struct verifying *)context)->cli->err, done, all, "records");
}

/* A table that is damaged where its opening reads it was not opened: that is its fault. */
static int verify(struct verifying *verifying, uint64_t *records, uint64_t *faults)
{
    if (verifying->cli->table != NULL)
        return jobtab_verify(verifying->cli->table, on_fault, on_progress, verifying, records,
                             faults);
    on_fault(jobtab_why(), verifying);
    *records = 0;
    *faults = 1;
    return JOBTAB_OK;
}

int verify_command(struct cli *cli)
{
    struct verifying verifying = {.cli = cli, .faults = need(json_array())};
    uint64_t records = 0, faults = 0;
    char figure[SHOW_FIGURE];
    int error = verify(&verifying, &records, &faults);

    show_bar_end(&cli->err);
    if (error == JOBTAB_DAMAGED) { /* pages were, and are told: the records were not looked at */
        cli_complain(EXIT_REFUSED, "%s", jobtab_why());
        error = JOBTAB_OK;
    }
    if (error == JOBTAB_OK && cli->json) {
        char *text = need(json_dumps(verifying.faults, JSON_COMPACT));
        fprintf(cli->out.out, "{\"records\":%" PRIu64 ",\"faults\":%s}\n", records, text);
        free(text);
    } else if (error == JOBTAB_OK) {
        show_count(records, figure);
        fprintf(cli->out.out, "%s records, ", figure);
        show_count(faults, figure);
        fprintf(cli->out.out, "%s %s\n", faults == 0 ? "no" : figure,
                faults == 1 ? "fault" : "faults");
    }
    json_decref(verifying.faults);
    if (error != JOBTAB_OK)
        return cli_table_failed(error);
    return faults > 0 ? EXIT_REFUSED : EXIT_FINE;
}

/* -------------------------------------------------------------------- backup */

int backup_command(struct cli *cli)
{
    const char *dir = cli->args[0];
    int error = jobtab_backup(cli->table, dir);

    if (error != JOBTAB_OK)
        return cli_table_failed(error);
    if (cli->json) {
        json_t *json = need(json_pack("{s:s}", "backup", dir));
        json_dumpf(json, cli->out.out, JSON_COMPACT);
        fputc('\n', cli->out.out);
        json_decref(json);
    } else {
        fprintf(cli->out.out, "%s copied to %s\n", cli->dir, dir);
    }
    return EXIT_FINE;
}
