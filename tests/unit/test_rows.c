/* Rows and steps, with so little memory that all goes through temporary files. */
#include "config.h"

#include "rows.h"
#include "steps.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---------------------------------------------------------------------- rows */

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (row_symbol(x) != row_symbol(y))
        return row_symbol(x) < row_symbol(y) ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* What rows gives back is what qsort makes of the same. Returns the number of runs. */
static size_t expect_sorted(struct row *all, size_t n, size_t max_held)
{
    struct fault fault;
    struct rows rows;
    const struct row *row;
    assert_int_equal(rows_init(&rows, max_held, &fault), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows_add(&rows, &all[i], &fault), 0);
    assert_int_equal(rows_sort(&rows, &fault), 0);
    qsort(all, n, sizeof *all, compare_rows);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows_next(&rows, &row, &fault), 0);
        assert_non_null(row);
        assert_memory_equal(row, &all[i], sizeof *row);
    }
    assert_int_equal(rows_next(&rows, &row, &fault), 0);
    assert_null(row);
    size_t n_runs = rows.n_runs;
    rows_free(&rows);
    return n_runs;
}

static struct row *make_rows(size_t n)
{
    struct row *all = calloc(n + 1, sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[i].price = (double)i;
    return all;
}

static void rows_in_any_order_come_out_sorted(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 39, 40, 41, 100, 1003};
    (void)state;
    srandom(1);
    for (int i = 0; i < 8; i++) {
        for (size_t max_held = 40; max_held < 20000; max_held *= 11) {
            size_t n = sizes[i];
            struct row *all = make_rows(n);
            for (size_t k = 0; k < n; k++) {
                all[k].at = (uint64_t)(random() % 300) << REPORT_PLACE_BITS | (k + 1);
                all[k].time = random() % 2 ? random() % 5 : (int64_t)-random() * 4000000000;
            }
            size_t runs = expect_sorted(all, n, max_held);
            assert_int_equal(runs, n > max_held ? (n + max_held - 1) / max_held : 0);
            free(all);
        }
    }
}

static void rows_ordered_by_symbol_and_time_make_one_run(void **state)
{
    struct row *all = make_rows(1000);
    (void)state;
    for (size_t k = 0; k < 1000; k++) {
        all[k].at = (uint64_t)(k / 70) << REPORT_PLACE_BITS | (k + 1);
        all[k].time = (int64_t)(k % 70 / 2);
    }
    assert_int_equal(expect_sorted(all, 1000, 10), 1);
    free(all);
}

static void rows_ordered_by_time_come_out_by_symbol(void **state)
{
    struct row *all = make_rows(1000);
    (void)state;
    for (size_t k = 0; k < 1000; k++) {
        all[k].at = (uint64_t)(k % 7) << REPORT_PLACE_BITS | (k + 1);
        all[k].time = (int64_t)(k / 7) - 60;
    }
    assert_int_equal(expect_sorted(all, 1000, 90), 12);
    free(all);
}

static void too_many_runs_are_refused(void **state)
{
    struct fault fault = {.kind = FAULT_STOPPED};
    struct rows rows;
    int status = 0;
    (void)state;
    assert_int_equal(rows_init(&rows, 3, &fault), 0);
    for (int k = 0; k <= 12; k++) { /* three runs of three, and a fourth that is to be written */
        struct row row = {.at = (uint64_t)k + 1, .time = -k};
        assert_int_equal(status, 0);
        status = rows_add(&rows, &row, &fault);
    }
    assert_int_equal(status, -1);
    assert_int_equal(fault.kind, FAULT_INVALID);
    assert_string_equal(fault.text, "more than 9 rows that are not ordered by symbol and time");
    rows_free(&rows);
}

