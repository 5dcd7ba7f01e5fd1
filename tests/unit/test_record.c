/* test_record.c - images: golden ones, tpl as the reference, and damage of every kind. */
#include "fixture.h"

#include "record.h"

#include <tpl.h>

static struct record sample(void)
{
    struct record r = {.queued = 7, .request = 0x1122334455667788};
    struct jobtab_job *job = &r.job;

    job->id = (struct jobtab_id){{0x01, 0xa2, 0x06, 0xfd, 0x67, 0x00, 0x70}}; /* created_at */
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

static const char sample_params[] = "{}", sample_result[] = "[1]";

/* As version 2 has it: with the small parts. */
static struct record sample_2(void)
{
    struct record r = sample();

    r.params = (struct slice){sample_params, 2};
    r.result = (struct slice){sample_result, 3};
    r.job.result_size = 3;
    r.job.result_format = JOBTAB_JSON;
    return r;
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

/* Version 2 of the job's record, with filling up to 260 bytes. */
static const char golden_record_2[] =
    "74706c02040100004128637629412863752941286349294128637329424242000f0000000201000414000501"
    "000603000702000804000967120a07000ce8030e01000fe90310f50111bd02170c00180100010000000dc027"
    "09000200000003fbffffffffffffff0b887766554433221104000000010900000076616c6964617465020900"
    "00006f726465722d31370315000000436f6c6c656374696e67207072696365732e2e2e040c00000065786974"
    "20636f64652033020000007b7d030000005b315d3c0000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000";

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

static struct slice slice_of(const struct image *image)
{
    return (struct slice){.data = image->bytes, .size = image->size};
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

