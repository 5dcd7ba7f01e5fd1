/* spill.c - a temporary file for what memory has no room for. */
#include "config.h"

#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder(void)
{
    const char *named = getenv("TMPDIR");
    return named != NULL && *named != '\0' ? named : "/var/tmp";
}

static int fail(const char *why, struct fault *fault)
{
    return fault_set(fault, FAULT_SYSTEM, "temporary file in %s: %s", folder(), why);
}

int spill_open(int *file, struct fault *fault)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/jobtab-validate.XXXXXX", folder());
    if ((size_t)n >= sizeof path)
        return fail(strerror(ENAMETOOLONG), fault);
    *file = mkostemp(path, O_CLOEXEC);
    if (*file < 0)
        return fail(strerror(errno), fault);
    unlink(path);
    return 0;
}

int spill_write(int file, const void *data, size_t size, uint64_t offset, struct fault *fault)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(file, (const char *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return fail(strerror(errno), fault);
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

int spill_read(int file, void *data, size_t size, uint64_t offset, struct fault *fault)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(file, (char *)data + done, size - done, (off_t)(offset + done));
        if (n == 0)
            return fail("shorter than what was written", fault);
        if (n < 0 && errno != EINTR)
            return fail(strerror(errno), fault);
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}
