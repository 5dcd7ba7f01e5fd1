/* export.c - the command that writes all jobs out: as lines of JSON, or into an SQLite file.
 *
 * A line is the object of the HTTP interface and, behind it, what else `jobtab import` needs to put
 * the same job into another table.
 */
#include "base64.h"
#include "cli.h"
#include "export_sqlite.h"
#include "need.h"
#include "units.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { PAGE = 200 };

struct exporting {
    struct cli *cli;
    struct out *out; /* NULL: lines */
    uint64_t done, all, written;
    uint64_t pages; /* that are damaged */
    bool broken; /* `out` takes no more */
    int code;
};

/* ------------------------------------------------------------------------ a line */

static void member_text(FILE *out, const char *name, const char *bytes, size_t size)
{
    json_t *string = json_stringn(bytes, size);
    char *text;

    if (string == NULL) { /* no UTF-8 */
        text = base64_encode(bytes, size);
        fprintf(out, ",\"%s_base64\":\"%s\"", name, text);
    } else {
        text = need(json_dumps(string, JSON_ENCODE_ANY));
        fprintf(out, ",\"%s\":%s", name, text);
    }
    json_decref(string);
    free(text);
}

static void member_duration(FILE *out, const char *name, int64_t ms)
{
    char text[32];

    if (ms == 0)
        return;
    units_duration_text(ms, text, sizeof text);
    fprintf(out, ",\"%s\":\"%s\"", name, text);
}

/* The object of the HTTP interface has a result that is JSON or text; what is not is added. */
static void member_result(FILE *out, const struct jobtab_job *job, const char *result)
{
    static const char *const names[] = {
        [JOBTAB_JSON] = "json", [JOBTAB_TEXT] = "text", [JOBTAB_BYTES] = "bytes"};
    json_t *string = NULL;
    char *text;

    if (job->result_size == 0)
        return;
    fprintf(out, ",\"result_format\":\"%s\"", names[job->result_format]);
    if (job->result_format == JOBTAB_JSON ||
        (job->result_format == JOBTAB_TEXT &&
         (string = json_stringn(result, job->result_size)) != NULL)) {
        json_decref(string);
        return;
    }
    text = base64_encode(result, job->result_size);
    fprintf(out, ",\"result_base64\":\"%s\"", text);
    free(text);
}

static void line(const struct cli *cli, const struct view *view, const char *log, size_t log_size)
{
    const struct jobtab_job *job = &view->job;
    FILE *out = cli->out.out;

    fwrite(view->json, 1, strlen(view->json) - 1, out); /* but for its last brace */
    if (*job->key != '\0')
        member_text(out, "idempotency_key", job->key, strlen(job->key));
    fprintf(out, ",\"crashes\":%" PRIu32 ",\"max_crashes\":%" PRIu32, job->crashes,
            job->max_crashes);
    member_duration(out, "backoff", job->backoff);
    member_duration(out, "timeout", job->timeout);
    member_result(out, job, view->result);
    if (log != NULL && log_size > 0)
        member_text(out, "log", log, log_size);
    fputs("}\n", out);
}

/* ------------------------------------------------------------------------- a job */

static void write_job(struct exporting *exporting, const struct view *view, const char *log,
                      size_t log_size)
{
    char why[512] = "";

    exporting->written++;
    if (exporting->out == NULL) {
        line(exporting->cli, view, log, log_size);
    } else if (!out_job(exporting->out, &view->job, view->params, view->result, log, log_size, why,
                        sizeof why)) {
        exporting->broken = true;
        exporting->code = cli_complain(EXIT_REFUSED, "%s", why);
    }
}

/* Named, and the others go on. */
static void unreadable(const struct jobtab_id *id, void *context)
{
    struct exporting *exporting = context;
    char text[JOBTAB_ID_TEXT];

    jobtab_id_format(id, text);
    show_bar_end(&exporting->cli->err);
    exporting->code = cli_complain(EXIT_REFUSED, "job %s: %s", text, jobtab_why());
}

