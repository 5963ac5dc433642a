/* What jobs leave is removed, however wide or deep it is, and whoever asks does not wait for it. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/folders.h"
#include "worker/sweeper.h"

enum {
    WIDE = 5000,
    DEEP = 2000,
    MANY = 300,
    TRIES = 20,
    PATIENCE_MS = 60 * 1000,
    AT_ONCE_MS = 500,
    TURN_MS = 2000,
    END_MS = 2000, /* of the sweeper */
};

typedef struct {
    char base[32], job[48], trash[48];
    sweeper_t *sweeper;
} fixture_t;

static void write_in (int folder, const char *name)
{
    int fd = openat (folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true (fd >= 0);
    close (fd);
}

static int open_at (int parent, const char *name)
{
    int fd = openat (parent, name, O_RDONLY | O_DIRECTORY);
    assert_true (fd >= 0);
    return fd;
}

static int make_job (const fixture_t *self)
{
    assert_int_equal (mkdir (self->job, 0700), 0);
    return open_at (AT_FDCWD, self->job);
}

static void make_wide (int folder)
{
    char name[16];
    for (int i = 0; i < WIDE; i++) {
        snprintf (name, sizeof name, "f%d", i);
        write_in (folder, name);
    }
}

static void make_deep (int folder)
{
    int at = dup (folder);
    for (int i = 0; i < DEEP; i++) {
        assert_int_equal (mkdirat (at, "d", 0700), 0);
        int next = open_at (at, "d");
        close (at);
        at = next;
    }
    write_in (at, "last");
    close (at);
}

static bool is_there (const char *path)
{
    return access (path, F_OK) == 0;
}

static void pause_10_ms (void)
{
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    nanosleep (&pause, NULL);
}

/* A folder that holds something cannot be removed. */
static void check_trash_becomes_empty (const fixture_t *self)
{
    int64_t end_ms = clock_mono_ms () + PATIENCE_MS;
    while (rmdir (self->trash) != 0 && clock_mono_ms () < end_ms)
        pause_10_ms ();
    assert_false (is_there (self->trash));
}

static bool is_removed (int file)
{
    struct stat info;
    assert_int_equal (fstat (file, &info), 0);
    return info.st_nlink == 0;
}

static int set_up (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->base, sizeof self->base, "/tmp/sweeper-XXXXXX");
    assert_non_null (mkdtemp (self->base));
    snprintf (self->job, sizeof self->job, "%s/job", self->base);
    snprintf (self->trash, sizeof self->trash, "%s/trash", self->base);
    self->sweeper = sweeper_new (self->base);
    assert_non_null (self->sweeper);
    *state = self;
    return 0;
}

static int tear_down (void **state)
{
    fixture_t *self = *state;
    sweeper_destroy (&self->sweeper);
    folder_remove (self->base);
    free (self);
    return 0;
}

static void take_at_once (fixture_t *self)
{
    int64_t began_ms = clock_mono_ms ();
    sweeper_take (self->sweeper, self->job);
    assert_true (clock_mono_ms () - began_ms < AT_ONCE_MS);
    assert_false (is_there (self->job));
}

static void test_a_small_folder_goes_at_once (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    write_in (folder, "a");
    assert_int_equal (symlinkat ("/etc/passwd", folder, "link"), 0);
    close (folder);
    take_at_once (self);
    take_at_once (self); /* it is not there */
    check_trash_becomes_empty (self);
    assert_true (is_there ("/etc/passwd"));
}

static void test_a_wide_one (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    make_wide (folder);
    close (folder);
    take_at_once (self);
    check_trash_becomes_empty (self);
}

static void test_a_deep_one (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    make_deep (folder);
    close (folder);
    take_at_once (self);
    check_trash_becomes_empty (self);
}

