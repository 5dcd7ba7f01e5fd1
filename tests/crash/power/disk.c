/* disk.c - what a disk may hold when the power fails. See power.h.
 *
 * What a sync had reached when it ended is there. Of everything else the system writes what it
 * likes when it likes: each block as it was after some number of its writes, the last or any
 * earlier one. A block is a page, as the system writes them, or a sector, as a disk tears them. The
 * file's size follows what was written of it, and may be ahead of that: then zeros stand there, or
 * what another file had left.
 *
 * The file's name is there for certain once its folder was synced.
 */
#include "power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTORS (FILE_MAX / SECTOR)
#define RUBBISH 0xa5

void disk_begin(struct disk *disk, const struct story *story)
{
    *disk = (struct disk){.story = story};
    disk->durable.bytes = room(FILE_MAX, 1);
    disk->owner = room(SECTORS, sizeof *disk->owner);
    disk->open = room(story->n_writes + 1, sizeof *disk->open);
    disk->touched = room(SECTORS, sizeof *disk->touched);
    disk->kept = room(SECTORS, sizeof *disk->kept);
}

void disk_end(struct disk *disk)
{
    free(disk->durable.bytes);
    free(disk->owner);
    free(disk->open);
    free(disk->touched);
    free(disk->kept);
}

/* Put what a write has for [begin, end) into the image, unless the sector is newer there. */
static void lay(const struct disk *disk, uint32_t index, uint64_t begin, uint64_t end,
                struct image *image)
{
    const struct io *write = &disk->story->writes[index];
    const char *bytes = disk->story->log->bytes + write->bytes;

    if (begin < write->at)
        begin = write->at;
    if (end > write->at + write->size)
        end = write->at + write->size;
    while (begin < end) {
        uint64_t next = (begin / SECTOR + 1) * SECTOR;
        if (next > end)
            next = end;
        if (disk->owner[begin / SECTOR] <= index)
            memcpy(image->bytes + begin, bytes + (begin - write->at), next - begin);
        begin = next;
    }
    if (end > image->size)
        image->size = end;
}

/* ---------------------------------------------------------------------- instants */

/* It is on the disk, and with it what its sectors had from earlier writes: they are written
 * whole. */
static void settle(struct disk *disk, uint32_t index)
{
    const struct io *write = &disk->story->writes[index];
    uint64_t begin = write->at / SECTOR * SECTOR, end = write->at + write->size;

    for (uint32_t i = 0; i < disk->n_open && disk->open[i] <= index; i++)
        if (disk->open[i] == index)
            lay(disk, index, write->at, end, &disk->durable);
        else
            lay(disk, disk->open[i], begin, (end + SECTOR - 1) / SECTOR * SECTOR, &disk->durable);
    for (uint64_t at = begin; at < end; at += SECTOR)
        if (disk->owner[at / SECTOR] < index + 1)
            disk->owner[at / SECTOR] = index + 1;
}

static bool reaches(const struct io *sync, const struct io *write)
{
    if (sync->kind == IO_WRITE)
        return sync->begun == write->begun;
    return write->ended && write->ended < sync->begun;
}

static void end_sync(struct disk *disk, const struct io *sync)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < disk->n_open; i++)
        if (reaches(sync, &disk->story->writes[disk->open[i]]))
            settle(disk, disk->open[i]);
    for (uint32_t i = 0; i < disk->n_open; i++)
        if (!reaches(sync, &disk->story->writes[disk->open[i]]))
            disk->open[left++] = disk->open[i];
    disk->n_open = left;
}

bool disk_next(struct disk *disk)
{
    const struct story *story = disk->story;

    if (disk->sync > 0 && disk->sync <= story->n_syncs)
        end_sync(disk, &story->syncs[disk->sync - 1]);
    if (disk->sync++ > story->n_syncs)
        return false;
    /* The last one is when all is over. */
    disk->instant = disk->sync <= story->n_syncs ? story->syncs[disk->sync - 1].ended : UINT64_MAX;
    for (; disk->next < story->n_writes && story->writes[disk->next].begun < disk->instant;
         disk->next++) {
        const struct io *write = &story->writes[disk->next];
        disk->open[disk->n_open++] = disk->next;
        if (write->at + write->size > disk->size)
            disk->size = write->at + write->size;
    }
    return true;
}

