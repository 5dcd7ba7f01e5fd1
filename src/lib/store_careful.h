/* store_careful.h - reading what is left of a store with damaged pages. LMDB would believe them;
 * here each page is checked as it is read (store_layout.h), and one that is not sound is gone
 * around by the page above it: its entries are missed, and all others are found.
 *
 * Born:  careful_new, for a store that is read so from now on; a view for each reading transaction,
 *        whose snapshot keeps its pages from being written over.
 * Ends:  the view with its transaction: what it gave is valid until then.
 */
#ifndef STORE_CAREFUL_H
#define STORE_CAREFUL_H

#include "store.h"
#include "store_pages.h"

struct careful;
struct careful_view;

/* `fault` is told of each damaged page once. NULL without memory. */
struct careful *careful_new(int fd, pages_fault_fn *fault, void *context);
void careful_free(struct careful *careful);

/* The view of a transaction that shows commit `txn`. *passed, and JOBTAB_OK: as pages_check. */
int careful_begin(struct careful *careful, size_t txn, struct careful_view **view, bool *passed);
void careful_end(struct careful_view *view);

/* Which entry of a database, by its place to `key`; size 0: as if it was below, or above, all. */
enum careful_place { CAREFUL_AT, CAREFUL_FROM, CAREFUL_ABOVE, CAREFUL_BELOW };

/* JOBTAB_OK and *found; JOBTAB_NOTFOUND; JOBTAB_SYSTEM. */
int careful_find(struct careful_view *view, enum store_db db, struct slice key,
                 enum careful_place place, struct slice *found, struct slice *value);

#endif
