/* error.h - how the library says what went wrong: a code up the stack, the words beside it. */
#ifndef ERROR_H
#define ERROR_H

#include "jobtab.h"

/* Set this thread's words and return `code`, so that a failing line reads
 * `return fail(JOBTAB_INVALID, "priority: %d is above %d", ...)`. */
int fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with strerror(errnum) behind a colon. */
int fail_errno(int code, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Forget the words: called at the start of each public function. */
void fail_clear(void);

#endif