/* ------------------------------------------------------------------------ images */

static void begin_image(const struct disk *disk, int filling, struct image *image)
{
    memcpy(image->bytes, disk->durable.bytes, disk->durable.size);
    memset(image->bytes + disk->durable.size, filling, disk->size - disk->durable.size);
    image->size = disk->durable.size;
}

static bool may_have_name(const struct disk *disk)
{
    return disk->story->named && disk->story->named < disk->instant;
}

static bool must_have_name(const struct disk *disk)
{
    return disk->story->name_durable && disk->story->name_durable < disk->instant;
}

void disk_prefix(const struct disk *disk, uint32_t n, struct image *image)
{
    begin_image(disk, 0, image);
    for (uint32_t i = 0; i < n; i++)
        lay(disk, disk->open[i], 0, FILE_MAX, image);
    image->named = may_have_name(disk);
    snprintf(image->what, sizeof image->what, "sync %u of %u, the first %u of %u open writes",
             disk->sync, disk->story->n_syncs, n, disk->n_open);
}

static unsigned dice(unsigned *seed, unsigned below)
{
    return (unsigned)rand_r(seed) % below;
}

/* Each block of the open writes, by number, once a write. */
static void each_block(const struct disk *disk, uint32_t block,
                       void (*what)(const struct disk *disk, uint32_t index, uint64_t number,
                                    uint32_t block, struct image *image),
                       struct image *image)
{
    for (uint32_t i = 0; i < disk->n_open; i++) {
        const struct io *write = &disk->story->writes[disk->open[i]];
        for (uint64_t n = write->at / block; n * block < write->at + write->size; n++)
            what(disk, disk->open[i], n, block, image);
    }
}

static void count_one(const struct disk *disk, uint32_t index, uint64_t number, uint32_t block,
                      struct image *image)
{
    (void)index;
    (void)block;
    (void)image;
    disk->touched[number]++;
}

static void lay_one(const struct disk *disk, uint32_t index, uint64_t number, uint32_t block,
                    struct image *image)
{
    if (!disk->kept[number])
        return;
    disk->kept[number]--;
    lay(disk, index, number * block, (number + 1) * block, image);
}

void disk_choose(const struct disk *disk, uint32_t block, unsigned *seed, struct image *image)
{
    static const unsigned shares[] = {5, 25, 50, 75, 95}; /* percent of blocks up to date */
    unsigned share = shares[dice(seed, 5)];
    uint64_t blocks = (disk->size + block - 1) / block;

    begin_image(disk, dice(seed, 8) ? 0 : RUBBISH, image);
    each_block(disk, block, count_one, NULL);
    for (uint64_t n = 0; n < blocks; n++) {
        unsigned times = disk->touched[n];
        if (times)
            disk->kept[n] = (uint16_t)(dice(seed, 100) < share ? times : dice(seed, times));
        disk->touched[n] = 0;
    }
    each_block(disk, block, lay_one, image);
    memset(disk->kept, 0, blocks * sizeof *disk->kept);
    if (image->size < disk->size && dice(seed, 2))
        image->size += dice(seed, (unsigned)((disk->size - image->size) / SECTOR) + 1) * SECTOR;
    image->named = must_have_name(disk) || (may_have_name(disk) && dice(seed, 2));
    snprintf(image->what, sizeof image->what,
             "sync %u of %u, %u percent of the %u-byte blocks of %u open writes, %llu bytes%s",
             disk->sync, disk->story->n_syncs, share, block, disk->n_open,
             (unsigned long long)image->size, image->named ? "" : ", no name");
}
