/* The index of what was sent: kept, found damaged, and when a file need not be read. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/sent.h"

static char cache[64];
static const char server[] = "http://127.0.0.1:3000";
static const char folder[] = "/home/me/project";

static int setup (void **state)
{
    (void)state;
    snprintf (cache, sizeof cache, "/tmp/gleaner-sent-XXXXXX");
    assert_non_null (mkdtemp (cache));
    return setenv ("XDG_CACHE_HOME", cache, 1);
}

static int teardown (void **state)
{
    (void)state;
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", cache);
    return system (command);
}

static struct stat info_of (int64_t size, time_t seconds)
{
    return (struct stat){ .st_size = size,
                          .st_mode = S_IFREG | 0755,
                          .st_ino = 7,
                          .st_dev = 3,
                          .st_mtim = { seconds, 5 },
                          .st_ctim = { seconds, 6 } };
}

static void save_two (void)
{
    sent_t *index = sent_new ();
    struct stat info = info_of (12, 1000);
    unsigned char sha256[SENT_HASH];
    memset (sha256, 0xab, sizeof sha256);
    memset (index->base, '7', SHA256_HEX);
    index->base_bytes = 99;
    sent_add (index, "b", &info, false, sha256);
    sent_add (index, "a b/\xc3\xa4", &info, false, sha256);
    sent_save (index, server, folder);
    sent_destroy (&index);
}

/* The one file in the cache. */
static void path_of_index (char path[400])
{
    char inside[80];
    snprintf (inside, sizeof inside, "%s/gleaner", cache);
    DIR *dir = opendir (inside);
    assert_non_null (dir);
    int count = 0;
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir))
        if (entry->d_name[0] != '.' && ++count)
            snprintf (path, 400, "%s/%s", inside, entry->d_name);
    closedir (dir);
    assert_int_equal (count, 1);
}

static void test_what_was_saved_is_loaded (void **state)
{
    (void)state;
    assert_null (sent_load (server, folder));
    save_two ();
    assert_null (sent_load ("http://elsewhere", folder));
    assert_null (sent_load (server, "/home/me/other"));
    sent_t *index = sent_load (server, folder);
    assert_non_null (index);
    assert_int_equal (index->count, 2);
    assert_int_equal (index->base_bytes, 99);
    assert_int_equal (strspn (index->base, "7"), SHA256_HEX);
    sent_file_t *file = sent_find (index, "a b/\xc3\xa4");
    assert_non_null (file);
    assert_int_equal (file->size, 12);
    assert_int_equal (file->sha256[31], 0xab);
    assert_null (sent_find (index, "a b"));
    assert_null (sent_find (index, "c"));
    sent_destroy (&index);
}

static void test_a_file_is_read_when_anything_about_it_differs (void **state)
{
    (void)state;
    struct stat was = info_of (12, 1000);
    save_two ();
    sent_t *index = sent_load (server, folder);
    const sent_file_t *file = sent_find (index, "b");
    assert_true (sent_is_same (index, file, &was));
    struct stat now[7];
    for (size_t i = 0; i < 7; i++)
        now[i] = was;
    now[0].st_size++;
    now[1].st_mtim.tv_nsec++;
    now[2].st_ctim.tv_nsec++;
    now[3].st_ino++;
    now[4].st_dev++;
    now[5].st_mode = S_IFREG | 0644;
    now[6].st_ctim.tv_sec--;
    for (size_t i = 0; i < 7; i++)
        assert_false (sent_is_same (index, file, &now[i]));
    was.st_mode = S_IFREG | 0700; /* what others may is not packed */
    assert_true (sent_is_same (index, file, &was));
    sent_destroy (&index);
}

/* Changed just before the index was taken: perhaps again since, in the same tick. */
static void test_what_was_changed_just_then_is_read_again (void **state)
{
    (void)state;
    sent_t *index = sent_new ();
    unsigned char sha256[SENT_HASH] = { 0 };
    time_t taken = (time_t)(index->taken_ns / 1000000000);
    struct stat old = info_of (1, taken - 10);
    struct stat young = info_of (1, taken - 1);
    struct stat touched = old;
    touched.st_ctim = young.st_ctim;
    const struct stat *all[] = { &old, &young, &touched };
    for (size_t i = 0; i < 3; i++)
        sent_add (index, "f", all[i], false, sha256);
    assert_true (sent_is_same (index, &index->files[0], &old));
    assert_false (sent_is_same (index, &index->files[1], &young));
    assert_false (sent_is_same (index, &index->files[2], &touched));
    sent_destroy (&index);
}

static void test_every_damage_is_found (void **state)
{
    (void)state;
    char path[400];
    char bytes[1024];
    save_two ();
    path_of_index (path);
    int fd = open (path, O_RDWR | O_CLOEXEC);
    ssize_t len = read (fd, bytes, sizeof bytes);
    assert_true (len > 100 && len < (ssize_t)sizeof bytes);
    for (ssize_t at = 0; at < len; at++) {
        char other = (char)(bytes[at] ^ 1);
        assert_int_equal (pwrite (fd, &other, 1, at), 1);
        sent_t *index = at < len - 1 ? sent_load (server, folder) : NULL; /* the last newline says nothing */
        assert_null (index);
        assert_int_equal (pwrite (fd, &bytes[at], 1, at), 1);
    }
    for (ssize_t length = len - 1; length >= 0; length--) {
        assert_int_equal (ftruncate (fd, length), 0);
        assert_null (sent_load (server, folder));
    }
    assert_int_equal (pwrite (fd, bytes, (size_t)len, 0), len);
    sent_t *index = sent_load (server, folder);
    assert_non_null (index);
    sent_destroy (&index);
    close (fd);
}

static void test_the_oldest_index_makes_room (void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i <= SENT_MAX; i++) {
        sent_t *index = sent_new ();
        memset (index->base, '7', SHA256_HEX);
        snprintf (name, sizeof name, "/project/%d", i);
        sent_save (index, server, name);
        sent_destroy (&index);
        nanosleep (&(struct timespec){ .tv_nsec = i ? 0 : 20 * 1000 * 1000 }, NULL); /* a tick of the disk's clock */
    }
    assert_null (sent_load (server, "/project/0"));
    sent_t *last = sent_load (server, name);
    assert_non_null (last);
    sent_destroy (&last);
    last = sent_load (server, "/project/1");
    assert_non_null (last);
    sent_destroy (&last);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_what_was_saved_is_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_file_is_read_when_anything_about_it_differs, setup, teardown),
        cmocka_unit_test_setup_teardown (test_what_was_changed_just_then_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown (test_every_damage_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown (test_the_oldest_index_makes_room, setup, teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
