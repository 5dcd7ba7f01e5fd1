/* record.h - what the table stores, as tpl images: the one place that owns their formats.
 *
 * To change a format: add the new string beside the old one, keep decoding the old one (fields it
 * lacks get the value that held before), encode the new one only, add its golden image to
 * tests/unit/test_record.c and leave the old ones there. A job's record can be given a number more
 * without that: it takes the next place, and who does not know the place says JOBTAB_SCHEMA.
 *
 * Any tpl program can read an image. It is written and read in place all the same, and why is in
 * record_image.h. record.c has a job's record, record_lists.c all others.
 */
#ifndef RECORD_H
#define RECORD_H

#include "clock.h"
#include "jobtab.h"
#include "store.h"

#define RECORD_MAX 2048 /* bytes of the largest image */

struct image {
    char bytes[RECORD_MAX];
    size_t size;
};

#define RECORD_PART_MAX 512 /* bytes of params or result that may stand in a record */

/* `jobs`: the job but for what moves while it runs. The id is the key, and not in the image; but
 * the image counts the job's instants from the one in it. */
struct record {
    struct jobtab_job job;
    uint64_t queued;  /* its place in `pending`: the version at which it joined the queue */
    uint64_t request; /* hash of the submit that carried its idempotency key */
    /* What stands in the record itself, else in `payload` (data NULL). Decoded, they point into
     * the image, and so into the store: encode before the next put. */
    struct slice params, result;
    size_t room; /* bytes of the image that was decoded: what it has in its page */
};

/* `running`: what moves while a job runs. Stands in for the record's own fields meanwhile. */
struct hot {
    uint64_t version;
    uint32_t progress;
    char message[JOBTAB_MESSAGE_MAX + 1];
    int64_t updated_at;
    uint32_t attempt;
    uint64_t secret; /* with the attempt: the fencing token */
    struct jobtab_owner owner;
    struct boot boot; /* in which owner, lease and deadline mean something */
    int64_t lease;    /* boot clock; 0 when the kernel vouches for the owner */
    int64_t deadline; /* of the attempt, boot clock; 0 is none */
    uint64_t log_begin, log_end;
};

/* `meta`: the table's sequence, the last id and what has happened since it was made. */
struct totals {
    uint64_t sequence;
    struct jobtab_id last_id;
    uint64_t submitted, claimed, completed, failed, cancelled, retried, owners_lost, expired,
        evicted;
};

/* `meta`: how many jobs of one kind are in each state. */
struct count {
    uint64_t states[JOBTAB_STATES];
};

/* Of the parts, what has data. */
void record_encode(const struct record *record, struct image *image);
/* Fill an encoded record up to `size` bytes, if it is below. */
void record_fill(struct image *image, size_t size);
void hot_encode(const struct hot *hot, struct image *image);
void totals_encode(const struct totals *totals, struct image *image);
void count_encode(const struct count *count, struct image *image);
void policy_encode(const struct jobtab_policy *policy, struct image *image);
void settings_encode(const struct jobtab_options *settings, struct image *image);

/* `meta`: the outcomes of the last shared commit, see batch.h. Larger than the others: it goes into
 * `image`, which has room for `room` bytes; JOBTAB_SYSTEM when that is not enough. */
int batch_encode(uint64_t epoch, struct slice outcomes, char *image, size_t room, size_t *size);

/* Any bytes may come in. JOBTAB_DAMAGED, with the reason, for what is no sound image; JOBTAB_SCHEMA
 * for a format of a later version. The output is then not to be used. */
int record_decode(struct slice bytes, struct record *record); /* job.id is set before */
/* Two of a record's fields for the price of a look: what is not looked at may be damaged. */
int record_version(struct slice bytes, enum jobtab_state *state, uint64_t *version);
int hot_decode(struct slice bytes, struct hot *hot);
int totals_decode(struct slice bytes, struct totals *totals);
int count_decode(struct slice bytes, struct count *count);
int policy_decode(struct slice bytes, struct jobtab_policy *policy);
int settings_decode(struct slice bytes, struct jobtab_options *settings);
/* The outcomes point into `bytes`. */
int batch_decode(struct slice bytes, uint64_t *epoch, struct slice *outcomes);

#endif