/* As are the jobs on other pages. */
static void unreadable_page(const char *fault, void *context)
{
    struct exporting *exporting = context;

    exporting->pages++;
    show_bar_end(&exporting->cli->err);
    exporting->code = cli_complain(EXIT_REFUSED, "%s", fault);
}

/* How much they cost: who was on one has no name any more. */
static void tell_pages(const struct exporting *exporting)
{
    uint64_t all = exporting->all, written = exporting->written;

    if (exporting->pages > 0)
        cli_complain(EXIT_REFUSED,
                     "%" PRIu64 " pages of the table are damaged: %" PRIu64 " of its %" PRIu64
                     " jobs are missing",
                     exporting->pages, all > written ? all - written : 0, all);
}

static void export_job(struct exporting *exporting, const struct jobtab_id *id)
{
    struct cli *cli = exporting->cli;
    struct view view = {0};
    char *log = NULL;
    uint64_t offset = 0;
    size_t size = 0;
    int error;

    exporting->done++;
    if (cli->err.terminal && exporting->done % 64 == 0)
        show_progress(&cli->err, exporting->done, exporting->all, "jobs");
    error = jobtab_get_whole(cli->table, id, &view.job, &view.params, &view.result);
    if (error == JOBTAB_OK && cli->logs)
        error = jobtab_read(cli->table, id, JOBTAB_LOGTEXT, &offset, SIZE_MAX, &log, &size);
    if (error == JOBTAB_OK) {
        size_t room = jobtab_job_json(&view.job, view.params, view.result, NULL, 0) + 1;
        view.json = need(malloc(room));
        jobtab_job_json(&view.job, view.params, view.result, view.json, room);
        write_job(exporting, &view, log, size);
    } else if (error != JOBTAB_NOTFOUND) { /* one that is gone since it was listed is none */
        unreadable(id, exporting);
    }
    free(log);
    view_free(&view);
}

/* Not by the backend's verb: it says the same when records are damaged and when it got no
 * further. */
static int export_all(struct exporting *exporting)
{
    struct jobtab_filter filter = {
        .oldest_first = true, .damaged = unreadable, .context = exporting};
    struct jobtab_job *jobs = need(malloc(PAGE * sizeof *jobs));
    int error = JOBTAB_OK;
    bool more = true;

    while (error == JOBTAB_OK && more && !exporting->broken) {
        size_t n = PAGE;

        error = jobtab_list(exporting->cli->table, &filter, jobs, &n, &filter.after, &more);
        filter.after_set = true;
        for (size_t i = 0; error == JOBTAB_OK && i < n && !exporting->broken; i++)
            export_job(exporting, &jobs[i].id);
    }
    free(jobs);
    show_bar_end(&exporting->cli->err);
    tell_pages(exporting);
    return error == JOBTAB_OK ? EXIT_FINE : cli_table_failed(error);
}

/* The file gets its name even when a job could not be read: it has all the others, and the exit
 * code says that it lacks some. */
static int finish_file(struct exporting *exporting, bool whole)
{
    char why[512] = "";

    if (exporting->out == NULL)
        return EXIT_FINE;
    if (!whole || exporting->broken)
        out_drop(exporting->out);
    else if (!out_end(exporting->out, why, sizeof why))
        return cli_complain(EXIT_REFUSED, "%s", why);
    return EXIT_FINE;
}

int export_command(struct cli *cli)
{
    struct exporting exporting = {.cli = cli};
    struct jobtab_stat stat;
    char why[512] = "";
    int code, error = jobtab_careful(cli->table, unreadable_page, &exporting);

    if (error == JOBTAB_OK)
        error = jobtab_stat(cli->table, &stat, NULL, 0);
    if (error != JOBTAB_OK)
        return cli_table_failed(error);
    exporting.all = stat.jobs;
    if (cli->sqlite != NULL) {
        exporting.out = out_begin(cli->sqlite, why, sizeof why);
        if (exporting.out == NULL)
            return cli_complain(EXIT_REFUSED, "%s", why);
    }
    code = export_all(&exporting);
    if (code != EXIT_FINE)
        finish_file(&exporting, false);
    else
        code = finish_file(&exporting, true);
    return exporting.code != EXIT_FINE ? exporting.code : code;
}
