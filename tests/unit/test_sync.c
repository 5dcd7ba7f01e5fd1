/* test_sync.c - names that a power failure cannot take: of a new table's folders, of a backup's.
 *
 * fsync stands here before libc's, and notes the folders. (tests/crash/power plays through what
 * follows when one is left out.) */
#undef _FORTIFY_SOURCE
#include "fixture.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#define FOLDERS 64

/* Folders that were synced, in their order. */
static ino_t synced[FOLDERS];
static int n_synced;

int fsync(int fd)
{
    struct stat file;

    if (fstat(fd, &file) == 0 && S_ISDIR(file.st_mode) && n_synced < FOLDERS)
        synced[n_synced++] = file.st_ino;
    return (int)syscall(SYS_fsync, fd);
}

static void assert_synced(const struct fixture *f, const char *name)
{
    struct stat file;
    char path[128];
    bool found = false;

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(stat(path, &file), 0);
    for (int i = 0; i < n_synced; i++)
        found |= synced[i] == file.st_ino;
    if (!found)
        fail_msg("%s was not synced", path);
}

static void the_names_of_a_new_table_and_of_its_folders_are_synced(void **state)
{
    struct fixture *f = *state;
    struct jobtab *table;
    char dir[128];

    snprintf(dir, sizeof dir, "%s/a/b", f->dir);
    n_synced = 0;
    assert_ok(jobtab_open(dir, NULL, &table));
    jobtab_close(table);
    assert_synced(f, "a/b");
    assert_synced(f, "a");
    assert_synced(f, ".");
}

static void who_brings_nothing_new_syncs_no_folder(void **state)
{
    struct fixture *f = *state;

    fixture_reopen(f, NULL);
    n_synced = 0;
    fixture_reopen(f, NULL);
    assert_int_equal(n_synced, 0);
}

static void the_names_of_a_backup_and_of_its_folder_are_synced(void **state)
{
    struct fixture *f = *state;
    char dir[128];

    snprintf(dir, sizeof dir, "%s/backup", f->dir);
    n_synced = 0;
    assert_ok(jobtab_backup(f->table, dir));
    assert_synced(f, "backup");
    assert_synced(f, ".");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_names_of_a_new_table_and_of_its_folders_are_synced,
                                        fixture_directory, fixture_close),
        cmocka_unit_test_setup_teardown(who_brings_nothing_new_syncs_no_folder, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(the_names_of_a_backup_and_of_its_folder_are_synced,
                                        fixture_open, fixture_close),
    };
    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
