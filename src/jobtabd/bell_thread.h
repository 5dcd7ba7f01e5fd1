/* bell_thread.h - the table's bell as a descriptor, for a loop that waits on descriptors. */
#ifndef BELL_THREAD_H
#define BELL_THREAD_H

struct jobtab;

/* Start a thread that makes *fd (an eventfd: read it to rearm) readable when the table has
 * changed, at most every `gap` ms; once at the start, too. The thread lasts as long as the
 * process: the table must not be closed before that. -1 with errno. */
int bell_thread_start(struct jobtab *table, int gap, int *fd);

#endif