static void test_folders_that_are_shut (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    assert_int_equal (mkdirat (folder, "shut", 0700), 0);
    int inner = open_at (folder, "shut");
    assert_int_equal (mkdirat (inner, "too", 0700), 0);
    write_in (inner, "a");
    assert_int_equal (fchmodat (inner, "too", 0, 0), 0);
    assert_int_equal (fchmod (inner, 0), 0);
    assert_int_equal (fchmod (folder, 0), 0);
    close (inner);
    close (folder);
    take_at_once (self);
    check_trash_becomes_empty (self);
}

static void test_a_link_is_not_followed (void **state)
{
    fixture_t *self = *state;
    char kept[64], path[80];
    snprintf (kept, sizeof kept, "%s/kept", self->base);
    snprintf (path, sizeof path, "%s/file", kept);
    assert_int_equal (mkdir (kept, 0700), 0);
    int folder = open_at (AT_FDCWD, kept);
    write_in (folder, "file");
    close (folder);
    folder = make_job (self);
    assert_int_equal (mkdirat (folder, "inner", 0700), 0);
    int inner = open_at (folder, "inner");
    assert_int_equal (symlinkat (kept, inner, "link"), 0);
    close (inner);
    close (folder);
    take_at_once (self);
    check_trash_becomes_empty (self);
    assert_true (is_there (path));
}

static void test_an_end_waits_a_while_and_the_next_start_goes_on (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    make_deep (folder);
    make_wide (folder);
    close (folder);
    sweeper_take (self->sweeper, self->job);
    int64_t began_ms = clock_mono_ms ();
    sweeper_destroy (&self->sweeper);
    assert_true (clock_mono_ms () - began_ms < END_MS + AT_ONCE_MS);
    assert_false (is_there (self->job));
    self->sweeper = sweeper_new (self->base);
    assert_non_null (self->sweeper);
    check_trash_becomes_empty (self);
}

static void test_an_end_leaves_nothing_small (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    write_in (folder, "a");
    close (folder);
    sweeper_take (self->sweeper, self->job);
    sweeper_destroy (&self->sweeper);
    assert_int_equal (rmdir (self->trash), 0);
}

static void test_a_small_one_does_not_wait_for_a_large_one (void **state)
{
    fixture_t *self = *state;
    int folder = make_job (self);
    make_deep (folder);
    make_wide (folder);
    close (folder);
    take_at_once (self);
    folder = make_job (self);
    write_in (folder, "small");
    int small = openat (folder, "small", O_RDONLY);
    close (folder);
    take_at_once (self);
    int64_t began_ms = clock_mono_ms ();
    while (!is_removed (small) && clock_mono_ms () - began_ms < PATIENCE_MS)
        pause_10_ms ();
    assert_true (clock_mono_ms () - began_ms < TURN_MS);
    close (small);
    check_trash_becomes_empty (self);
}

static void test_many_that_wait_are_told (void **state)
{
    fixture_t *self = *state;
    assert_false (sweeper_is_behind (self->sweeper));
    int folder = make_job (self);
    make_deep (folder);
    make_wide (folder);
    close (folder);
    take_at_once (self);
    bool behind = false;
    for (int i = 0; i < MANY && !behind; i++) {
        folder = make_job (self);
        write_in (folder, "a");
        close (folder);
        take_at_once (self);
        behind = sweeper_is_behind (self->sweeper);
    }
    assert_true (behind);
    check_trash_becomes_empty (self);
    int64_t end_ms = clock_mono_ms () + PATIENCE_MS;
    while (sweeper_is_behind (self->sweeper) && clock_mono_ms () < end_ms)
        pause_10_ms ();
    assert_false (sweeper_is_behind (self->sweeper));
}

/* Leaves a folder with an open file that fills the disk. */
static void leave_full_disk (fixture_t *self)
{
    static const char bytes[64 * 1024];
    int folder = make_job (self);
    make_wide (folder);
    int fd = openat (folder, "full", O_WRONLY | O_CREAT, 0600);
    assert_true (fd >= 0);
    while (write (fd, bytes, sizeof bytes) > 0)
        ;
    close (folder);
    sweeper_take (self->sweeper, self->job);
    close (fd);
}

