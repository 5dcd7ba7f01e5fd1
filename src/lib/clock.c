/* clock.c - clocks, the boot id, process identity, random bits. */
#include "clock.h"

#include "jobtab.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define DAY_TEXT 11 /* "2026-11-23T", no NUL */

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t clock_boot(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

int64_t jobtab_now(void)
{
    return clock_wall();
}

/* Read a small file of /proc; the length read, 0 when there is none. */
static size_t read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n < 0)
        n = 0;
    text[n] = '\0';
    return (size_t)n;
}

static struct boot this_boot;
static pthread_once_t boot_once = PTHREAD_ONCE_INIT;

static void read_boot_id(void)
{
    char text[64];
    struct jobtab_id id;

    read_small("/proc/sys/kernel/random/boot_id", text, sizeof text);
    text[36] = '\0';
    if (jobtab_id_parse(text, &id) != JOBTAB_OK)
        return; /* no /proc: all boots look the same, and no owner looks alive */
    memcpy(&this_boot.high, id.bytes, 8);
    memcpy(&this_boot.low, id.bytes + 8, 8);
}

struct boot clock_boot_id(void)
{
    pthread_once(&boot_once, read_boot_id);
    return this_boot;
}

bool boot_same(const struct boot *a, const struct boot *b)
{
    return a->high == b->high && a->low == b->low;
}

/* What /proc has on a process or a thread, by its number. */
struct stat_line {
    char state;
    uint64_t ticks; /* of processor time, in user and in system mode */
    uint64_t start; /* in ticks, too */
};

enum stat_field { FIELD_STATE = 3, FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_START = 22 };

static bool read_stat(const char *path, struct stat_line *line)
{
    char text[1024];

    if (!read_small(path, text, sizeof text))
        return false;
    /* The name, field 2, may hold anything: fields are counted from its closing parenthesis. */
    char *field = strrchr(text, ')');
    if (!field || field[1] != ' ')
        return false;
    field += 2;
    *line = (struct stat_line){.state = *field};
    for (int n = FIELD_STATE; n < FIELD_START; n++) {
        if (n == FIELD_UTIME || n == FIELD_STIME)
            line->ticks += strtoull(field, NULL, 10);
        field = strchr(field, ' ');
        if (!field)
            return false;
        field++;
    }
    line->start = strtoull(field, NULL, 10);
    return true;
}

/* False when there is none, or it is dead. */
static bool read_process(int32_t pid, struct stat_line *line)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return read_stat(path, line) && line->state != 'Z' && line->state != 'X';
}

uint64_t process_start(int32_t pid)
{
    struct stat_line line;

    return read_process(pid, &line) ? line.start : 0;
}

static bool is_stopped(char state)
{
    return state == 'T' || state == 't';
}

bool process_look(int32_t pid, struct process_look *look)
{
    struct stat_line line;
    struct dirent *entry;
    char path[64];

    if (!read_process(pid, &line))
        return false;
    *look = (struct process_look){.start_time = line.start,
                                  .cpu = line.ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK),
                                  .stopped = true};
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        return false;
    while ((entry = readdir(threads)) != NULL) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", pid, entry->d_name);
        if (entry->d_name[0] == '.' || !read_stat(path, &line) || line.state == 'Z')
            continue;
        look->stopped = look->stopped && is_stopped(line.state);
        look->busy = look->busy || line.state == 'R' || line.state == 'D';
    }
    closedir(threads);
    return true;
}

int32_t process_of(int32_t thread)
{
    char path[32], text[1024];

    snprintf(path, sizeof path, "/proc/%d/status", thread);
    const char *line = read_small(path, text, sizeof text) ? strstr(text, "\nTgid:") : NULL;
    return line ? (int32_t)strtol(line + strlen("\nTgid:"), NULL, 10) : 0;
}

bool thread_stopped(int32_t thread)
{
    struct stat_line line;

    return read_process(thread, &line) && is_stopped(line.state);
}

/* The pid in a page that the kernel hands to a child zeroed; NULL where it cannot. */
static _Atomic int32_t *_Atomic self_page;
static pthread_once_t self_once = PTHREAD_ONCE_INIT;

static void map_self(void)
{
#ifdef MADV_WIPEONFORK
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    if (madvise(page, size, MADV_WIPEONFORK) < 0)
        munmap(page, size); /* a kernel before 4.14 */
    else
        self_page = page;
#endif
}

/* The first call of this process. */
static int32_t ask_self(void)
{
    int32_t pid = getpid();

    pthread_once(&self_once, map_self);
    if (self_page)
        *self_page = pid;
    return pid;
}

int32_t process_self(void)
{
    _Atomic int32_t *page = atomic_load_explicit(&self_page, memory_order_acquire);
    int32_t pid = page ? atomic_load_explicit(page, memory_order_relaxed) : 0;

    return pid ? pid : ask_self();
}

uint64_t random_u64(void)
{
    uint64_t bits;

    /* Eight bytes never come short or fail once the kernel's pool is up. */
    while (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        continue;
    return bits;
}

static inline char *put_pair(char *p, unsigned value)
{
    p[0] = (char)('0' + value / 10);
    p[1] = (char)('0' + value % 10);
    return p + 2;
}

/* "2026-11-23T". Days since 1970; they are counted from March on, so that the leap day is a year's
 * last. */
static void put_day(int64_t days, char text[DAY_TEXT])
{
    days += 719468; /* since 1 March of the year 0 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097; /* 400 years */
    unsigned day = (unsigned)(days - era * 146097);
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned of_year = day - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153; /* since March */
    int64_t shown = era * 400 + year + (month >= 10);
    /* The format has room for four digits of year: what lies outside is shown as its border. */
    if (shown < 0 || shown > 9999)
        shown = shown < 0 ? 0 : 9999;
    char *p = put_pair(put_pair(text, (unsigned)shown / 100), (unsigned)shown % 100);
    *p++ = '-';
    p = put_pair(p, month < 10 ? month + 3 : month - 9);
    *p++ = '-';
    p = put_pair(p, of_year - (153 * month + 2) / 5 + 1);
    *p = 'T';
}

/* Two times or more stand in every job that is read, most of them of one day: gmtime_r, with its
 * lock and its zones, was the most of their cost, and then the day was. */
void jobtab_time_format(int64_t time_ms, char text[JOBTAB_TIME_TEXT])
{
    static _Thread_local struct {
        int64_t days;
        char text[DAY_TEXT];
    } last = {.days = INT64_MIN};
    int64_t days = time_ms / 86400000;
    int64_t ms = time_ms % 86400000;

    if (ms < 0) {
        ms += 86400000;
        days--;
    }
    if (days != last.days) {
        put_day(days, last.text);
        last.days = days;
    }
    memcpy(text, last.text, DAY_TEXT);
    unsigned rest = (unsigned)ms;
    char *p = put_pair(text + DAY_TEXT, rest / 3600000);
    *p++ = ':';
    p = put_pair(p, rest / 60000 % 60);
    *p++ = ':';
    p = put_pair(p, rest / 1000 % 60);
    *p++ = '.';
    *p++ = (char)('0' + rest / 100 % 10);
    p = put_pair(p, rest % 100);
    *p++ = 'Z';
    *p = '\0';
}
