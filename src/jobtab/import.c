/* import.c - the command that takes jobs in from elsewhere.
 *
 * A source gives rows, moved.c makes jobs of them, and so many at a time go into the table in one
 * transaction: what a crash leaves are whole batches. A job that is in the table already is passed
 * over, so a second run completes the first. What does not fit is named, with its reason, and
 * passed over too.
 */
#include "cli.h"
#include "moved.h"
#include "need.h"
#include "seen.h"
#include "source.h"

#include <inttypes.h>
#include <string.h>

#define BATCH       500         /* jobs in one transaction */
#define BATCH_BYTES (8u << 20)  /* and of their parts, about */

enum { DRAW_EVERY = 256 };

struct importing {
    struct cli *cli;
    struct source *source;
    struct moved batch[BATCH];
    struct jobtab_op ops[BATCH];
    size_t n, bytes;
    uint64_t imported, there, skipped;
    uint64_t running, cut, nameless; /* of the imported */
    uint64_t room;    /* jobs that a dry run may still take in */
    struct seen seen; /* what a dry run would have taken in */
    bool stopped;     /* nothing more is taken */
    int code;
};

static void skip(struct importing *importing, const char *place, const char *why)
{
    importing->skipped++;
    show_bar_end(&importing->cli->err);
    cli_complain(EXIT_REFUSED, "%s: %s", place, why);
}

static void stop(struct importing *importing, const char *place, const char *why)
{
    if (!importing->stopped) {
        show_bar_end(&importing->cli->err);
        cli_complain(EXIT_REFUSED, "%s: %s; nothing is taken in from here on", place, why);
    }
    importing->stopped = true;
}

/* ---------------------------------------------------------------------- a batch */

/* A dry run's own memory of what the table would have by now. */
static int as_if(struct importing *importing, const struct moved *moved)
{
    char id[JOBTAB_ID_TEXT];

    if (!importing->cli->dry_run)
        return JOBTAB_OK;
    if (importing->imported >= importing->room)
        return JOBTAB_FULL;
    if (moved->nameless)
        return JOBTAB_OK;
    jobtab_id_format(&moved->job.id, id);
    return seen_add(&importing->seen, *moved->job.key != '\0' ? moved->job.key : id)
               ? JOBTAB_OK
               : JOBTAB_CONFLICT;
}

static void count(struct importing *importing, const struct moved *moved,
                  const struct jobtab_op *op)
{
    int result = op->result != JOBTAB_OK ? op->result : as_if(importing, moved);

    if (result == JOBTAB_OK) {
        importing->imported++;
        importing->running += moved->was_running;
        importing->cut += moved->cut;
        importing->nameless += moved->nameless;
    } else if (result == JOBTAB_CONFLICT && (op->repeated || op->result == JOBTAB_OK)) {
        importing->there++;
    } else if (result == JOBTAB_FULL) {
        stop(importing, moved->place,
             *op->why != '\0' ? op->why : "the table would hold max_jobs jobs");
    } else {
        skip(importing, moved->place, op->why);
    }
}

/* All that has gathered, in one transaction. */
static void flush(struct importing *importing)
{
    size_t n = importing->n;
    int error;

    for (size_t i = 0; i < n; i++)
        importing->ops[i] = moved_op(&importing->batch[i], importing->cli->dry_run);
    error = n > 0 ? jobtab_apply(importing->cli->table, importing->ops, n) : JOBTAB_OK;
    if (error != JOBTAB_OK) {
        show_bar_end(&importing->cli->err);
        importing->code = cli_table_failed(error);
        stop(importing, importing->batch[0].place, "it and the rest of its batch were not written");
    }
    for (size_t i = 0; i < n; i++) {
        if (error == JOBTAB_OK)
            count(importing, &importing->batch[i], &importing->ops[i]);
        moved_free(&importing->batch[i]);
    }
    importing->n = importing->bytes = 0;
}

static void take(struct importing *importing, struct row *row)
{
    struct moved *moved = &importing->batch[importing->n];
    char why[MOVED_WHY] = "";

    if (!moved_make(moved, &importing->cli->mapping, importing->cli->filter.kind, row, why)) {
        skip(importing, row->place, why);
        return;
    }
    importing->n++;
    importing->bytes += moved->params_size + moved->result_size + moved->log_size;
    if (importing->n == BATCH || importing->bytes > BATCH_BYTES)
        flush(importing);
}

/* ------------------------------------------------------------------- from row to row */

static void draw(struct importing *importing, uint64_t rows)
{
    const struct source *source = importing->source;
    char figure[SHOW_FIGURE];
    uint64_t percent = source->all > 0 ? source->done * 100 / source->all : 0;

    if (!importing->cli->err.terminal || rows % DRAW_EVERY != 0)
        return;
    show_count(rows, figure);
    show_bar(&importing->cli->err, percent > 100 ? 100 : (unsigned)percent, figure, "jobs");
}

