/* keys.c - building and reading keys. See keys.h. */
#include "keys.h"

#include <string.h>

struct slice key_slice(const struct key *key)
{
    return (struct slice){.data = key->bytes, .size = key->size};
}

struct slice id_slice(const struct jobtab_id *id)
{
    return (struct slice){.data = id->bytes, .size = sizeof id->bytes};
}

struct slice text_slice(const char *text)
{
    return (struct slice){.data = text, .size = strlen(text)};
}

struct slice image_slice(const struct image *image)
{
    return (struct slice){.data = image->bytes, .size = image->size};
}

static void add(struct key *key, const void *bytes, size_t size)
{
    memcpy(key->bytes + key->size, bytes, size);
    key->size += size;
}

static void add_be(struct key *key, size_t size, uint64_t value)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        key->bytes[key->size + i] = (uint8_t)value;
    key->size += size;
}

static uint64_t read_be(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | p[i];
    return value;
}

struct key key_pending_kind(const char *kind)
{
    struct key key = {.size = 0};

    add(&key, kind, strnlen(kind, JOBTAB_KIND_MAX));
    add(&key, "", 1);
    return key;
}

struct key key_pending(const char *kind, int32_t priority, uint64_t queued)
{
    struct key key = key_pending_kind(kind);

    add_be(&key, 1, (uint64_t)(JOBTAB_PRIORITY_MAX - (int64_t)priority));
    add_be(&key, 8, queued);
    return key;
}

struct key key_instant(int64_t instant, const struct jobtab_id *id)
{
    struct key key = {.size = 0};

    add_be(&key, 8, (uint64_t)instant);
    add(&key, id->bytes, sizeof id->bytes);
    return key;
}

int64_t key_instant_of(struct slice key)
{
    return key.size >= 8 ? (int64_t)read_be(key.data, 8) : 0;
}

bool key_id_of(struct slice bytes, size_t size, struct jobtab_id *id)
{
    if (bytes.size != size)
        return false;
    memcpy(id->bytes, (const uint8_t *)bytes.data + size - sizeof id->bytes, sizeof id->bytes);
    return true;
}

struct key key_chunk(const struct jobtab_id *id, enum jobtab_part part, uint32_t chunk)
{
    struct key key = {.size = 0};

    add(&key, id->bytes, sizeof id->bytes);
    add_be(&key, 1, (uint64_t)part);
    add_be(&key, 4, chunk);
    return key;
}

struct key key_version(uint64_t version)
{
    struct key key = {.size = 0};

    add_be(&key, 8, version);
    return key;
}

uint64_t key_version_of(struct slice key)
{
    return key.size == 8 ? read_be(key.data, 8) : 0;
}

struct key key_meta(const char *what, const char *kind)
{
    struct key key = {.size = 0};

    add(&key, what, strlen(what));
    if (kind) {
        add(&key, ":", 1);
        add(&key, kind, strnlen(kind, JOBTAB_KIND_MAX));
    }
    return key;
}

bool key_begins(struct slice key, const struct key *prefix)
{
    return key.size >= prefix->size && memcmp(key.data, prefix->bytes, prefix->size) == 0;
}

bool key_is(struct slice key, struct key wanted)
{
    return key.size == wanted.size && key_begins(key, &wanted);
}
