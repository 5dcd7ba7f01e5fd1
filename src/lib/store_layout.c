/* store_layout.c - see store_layout.h. */
#include "store_layout.h"

#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool pages_damaged(struct pages *pages, size_t page, const char *format, ...)
{
    char line[256];
    va_list args;

    int n = snprintf(line, sizeof line, "page %zu of `%s`: ", page, pages->in);
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    pages->faults++;
    pages->fault(line, pages->context);
    return false;
}

int pages_order(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

/* ---------------------------------------------------------------- pages of the file */

bool pages_bytes(struct pages *pages, size_t page, void *to, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(pages->fd, (char *)to + done, size - done,
                          (off_t)(page * pages->page_size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            pages->error = fail_errno(JOBTAB_SYSTEM, errno, "cannot read page %zu", page);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool pages_within(struct pages *pages, size_t page, size_t n)
{
    if (page < METAS || page >= pages->next || n > pages->next - page)
        return pages_damaged(pages, page, "there is no such page, they end at %zu",
                             pages->next - 1);
    return true;
}

bool pages_read(struct pages *pages, size_t page, size_t n, enum page_flag flag, uint8_t *to,
                size_t size)
{
    struct header header;

    if (!pages_within(pages, page, n))
        return false;
    if (page + n > pages->file_size / pages->page_size || !pages_bytes(pages, page, to, size)) {
        if (!pages->error)
            pages_damaged(pages, page, "it is beyond the end of the file");
        return false;
    }
    memcpy(&header, to, sizeof header);
    if (header.number != page)
        return pages_damaged(pages, page, "it says that it is page %zu", header.number);
    if (header.flags != flag)
        return pages_damaged(pages, page, "its flags are %#x, not %#x", header.flags, flag);
    if (flag == OVERFLOW && header.pages != n)
        return pages_damaged(pages, page, "it says that it is %u pages, not %zu", header.pages, n);
    return true;
}

/* ------------------------------------------------------------------------ nodes */

size_t pages_nodes(struct pages *pages, size_t page, const uint8_t *bytes)
{
    struct header header;

    memcpy(&header, bytes, sizeof header);
    if (header.lower < sizeof header || header.lower > header.upper ||
        header.upper > pages->page_size || header.lower % 2) {
        pages_damaged(pages, page, "its room is from %u to %u", header.lower, header.upper);
        return 0;
    }
    size_t n = (header.lower - sizeof header) / 2;
    if (n == 0 || (header.flags == BRANCH && n == 1)) {
        pages_damaged(pages, page, "it has %zu entries", n);
        return 0;
    }
    return n;
}

bool pages_node(struct pages *pages, size_t page, const uint8_t *bytes, size_t i,
                struct entry *entry, size_t *size)
{
    struct header header;
    uint16_t offset;

    memcpy(&header, bytes, sizeof header);
    memcpy(&offset, bytes + sizeof header + i * sizeof offset, sizeof offset);
    if (offset < header.upper || offset % 2 || offset + sizeof entry->node > pages->page_size)
        return pages_damaged(pages, page, "entry %zu begins at byte %u", i, offset);
    size_t left = pages->page_size - offset - sizeof entry->node;
    memcpy(&entry->node, bytes + offset, sizeof entry->node);
    size_t key_size = entry->node.key_size, data = 0;
    entry->key = bytes + offset + sizeof entry->node;
    if (header.flags == LEAF)
        data = entry->node.flags & BIG ? sizeof(size_t) : entry->node.low;
    else
        entry->child = sizeof(size_t) > 4 ? (size_t)entry->node.flags << 16 << 16 | entry->node.low
                                          : entry->node.low;
    if (key_size > KEY_LIMIT || key_size > left || data > left - key_size)
        return pages_damaged(pages, page, "entry %zu is %zu bytes of key and %zu of value", i,
                             key_size, data);
    entry->data = entry->key + key_size;
    *size = (sizeof entry->node + key_size + data + 1) & ~(size_t)1;
    return true;
}

bool pages_filled(struct pages *pages, size_t page, const uint8_t *bytes, size_t all)
{
    struct header header;

    memcpy(&header, bytes, sizeof header);
    if (all != pages->page_size - header.upper)
        return pages_damaged(pages, page, "its entries are of %zu bytes, and take %zu", all,
                             pages->page_size - header.upper);
    return true;
}

size_t pages_of_value(const struct pages *pages, size_t size)
{
    return (sizeof(struct header) - 1 + size) / pages->page_size + 1;
}

/* ------------------------------------------------------------------------- metas */

static bool sound_meta(const struct header *header, const struct meta *meta)
{
    uint32_t size = meta->free.pad;

    return header->flags == META && meta->magic == MAGIC && meta->version == VERSION &&
           size >= PAGE_MIN && size <= PAGE_MAX && !(size & (size - 1));
}

bool pages_read_meta(struct pages *pages, size_t n, struct meta *meta)
{
    uint8_t bytes[sizeof(struct header) + sizeof *meta];
    struct header header;

    if (!pages_bytes(pages, n, bytes, sizeof bytes))
        return false;
    memcpy(&header, bytes, sizeof header);
    memcpy(meta, bytes + sizeof header, sizeof *meta);
    return sound_meta(&header, meta);
}

bool pages_begin(struct pages *pages, struct meta *meta, bool *passed)
{
    pages->in = "meta";
    for (size_t n = 0; n < METAS; n++) {
        if (!pages_read_meta(pages, n, meta)) {
            if (!pages->error)
                pages_damaged(pages, n, "it is no meta page");
            return false;
        }
        pages->page_size = meta->free.pad;
        if (meta->txn == pages->txn) {
            pages->file_size = (size_t)lseek(pages->fd, 0, SEEK_END);
            return true;
        }
    }
    *passed = true;
    return false;
}
