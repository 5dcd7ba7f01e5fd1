/* test_record.c - images: golden ones, tpl as the reference, and damage of every kind. */
#include "fixture.h"

#include "record.h"

#include <tpl.h>

static struct record sample(void)
{
    struct record r = {.queued = 7, .request = 0x1122334455667788};
    struct jobtab_job *job = &r.job;

    strcpy(job->kind, "validate");
    strcpy(job->key, "order-17");
    strcpy(job->message, "Collecting prices...");
    strcpy(job->error, "exit code 3");
    job->state = JOBTAB_SCHEDULED;
    job->reason = JOBTAB_BY_EXIT;
    job->priority = -5;
    job->progress = 20;
    job->attempt = 1;
    job->max_attempts = 3;
    job->crashes = 2;
    job->max_crashes = 4;
    job->version = 4711;
    job->backoff = 1000;
    job->timeout = 600000;
    job->created_at = 1795413600000;
    job->run_at = 1795413601000;
    job->started_at = 1795413600500;
    job->updated_at = 1795413600700;
    job->finished_at = 0;
    job->expires_at = 0;
    job->params_size = 2;
    job->result_size = 0;
    job->log_begin = 0;
    job->log_end = 12;
    job->result_format = JOBTAB_NONE;
    return r;
}

static struct hot sample_hot(void)
{
    struct hot hot = {.version = 4712,
                      .progress = 40,
                      .message = "Checking",
                      .updated_at = 1795413600800,
                      .attempt = 1,
                      .secret = 0xfedcba9876543210,
                      .owner = {.pid = 321, .start_time = 654, .instance = 987},
                      .boot = {.high = 1, .low = 2},
                      .lease = 0,
                      .deadline = 55555,
                      .log_begin = 4064,
                      .log_end = 5000};
    return hot;
}

/* Version 1, as the first release wrote it. These lines stay for ever. */
static const char golden_record_1[] =
    "74706c0205010000757575697575757575555555494949494949494955555555757373737300010000000000"
    "000001000000fbffffff14000000010000000300000002000000040000006712000000000000070000000000"
    "00008877665544332211e803000000000000c0270900000000000067fd06a2010000e86afd06a2010000f468"
    "fd06a2010000bc69fd06a2010000000000000000000000000000000000000200000000000000000000000000"
    "000000000000000000000c00000000000000000000000900000076616c6964617465090000006f726465722d"
    "313715000000436f6c6c656374696e67207072696365732e2e2e0c0000006578697420636f64652033";
static const char golden_hot_1[] =
    "74706c028d000000755575497555695555555549495555730001000000681200000000000028000000206afd"
    "06a2010000010000001032547698badcfe410100008e02000000000000db0300000000000001000000000000"
    "000200000000000000000000000000000003d9000000000000e00f0000000000008813000000000000090000"
    "00436865636b696e67";

static struct slice from_hex(const char *hex, struct image *image)
{
    image->size = strlen(hex) / 2;
    for (size_t i = 0; i < image->size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        image->bytes[i] = (char)byte;
    }
    return (struct slice){.data = image->bytes, .size = image->size};
}

static void assert_is_golden(const struct image *image, const char *hex)
{
    char text[2 * RECORD_MAX + 1];

    for (size_t i = 0; i < image->size; i++)
        sprintf(text + 2 * i, "%02x", (unsigned char)image->bytes[i]);
    assert_string_equal(text, hex);
}

static void assert_same_record(const struct record *a, const struct record *b)
{
    struct image ia, ib;

    assert_ok(record_encode(a, &ia));
    assert_ok(record_encode(b, &ib));
    assert_int_equal(ia.size, ib.size);
    assert_memory_equal(ia.bytes, ib.bytes, ia.size);
}

static struct slice slice_of(const struct image *image)
{
    return (struct slice){.data = image->bytes, .size = image->size};
}

static void the_golden_record_is_read_and_written(void **state)
{
    struct record wanted = sample(), read;
    struct image image;

    (void)state;
    assert_ok(record_decode(from_hex(golden_record_1, &image), &read));
    assert_same_record(&read, &wanted);
    assert_int_equal(read.job.priority, -5);
    assert_string_equal(read.job.error, "exit code 3");
    assert_ok(record_encode(&wanted, &image));
    assert_is_golden(&image, golden_record_1);
    assert_true(image.size <= 300); /* design section 2: the usual case */
}

