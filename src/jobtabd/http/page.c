/* page.c - the query string of GET /jobs: a table of its parameters. */
#include "page.h"

#include <stdlib.h>
#include <string.h>

static const char *read_states(const char *text, struct page *page)
{
    char names[QUERY_VALUE_MAX + 1], *rest = names, *name;
    enum jobtab_state state;

    strcpy(names, text);
    while ((name = strsep(&rest, ",")) != NULL) {
        if (jobtab_state_parse(name, &state) != JOBTAB_OK)
            return "state is one or more, with commas, of scheduled, pending, running, cancelling, "
                   "completed, failed and cancelled";
        page->filter.states |= JOBTAB_STATE_BIT(state);
    }
    return NULL;
}

static const char *read_kind(const char *text, struct page *page)
{
    size_t size = strlen(text);

    if (size == 0 || size > JOBTAB_KIND_MAX)
        return "kind is the name of a kind";
    memcpy(page->kind, text, size + 1);
    page->filter.kind = page->kind;
    return NULL;
}

static const char *read_limit(const char *text, struct page *page)
{
    char *end;

    page->limit = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || page->limit < 1 ||
        page->limit > PAGE_MAX)
        return "limit is a number from 1 to 1000";
    return NULL;
}

static const char *read_cursor(const char *text, struct page *page)
{
    if (jobtab_id_parse(text, &page->filter.after) != JOBTAB_OK)
        return "cursor is what an earlier page gave as next";
    page->filter.after_set = true;
    return NULL;
}

/* Each returns NULL or what the value should have been. */
static const struct {
    const char *name;
    const char *(*read)(const char *text, struct page *page);
} parameters[] = {
    {"state", read_states},
    {"kind", read_kind},
    {"limit", read_limit},
    {"cursor", read_cursor},
};

const char *page_read(struct query *query, struct page *page)
{
    const size_t n = sizeof(parameters) / sizeof(parameters[0]);
    int more;

    *page = (struct page){.limit = PAGE_DEFAULT};
    while ((more = query_next(query)) != 0) {
        const char *wrong = "the value is too long or badly encoded";
        size_t i = 0;

        while (i < n && strcmp(parameters[i].name, query->name) != 0)
            i++;
        if (i == n)
            wrong = "there is no such parameter; there are state, kind, limit and cursor";
        else if (more == 1)
            wrong = parameters[i].read(query->value, page);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}
