/* Projects that come again: what the third job's folder holds is what the extractor left in the second one's. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/folders.h"
#include "worker/projects.h"

typedef struct {
    char base[32], from[48], to[48];
    projects_t *projects;
} fixture_t;

/* A hash of its own for each number. */
static slice_t hash_of (int number, char text[65])
{
    snprintf (text, 65, "%064x", (unsigned)number);
    return slice_of (text);
}

static void write_file (const char *folder, const char *name, const void *bytes, size_t len, mode_t mode)
{
    char path[128];
    snprintf (path, sizeof path, "%s/%s", folder, name);
    int fd = open (path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true (fd >= 0);
    assert_int_equal (write (fd, bytes, len), len);
    assert_int_equal (fchmod (fd, mode), 0);
    close (fd);
}

static void make_folder (const char *folder, const char *name)
{
    char path[128];
    snprintf (path, sizeof path, "%s/%s", folder, name);
    assert_int_equal (mkdir (path, 0755), 0);
    assert_int_equal (chmod (path, 0755), 0);
}

static void check_file (const char *folder, const char *name, const char *content, mode_t mode)
{
    char path[128];
    struct stat info;
    buf_t bytes = { 0 };
    snprintf (path, sizeof path, "%s/%s", folder, name);
    assert_int_equal (lstat (path, &info), 0);
    assert_int_equal (info.st_mode, S_IFREG | mode);
    assert_int_equal (file_read (path, 1024, &bytes), 0);
    assert_slice (slice_from (bytes.ptr ? bytes.ptr : "", bytes.len), content);
    buf_fini (&bytes);
}

static int set_up (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->base, sizeof self->base, "/tmp/projects-XXXXXX");
    assert_non_null (mkdtemp (self->base));
    snprintf (self->from, sizeof self->from, "%s/from", self->base);
    snprintf (self->to, sizeof self->to, "%s/to", self->base);
    assert_int_equal (mkdir (self->from, 0700), 0);
    assert_int_equal (mkdir (self->to, 0700), 0);
    self->projects = projects_new ();
    *state = self;
    return 0;
}

static int tear_down (void **state)
{
    fixture_t *self = *state;
    projects_destroy (&self->projects);
    folder_remove (self->base);
    free (self);
    return 0;
}

static bool given (fixture_t *self, int number)
{
    char text[65];
    bool known;
    assert_int_equal (projects_give (self->projects, hash_of (number, text), self->to, &known), 0);
    return known;
}

static void note (fixture_t *self, int number)
{
    char text[65];
    projects_note (self->projects, hash_of (number, text), self->from);
}

static void test_third_job_has_the_second_ones_files (void **state)
{
    fixture_t *self = *state;
    struct stat info;
    char path[128];
    make_folder (self->from, "src");
    make_folder (self->from, "src/empty");
    write_file (self->from, "src/a.c", "int a;\n", 7, 0644);
    write_file (self->from, "run.sh", "#!/bin/sh\n", 10, 0755);
    write_file (self->from, "nothing", "", 0, 0644);
    note (self, 1);
    assert_false (given (self, 1));
    note (self, 1);
    assert_false (given (self, 2));
    assert_true (given (self, 1));
    check_file (self->to, "src/a.c", "int a;\n", 0644);
    check_file (self->to, "run.sh", "#!/bin/sh\n", 0755);
    check_file (self->to, "nothing", "", 0644);
    snprintf (path, sizeof path, "%s/src/empty", self->to);
    assert_int_equal (lstat (path, &info), 0);
    assert_int_equal (info.st_mode, S_IFDIR | 0755);
}

/* What was made before a fault stays, for the job's failure to remove. */
static void test_what_cannot_be_made_is_said (void **state)
{
    fixture_t *self = *state;
    char text[65];
    bool known;
    write_file (self->from, "a", "a", 1, 0644);
    note (self, 1);
    note (self, 1);
    write_file (self->to, "a", "", 0, 0644);
    assert_int_equal (projects_give (self->projects, hash_of (1, text), self->to, &known), EEXIST);
    assert_true (known);
    assert_int_equal (projects_give (self->projects, hash_of (1, text), "/tmp/projects-not-there", &known), ENOENT);
}

static void test_what_is_large_is_not_kept (void **state)
{
    fixture_t *self = *state;
    static const char byte = 'x';
    char *bytes = xcalloc (1, PROJECT_BYTES_MAX);
    write_file (self->from, "large", bytes, PROJECT_BYTES_MAX, 0644);
    note (self, 1);
    note (self, 1);
    assert_true (given (self, 1));
    write_file (self->from, "more", &byte, 1, 0644);
    for (int i = 0; i < 4; i++)
        note (self, 2);
    assert_false (given (self, 2));
    free (bytes);
}

static void test_many_files_are_not_kept (void **state)
{
    fixture_t *self = *state;
    char name[16];
    for (int i = 0; i < PROJECT_FILES_MAX; i++) {
        snprintf (name, sizeof name, "f%d", i);
        write_file (self->from, name, "", 0, 0644);
    }
    note (self, 1);
    note (self, 1);
    assert_true (given (self, 1));
    write_file (self->from, "one-more", "", 0, 0644);
    note (self, 2);
    note (self, 2);
    assert_false (given (self, 2));
}

static void test_links_are_not_kept (void **state)
{
    fixture_t *self = *state;
    char path[128];
    snprintf (path, sizeof path, "%s/link", self->from);
    assert_int_equal (symlink ("/etc/passwd", path), 0);
    note (self, 1);
    note (self, 1);
    assert_false (given (self, 1));
}

static void test_the_least_asked_for_goes (void **state)
{
    fixture_t *self = *state;
    for (int i = 0; i < PROJECTS_MAX; i++) {
        note (self, i);
        note (self, i);
    }
    assert_true (given (self, 0));
    note (self, PROJECTS_MAX);
    note (self, PROJECTS_MAX);
    assert_true (given (self, PROJECTS_MAX));
    assert_true (given (self, 0));
    assert_false (given (self, 1));
    for (int i = 2; i < PROJECTS_MAX; i++)
        assert_true (given (self, i));
    note (self, 1); /* seen often enough */
    assert_true (given (self, 1));
}

static void test_a_project_without_a_hash_is_none (void **state)
{
    fixture_t *self = *state;
    bool known;
    for (int i = 0; i < 3; i++) {
        projects_note (self->projects, SLICE_ABSENT, self->from);
        assert_int_equal (projects_give (self->projects, SLICE_ABSENT, self->to, &known), 0);
        assert_false (known);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_third_job_has_the_second_ones_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_what_cannot_be_made_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_what_is_large_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_many_files_are_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_links_are_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_the_least_asked_for_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown (test_a_project_without_a_hash_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
