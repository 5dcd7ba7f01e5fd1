/* spoil.c - damage a table that nobody has open: spoil DIR takes the first entry out of `done`. */
#include "jobtab.h"
#include "store.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct slice key, value;
    struct store *store;
    struct store_txn *txn;

    if (argc != 2 || store_open(argv[1], 0, 1022, true, &store) || store_write(store, &txn))
        return 2;
    struct store_cursor *cursor = store_cursor(txn, STORE_DONE);
    bool found = store_seek(cursor, (struct slice){0}, &key, &value);
    if (found)
        store_delete_next(cursor, &key, &value);
    store_cursor_end(cursor);
    int rc = store_commit(txn);
    store_close(store, false);
    if (rc || !found)
        fprintf(stderr, "spoil: %s\n", jobtab_why());
    return rc || !found;
}
