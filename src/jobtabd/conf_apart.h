/* conf_apart.h - a configuration file taken apart by another process. */
#ifndef CONF_APART_H
#define CONF_APART_H

#include "conf_syntax.h"

/* As conf_syntax_read, for who must live on whatever the file holds: libconfuse ends its process
 * when it gets no memory. Forks, and waits for the child; for a process of one thread. */
int conf_apart_read(const char *file, struct conf_syntax *syntax, conf_fault *fault,
                    void *context);

#endif