static void the_golden_hot_record_is_read_and_written(void **state)
{
    struct hot wanted = sample_hot(), read;
    struct image image;

    (void)state;
    assert_ok(hot_decode(from_hex(golden_hot_1, &image), &read));
    assert_int_equal(read.version, 4712);
    assert_int_equal(read.owner.pid, 321);
    assert_int_equal(read.deadline, 55555);
    assert_true(read.secret == wanted.secret);
    assert_string_equal(read.message, "Checking");
    assert_ok(hot_encode(&wanted, &image));
    assert_is_golden(&image, golden_hot_1);
}

/* tpl's own reader must see in a sound image what ours sees. */
static void tpl_reads_the_same_fields(void **state)
{
    struct hot hot = sample_hot(), ours;
    struct image image;
    uint32_t format, progress, attempt;
    uint64_t version, secret, start, instance, high, low, log_begin, log_end;
    int64_t updated, lease, deadline;
    int32_t pid;
    char *message;

    (void)state;
    for (int round = 0; round < 500; round++) {
        hot.version = (uint64_t)random() * (uint64_t)random();
        hot.progress = (uint32_t)random() % 101;
        hot.owner.pid = (int32_t)random();
        hot.deadline = -random();
        size_t length = (size_t)random() % (JOBTAB_MESSAGE_MAX + 1);
        memset(hot.message, 'a' + round % 26, length);
        hot.message[length] = '\0';
        assert_ok(hot_encode(&hot, &image));
        assert_ok(hot_decode(slice_of(&image), &ours));
        tpl_node *node = tpl_map((char[]){"uUuIuUiUUUUIIUUs"}, &format, &version, &progress,
                                 &updated, &attempt, &secret, &pid, &start, &instance, &high,
                                 &low, &lease, &deadline, &log_begin, &log_end, &message);
        assert_int_equal(tpl_load(node, TPL_MEM | TPL_EXCESS_OK, image.bytes, image.size), 0);
        assert_true(tpl_unpack(node, 0) > 0);
        assert_true(version == ours.version && version == hot.version);
        assert_int_equal(progress, ours.progress);
        assert_int_equal(pid, ours.owner.pid);
        assert_true(deadline == ours.deadline && lease == ours.lease);
        assert_true(secret == ours.secret && log_end == ours.log_end);
        assert_string_equal(message, ours.message);
        free(message);
        tpl_free(node);
    }
}

static void the_largest_record_fits(void **state)
{
    struct record r = sample(), read;
    struct image image;

    (void)state;
    memset(r.job.kind, 'k', JOBTAB_KIND_MAX);
    memset(r.job.key, 'K', JOBTAB_KEY_MAX);
    memset(r.job.message, 'm', JOBTAB_MESSAGE_MAX);
    memset(r.job.error, 'e', JOBTAB_MESSAGE_MAX);
    assert_ok(record_encode(&r, &image));
    assert_ok(record_decode(slice_of(&image), &read));
    assert_same_record(&r, &read);
}

static void an_image_cut_anywhere_is_refused(void **state)
{
    struct record r = sample();
    struct image image;

    (void)state;
    assert_ok(record_encode(&r, &image));
    for (size_t size = 0; size < image.size; size++) {
        /* In memory of its own, so that a read beyond it shows under ASan and valgrind. */
        char *cut = malloc(size ? size : 1);
        memcpy(cut, image.bytes, size);
        assert_int_not_equal(record_decode((struct slice){cut, size}, &r), JOBTAB_OK);
        if (size >= 8) { /* the same, with a total length that agrees */
            uint32_t length = (uint32_t)size;
            memcpy(cut + 4, &length, sizeof length);
            assert_int_not_equal(record_decode((struct slice){cut, size}, &r), JOBTAB_OK);
        }
        free(cut);
        r = sample();
    }
}