static void read_all(struct importing *importing)
{
    struct source *source = importing->source;
    enum source_got got = SOURCE_ROW;
    struct row row = {.n = 0};

    for (uint64_t rows = 1; !importing->stopped; rows++) {
        row_clear(&row);
        got = source->verbs->next(source, &row);
        if (got == SOURCE_ROW)
            take(importing, &row);
        else if (got == SOURCE_BAD)
            skip(importing, row.place, source->why);
        else
            break;
        draw(importing, rows);
    }
    flush(importing);
    row_free(&row);
    show_bar_end(&importing->cli->err);
    if (got == SOURCE_FAILED)
        importing->code = cli_complain(EXIT_UNREACHABLE, "%s", source->why);
}

/* ---------------------------------------------------------------------- the report */

static void say(const struct importing *importing, uint64_t n, const char *one, const char *many)
{
    char figure[SHOW_FIGURE];

    if (n == 0)
        return;
    show_count(n, figure);
    fprintf(importing->cli->out.out, "%s %s\n", figure, n == 1 ? one : many);
}

static void report(const struct importing *importing)
{
    const struct cli *cli = importing->cli;
    char imported[SHOW_FIGURE], there[SHOW_FIGURE], skipped[SHOW_FIGURE];

    if (cli->json) {
        fprintf(cli->out.out,
                "{\"imported\":%" PRIu64 ",\"already_there\":%" PRIu64 ",\"skipped\":%" PRIu64
                ",\"pending_again\":%" PRIu64 ",\"cut\":%" PRIu64 ",\"nameless\":%" PRIu64
                ",\"complete\":%s,\"dry_run\":%s}\n",
                importing->imported, importing->there, importing->skipped, importing->running,
                importing->cut, importing->nameless,
                importing->stopped || importing->code != EXIT_FINE ? "false" : "true",
                cli->dry_run ? "true" : "false");
        return;
    }
    show_count(importing->imported, imported);
    show_count(importing->there, there);
    show_count(importing->skipped, skipped);
    fprintf(cli->out.out, "%s %s, already there %s, skipped %s%s\n",
            cli->dry_run ? "would import" : "imported", imported, there, skipped,
            importing->stopped || importing->code != EXIT_FINE ? ", not read to the end" : "");
    say(importing, importing->running,
        "was at work elsewhere: it is handed back, as nobody here works on it",
        "were at work elsewhere: they are handed back, as nobody here works on them");
    say(importing, importing->cut, "had a message or an error that was too long and is cut",
        "had a message or an error that was too long and is cut");
    say(importing, importing->nameless, "has neither id nor key: a second run takes it in again",
        "have neither id nor key: a second run takes them in again");
}

/* --------------------------------------------------------------------- the command */

static struct source *open_source(const struct cli *cli, char *why, size_t size)
{
    if (cli->redis != NULL)
        return source_redis(cli->redis, cli->pattern != NULL ? cli->pattern : "job:*", why, size);
    if (cli->sqlite != NULL)
        return source_sqlite(cli->sqlite, cli->sqlite_table != NULL ? cli->sqlite_table : "jobs",
                             why, size);
    return source_lines(cli->n_args > 0 ? cli->args[0] : NULL, why, size);
}

/* What contradicts itself. */
static int check(const struct cli *cli)
{
    if ((cli->redis != NULL) + (cli->sqlite != NULL) + (cli->n_args > 0) > 1)
        return cli_complain(EXIT_USAGE, "a FILE, --redis or --sqlite: one of them");
    if (cli->pattern != NULL && cli->redis == NULL)
        return cli_complain(EXIT_USAGE, "--pattern goes with --redis");
    if (cli->sqlite_table != NULL && cli->sqlite == NULL)
        return cli_complain(EXIT_USAGE, "--sqlite-table goes with --sqlite");
    if (cli->filter.kind != NULL && strlen(cli->filter.kind) > JOBTAB_KIND_MAX)
        return cli_complain(EXIT_USAGE, "--kind: it is over %d bytes", JOBTAB_KIND_MAX);
    return EXIT_FINE;
}

int import_command(struct cli *cli)
{
    struct importing *importing;
    struct jobtab_stat stat;
    char why[512];
    int error, code = check(cli);

    if (code != EXIT_FINE)
        return code;
    error = jobtab_stat(cli->table, &stat, NULL, 0);
    if (error != JOBTAB_OK)
        return cli_table_failed(error);
    importing = need(calloc(1, sizeof *importing));
    importing->cli = cli;
    importing->room =
        stat.options.max_jobs > stat.jobs ? stat.options.max_jobs - stat.jobs : 0;
    importing->source = open_source(cli, why, sizeof why);
    if (importing->source == NULL) {
        free(importing);
        return cli_complain(EXIT_UNREACHABLE, "%s", why);
    }
    read_all(importing);
    report(importing);
    code = importing->code;
    if (code == EXIT_FINE && (importing->skipped > 0 || importing->stopped))
        code = EXIT_REFUSED;
    importing->source->verbs->close(importing->source);
    seen_free(&importing->seen);
    free(importing);
    return code;
}
