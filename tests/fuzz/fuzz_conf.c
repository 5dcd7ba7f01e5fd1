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

/* A file in memory, written anew each time: a new one would cost more than what is read of it. */
struct file {
    int fd;
    char path[32];
};

static void open_file(struct file *file)
{
    file->fd = memfd_create("conf", MFD_CLOEXEC);
    HOLDS(file->fd >= 0);
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
}

static struct conf *load(const struct file *file)
{
    faults = 0;
    struct conf *conf = conf_load(file->path, fault, NULL);
    HOLDS((conf == NULL) == (faults > 0));
    return conf;
}

/* Print into the file; all that is in it then, to be freed. */
static char *printed(const struct conf *conf, const struct file *file, size_t *size)
{
    HOLDS(lseek(file->fd, 0, SEEK_SET) == 0);
    conf_print(conf, file->fd);
    off_t end = lseek(file->fd, 0, SEEK_CUR);
    char *text = malloc((size_t)end + 1);

    HOLDS(end > 0 && text != NULL);
    HOLDS(ftruncate(file->fd, end) == 0);
    HOLDS(pread(file->fd, text, (size_t)end, 0) == end);
    *size = (size_t)end;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file input, output;
    size_t first_size, second_size;

    if (input.path[0] == '\0') {
        open_file(&input);
        open_file(&output);
    }
    HOLDS(pwrite(input.fd, data, size, 0) == (ssize_t)size);
    HOLDS(ftruncate(input.fd, (off_t)size) == 0);
    struct conf *conf = load(&input);
    if (conf == NULL)
        return 0;
    char *first = printed(conf, &output, &first_size);
    conf_free(conf);

    conf = load(&output);
    HOLDS(conf != NULL);
    char *second = printed(conf, &output, &second_size);
    conf_free(conf);
    HOLDS(first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
    return 0;
}