static void damaged_bytes_are_never_read_beyond(void **state)
{
    struct record r = sample();
    struct image image;

    (void)state;
    assert_ok(record_encode(&r, &image));
    for (size_t i = 0; i < image.size; i++) {
        for (int round = 0; round < 8; round++) {
            char *bytes = malloc(image.size);
            memcpy(bytes, image.bytes, image.size);
            bytes[i] = (char)(round < 2 ? -round : (int)random());
            record_decode((struct slice){bytes, image.size}, &r);
            assert_true(memchr(r.job.kind, 0, sizeof r.job.kind) != NULL);
            assert_true((unsigned)r.job.state < JOBTAB_STATES);
            free(bytes);
        }
    }
}

static void bytes_behind_the_last_field_are_refused(void **state)
{
    struct count count = {.states = {1, 2, 3, 4, 5, 6, 7}}, read;
    struct image image;
    uint32_t size;

    (void)state;
    assert_ok(count_encode(&count, &image));
    assert_ok(count_decode(slice_of(&image), &read));
    assert_memory_equal(&count, &read, sizeof count);
    image.bytes[image.size++] = 0;
    size = (uint32_t)image.size;
    memcpy(image.bytes + 4, &size, sizeof size);
    assert_int_equal(count_decode(slice_of(&image), &read), JOBTAB_DAMAGED);
}

static void another_format_or_version_is_named_as_such(void **state)
{
    struct count count = {.states = {1}};
    struct totals totals;
    struct image image;

    (void)state;
    assert_ok(count_encode(&count, &image));
    assert_int_equal(totals_decode(slice_of(&image), &totals), JOBTAB_SCHEMA);
    image.bytes[8 + sizeof "uUUUUUUU"]++; /* the version, first of the fields */
    assert_int_equal(count_decode(slice_of(&image), &count), JOBTAB_SCHEMA);
    assert_non_null(strstr(jobtab_why(), "version 2"));
}

static void numbers_out_of_range_are_damage(void **state)
{
    struct record r = sample();
    struct image image;

    (void)state;
    r.job.state = JOBTAB_STATES;
    assert_ok(record_encode(&r, &image));
    assert_int_equal(record_decode(slice_of(&image), &r), JOBTAB_DAMAGED);
    r = sample();
    r.job.progress = 101;
    assert_ok(record_encode(&r, &image));
    assert_int_equal(record_decode(slice_of(&image), &r), JOBTAB_DAMAGED);
}

static void the_small_records_go_both_ways(void **state)
{
    struct totals totals = {.sequence = 9, .submitted = 1, .evicted = 8}, totals_read;
    struct jobtab_policy policy = {
        .max_attempts = 3, .max_crashes = 2, .backoff = 1500, .timeout = -1}, policy_read;
    struct jobtab_options settings = {.map_size = 1 << 20, .max_jobs = 5, .retention = 9,
                                      .params_max = 1, .result_max = 2, .log_max = 3,
                                      .high_water = 80, .max_readers = 7}, settings_read = {0};
    struct image image;

    (void)state;
    totals.last_id.bytes[15] = 0xab;
    assert_ok(totals_encode(&totals, &image));
    assert_ok(totals_decode(slice_of(&image), &totals_read));
    assert_memory_equal(&totals, &totals_read, sizeof totals);
    assert_ok(policy_encode(&policy, &image));
    assert_ok(policy_decode(slice_of(&image), &policy_read));
    assert_int_equal(policy_read.max_attempts, 3);
    assert_int_equal(policy_read.timeout, -1);
    assert_ok(settings_encode(&settings, &image));
    assert_ok(settings_decode(slice_of(&image), &settings_read));
    assert_int_equal(settings_read.high_water, 80);
    assert_int_equal(settings_read.log_max, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_record_is_read_and_written),
        cmocka_unit_test(the_golden_hot_record_is_read_and_written),
        cmocka_unit_test(tpl_reads_the_same_fields),
        cmocka_unit_test(the_largest_record_fits),
        cmocka_unit_test(an_image_cut_anywhere_is_refused),
        cmocka_unit_test(damaged_bytes_are_never_read_beyond),
        cmocka_unit_test(bytes_behind_the_last_field_are_refused),
        cmocka_unit_test(another_format_or_version_is_named_as_such),
        cmocka_unit_test(numbers_out_of_range_are_damage),
        cmocka_unit_test(the_small_records_go_both_ways),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
