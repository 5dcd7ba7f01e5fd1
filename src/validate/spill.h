/* spill.h - a temporary file for what memory has no room for. It has no name, so that nothing is
 * left behind however the process ends. In TMPDIR, or /var/tmp. */
#ifndef SPILL_H
#define SPILL_H

#include "fault.h"

#include <stddef.h>
#include <stdint.h>

/* Each returns 0, or -1 with *fault. Offsets and sizes are in bytes. */
int spill_open(int *file, struct fault *fault);
int spill_write(int file, const void *data, size_t size, uint64_t offset, struct fault *fault);
int spill_read(int file, void *data, size_t size, uint64_t offset, struct fault *fault);

#endif
