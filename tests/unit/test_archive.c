/* Archive paths, and archives made here by libarchive's writer, which makes what careful tools would not. */
#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/archive.h"

static char folder[64];
static char zip_path[96];
static char out_path[96];
static archive_limits_t limits;
static archive_refusal_t refusal;

static int setup (void **state)
{
    (void)state;
    limits = (archive_limits_t){ .files = 10000, .bytes = 1LL << 30, .ratio = 100, .depth = 32 };
    snprintf (folder, sizeof folder, "/tmp/gleaner-zip-XXXXXX");
    assert_non_null (mkdtemp (folder));
    snprintf (zip_path, sizeof zip_path, "%s/a.zip", folder);
    snprintf (out_path, sizeof out_path, "%s/out", folder);
    return mkdir (out_path, 0700);
}

static int teardown (void **state)
{
    (void)state;
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", folder);
    return system (command);
}

typedef struct {
    const char *path;
    mode_t mode;      /* with its type */
    const char *link; /* of a symlink */
    const char *data;
    size_t size; /* of `data`; 0: its length */
} entry_t;

static void make_zip (const entry_t *entries, size_t count)
{
    struct archive *zip = archive_write_new ();
    archive_write_set_format_zip (zip);
    assert_int_equal (archive_write_open_filename (zip, zip_path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        const entry_t *from = &entries[i];
        size_t size = from->size ? from->size : from->data ? strlen (from->data) : 0;
        struct archive_entry *entry = archive_entry_new ();
        archive_entry_set_pathname (entry, from->path);
        archive_entry_set_mode (entry, from->mode ? from->mode : S_IFREG | 0644);
        if (from->link)
            archive_entry_set_symlink (entry, from->link);
        archive_entry_set_size (entry, (la_int64_t)size);
        assert_int_equal (archive_write_header (zip, entry), ARCHIVE_OK);
        if (size)
            assert_int_equal (archive_write_data (zip, from->data, size), size);
        archive_entry_free (entry);
    }
    archive_write_free (zip);
}

static bool extract (void)
{
    int zip = open (zip_path, O_RDONLY | O_CLOEXEC);
    int out = open (out_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true (zip >= 0 && out >= 0);
    bool done = archive_extract (zip, out, &limits, &refusal);
    close (zip);
    close (out);
    return done;
}

static void test_files_folders_and_modes (void **state)
{
    (void)state;
    const entry_t entries[] = {
        { .path = "run.sh", .mode = S_IFREG | 04755, .data = "#!/bin/sh\n" },
        { .path = "src/", .mode = S_IFDIR | 0700 },
        { .path = "src/deep/er/a.txt", .mode = S_IFREG | 0666, .data = "hello" },
        { .path = "src/empty" },
    };
    make_zip (entries, 4);
    assert_true (extract ());
    char path[160];
    struct stat info;
    snprintf (path, sizeof path, "%s/run.sh", out_path);
    assert_int_equal (stat (path, &info), 0);
    assert_int_equal (info.st_mode & 07111, 0111 & ~0); /* no setuid; the x bits of 0755 under this umask */
    snprintf (path, sizeof path, "%s/src/deep/er/a.txt", out_path);
    assert_int_equal (stat (path, &info), 0);
    assert_int_equal (info.st_size, 5);
    assert_int_equal (info.st_mode & 0111, 0);
    snprintf (path, sizeof path, "%s/src/empty", out_path);
    assert_int_equal (stat (path, &info), 0);
}

static void assert_refused (const entry_t *entries, size_t count, const char *code, const char *why)
{
    make_zip (entries, count);
    assert_false (extract ());
    if (!strstr (refusal.text, why))
        print_error ("said: %s\n", refusal.text);
    assert_non_null (strstr (refusal.text, why));
    assert_string_equal (refusal.code, code);
}

#define REFUSED(code, why, ...)                                                                                        \
    assert_refused ((const entry_t[]){ __VA_ARGS__ }, sizeof ((const entry_t[]){ __VA_ARGS__ }) / sizeof (entry_t),    \
                    code, why)

static void test_what_is_refused (void **state)
{
    (void)state;
    REFUSED ("UNSAFE_PATH", "leaves its folder", { .path = "../evil", .data = "x" });
    REFUSED ("UNSAFE_PATH", "leaves its folder", { .path = "a/../../evil", .data = "x" });
    REFUSED ("UNSAFE_TYPE", "link", { .path = "l", .mode = S_IFLNK | 0777, .link = "/etc" });
    REFUSED ("DUPLICATE_PATH", "twice", { .path = "a", .data = "1" }, { .path = "a", .data = "2" });
    REFUSED ("DUPLICATE_PATH", "twice", { .path = "Readme", .data = "1" }, { .path = "README", .data = "2" });
    REFUSED ("DUPLICATE_PATH", "file and a folder", { .path = "a", .data = "1" }, { .path = "a/b", .data = "2" });
    REFUSED ("BAD_NAME", "control", { .path = "a\nb", .data = "x" });
    REFUSED ("BAD_NAME", "control", { .path = "a\x1b[31m", .data = "x" });
    limits.depth = 3;
    REFUSED ("ARCHIVE_LIMIT", "nested", { .path = "1/2/3/4", .data = "x" });
}

static void test_paths_that_no_writer_here_makes (void **state)
{
    (void)state;
    static const char *const bad[] = { "", "/abs", "a\\..\\b", "a//b", "./a", "a/.", "\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        archive_names_t names = { 0 };
        assert_false (archive_path_check (&names, bad[i], false, &limits, &refusal));
        archive_names_fini (&names);
    }
}

static void test_a_bomb_is_stopped (void **state)
{
    (void)state;
    size_t size = 64UL << 20;
    char *zeros = xcalloc (1, size);
    const entry_t entry = { .path = "zeros", .data = zeros, .size = size };
    make_zip (&entry, 1);
    free (zeros);
    assert_false (extract ());
    assert_non_null (strstr (refusal.text, "100 times"));
}

static void damage (long at, char with)
{
    FILE *file = fopen (zip_path, "r+b");
    assert_non_null (file);
    assert_int_equal (fseek (file, at, SEEK_SET), 0);
    fputc (with, file);
    fclose (file);
}

static void test_damage_is_noticed (void **state)
{
    (void)state;
    const entry_t entry = { .path = "a.txt", .data = "some text that is long enough to be hit by the damage" };
    make_zip (&entry, 1);
    damage (80, '\x13');
    assert_false (extract ());
    make_zip (&entry, 1);
    assert_int_equal (truncate (zip_path, 40), 0);
    assert_false (extract ());
    FILE *file = fopen (zip_path, "w");
    fputs ("this is not a ZIP at all", file);
    fclose (file);
    assert_false (extract ());
}

static void test_an_empty_archive_is_fine (void **state)
{
    (void)state;
    make_zip (NULL, 0);
    if (!extract ())
        fail_msg ("%s", refusal.text);
}

int main (void)
{
#define STORY(test) cmocka_unit_test_setup_teardown (test, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY (test_files_folders_and_modes),
        STORY (test_what_is_refused),
        STORY (test_paths_that_no_writer_here_makes),
        STORY (test_a_bomb_is_stopped),
        STORY (test_damage_is_noticed),
        STORY (test_an_empty_archive_is_fine),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