static void no_room_for_temporary_files_is_the_system_s_fault(void **state)
{
    struct fault fault = {.kind = FAULT_STOPPED};
    struct rows rows;
    struct row row = {.at = 1};
    (void)state;
    setenv("TMPDIR", "/nonexistent", 1);
    assert_int_equal(rows_init(&rows, 1, &fault), 0);
    assert_int_equal(rows_add(&rows, &row, &fault), 0);
    assert_int_equal(rows_add(&rows, &row, &fault), -1);
    assert_int_equal(fault.kind, FAULT_SYSTEM);
    assert_string_equal(fault.text,
                        "temporary file in /nonexistent: No such file or directory");
    rows_free(&rows);
    unsetenv("TMPDIR");
}

/* --------------------------------------------------------------------- steps */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double plain_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct sum {
    uint64_t n, places;
};

static void add_up(const struct step *step, void *context)
{
    struct sum *sum = context;
    sum->n++;
    sum->places += step->place;
}

static bool counted_down(void *context)
{
    int *left = context;
    return (*left)-- > 0;
}

static void expect_medians(struct steps *steps, double *values, size_t n)
{
    struct fault fault;
    struct sum sum = {0};
    double median, mad;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(steps_add(steps, values[i], i, &fault), 0);
    assert_int_equal(steps_median(steps, &median, &fault), 0);
    assert_int_equal(steps_mad(steps, median, &mad, &fault), 0);
    assert_int_equal(steps_each(steps, add_up, &sum, &fault), 0);
    assert_int_equal(sum.n, n);
    assert_int_equal(sum.places, n * (n - 1) / 2);
    steps_clear(steps);

    double wanted = plain_median(values, n);
    assert_true(median == wanted);
    for (size_t i = 0; i < n; i++)
        values[i] = fabs(values[i] - wanted);
    assert_true(mad == plain_median(values, n));
}

static double some_value(int kind)
{
    double value = (double)(random() - 1073741824);
    switch (kind) {
    case 0: /* all over the range of a double */
        return ldexp(value, (int)(random() % 1600) - 900);
    case 1: /* as steps are */
        return value * 1e-12;
    case 2: /* few that differ, zeros of both signs among them */
        return (double)(random() % 3 - 1) * (random() % 2 ? 0.0 : -0.5);
    default: /* close together: only the last bits differ */
        return 1.0 + (double)(random() % 1000) * 0x1p-52;
    }
}

static void medians_are_exact_in_memory_and_beyond(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 9, 10, 11, 12, 50, 51, 1000, 1001};
    (void)state;
    srandom(1);
    for (size_t room = 10; room < 10000; room *= 12) {
        size_t size = room * (sizeof(struct step) + sizeof(double));
        void *memory = malloc(size);
        struct steps steps;
        int asked = INT_MAX;
        steps_init(&steps, counted_down, &asked);
        steps_memory(&steps, memory, size);
        for (int kind = 0; kind < 4; kind++) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                double *values = malloc(sizes[i] * sizeof *values);
                for (size_t k = 0; k < sizes[i]; k++)
                    values[k] = some_value(kind);
                expect_medians(&steps, values, sizes[i]);
                free(values);
            }
        }
        steps_free(&steps);
        free(memory);
    }
}

static void a_long_search_can_be_stopped(void **state)
{
    struct fault fault = {.kind = FAULT_SYSTEM};
    struct step memory[20];
    struct steps steps;
    double median;
    int asked = 3;
    (void)state;
    steps_init(&steps, counted_down, &asked);
    steps_memory(&steps, memory, sizeof memory);
    for (report_place k = 0; k < 1000; k++)
        assert_int_equal(steps_add(&steps, (double)k, k, &fault), 0);
    assert_int_equal(steps_median(&steps, &median, &fault), -1);
    assert_int_equal(fault.kind, FAULT_STOPPED);
    steps_free(&steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_any_order_come_out_sorted),
        cmocka_unit_test(rows_ordered_by_symbol_and_time_make_one_run),
        cmocka_unit_test(rows_ordered_by_time_come_out_by_symbol),
        cmocka_unit_test(too_many_runs_are_refused),
        cmocka_unit_test(no_room_for_temporary_files_is_the_system_s_fault),
        cmocka_unit_test(medians_are_exact_in_memory_and_beyond),
        cmocka_unit_test(a_long_search_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
