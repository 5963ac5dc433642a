/* Ids: made in one place, sorted by creation, read without trust; and the names that may come from outside. */
#include "unit.h"

#include "proto/id.h"

static void test_ids_sort_as_they_were_made (void **state)
{
    (void)state;
    char before[JOB_ID_LEN + 1] = "";
    int64_t seq = 0;
    for (int i = 0; i < 100; i++) {
        int64_t wall_ms = 1705329400000 + (i < 50 ? i / 10 : -1000); /* the clock goes back */
        job_id_t id = { .seq = job_seq_next (seq, wall_ms) };
        char text[JOB_ID_LEN + 1];
        job_salt_make ((uint64_t)i * 0x9e3779b97f4a7c15ULL, id.salt);
        job_id_format (&id, text);
        assert_true (id.seq > seq);
        assert_true (strcmp (before, text) < 0);
        job_id_t back;
        assert_true (job_id_parse (slice_of (text), &back));
        assert_int_equal (back.seq, id.seq);
        assert_string_equal (back.salt, id.salt);
        memcpy (before, text, sizeof before);
        seq = id.seq;
    }
    assert_memory_equal (before, "job-1705329400004-", 18);
}

static void test_what_is_no_id (void **state)
{
    (void)state;
    static const char *const wrong[] = { "",
                                         "job-",
                                         "job-1705329400000-abc123xy",
                                         "job-1705329400000-abc123xyzz",
                                         "job-170532940000x-abc123xyz",
                                         "job-1705329400000-ABC123XYZ",
                                         "job-1705329400000_abc123xyz",
                                         "jab-1705329400000-abc123xyz",
                                         "job-0000000000000-000abcdef" };
    job_id_t id;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false (job_id_parse (slice_of (wrong[i]), &id));
    assert_true (job_id_parse (SLICE ("job-1705329400000-abc123xyz"), &id));
}

static void test_file_names (void **state)
{
    (void)state;
    static const char *const good[] = { "a.zip", "my project.zip", "gr\xc3\xbc\xc3\x9f.zip", "..zip", "a..b" };
    static const char *const bad[] = { "",
                                       ".",
                                       "..",
                                       "../a",
                                       "a/b",
                                       "/a",
                                       "a\\b",
                                       "a\nb",
                                       "a\x7f"
                                       "b",
                                       "-rf.zip",
                                       "\xff.zip" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true (filename_safe (slice_of (good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false (filename_safe (slice_of (bad[i])));
    assert_false (filename_safe (SLICE_ABSENT));
    assert_false (filename_safe (slice_from ("a\0b", 3)));
}

static void test_file_urls (void **state)
{
    (void)state;
    static const char *const good[] = { "/uploads/a.zip", "http://host/a.zip", "https://host:8443/a?b=c",
                                        "/uploads/my%20file.zip" };
    static const char *const bad[] = { "",          "a.zip",     "/etc/passwd", "/uploads/../x", "/uploads/a/./b",
                                       "file:///x", "/uploads/", "http://",     "/uploads/a b",  "ftp://h/x" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true (file_url_safe (slice_of (good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false (file_url_safe (slice_of (bad[i])));
}

static void test_blob_urls (void **state)
{
    (void)state;
    const char *sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char url[BLOB_URL_LEN + 1];
    blob_url_format (slice_of (sha256), url);
    assert_slice (blob_url_sha256 (slice_of (url)), sha256);
    url[12] = 'X';
    assert_null (blob_url_sha256 (slice_of (url)).ptr);
    assert_null (blob_url_sha256 (SLICE ("/uploads/a.zip")).ptr);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_ids_sort_as_they_were_made),
        cmocka_unit_test (test_what_is_no_id),
        cmocka_unit_test (test_file_names),
        cmocka_unit_test (test_file_urls),
        cmocka_unit_test (test_blob_urls),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
