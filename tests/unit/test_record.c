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

    record_encode(a, &ia);
    record_encode(b, &ib);
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
    record_encode(&wanted, &image);
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
    hot_encode(&wanted, &image);
    assert_is_golden(&image, golden_hot_1);
}

/* ------------------------------------------------- what tpl writes and reads */

static uint64_t any_number(void)
{
    uint64_t number = (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();

    return random() % 3 ? number : number % 100;
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)random() % limit;
}

static void any_text(char *text, size_t size)
{
    size_t length = random() % 2 ? (size_t)random() % size : 0;

    for (size_t i = 0; i < length; i++)
        text[i] = (char)(1 + random() % 255);
    text[length] = '\0';
}

/* The image of a mapped node, by tpl. */
static void dump(tpl_node *node, struct image *image)
{
    assert_non_null(node);
    assert_true(tpl_pack(node, 0) >= 0);
    assert_int_equal(tpl_dump(node, TPL_GETSIZE, &image->size), 0);
    assert_true(image->size <= sizeof image->bytes);
    assert_int_equal(tpl_dump(node, TPL_MEM | TPL_PREALLOCD, image->bytes, sizeof image->bytes), 0);
    tpl_free(node);
}

static void assert_same_image(const struct image *ours, const struct image *theirs)
{
    assert_int_equal(ours->size, theirs->size);
    assert_memory_equal(ours->bytes, theirs->bytes, ours->size);
}

static struct hot any_hot(void)
{
    struct hot h = {.version = any_number(),
                    .progress = below(101),
                    .updated_at = (int64_t)any_number(),
                    .attempt = (uint32_t)any_number(),
                    .secret = any_number(),
                    .owner = {(int32_t)any_number(), any_number(), any_number()},
                    .boot = {.high = any_number(), .low = any_number()},
                    .lease = (int64_t)any_number(),
                    .deadline = (int64_t)any_number(),
                    .log_begin = any_number(),
                    .log_end = any_number()};

    any_text(h.message, sizeof h.message);
    return h;
}

static struct record any_record(void)
{
    struct record r = {.queued = any_number(), .request = any_number()};
    struct jobtab_job *job = &r.job;

    job->state = below(JOBTAB_STATES);
    job->reason = below(JOBTAB_REASONS);
    job->priority = (int32_t)any_number();
    job->progress = below(101);
    job->attempt = (uint32_t)any_number();
    job->max_attempts = (uint32_t)any_number();
    job->crashes = (uint32_t)any_number();
    job->max_crashes = (uint32_t)any_number();
    job->version = any_number();
    job->backoff = (int64_t)any_number();
    job->timeout = (int64_t)any_number();
    job->created_at = (int64_t)any_number();
    job->run_at = (int64_t)any_number();
    job->started_at = (int64_t)any_number();
    job->updated_at = (int64_t)any_number();
    job->finished_at = (int64_t)any_number();
    job->expires_at = (int64_t)any_number();
    job->params_size = any_number();
    job->result_size = any_number();
    job->log_begin = any_number();
    job->log_end = any_number();
    job->result_format = below(JOBTAB_BYTES + 1);
    any_text(job->kind, sizeof job->kind);
    any_text(job->key, sizeof job->key);
    any_text(job->message, sizeof job->message);
    any_text(job->error, sizeof job->error);
    return r;
}

static void tpl_dump_record(struct record *r, struct image *image)
{
    struct jobtab_job *job = &r->job;
    uint32_t version = 1, state = job->state, reason = job->reason, format = job->result_format;
    char *kind = job->kind, *key = job->key, *message = job->message, *error = job->error;

    dump(tpl_map((char[]){"uuuiuuuuuUUUIIIIIIIIUUUUussss"}, &version, &state, &reason,
                 &job->priority, &job->progress, &job->attempt, &job->max_attempts, &job->crashes,
                 &job->max_crashes, &job->version, &r->queued, &r->request, &job->backoff,
                 &job->timeout, &job->created_at, &job->run_at, &job->started_at,
                 &job->updated_at, &job->finished_at, &job->expires_at, &job->params_size,
                 &job->result_size, &job->log_begin, &job->log_end, &format, &kind, &key,
                 &message, &error),
         image);
}

static void tpl_dump_hot(struct hot *h, struct image *image)
{
    uint32_t version = 1;
    char *message = h->message;

    dump(tpl_map((char[]){"uUuIuUiUUUUIIUUs"}, &version, &h->version, &h->progress,
                 &h->updated_at, &h->attempt, &h->secret, &h->owner.pid, &h->owner.start_time,
                 &h->owner.instance, &h->boot.high, &h->boot.low, &h->lease, &h->deadline,
                 &h->log_begin, &h->log_end, &message),
         image);
}

static void an_image_is_the_one_that_tpl_writes(void **state)
{
    struct image ours, theirs;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct record record = any_record();
        struct hot hot = any_hot();

        record_encode(&record, &ours);
        tpl_dump_record(&record, &theirs);
        assert_same_image(&ours, &theirs);
        hot_encode(&hot, &ours);
        tpl_dump_hot(&hot, &theirs);
        assert_same_image(&ours, &theirs);
    }
}

