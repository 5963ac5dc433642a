/* The gateway's cache of blobs: whole copies only, the least recently used go first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/cache.h"

enum { COPY_BYTES = 1000 };

static char dir[64];

static void name_of (char letter, char out[65])
{
    memset (out, letter, 64);
    out[64] = '\0';
}

/* Puts a copy in that was last used `age_s` ago. */
static void put (cache_t *cache, char letter, time_t age_s)
{
    char name[65];
    char block[COPY_BYTES] = { 0 };
    char *path = NULL;
    name_of (letter, name);
    int fd = cache_begin (cache, &path);
    assert_true (fd >= 0);
    assert_int_equal (write (fd, block, sizeof block), COPY_BYTES);
    struct timespec times[2] = { { .tv_sec = time (NULL) - age_s }, { .tv_sec = time (NULL) - age_s } };
    futimens (fd, times);
    close (fd);
    assert_int_equal (cache_commit (cache, path, name, COPY_BYTES), 0);
    free (path);
}

static bool has (cache_t *cache, char letter)
{
    char name[65];
    int64_t bytes = 0;
    name_of (letter, name);
    int fd = cache_open (cache, name, &bytes);
    if (fd < 0)
        return false;
    assert_int_equal (bytes, COPY_BYTES);
    close (fd);
    return true;
}

static cache_t *open_cache (int64_t bytes_max)
{
    char problem[256] = "";
    cache_t *cache = cache_new (dir, bytes_max, problem, sizeof problem);
    assert_string_equal (problem, "");
    assert_non_null (cache);
    return cache;
}

static void test_a_copy_is_there_after_commit (void **state)
{
    (void)state;
    cache_t *cache = open_cache (10 * COPY_BYTES);
    assert_false (has (cache, 'a'));
    put (cache, 'a', 0);
    assert_true (has (cache, 'a'));
    cache_destroy (&cache);
    cache = open_cache (10 * COPY_BYTES);
    assert_true (has (cache, 'a'));
    cache_destroy (&cache);
}

static void test_the_least_recently_used_go_first (void **state)
{
    (void)state;
    cache_t *cache = open_cache (3 * COPY_BYTES);
    put (cache, 'b', 300);
    put (cache, 'c', 200);
    assert_true (has (cache, 'b')); /* a use: now it is the newest */
    put (cache, 'd', 100);
    put (cache, 'e', 50);
    assert_true (has (cache, 'b'));
    assert_false (has (cache, 'c'));
    assert_true (has (cache, 'e'));
    cache_destroy (&cache);
}

static void test_a_folder_that_cannot_be_is_one_sentence (void **state)
{
    (void)state;
    char problem[256] = "";
    assert_null (cache_new ("/proc/none/here", 1, problem, sizeof problem));
    assert_non_null (strstr (problem, "--cache-dir"));
}

static int make_dir (void **state)
{
    (void)state;
    snprintf (dir, sizeof dir, "/tmp/gleaner-cache-XXXXXX");
    return mkdtemp (dir) ? 0 : -1;
}

static int remove_dir (void **state)
{
    (void)state;
    for (char letter = 'a'; letter <= 'f'; letter++) {
        char name[65];
        char path[160];
        name_of (letter, name);
        snprintf (path, sizeof path, "%s/%s.zip", dir, name);
        unlink (path);
    }
    return rmdir (dir);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_copy_is_there_after_commit, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown (test_the_least_recently_used_go_first, make_dir, remove_dir),
        cmocka_unit_test (test_a_folder_that_cannot_be_is_one_sentence),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
