/* power.h - what a disk may hold after the power failed, and what must be in it all the same.
 *
 *   record   clients work on a table (load.c); what they write to its file is logged (record.c),
 *            and what they were told, too, all on one clock.
 *   story    the log read back (order.c): the table after each commit, and the commit that every
 *            answer needs (story.c). Every answer is held against it. From there on a number
 *            stands for a table (digest.c).
 *   disk     of each instant at which the power can fail: all prefixes of what was written, and
 *            random choices among the blocks that no sync had reached (disk.c).
 *   trial    one such image is opened as after a boot, verified, compared, written to (trial.c).
 *
 * The recording processes believe in another boot id than the machine's: whoever opens an image
 * comes after a boot.
 */
#ifndef POWER_H
#define POWER_H

#include "jobtab.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define CLIENTS_MAX 16
#define RING        64 /* the newest jobs, which every client may meddle with */
#define IO_MAX      (1 << 16)
#define TOLD_MAX    (1 << 16)
#define BYTES_MAX   (UINT64_C(1) << 30) /* of address space */
#define PAGE        4096
#define SECTOR      512
#define FILE_MAX    (16 << 20)
#define META_END    (2 * PAGE) /* what is written below ends a commit */
#define LOG_MAX     6000       /* of the table: some logs grow out of it */
#define TABLE_FILE  "data.mdb"
#define NEW_FILE    "data.new" /* until it has that name */
#define READ_VERB   JOBTAB_VERBS /* of a told one: the job was read */

/* --------------------------------------------------------------------- the log */

enum io_kind {
    IO_WRITE,
    IO_SYNC,        /* of the file: what was written before it began is on the disk when it ended */
    IO_NAMED,       /* the file got its name */
    IO_FOLDER_MADE, /* the table's folder got its own */
    IO_FOLDER_SYNC,
    IO_PARENT_SYNC,
};

struct io {
    uint64_t begun, ended; /* instants of the log's clock; ended 0: never */
    enum io_kind kind;
    bool durable; /* a write through a descriptor that syncs */
    int32_t pid;
    uint64_t at, size;
    uint64_t bytes; /* where they are in the log's */
};

/* What a client was told: after this instant it counts on it. */
struct told {
    uint64_t asked, answered;
    int verb, result;
    uint64_t seed; /* of a submit's params */
    struct jobtab_job job;
};

struct log {
    _Atomic uint64_t clock;
    _Atomic uint32_t n_io, n_told;
    _Atomic uint64_t n_bytes;
    _Atomic uint32_t swept; /* changes by sweeps, which no answer shows */
    atomic_bool faulty;
    char words[512]; /* of the first fault */
    _Atomic uint64_t ring[RING][2];
    _Atomic uint32_t ring_next;
    struct io io[IO_MAX];
    struct told told[TOLD_MAX];
    char bytes[];
};

static inline uint64_t log_instant(struct log *log)
{
    return atomic_fetch_add(&log->clock, 1) + 1;
}

/* Zeroed memory for n + 1, or the program ends. */
static inline void *room(size_t n, size_t size)
{
    void *at = calloc(n + 1, size);

    if (!at) {
        perror("calloc");
        exit(1);
    }
    return at;
}