static void a_small_image_is_the_one_that_tpl_writes(void **state)
{
    struct totals t = {.sequence = any_number(), .submitted = any_number(), .expired = 7};
    struct count c = {.states = {any_number(), 2, 3, 4, 5, 6, any_number()}};
    struct jobtab_policy p = {.max_attempts = 3, .max_crashes = 2, .backoff = -1, .timeout = 9};
    struct jobtab_options o = {.map_size = any_number(), .max_jobs = 5, .retention = -9,
                               .params_max = 1, .result_max = 2, .log_max = 3, .high_water = 80,
                               .max_readers = 7};
    struct image ours, theirs;
    uint32_t version = 1;
    uint64_t high, low;

    (void)state;
    memcpy(t.last_id.bytes, "0123456789abcdef", 16);
    memcpy(&high, t.last_id.bytes, 8);
    memcpy(&low, t.last_id.bytes + 8, 8);
    totals_encode(&t, &ours);
    dump(tpl_map((char[]){"uUUUUUUUUUUUU"}, &version, &t.sequence, &high, &low, &t.submitted,
                 &t.claimed, &t.completed, &t.failed, &t.cancelled, &t.retried, &t.owners_lost,
                 &t.expired, &t.evicted),
         &theirs);
    assert_same_image(&ours, &theirs);
    count_encode(&c, &ours);
    dump(tpl_map((char[]){"uUUUUUUU"}, &version, &c.states[0], &c.states[1], &c.states[2],
                 &c.states[3], &c.states[4], &c.states[5], &c.states[6]),
         &theirs);
    assert_same_image(&ours, &theirs);
    policy_encode(&p, &ours);
    dump(tpl_map((char[]){"uuuII"}, &version, &p.max_attempts, &p.max_crashes, &p.backoff,
                 &p.timeout),
         &theirs);
    assert_same_image(&ours, &theirs);
    settings_encode(&o, &ours);
    dump(tpl_map((char[]){"uUUIUUUuu"}, &version, &o.map_size, &o.max_jobs, &o.retention,
                 &o.params_max, &o.result_max, &o.log_max, &o.high_water, &o.max_readers),
         &theirs);
    assert_same_image(&ours, &theirs);
}

/* What tpl wrote is read as it was, and is what tpl would have read. */
static void a_batch_is_the_image_that_tpl_writes_and_is_read_back(void **state)
{
    uint32_t version = 1;
    uint64_t epoch = 0x0102030405060708, read_epoch;
    char bytes[300], ours[512];
    struct slice outcomes;
    struct image theirs;
    size_t size;

    (void)state;
    for (size_t n = 0; n <= sizeof bytes; n += 50) {
        tpl_bin bin = {.addr = bytes, .sz = (uint32_t)n};
        memset(bytes, (int)n, sizeof bytes);
        dump(tpl_map((char[]){"uUB"}, &version, &epoch, &bin), &theirs);
        assert_ok(batch_encode(epoch, (struct slice){bytes, n}, ours, sizeof ours, &size));
        assert_int_equal(size, theirs.size);
        assert_memory_equal(ours, theirs.bytes, size);
        assert_ok(batch_decode((struct slice){ours, size}, &read_epoch, &outcomes));
        assert_true(read_epoch == epoch && outcomes.size == n);
        assert_memory_equal(outcomes.data, bytes, n);
        assert_int_equal(batch_encode(epoch, (struct slice){bytes, n}, ours, size - 1, &size),
                         JOBTAB_SYSTEM);
    }
    for (size_t cut = 0; cut < theirs.size; cut++) {
        memcpy(ours, theirs.bytes, theirs.size);
        assert_int_equal(batch_decode((struct slice){ours, cut}, &read_epoch, &outcomes),
                         JOBTAB_DAMAGED);
    }
    ours[theirs.size - sizeof bytes - 4]++; /* a length that is not so */
    assert_int_equal(batch_decode((struct slice){ours, theirs.size}, &read_epoch, &outcomes),
                     JOBTAB_DAMAGED);
}

static void an_image_of_tpl_is_read_as_it_was_meant(void **state)
{
    struct image theirs, again;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct record record = any_record(), read_record;
        struct hot hot = any_hot(), read_hot;

        tpl_dump_record(&record, &theirs);
        assert_ok(record_decode(slice_of(&theirs), &read_record));
        tpl_dump_record(&read_record, &again);
        assert_same_image(&again, &theirs);
        tpl_dump_hot(&hot, &theirs);
        assert_ok(hot_decode(slice_of(&theirs), &read_hot));
        tpl_dump_hot(&read_hot, &again);
        assert_same_image(&again, &theirs);
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
    record_encode(&r, &image);
    assert_ok(record_decode(slice_of(&image), &read));
    assert_same_record(&r, &read);
}

static void an_image_cut_anywhere_is_refused(void **state)
{
    struct record r = sample();
    struct image image;

    (void)state;
    record_encode(&r, &image);
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
    record_encode(&r, &image);
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
    count_encode(&count, &image);
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
    count_encode(&count, &image);
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
    record_encode(&r, &image);
    assert_int_equal(record_decode(slice_of(&image), &r), JOBTAB_DAMAGED);
    r = sample();
    r.job.progress = 101;
    record_encode(&r, &image);
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
    totals_encode(&totals, &image);
    assert_ok(totals_decode(slice_of(&image), &totals_read));
    assert_memory_equal(&totals, &totals_read, sizeof totals);
    policy_encode(&policy, &image);
    assert_ok(policy_decode(slice_of(&image), &policy_read));
    assert_int_equal(policy_read.max_attempts, 3);
    assert_int_equal(policy_read.timeout, -1);
    settings_encode(&settings, &image);
    assert_ok(settings_decode(slice_of(&image), &settings_read));
    assert_int_equal(settings_read.high_water, 80);
    assert_int_equal(settings_read.log_max, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_record_is_read_and_written),
        cmocka_unit_test(the_golden_hot_record_is_read_and_written),
        cmocka_unit_test(an_image_is_the_one_that_tpl_writes),
        cmocka_unit_test(a_small_image_is_the_one_that_tpl_writes),
        cmocka_unit_test(a_batch_is_the_image_that_tpl_writes_and_is_read_back),
        cmocka_unit_test(an_image_of_tpl_is_read_as_it_was_meant),
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
