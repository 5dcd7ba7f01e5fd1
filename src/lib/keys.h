/* keys.h - the keys of the databases: plain bytes, numbers big-endian, so that bytewise order is
 * the order that is meant and mdb_dump shows what they are. */
#ifndef KEYS_H
#define KEYS_H

#include "record.h"
#include "store.h"

#define KEY_MAX 192

struct key {
    uint8_t bytes[KEY_MAX];
    size_t size;
};

struct slice key_slice(const struct key *key);
struct slice id_slice(const struct jobtab_id *id);
struct slice text_slice(const char *text);
struct slice image_slice(const struct image *image);

/* `pending`: kind, NUL, priority (highest first), place in the queue. */
struct key key_pending(const char *kind, int32_t priority, uint64_t queued);
/* What all pending keys of a kind begin with. */
struct key key_pending_kind(const char *kind);
/* `scheduled` and `done`: an instant and an id. */
struct key key_instant(int64_t instant, const struct jobtab_id *id);
int64_t key_instant_of(struct slice key);
/* The id that a key of those ends with, or that a value is; false when the size is wrong. */
bool key_id_of(struct slice bytes, size_t size, struct jobtab_id *id);
/* `payload`: id, part, chunk. */
struct key key_chunk(const struct jobtab_id *id, enum jobtab_part part, uint32_t chunk);
/* `changes`: a version. */
struct key key_version(uint64_t version);
uint64_t key_version_of(struct slice key);
/* `meta`: "totals", "settings", "policy:KIND", "count:KIND". */
struct key key_meta(const char *what, const char *kind);

bool key_begins(struct slice key, const struct key *prefix);
bool key_is(struct slice key, struct key wanted);

#endif
