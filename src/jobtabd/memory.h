/* memory.h - what was freed goes back to the system. glibc keeps it for the next time instead, and
 * a client decides how much that is: its request, its answer, thousands of connections. */
#ifndef MEMORY_H
#define MEMORY_H

/* Large blocks go back as they are freed, from now on, also in processes that are forked. */
void memory_return_large(void);

/* Small ones lie in pieces between what is still in use: give back what can be. Takes
 * milliseconds. */
void memory_give_back(void);

#endif
