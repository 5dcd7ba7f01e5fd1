/* doubt.h - what a commit that failed leaves to all who have the table open: a doubt about its
 * file.
 *
 * Born:  by a leader whose commit failed with its outcome unknown, before it tells anyone or gives
 *        up the lead; or by an opener who could not make sure that what it found is on disk.
 * Life:  a word in the shared file. Reads go on. Whoever is about to write first, in whatever
 *        process, undoes what the commit may have left, and verifies the whole table.
 * Ends:  when that finds the table sound. When the disk refuses, it is tried again, not more often
 *        than twice a second; a table that is found damaged is not written to while anybody has it
 *        open.
 * Crash: the word stays, and the next one does it.
 */
#ifndef DOUBT_H
#define DOUBT_H

#include "table.h"

/* In the lead, or under the open lock. */
void doubt_raise(struct jobtab *table);

/* Is there one? Then nothing may be written before doubt_settle has returned JOBTAB_OK. */
bool doubt_stands(const struct jobtab *table);

/* In the lead, in a transaction that has changed nothing. JOBTAB_OK also when there is no doubt.
 * Else nothing may be written: JOBTAB_SYSTEM and JOBTAB_FULL for now, JOBTAB_DAMAGED until it is
 * repaired. */
int doubt_settle(struct jobtab *table, struct store_txn *txn);

#endif
