/* order.c - the log's writes and syncs in their order, and when the file's name was on the disk. */
#include "power.h"

#include <stdlib.h>

static int by_begin(const void *a, const void *b)
{
    return compare(((const struct io *)a)->begun, ((const struct io *)b)->begun);
}

static int by_end(const void *a, const void *b)
{
    return compare(((const struct io *)a)->ended, ((const struct io *)b)->ended);
}

void story_sort(struct story *story)
{
    struct log *log = story->log;

    story->writes = room(log->n_io, sizeof *story->writes);
    story->syncs = room(log->n_io, sizeof *story->syncs);
    for (uint32_t i = 0; i < log->n_io; i++) {
        const struct io *io = &log->io[i];
        if (io->kind == IO_WRITE)
            story->writes[story->n_writes++] = *io;
        if (io->ended && (io->kind == IO_SYNC || (io->kind == IO_WRITE && io->durable)))
            story->syncs[story->n_syncs++] = *io;
    }
    qsort(story->writes, story->n_writes, sizeof *story->writes, by_begin);
    qsort(story->syncs, story->n_syncs, sizeof *story->syncs, by_end);
    for (uint32_t i = 1; i < story->n_writes; i++)
        if (!story->writes[i - 1].ended || story->writes[i - 1].ended > story->writes[i].begun)
            log_fault(log, "processes %d and %d wrote at once", (int)story->writes[i - 1].pid,
                      (int)story->writes[i].pid);
}

/* The first end of a sync that began after the instant; 0: none. */
static uint64_t synced_after(const struct log *log, enum io_kind kind, uint64_t instant)
{
    uint64_t first = 0;

    for (uint32_t i = 0; i < log->n_io; i++) {
        const struct io *io = &log->io[i];
        if (io->kind == kind && io->begun > instant && io->ended && (!first || io->ended < first))
            first = io->ended;
    }
    return first;
}

/* When the file had its name, and when no power failure could take that away: the folder's entry
 * for it, and the parent's for the folder, each synced after it was made. */
void story_names(struct story *story)
{
    const struct log *log = story->log;
    uint64_t named = 0, made = 0;

    for (uint32_t i = 0; i < log->n_io; i++) {
        if (log->io[i].kind == IO_NAMED) {
            story->named = log->io[i].begun;
            named = log->io[i].ended;
        }
        if (log->io[i].kind == IO_FOLDER_MADE)
            made = log->io[i].ended;
    }
    uint64_t file = synced_after(log, IO_FOLDER_SYNC, named);
    uint64_t folder = made ? synced_after(log, IO_PARENT_SYNC, made) : 1;
    if (file && folder)
        story->name_durable = file > folder ? file : folder;
}
