/* export_sqlite.h - jobs as an SQLite file that people query.
 *
 * Born:  out_begin makes a file of another name beside the wanted one.
 * Life:  one row a job, all in one transaction.
 * Ends:  out_end adds indexes and views, syncs, and gives the file its name; out_drop removes it.
 * Crash: a killed program leaves the file of another name, and the wanted one as it was.
 */
#ifndef EXPORT_SQLITE_H
#define EXPORT_SQLITE_H

#include "jobtab.h"

#include <stdbool.h>
#include <stddef.h>

struct out;

/* NULL, and why, when it cannot be: or when this build has no SQLite. */
struct out *out_begin(const char *path, char *why, size_t size);
/* `log` NULL: not asked for. False, and why, when it could not be written: nothing more is then
 * taken. */
bool out_job(struct out *out, const struct jobtab_job *job, const char *params, const char *result,
             const char *log, size_t log_size, char *why, size_t size);
/* Both are the end of `out`. */
bool out_end(struct out *out, char *why, size_t size);
void out_drop(struct out *out);

#endif
