/* pagefile.c - see pagefile.h. */
#include "pagefile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct pagefile sound;

uint64_t load(const unsigned char *data, size_t at, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, data + at, size); /* of a little-endian machine: see pagefile_is_known */
    return value;
}

bool pagefile_is_known(void)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(size_t) == 8;
}

int pagefile_make(void **state)
{
    static char text[9000];
    struct fixture *f;
    static struct jobtab_op deletes[150];
    struct jobtab_job job;
    struct stat file;
    char path[96];

    (void)state;
    if (fixture_open((void **)&f))
        return -1;
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    for (int i = 0; i < 200; i++) {
        assert_ok(jobtab_submit(f->table,
                                &(struct jobtab_submit){.kind = "k", .params = text,
                                                        .params_size = sizeof text},
                                &job));
        if (i < 150)
            deletes[i] = (struct jobtab_op){.verb = JOBTAB_DELETE, .id = job.id};
    }
    /* so many pages that their list has pages of its own */
    assert_ok(jobtab_apply(f->table, deletes, 150));
    submit(f, "k");
    assert_sound(f);
    jobtab_close(f->table);
    f->table = NULL;
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    sound.size = (size_t)file.st_size;
    sound.data = malloc(sound.size);
    assert_int_equal(read(fd, sound.data, sound.size), (ssize_t)sound.size);
    close(fd);
    uint64_t first = load(sound.data, META + TXN, 8), second = load(sound.data, PAGE + META + TXN, 8);
    sound.meta = (first > second ? 0 : PAGE) + META;
    sound.txn = first > second ? first : second;
    return fixture_close((void **)&f);
}

int pagefile_free(void **state)
{
    (void)state;
    free(sound.data);
    return 0;
}

/* ----------------------------------------------------------------------- where */

size_t root_of(size_t database)
{
    return (size_t)load(sound.data, database + ROOT, 8) * PAGE;
}

size_t entry_of(size_t page, size_t i)
{
    return page + (size_t)load(sound.data, page + FIRST + 2 * i, 2);
}

size_t database_of(const char *name)
{
    size_t page = root_of(sound.meta + NAMED);

    for (size_t i = 0;; i++) {
        size_t entry = entry_of(page, i), size = (size_t)load(sound.data, entry + KEY_SIZE, 2);
        if (size == strlen(name) && memcmp(sound.data + entry + KEY, name, size) == 0)
            return entry + KEY + size;
    }
}

size_t leaf_of(const char *name, size_t nth)
{
    size_t page = root_of(database_of(name));

    while (load(sound.data, page + PAGE_FLAGS, 2) == 1) {
        page = (size_t)load(sound.data, entry_of(page, nth), 4) * PAGE;
        nth = 0;
    }
    return page;
}

size_t value_of(size_t page, size_t i)
{
    size_t entry = entry_of(page, i);

    return entry + KEY + (size_t)load(sound.data, entry + KEY_SIZE, 2);
}

size_t entries_of(size_t page)
{
    return ((size_t)load(sound.data, page + LOWER, 2) - HEADER) / 2;
}

size_t outermost_of(size_t page)
{
    size_t last = page;

    for (size_t i = 0; i < entries_of(page); i++)
        if (entry_of(page, i) > last)
            last = entry_of(page, i);
    return last;
}

/* --------------------------------------------------------------------- changes */

int pagefile_with(const struct change *changes, size_t n)
{
    unsigned char *copy = malloc(sound.size);
    int fd = memfd_create("table", MFD_CLOEXEC);

    assert_true(copy && fd >= 0);
    memcpy(copy, sound.data, sound.size);
    for (size_t i = 0; i < n; i++)
        memcpy(copy + changes[i].at, &changes[i].value, changes[i].size);
    assert_int_equal(write(fd, copy, sound.size), (ssize_t)sound.size);
    free(copy);
    return fd;
}

/* ------------------------------------------------------------- calls that fail */

static struct {
    const char *call;
    int after, error;
} next;

void refuse(const char *call, int after, int error)
{
    next.after = after;
    next.error = error;
    next.call = call;
}

bool was_refused(void)
{
    bool was = !next.call;

    next.call = NULL;
    return was;
}

static bool fails(const char *call)
{
    if (!next.call || strcmp(call, next.call) != 0 || next.after-- > 0)
        return false;
    next.call = NULL;
    errno = next.error;
    return true;
}

#define CALL(result, refusal, name, parameters, ...)                                              \
    result __real_##name parameters;                                                              \
    result __wrap_##name parameters;                                                              \
    result __wrap_##name parameters                                                               \
    {                                                                                             \
        return fails(#name) ? (refusal) : __real_##name(__VA_ARGS__);                             \
    }

CALL(ssize_t, -1, pread, (int fd, void *to, size_t size, off_t at), fd, to, size, at)
CALL(void *, NULL, malloc, (size_t size), size)
CALL(void *, NULL, calloc, (size_t n, size_t size), n, size)
CALL(void *, NULL, realloc, (void *old, size_t size), old, size)
