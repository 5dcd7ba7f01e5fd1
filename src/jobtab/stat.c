/* stat.c - jobtab stat: the table at a glance. */
#include "cli.h"
#include "need.h"
#include "units.h"

#include <inttypes.h>
#include <jansson.h>

struct glance {
    struct jobtab_stat stat;
    struct jobtab_kind_count *kinds;
    size_t n_kinds;
};

/* What the table has counted since it was made. */
static const struct counter {
    const char *name;
    const char *text;
    size_t offset;
} counters[] = {
#define COUNTER(name, text) {#name, text, offsetof(struct jobtab_stat, name)}
    COUNTER(submitted, "submitted"),
    COUNTER(claimed, "claimed"),
    COUNTER(completed, "completed"),
    COUNTER(failed, "failed"),
    COUNTER(cancelled, "cancelled"),
    COUNTER(retried, "retried"),
    COUNTER(owners_lost, "owners lost"),
    COUNTER(expired, "expired"),
    COUNTER(evicted, "evicted"),
#undef COUNTER
};
#define COUNTERS (sizeof counters / sizeof counters[0])

static uint64_t counted(const struct jobtab_stat *stat, size_t counter)
{
    return *(const uint64_t *)((const char *)stat + counters[counter].offset);
}

/* The kinds may grow between two looks: go on until all of them fitted. */
static int look(struct cli *cli, struct glance *glance)
{
    size_t room = 16;
    int error;

    for (;;) {
        glance->kinds = need(realloc(glance->kinds, room * sizeof *glance->kinds));
        error = jobtab_stat(cli->table, &glance->stat, glance->kinds, room);
        if (error != JOBTAB_OK || glance->stat.n_kinds <= room)
            break;
        room = glance->stat.n_kinds * 2;
    }
    glance->n_kinds = error == JOBTAB_OK ? glance->stat.n_kinds : 0;
    return error;
}

/* ---------------------------------------------------------------------- text */

static void states_table(const struct cli *cli, const struct glance *glance)
{
    struct show_column columns[JOBTAB_STATES + 1] = {{"KIND", false}};
    struct show_table *table;
    char figure[SHOW_FIGURE];

    for (int state = 0; state < JOBTAB_STATES; state++)
        columns[state + 1] =
            (struct show_column){jobtab_state_name((enum jobtab_state)state), true};
    table = show_table(&cli->out, columns, JOBTAB_STATES + 1);
    for (size_t i = 0; i <= glance->n_kinds; i++) {
        bool total = i == glance->n_kinds;

        show_cell(table, total ? SHOW_DIM : SHOW_PLAIN, total ? "all" : glance->kinds[i].kind);
        for (int state = 0; state < JOBTAB_STATES; state++) {
            uint64_t n = total ? glance->stat.states[state] : glance->kinds[i].states[state];
            show_count(n, figure);
            show_cell(table, n == 0 ? SHOW_DIM : SHOW_PLAIN, figure);
        }
    }
    show_table_end(table);
}

static void print_stat(const struct cli *cli, const struct glance *glance)
{
    const struct jobtab_stat *stat = &glance->stat;
    FILE *out = cli->out.out;
    char a[SHOW_FIGURE], b[SHOW_FIGURE];

    states_table(cli, glance);
    show_count(stat->jobs, a);
    show_count(stat->options.max_jobs, b);
    fprintf(out, "\njobs      %s of %s", a, b);
    units_duration_text(stat->options.retention, a, sizeof a);
    fprintf(out, ", finished ones are kept %s\n", a);
    if (stat->oldest_pending != 0) {
        show_duration(jobtab_now() - stat->oldest_pending, a);
        fprintf(out, "waiting   %s, the oldest pending job\n", a);
    }
    show_bytes(stat->map_used, a);
    show_bytes(stat->map_size, b);
    fprintf(out, "map       %s of %s, submits are refused at %" PRIu32 "%%\n", a, b,
            stat->options.high_water);
    fprintf(out, "readers   %" PRIu32 " of %" PRIu32 "\n", stat->readers, stat->max_readers);
    fprintf(out, "owners    %" PRIu32 "\n", stat->owners);
    fputs("counted   ", out);
    for (size_t i = 0; i < COUNTERS; i++) {
        if (i > 0 && counted(stat, i) == 0)
            continue;
        show_count(counted(stat, i), a);
        fprintf(out, "%s%s %s", i > 0 ? ", " : "", a, counters[i].text);
    }
    fputc('\n', out);
}

/* ---------------------------------------------------------------------- JSON */

static json_t *number(uint64_t value)
{
    return need(json_integer((json_int_t)value));
}

static json_t *states_json(const uint64_t *states)
{
    json_t *object = need(json_object());

    for (int state = 0; state < JOBTAB_STATES; state++)
        json_object_set_new(object, jobtab_state_name((enum jobtab_state)state),
                            number(states[state]));
    return object;
}

static void print_json(const struct cli *cli, const struct glance *glance)
{
    const struct jobtab_stat *stat = &glance->stat;
    const struct jobtab_options *bounds = &stat->options;
    json_t *kinds = need(json_object());
    json_t *totals = need(json_object());
    json_t *all;
    char oldest[JOBTAB_TIME_TEXT], *text;

    for (size_t i = 0; i < glance->n_kinds; i++)
        json_object_set_new(kinds, glance->kinds[i].kind, states_json(glance->kinds[i].states));
    for (size_t i = 0; i < COUNTERS; i++)
        json_object_set_new(totals, counters[i].name, number(counted(stat, i)));
    jobtab_time_format(stat->oldest_pending, oldest);
    all = need(json_pack(
        "{s:I, s:o, s:o, s:s?, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:I, s:o,"
        " s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
        "jobs", (json_int_t)stat->jobs, "states", states_json(stat->states), "kinds", kinds,
        "oldest_pending_at", stat->oldest_pending != 0 ? oldest : NULL,
        "version", (json_int_t)stat->version,
        "map", "used", (json_int_t)stat->map_used, "size", (json_int_t)stat->map_size,
        "readers", "used", (json_int_t)stat->readers, "max", (json_int_t)stat->max_readers,
        "owners", (json_int_t)stat->owners, "totals", totals,
        "bounds", "max_jobs", (json_int_t)bounds->max_jobs,
        "retention_ms", (json_int_t)bounds->retention,
        "params_max", (json_int_t)bounds->params_max, "result_max", (json_int_t)bounds->result_max,
        "log_max", (json_int_t)bounds->log_max, "high_water", (json_int_t)bounds->high_water));
    text = need(json_dumps(all, JSON_COMPACT));
    fprintf(cli->out.out, "%s\n", text);
    free(text);
    json_decref(all);
}

int stat_command(struct cli *cli)
{
    struct glance glance = {0};
    int error = look(cli, &glance);

    if (error == JOBTAB_OK && cli->json)
        print_json(cli, &glance);
    else if (error == JOBTAB_OK)
        print_stat(cli, &glance);
    free(glance.kinds);
    return error != JOBTAB_OK ? cli_table_failed(error) : EXIT_FINE;
}
