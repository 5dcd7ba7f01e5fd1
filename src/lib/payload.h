/* payload.h - a job's params, result and log: bytes in chunks that fill one page each, but for
 * small params and results, which stand in the record (see edit_put).
 *
 * Chunk n holds the bytes from n * PAYLOAD_CHUNK on, for a log counted from its very beginning:
 * when old log is dropped the offsets of the rest stay what they were.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include "record.h"
#include "store.h"

#define PAYLOAD_CHUNK 4064 /* with key and headers just under a page of 4,096 */

/* Store a whole part that is not there yet. */
void payload_put(struct store_txn *txn, const struct jobtab_id *id, enum jobtab_part part,
                 struct slice bytes);
/* Append to the log that holds [*begin, *end), dropping whole chunks of the oldest so that at most
 * `max` bytes (and always the newest chunk) are kept. */
void payload_append_log(struct store_txn *txn, const struct jobtab_id *id, uint64_t *begin,
                        uint64_t *end, const void *data, size_t size, uint64_t max);
/* Remove the part's chunks, as far as the job has them. */
void payload_delete(struct store_txn *txn, const struct record *record, enum jobtab_part part);

/* True, and *bytes set, when the part stands in the record. */
bool payload_inside(const struct record *record, enum jobtab_part part, struct slice *bytes);
/* Where the part begins and ends. */
void payload_range(const struct jobtab_job *job, enum jobtab_part part, uint64_t *begin,
                   uint64_t *end);
/* True, and *bytes set, when the whole part stands in one piece: the store's, as what a get
 * returns. */
bool payload_piece(struct store_txn *txn, const struct record *record, enum jobtab_part part,
                   struct slice *bytes);
/* Copy [offset, offset + size), which the range holds. JOBTAB_DAMAGED when a chunk is missing or
 * short. */
int payload_copy(struct store_txn *txn, const struct record *record, enum jobtab_part part,
                 uint64_t offset, size_t size, char *bytes);

#endif
