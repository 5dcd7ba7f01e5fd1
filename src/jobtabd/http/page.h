/* page.h - which jobs a listing is to have: the query string of GET /jobs. Knows no HTTP
 * library. */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "jobtab.h"
#include "query.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

struct page {
    struct jobtab_filter filter; /* its `kind` points to the next member, or is NULL */
    char kind[JOBTAB_KIND_MAX + 1];
    size_t limit;
};

/* NULL, and *page as the query has it; or what is wrong, with query->name the parameter's name. */
const char *page_read(struct query *query, struct page *page);

#endif
