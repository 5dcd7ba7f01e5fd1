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
#define AT(field) offsetof(struct jobtab_stat, field)
    {"submitted", "submitted", AT(submitted)},
    {"claimed", "claimed", AT(claimed)},
    {"completed", "completed", AT(completed)},
    {"failed", "failed", AT(failed)},
    {"cancelled", "cancelled", AT(cancelled)},
    {"retried", "retried", AT(retried)},
    {"owners_lost", "owners lost", AT(owners_lost)},
    {"expired", "expired", AT(expired)},
    {"evicted", "evicted", AT(evicted)},
#undef AT
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

static void put(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, need(json_integer((json_int_t)value)));
}

static json_t *put_object(json_t *object, const char *name)
{
    json_t *inner = need(json_object());

    json_object_set_new(object, name, inner);
    return inner;
}

static void put_states(json_t *object, const char *name, const uint64_t *states)
{
    json_t *inner = put_object(object, name);

    for (int state = 0; state < JOBTAB_STATES; state++)
        put(inner, jobtab_state_name((enum jobtab_state)state), states[state]);
}

static void put_bounds(json_t *object, const struct jobtab_options *bounds)
{
    put(object, "max_jobs", bounds->max_jobs);
    put(object, "retention_ms", (uint64_t)bounds->retention);
    put(object, "params_max", bounds->params_max);
    put(object, "result_max", bounds->result_max);
    put(object, "log_max", bounds->log_max);
    put(object, "high_water", bounds->high_water);
}

static void print_json(const struct cli *cli, const struct glance *glance)
{
    const struct jobtab_stat *stat = &glance->stat;
    json_t *all = need(json_object()), *inner;
    char oldest[JOBTAB_TIME_TEXT], *text;

    put(all, "jobs", stat->jobs);
    put_states(all, "states", stat->states);
    inner = put_object(all, "kinds");
    for (size_t i = 0; i < glance->n_kinds; i++)
        put_states(inner, glance->kinds[i].kind, glance->kinds[i].states);
    jobtab_time_format(stat->oldest_pending, oldest);
    json_object_set_new(all, "oldest_pending_at",
                        stat->oldest_pending != 0 ? json_string(oldest) : json_null());
    put(all, "version", stat->version);
    inner = put_object(all, "map");
    put(inner, "used", stat->map_used);
    put(inner, "size", stat->map_size);
    inner = put_object(all, "readers");
    put(inner, "used", stat->readers);
    put(inner, "max", stat->max_readers);
    put(all, "owners", stat->owners);
    inner = put_object(all, "totals");
    for (size_t i = 0; i < COUNTERS; i++)
        put(inner, counters[i].name, counted(stat, i));
    put_bounds(put_object(all, "bounds"), &stat->options);

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
