/* Making a folder for many files leaves the one that it is in as it was. Whether it is apart is the file system's
 * choice: the bench tells (tests/bench, deltas). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"
#include "worker/folders.h"

enum { FOLDERS = 8 };

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

static void test_its_parent_is_as_it_was (void **state)
{
    const fixture_t *self = *state;
    int flags = flags_of (self->base);
    for (int i = 0; i < FOLDERS; i++) {
        char path[64];
        struct stat info;
        snprintf (path, sizeof path, "%s/%d", self->base, i);
        assert_int_equal (folder_make_apart (path), 0);
        assert_int_equal (stat (path, &info), 0);
        assert_int_equal (info.st_mode, S_IFDIR | 0700);
        assert_int_equal (flags_of (path), flags);
    }
    assert_int_equal (flags_of (self->base), flags);
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
        cmocka_unit_test_setup_teardown (test_its_parent_is_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown (test_without_its_parent_there_is_none, setup, teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
