/* verify.h - the whole table held against itself, in a transaction of the caller's. */
#ifndef VERIFY_H
#define VERIFY_H

#include "table.h"

/* As jobtab_verify. The transaction reads, or has changed nothing. *passed, and JOBTAB_OK: so many
 * commits were made since it began to read that it cannot be looked into; take another. */
int verify_all(struct jobtab *table, struct store_txn *txn, jobtab_fault_fn *fault,
               void (*progress)(uint64_t done, uint64_t all, void *context), void *context,
               uint64_t *records, uint64_t *faults, bool *passed);

#endif
