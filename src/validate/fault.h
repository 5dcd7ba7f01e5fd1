/* fault.h - why a validation could not be carried out. */
#ifndef FAULT_H
#define FAULT_H

#include <stddef.h>

enum fault_kind {
    FAULT_INVALID, /* params or sources can never work: the job is not tried again */
    FAULT_STOPPED, /* somebody asked for the end */
    FAULT_SYSTEM,  /* memory, disk: another time it may work */
};

#define FAULT_TEXT 255 /* bytes; a job's error text has no room for more */

struct fault {
    enum fault_kind kind;
    char text[FAULT_TEXT + 1];
};

/* What an errno of reading means: a lack of memory or of descriptors passes, all else is the
 * source's. */
enum fault_kind fault_of(int error);

/* Fill *fault in; always -1, so that a caller can return it. The text is made printable ASCII. */
int fault_set(struct fault *fault, enum fault_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Copy at most `room` - 1 bytes of `text`, anything but printable ASCII as '?'; adds a NUL. */
void fault_printable(char *to, size_t room, const char *text, size_t size);

#endif
