/* payload.c - params, result and log in chunks. See payload.h. */
#include "payload.h"

#include "error.h"
#include "keys.h"

#include <string.h>

static void put_chunk(struct store_txn *txn, const struct jobtab_id *id, enum jobtab_part part,
                      uint64_t chunk, const void *data, size_t size)
{
    struct key key = key_chunk(id, part, (uint32_t)chunk);

    store_put(txn, STORE_PAYLOAD, key_slice(&key), (struct slice){.data = data, .size = size});
}

void payload_put(struct store_txn *txn, const struct jobtab_id *id, enum jobtab_part part,
                 struct slice bytes)
{
    for (size_t at = 0; at < bytes.size; at += PAYLOAD_CHUNK) {
        size_t n = bytes.size - at < PAYLOAD_CHUNK ? bytes.size - at : PAYLOAD_CHUNK;
        put_chunk(txn, id, part, at / PAYLOAD_CHUNK, (const char *)bytes.data + at, n);
    }
}

void payload_append_log(struct store_txn *txn, const struct jobtab_id *id, uint64_t *begin,
                        uint64_t *end, const void *data, size_t size, uint64_t max)
{
    char chunk[PAYLOAD_CHUNK];
    const char *bytes = data;

    while (size > 0) {
        struct key key = key_chunk(id, JOBTAB_LOGTEXT, (uint32_t)(*end / PAYLOAD_CHUNK));
        size_t held = *end % PAYLOAD_CHUNK;
        size_t n = size < PAYLOAD_CHUNK - held ? size : PAYLOAD_CHUNK - held;
        struct slice old;

        if (held) {
            if (!store_get(txn, STORE_PAYLOAD, key_slice(&key), &old) || old.size != held) {
                store_fail(txn, fail(JOBTAB_DAMAGED, "the log's last chunk is not as it should be"));
                return;
            }
            memcpy(chunk, old.data, held);
        }
        memcpy(chunk + held, bytes, n);
        put_chunk(txn, id, JOBTAB_LOGTEXT, *end / PAYLOAD_CHUNK, chunk, held + n);
        bytes += n;
        size -= n;
        *end += n;
        while (*end - *begin > max && *begin / PAYLOAD_CHUNK < (*end - 1) / PAYLOAD_CHUNK) {
            key = key_chunk(id, JOBTAB_LOGTEXT, (uint32_t)(*begin / PAYLOAD_CHUNK));
            store_delete(txn, STORE_PAYLOAD, key_slice(&key));
            *begin = (*begin / PAYLOAD_CHUNK + 1) * PAYLOAD_CHUNK;
        }
    }
}

bool payload_inside(const struct record *record, enum jobtab_part part, struct slice *bytes)
{
    *bytes = part == JOBTAB_PARAMS   ? record->params
             : part == JOBTAB_RESULT ? record->result
                                     : (struct slice){0};
    return bytes->data != NULL;
}

void payload_range(const struct jobtab_job *job, enum jobtab_part part, uint64_t *begin,
                   uint64_t *end)
{
    *begin = 0;
    switch (part) {
    case JOBTAB_PARAMS:
        *end = job->params_size;
        return;
    case JOBTAB_RESULT:
        *end = job->result_size;
        return;
    case JOBTAB_LOGTEXT:
        *begin = job->log_begin;
        *end = job->log_end;
        return;
    }
    *end = 0;
}

void payload_delete(struct store_txn *txn, const struct record *record, enum jobtab_part part)
{
    struct slice inside;
    uint64_t begin, end;

    if (payload_inside(record, part, &inside))
        return;
    payload_range(&record->job, part, &begin, &end);
    for (uint64_t chunk = begin / PAYLOAD_CHUNK; chunk * PAYLOAD_CHUNK < end; chunk++) {
        struct key key = key_chunk(&record->job.id, part, (uint32_t)chunk);
        if (!store_delete(txn, STORE_PAYLOAD, key_slice(&key)))
            return; /* a damaged size must not make us look for chunks for ever */
    }
}

bool payload_piece(struct store_txn *txn, const struct record *record, enum jobtab_part part,
                   struct slice *bytes)
{
    uint64_t begin, end;

    if (payload_inside(record, part, bytes))
        return true;
    payload_range(&record->job, part, &begin, &end);
    *bytes = (struct slice){.data = "", .size = 0};
    if (begin == end)
        return true;
    if (begin != 0 || end > PAYLOAD_CHUNK)
        return false;
    struct key key = key_chunk(&record->job.id, part, 0);
    return store_get(txn, STORE_PAYLOAD, key_slice(&key), bytes) && bytes->size == end;
}

int payload_copy(struct store_txn *txn, const struct record *record, enum jobtab_part part,
                 uint64_t offset, size_t size, char *bytes)
{
    struct slice inside;

    if (payload_inside(record, part, &inside)) {
        memcpy(bytes, (const char *)inside.data + offset, size);
        return JOBTAB_OK;
    }
    while (size > 0) {
        struct key key = key_chunk(&record->job.id, part, (uint32_t)(offset / PAYLOAD_CHUNK));
        size_t skip = offset % PAYLOAD_CHUNK;
        size_t n = size < PAYLOAD_CHUNK - skip ? size : PAYLOAD_CHUNK - skip;
        struct slice chunk;

        if (!store_get(txn, STORE_PAYLOAD, key_slice(&key), &chunk) || chunk.size < skip + n)
            return store_error(txn) ? store_error(txn)
                                    : fail(JOBTAB_DAMAGED, "a chunk of its bytes is missing");
        memcpy(bytes, (const char *)chunk.data + skip, n);
        bytes += n;
        offset += n;
        size -= n;
    }
    return JOBTAB_OK;
}
