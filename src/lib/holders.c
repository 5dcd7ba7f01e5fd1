/* holders.c - who has something of the table that others need: a lock, or an old snapshot.
 *
 * It reads words and lists and waits for nobody, so it can be asked when everything else stands
 * still. What it tells is of a moment: whoever acts on it looks more than once, and again right
 * before. */
#include "clock.h"
#include "error.h"
#include "locks.h"
#include "table.h"

struct list {
    struct jobtab_holder *holders;
    size_t n, max;
    uint64_t newest; /* commit */
};

static struct jobtab_holder *find_snapshot(struct list *list, int32_t pid)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->holders[i].pid == pid && list->holders[i].what == JOBTAB_HOLDS_SNAPSHOT)
            return &list->holders[i];
    return NULL;
}

static void add(struct list *list, enum jobtab_holds what, int32_t pid, uint64_t number,
                uint64_t behind)
{
    struct process_look look;

    if (list->n == list->max || !pid || !process_look(pid, &look))
        return; /* the dead hold nothing: the kernel, or a sweep, sees to it */
    list->holders[list->n++] = (struct jobtab_holder){
        .what = what,
        .pid = pid,
        .start_time = look.start_time,
        .number = number,
        .behind = behind,
        .cpu = look.cpu,
        .stopped = look.stopped,
        .busy = look.busy,
    };
}

/* Of a process the oldest snapshot counts: that is what it keeps from being used again. */
static void add_reader(int32_t pid, uint64_t shows, void *context)
{
    struct list *list = context;
    struct jobtab_holder *known;

    if (!shows || shows >= list->newest)
        return;
    known = find_snapshot(list, pid);
    if (!known) {
        add(list, JOBTAB_HOLDS_SNAPSHOT, pid, shows, list->newest - shows);
    } else if (shows < known->number) {
        known->number = shows;
        known->behind = list->newest - shows;
    }
}

int jobtab_holders(struct jobtab *table, struct jobtab_holder *holders, size_t *n)
{
    struct list list = {.holders = holders, .max = *n};
    int rc = table_enter(table);

    if (rc)
        return rc;
    struct locks locks = locks_look(table->dir);
    add(&list, JOBTAB_HOLDS_WRITER, process_of(locks.writer), (uint64_t)locks.writer, 0);
    add(&list, JOBTAB_HOLDS_READERS, process_of(locks.readers), (uint64_t)locks.readers, 0);
    add(&list, JOBTAB_HOLDS_OPEN, locks.opener, (uint64_t)locks.opener, 0);
    list.newest = store_newest(table->store);
    store_each_reader(table->store, add_reader, &list);
    *n = list.n;
    return JOBTAB_OK;
}