static void test_a_disk_that_is_full_is_waited_for (void **state)
{
    fixture_t *self = *state;
    sweeper_destroy (&self->sweeper);
    if (mount ("tmpfs", self->base, "tmpfs", 0, "size=64m") != 0)
        skip ();
    self->sweeper = sweeper_new (self->base);
    assert_non_null (self->sweeper);
    bool behind = false;
    for (int i = 0; i < TRIES && !behind; i++) { /* the sweeper may have been quicker */
        leave_full_disk (self);
        behind = sweeper_is_behind (self->sweeper);
    }
    assert_true (behind);
    int64_t end_ms = clock_mono_ms () + PATIENCE_MS;
    while (sweeper_is_behind (self->sweeper) && clock_mono_ms () < end_ms)
        pause_10_ms ();
    assert_true (clock_mono_ms () < end_ms);
    check_trash_becomes_empty (self);
    sweeper_destroy (&self->sweeper);
    assert_int_equal (umount (self->base), 0);
}

/* It is not the job's, and it holds up nothing else. */
static void test_what_is_mounted_stays (void **state)
{
    fixture_t *self = *state;
    char inner[64], path[80];
    snprintf (inner, sizeof inner, "%s/kept", self->base);
    assert_int_equal (mkdir (inner, 0700), 0);
    int folder = open_at (AT_FDCWD, inner);
    write_in (folder, "file");
    close (folder);
    folder = make_job (self);
    write_in (folder, "a");
    assert_int_equal (mkdirat (folder, "mounted", 0700), 0);
    snprintf (path, sizeof path, "%s/mounted", self->job);
    if (mount (inner, path, NULL, MS_BIND, NULL) != 0)
        skip ();
    int file = openat (folder, "a", O_RDONLY);
    take_at_once (self);
    int64_t end_ms = clock_mono_ms () + PATIENCE_MS;
    while (!is_removed (file) && clock_mono_ms () < end_ms)
        pause_10_ms ();
    assert_true (is_removed (file));
    int64_t began_ms = clock_mono_ms ();
    sweeper_destroy (&self->sweeper);
    assert_true (clock_mono_ms () - began_ms < AT_ONCE_MS);
    snprintf (path, sizeof path, "%s/file", inner);
    assert_true (is_there (path));
    assert_int_equal (fchdir (folder), 0);
    assert_int_equal (umount ("mounted"), 0);
    assert_int_equal (chdir ("/"), 0);
    close (file);
    close (folder);
}

static void test_a_job_that_became_a_link (void **state)
{
    fixture_t *self = *state;
    char kept[64];
    snprintf (kept, sizeof kept, "%s/kept", self->base);
    assert_int_equal (mkdir (kept, 0500), 0);
    assert_int_equal (symlink (kept, self->job), 0);
    take_at_once (self);
    check_trash_becomes_empty (self);
    struct stat info;
    assert_int_equal (stat (kept, &info), 0);
    assert_int_equal (info.st_mode & 0777, 0500);
}

static void test_a_trash_that_is_none_is_refused (void **state)
{
    fixture_t *self = *state;
    sweeper_destroy (&self->sweeper);
    check_trash_becomes_empty (self);
    int folder = open_at (AT_FDCWD, self->base);
    write_in (folder, "trash");
    close (folder);
    assert_null (sweeper_new (self->base));
    assert_int_equal (errno, ENOTDIR);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_small_folder_goes_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_wide_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_deep_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_folders_that_are_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_link_is_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_an_end_waits_a_while_and_the_next_start_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_an_end_leaves_nothing_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_small_one_does_not_wait_for_a_large_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_many_that_wait_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_disk_that_is_full_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_what_is_mounted_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_job_that_became_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_trash_that_is_none_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