/* For qsort. */
static inline int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Keep the first fault. */
void log_fault(struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A call that the recorder is not to see. Controls: without a write the log does not make the file,
 * and without the syncs of folders the file's name may be gone. */
enum blind { SEES_ALL, BLIND_PWRITE, BLIND_WRITEV, BLIND_FSYNC };

/* From here on this process logs what it writes to the table in `dir`, an absolute path. */
void record_begin(struct log *log, const char *dir, enum blind blind);

/* -------------------------------------------------------------------- the load */

/* A client, until the log has `limit` writes. Does not return. */
void load_client(struct log *log, const char *dir, unsigned number, unsigned seed, uint32_t limit);
struct jobtab_options load_options(void);

/* `size` bytes, one JSON text, that only `seed` makes. Size at least 2. */
void load_text(char *text, size_t size, uint64_t seed);
char load_letter(uint64_t seed, uint64_t at);
uint64_t load_seed(const struct jobtab_id *id);
/* The verbs that bring params, whose seed stands with their answers. */
bool load_makes(int verb);

/* ------------------------------------------------------------------- the story */

struct commit {
    uint64_t sequence, digest;
};

struct need {
    uint64_t answered;
    uint32_t commit; /* the first that has it */
};

struct story {
    struct log *log;
    struct io *writes; /* in their order */
    uint32_t n_writes;
    struct io *syncs; /* by their end */
    uint32_t n_syncs;
    struct commit *commits; /* the first is of a table that nobody has written to */
    uint32_t n_commits;
    struct need *needs; /* by their instant; what they need only grows */
    uint32_t n_needs;
    uint64_t named, name_durable; /* instants; 0: never. See disk.c */
};

/* The writes and the syncs of the log, in order; then the instants of the file's name. */
void story_sort(struct story *story);
void story_names(struct story *story);
/* Read the log back, with the table at each commit made in the folder `dir`. Faults go to the
 * log. */
void story_make(struct story *story, struct log *log, const char *dir);
void story_free(struct story *story);
/* The commit that must be there when the power fails at that instant; 0: none. */
uint32_t story_need(const struct story *story, uint64_t instant);
/* The last commit that leaves the table as the digest tells; -1: none does. */
int64_t story_find(const struct story *story, uint64_t digest);

/* All jobs with all their parts, hashed. `look` is called for each, and may be NULL. A code of the
 * library's on failure. */
typedef void look_fn(const struct jobtab_job *job, const char *parts[3], const size_t sizes[3],
                     void *context);
int story_digest(struct jobtab *table, uint64_t *digest, look_fn *look, void *context);

/* ------------------------------------------------------------------- the folder */

/* A folder with a table's file in it, which is made to hold one image after another. */
struct place {
    char dir[256];
    int fd;
    char *map; /* of the file, FILE_MAX */
};

/* Makes the folder. Ends the program where that is refused. */
void place_begin(struct place *place, const char *dir);
void place_end(struct place *place);
void place_put(struct place *place, const char *bytes, uint64_t size);
void place_name(const struct place *place, const char *file, char path[512]);

/* Blocks that a file is asked to have beyond what is written are there, from here on or not. */
void blocks_assume(bool assume);

/* -------------------------------------------------------------------- the disk */

/* A file's bytes. */
struct image {
    char *bytes; /* FILE_MAX */
    uint64_t size;
    bool named; /* false: there is no file of that name */
    char what[200]; /* the instant and the choice, for a fault's words */
};

/* The power fails just before a sync ends, when most is at stake: all that was written and that no
 * earlier sync has reached, the open writes, may be there or not; and every answer until then
 * counts. */
struct disk {
    const struct story *story;
    struct image durable;
    uint32_t *owner; /* of each of its sectors: the last write that is in it, counted from 1 */
    uint32_t sync;   /* the one that is about to end, counted from 1 */
    uint64_t instant;
    uint32_t *open; /* writes, in their order */
    uint32_t n_open, next;
    uint64_t size; /* as the processes saw it */
    uint16_t *touched, *kept; /* of each block, while a choice is made */
};

void disk_begin(struct disk *disk, const struct story *story);
void disk_end(struct disk *disk);
/* The next instant; false at the end of the log. */
bool disk_next(struct disk *disk);
/* The first `n` of the open writes and nothing else. */
void disk_prefix(const struct disk *disk, uint32_t n, struct image *image);
/* Of each block (PAGE or SECTOR) as many of its open writes as the dice say. */
void disk_choose(const struct disk *disk, uint32_t block, unsigned *seed, struct image *image);

/* ------------------------------------------------------------------- the trial */

/* Files beside the table's as they were at work. After a boot they are worth nothing, and there. */
struct leavings {
    char *lock, *shared;
    size_t lock_size, shared_size;
};

/* One process's place to try images in. */
struct trial {
    const struct story *story;
    const struct leavings *leavings;
    struct place place;
    unsigned seed;
    unsigned long images, others; /* tried; shown to LMDB's own tools, too */
};

void trial_begin(struct trial *trial, const struct story *story, const struct leavings *leavings,
                 const char *dir, unsigned seed);
/* Faults go to the log. */
void trial_run(struct trial *trial, const struct image *image, uint64_t instant);

#endif
