/* fuzz_conf.c - a configuration file. It is refused with a reason, or what is printed of it is read
 * again and prints the same. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "conf.h"

static size_t faults;

static void fault(const char *text, void *context)
{
    (void)context;
    HOLDS(text[0] != '\0');
    faults++;
}

/* A file in memory that holds `text`. */
static int new_file(const void *text, size_t size)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);

    HOLDS(fd >= 0);
    HOLDS(write(fd, text, size) == (ssize_t)size);
    return fd;
}

static struct conf *load(int fd)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    faults = 0;
    struct conf *conf = conf_load(path, fault, NULL);
    HOLDS((conf == NULL) == (faults > 0));
    return conf;
}

static char *read_back(int fd, size_t *size)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)end + 1);

    HOLDS(end >= 0 && text != NULL);
    HOLDS(pread(fd, text, (size_t)end, 0) == end);
    *size = (size_t)end;
    return text;
}

static char *printed(const struct conf *conf, int *fd, size_t *size)
{
    *fd = new_file("", 0);
    conf_print(conf, *fd);
    return read_back(*fd, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t first_size, second_size;
    int fd = new_file(data, size), first_fd, second_fd;
    struct conf *conf = load(fd);

    close(fd);
    if (conf == NULL)
        return 0;
    char *first = printed(conf, &first_fd, &first_size);
    conf_free(conf);

    conf = load(first_fd);
    HOLDS(conf != NULL);
    char *second = printed(conf, &second_fd, &second_size);
    conf_free(conf);
    HOLDS(first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
    close(first_fd);
    close(second_fd);
    return 0;
}