    for (size_t i = 0; i < sizeof job->id.bytes; i++)
        job->id.bytes[i] = (uint8_t)random();
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

static void tpl_dump_record_1(struct record *r, struct image *image)
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

/* From the instant in the id; 0 is none. */
static uint64_t since(int64_t instant, const struct jobtab_id *id)
{
    uint64_t base = 0;

    for (int i = 0; i < 6; i++)
        base = base << 8 | id->bytes[i];
    return instant ? (uint64_t)instant - base + 1 : 0;
}

/* Version 2: what is not zero, in lists of 2, 4 and 8 bytes. */
static void tpl_dump_record_2(struct record *r, uint32_t filling, struct image *image)
{
    static const char zeros[RECORD_MAX];
    struct jobtab_job *job = &r->job;
    const struct jobtab_id *id = &job->id;
    const uint64_t numbers[] = {
        job->state, job->reason, (uint64_t)(int64_t)job->priority, job->progress, job->attempt,
        job->max_attempts, job->crashes, job->max_crashes, job->version, r->queued, r->request,
        (uint64_t)job->backoff, (uint64_t)job->timeout, since(job->created_at, id),
        since(job->run_at, id), since(job->started_at, id), since(job->updated_at, id),
        since(job->finished_at, id), since(job->expires_at, id),
        r->params.data ? 0 : job->params_size, r->result.data ? 0 : job->result_size,
        job->log_begin, job->log_end, job->result_format};
    char *texts[] = {job->kind, job->key, job->message, job->error}, *text, place;
    tpl_bin params = {(void *)(uintptr_t)r->params.data, (uint32_t)r->params.size};
    tpl_bin result = {(void *)(uintptr_t)r->result.data, (uint32_t)r->result.size};
    tpl_bin fill = {(void *)(uintptr_t)zeros, filling};
    uint16_t two;
    uint32_t four;
    int64_t eight;

    tpl_node *node = tpl_map((char[]){"A(cv)A(cu)A(cI)A(cs)BBB"}, &place, &two, &place, &four,
                             &place, &eight, &place, &text, &params, &result, &fill);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t number = numbers[i];
        place = (char)(i + 1);
        two = (uint16_t)number, four = (uint32_t)number, eight = (int64_t)number;
        if (number)
            tpl_pack(node, number <= UINT16_MAX ? 1 : number <= UINT32_MAX ? 2 : 3);
    }
    for (int i = 0; i < 4; i++) {
        place = (char)(i + 1);
        text = texts[i];
        if (*text)
            tpl_pack(node, 4);
    }
    dump(node, image);
}

/* Every field and part. */
static void assert_same_record(struct record *a, struct record *b)
{
    struct image ia, ib;

    tpl_dump_record_1(a, &ia);
    tpl_dump_record_1(b, &ib);
    assert_same_image(&ia, &ib);
    assert_int_equal(a->params.size, b->params.size);
    assert_int_equal(a->result.size, b->result.size);
    if (a->params.size)
        assert_memory_equal(a->params.data, b->params.data, a->params.size);
    if (a->result.size)
        assert_memory_equal(a->result.data, b->result.data, a->result.size);
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

/* Inside the record, in chunks, or none. */
static void any_part(struct slice *part, uint64_t *size)
{
    static char bytes[100];

    *part = (struct slice){0};
    *size = below(2) ? 0 : any_number();
    if (below(2)) {
        *part = (struct slice){bytes, 1 + below(sizeof bytes)};
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)random();
        *size = part->size;
    }
}

static void assert_is_read_as(const struct image *image, struct record *wanted)
{
    struct record read;

    memset(&read, 0xaa, sizeof read);
    read.job.id = wanted->job.id;
    assert_ok(record_decode(slice_of(image), &read));
    assert_same_record(&read, wanted);
    assert_int_equal(read.room, image->size);
    assert_int_equal(read.job.owner.pid, 0);

    enum jobtab_state state;
    uint64_t version;
    assert_ok(record_version(slice_of(image), &state, &version));
    assert_int_equal(state, wanted->job.state);
    assert_true(version == wanted->job.version);
}

static void an_image_is_the_one_that_tpl_writes(void **state)
{
    struct image ours, theirs;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct record record = any_record();
        struct hot hot = any_hot();

        any_part(&record.params, &record.job.params_size);
        any_part(&record.result, &record.job.result_size);
        record_encode(&record, &ours);
        uint32_t filling = round % 2 ? below(50) : 0;
        record_fill(&ours, ours.size + filling);
        tpl_dump_record_2(&record, filling, &theirs);
        assert_same_image(&ours, &theirs);
        assert_is_read_as(&theirs, &record);
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

        tpl_dump_record_1(&record, &theirs);
        assert_ok(record_decode(slice_of(&theirs), &read_record));
        tpl_dump_record_1(&read_record, &again);
        assert_same_image(&again, &theirs);
        tpl_dump_hot(&hot, &theirs);
        assert_ok(hot_decode(slice_of(&theirs), &read_hot));
        tpl_dump_hot(&read_hot, &again);
        assert_same_image(&again, &theirs);
    }
}

/* Instants that stand before the id's, at it, or where no clock goes. */
static void every_instant_is_kept(void **state)
{
    static const int64_t near[] = {-2, -1, 0, 1, 2};
    struct record r = sample(), read;
    struct image image;

    (void)state;
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        r.job.run_at = 1795413600000 + near[i];
        r.job.started_at = near[i];
        r.job.finished_at = INT64_MAX + near[i] * (near[i] < 0);
        r.job.expires_at = INT64_MIN + near[i] * (near[i] > 0);
        record_encode(&r, &image);
        read.job.id = r.job.id;
        assert_ok(record_decode(slice_of(&image), &read));
        assert_same_record(&read, &r);
    }
}

/* ----------------------------------------------------------------- golden ones */

static void the_golden_record_is_read_and_written(void **state)
{
    struct record wanted = sample_2(), read = {.job.id = wanted.job.id};
    struct image image;

    (void)state;
    assert_ok(record_decode(from_hex(golden_record_2, &image), &read));
    assert_same_record(&read, &wanted);
    assert_int_equal(read.job.priority, -5);
    assert_int_equal(read.room, 260);
    record_encode(&wanted, &image);
    assert_true(image.size <= 300); /* design section 2: the usual case */
    record_fill(&image, 260);
    assert_is_golden(&image, golden_record_2);
}

