/* store_pages.h - the pages of an LMDB file, read without trust in any of them.
 *
 * LMDB believes what a page says: a damaged one can send it anywhere. So who opens a table has the
 * pages that opening reads checked first, and verify has all of them. Pages are read with pread,
 * where they stand in the file: neither its end nor what is in it can harm.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages;

/* Told of each fault: one line. */
typedef void pages_fault_fn(const char *fault, void *context);

/* Before LMDB opens the file `path`: is what it computes with there? A file that is not there or is
 * empty is none of its business. JOBTAB_DAMAGED, JOBTAB_SYSTEM. */
int pages_check_head(const char *path);

/* Check what the reading transaction `txn`, which stays open meanwhile, can reach of the file: each
 * page in its place and sound in itself, its keys in order, used once; each database as large as it
 * says; and with `only` NULL no page both free and used, nor neither. Else just the catalogue and
 * the databases that `only` names (NULL ends it). *passed, and JOBTAB_OK: two commits were made
 * since the transaction began, and where its pages begin is overwritten; take a new one.
 * JOBTAB_SYSTEM: it could not be read; JOBTAB_DAMAGED: so many *faults were told. */
int pages_check(int fd, size_t txn, const char *const *only, pages_fault_fn *fault, void *context,
                uint64_t *faults, bool *passed);

#endif
