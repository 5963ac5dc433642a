/* A folder for many files is made in a part of the disk of its own where the file system knows such, and leaves the one
 * it is in as it was. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "unit.h"
#include "worker/folders.h"

enum {
    FOLDERS = 8,
    NEAR = 256, /* inodes: neighbours are nearer */
    EXT4 = 0xEF53,
};

typedef struct {
    char base[32];
} fixture_t;

static int setup (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->base, sizeof self->base, "folders-XXXXXX");
    assert_non_null (mkdtemp (self->base));
    *state = self;
    return 0;
}

static int teardown (void **state)
{
    fixture_t *self = *state;
    folder_remove (self->base);
    free (self);
    return 0;
}

/* -1: the file system has none. */
static int flags_of (const char *path)
{
    int flags = 0;
    int fd = open (path, O_RDONLY | O_DIRECTORY);
    assert_true (fd >= 0);
    int known = ioctl (fd, FS_IOC_GETFLAGS, &flags);
    close (fd);
    return known == 0 ? flags : -1;
}

/* How many of the folders that `make` makes have an inode that is not near that of the one before. */
static int count_apart (const fixture_t *self, const char *name, int (*make) (const char *path))
{
    int apart = 0;
    struct stat info, before;
    for (int i = 0; i < FOLDERS; i++) {
        char path[64];
        snprintf (path, sizeof path, "%s/%s%d", self->base, name, i);
        assert_int_equal (make (path), 0);
        assert_int_equal (stat (path, &info), 0);
        assert_int_equal (info.st_mode, S_IFDIR | 0700);
        apart += i && llabs ((long long)info.st_ino - (long long)before.st_ino) > NEAR;
        before = info;
    }
    return apart;
}

static int make_near (const char *path)
{
    return mkdir (path, 0700);
}

static void test_folders_are_apart_and_their_parent_as_it_was (void **state)
{
    const fixture_t *self = *state;
    struct statfs disk;
    int flags = flags_of (self->base);
    assert_int_equal (statfs (self->base, &disk), 0);
    int near = count_apart (self, "near", make_near);
    int apart = count_apart (self, "apart", folder_make_apart);
    assert_int_equal (flags_of (self->base), flags);
    if (disk.f_type == EXT4 && disk.f_files > 1000000) /* it has more parts than folders are made here */
        assert_true (apart > near && apart >= FOLDERS / 2);
    assert_int_equal (folder_make_apart (self->base), EEXIST);
    assert_int_equal (flags_of ("."), flags);
}

static void test_without_its_parent_there_is_none (void **state)
{
    const fixture_t *self = *state;
    char path[64];
    snprintf (path, sizeof path, "%s/not/there", self->base);
    assert_int_equal (folder_make_apart (path), ENOENT);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_folders_are_apart_and_their_parent_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown (test_without_its_parent_there_is_none, setup, teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
