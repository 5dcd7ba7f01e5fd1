/* fuzz_cursor.c - the query string of GET /jobs, its cursor above all. It is refused with the name
 * of the parameter, or what was read of it, written as a query string, reads as the same. */
#include "fuzz.h"

#include "page.h"

static const char *read_page(const char *text, size_t size, struct page *page)
{
    struct query query;

    query_begin(&query, text, size);
    const char *wrong = page_read(&query, page);
    HOLDS(wrong == NULL || strnlen(query.name, sizeof query.name) < sizeof query.name);
    return wrong;
}

static size_t write_page(const struct page *page, char *text, size_t room)
{
    char id[JOBTAB_ID_TEXT];
    size_t size = (size_t)snprintf(text, room, "limit=%zu", page->limit);

    for (int i = 0; i < JOBTAB_STATES; i++)
        if (page->filter.states & JOBTAB_STATE_BIT(i))
            size += (size_t)snprintf(text + size, room - size, "&state=%s",
                                     jobtab_state_name((enum jobtab_state)i));
    if (page->filter.kind) {
        size += (size_t)snprintf(text + size, room - size, "&kind=");
        for (const char *c = page->filter.kind; *c; c++)
            size += (size_t)snprintf(text + size, room - size, "%%%02X", (unsigned char)*c);
    }
    if (page->filter.after_set) {
        jobtab_id_format(&page->filter.after, id);
        size += (size_t)snprintf(text + size, room - size, "&cursor=%s", id);
    }
    HOLDS(size < room);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size), again[1024];
    struct page first, second;

    if (read_page(text, size, &first) == NULL) {
        HOLDS(first.limit >= 1 && first.limit <= PAGE_MAX);
        HOLDS(first.filter.kind == NULL || first.filter.kind == first.kind);
        HOLDS(read_page(again, write_page(&first, again, sizeof again), &second) == NULL);
        HOLDS(first.limit == second.limit && first.filter.states == second.filter.states);
        HOLDS(strcmp(first.kind, second.kind) == 0);
        HOLDS(first.filter.after_set == second.filter.after_set);
        HOLDS(memcmp(&first.filter.after, &second.filter.after, sizeof first.filter.after) == 0);
    }
    free(text);
    return 0;
}