static void the_golden_record_of_version_1_is_read(void **state)
{
    struct record wanted = sample(), read = {.job.id = wanted.job.id};
    struct image image, theirs;

    (void)state;
    tpl_dump_record_1(&wanted, &theirs);
    assert_is_golden(&theirs, golden_record_1);
    assert_ok(record_decode(from_hex(golden_record_1, &image), &read));
    assert_same_record(&read, &wanted);
    assert_int_equal(read.job.priority, -5);
    assert_string_equal(read.job.error, "exit code 3");
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

/* ---------------------------------------------------------------------- damage */

static void the_largest_record_fits(void **state)
{
    struct record r = sample(), read = {.job.id = r.job.id};
    struct image image;

    (void)state;
    memset(r.job.kind, 'k', JOBTAB_KIND_MAX);
    memset(r.job.key, 'K', JOBTAB_KEY_MAX);
    memset(r.job.message, 'm', JOBTAB_MESSAGE_MAX);
    memset(r.job.error, 'e', JOBTAB_MESSAGE_MAX);
    char part[RECORD_PART_MAX];
    memset(part, 'p', sizeof part);
    r.params = (struct slice){part, sizeof part};
    r.job.params_size = sizeof part;
    uint64_t *number = &r.job.version;
    for (; number <= &r.job.log_end; number++)
        if (number != &r.job.params_size)
            *number = UINT64_MAX;
    r.job.attempt = r.job.max_attempts = r.job.crashes = r.job.max_crashes = UINT32_MAX;
    record_encode(&r, &image);
    assert_true(image.size <= RECORD_MAX);
    assert_ok(record_decode(slice_of(&image), &read));
    assert_same_record(&r, &read);
}

static void an_image_cut_anywhere_is_refused(void **state)
{
    struct record r = sample_2();
    enum jobtab_state its_state;
    struct image image;
    uint64_t version;

    (void)state;
    record_encode(&r, &image);
    for (size_t size = 0; size < image.size; size++) {
        /* In memory of its own, so that a read beyond it shows under ASan and valgrind. */
        char *cut = malloc(size ? size : 1);
        memcpy(cut, image.bytes, size);
        assert_int_not_equal(record_decode((struct slice){cut, size}, &r), JOBTAB_OK);
        assert_int_not_equal(record_version((struct slice){cut, size}, &its_state, &version),
                             JOBTAB_OK);
        if (size >= 8) { /* the same, with a total length that agrees */
            uint32_t length = (uint32_t)size;
            memcpy(cut + 4, &length, sizeof length);
            assert_int_not_equal(record_decode((struct slice){cut, size}, &r), JOBTAB_OK);
        }
        free(cut);
        r = sample_2();
    }
}

static void damaged_bytes_are_never_read_beyond(void **state)
{
    struct record r = sample_2();
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

/* Every content has one image: numbers in the shortest list that holds them, each once, in
 * order. */
static void a_number_that_is_not_in_its_place_is_damage(void **state)
{
    enum { FIRST = 8 + sizeof "A(cv)A(cu)A(cI)A(cs)BBB" + 4 }; /* the first entry of the first list */
    static const struct {
        size_t at;
        char byte;
        int says;
    } changes[] = {
        {FIRST, 0, JOBTAB_DAMAGED},      /* no place */
        {FIRST, 4, JOBTAB_DAMAGED},      /* twice: the progress is the next entry */
        {FIRST, 24, JOBTAB_DAMAGED},     /* out of order */
        {FIRST + 1, 0, JOBTAB_DAMAGED},  /* a zero, which would have been left out */
        {FIRST - 4, 127, JOBTAB_DAMAGED}, /* more entries than bytes */
        {FIRST + 3 * 14, 25, JOBTAB_SCHEMA}, /* the last entry: a field that nobody knows yet */
    };
    struct record r = sample_2();
    struct image image;

    (void)state;
    record_encode(&r, &image);
    assert_int_equal(image.bytes[FIRST - 4], 15);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct image changed = image;
        changed.bytes[changes[i].at] = changes[i].byte;
        assert_int_equal(record_decode(slice_of(&changed), &r), changes[i].says);
    }
}

static void a_part_with_its_size_besides_is_damage(void **state)
{
    struct record r = sample_2();
    struct image image;

    (void)state;
    r.params = (struct slice){0}; /* the number stands in the image, the part behind it is empty */
    r.result = (struct slice){0};
    record_encode(&r, &image);
    char *parts = image.bytes + image.size - 12;
    memmove(parts + 5, parts + 4, 8);
    *parts = 1;
    parts[4] = '1';
    image.size++;
    memcpy(image.bytes + 4, &(uint32_t){(uint32_t)image.size}, 4);
    assert_int_equal(record_decode(slice_of(&image), &r), JOBTAB_DAMAGED);
    assert_non_null(strstr(jobtab_why(), "two places"));
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
        cmocka_unit_test(every_instant_is_kept),
        cmocka_unit_test(the_golden_record_is_read_and_written),
        cmocka_unit_test(the_golden_record_of_version_1_is_read),
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
        cmocka_unit_test(a_number_that_is_not_in_its_place_is_damage),
        cmocka_unit_test(a_part_with_its_size_besides_is_damage),
        cmocka_unit_test(numbers_out_of_range_are_damage),
        cmocka_unit_test(the_small_records_go_both_ways),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
