/* locks.h - who has the locks that LMDB, and the opening of a table, tell nobody of. */
#ifndef LOCKS_H
#define LOCKS_H

#include <stdint.h>

/* Threads, as the kernel numbers them, that have the writer's lock and that of the list of readers;
 * the process that opens the table. 0: nobody, or it cannot be told. */
struct locks {
    int32_t writer, readers, opener;
};

/* The process has the table in `dir` open. Waits for nobody. */
struct locks locks_look(const char *dir);

#endif
