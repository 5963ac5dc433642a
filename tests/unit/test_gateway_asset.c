/* The rules for the page's files: names, codings, entity tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/asset.h"

static void test_types (void **state)
{
    (void)state;
    static const char *const served[] = { "index.html", "a.js",          "a.css",    "a.svg",      "a.png",  "a.ico",
                                          "a.json",     "a.webmanifest", "a.js.map", "robots.txt", "a.woff2" };
    static const char *const refused[] = { "",      ".js", ".hidden.js", "a.gz",   "a.js.gz", "a.js.br",
                                           "a.exe", "a",   "a/b.js",     "a b.js", "a\nb.js", "a.JS" };
    for (size_t at = 0; at < sizeof served / sizeof served[0]; at++)
        assert_non_null (asset_type (served[at]));
    for (size_t at = 0; at < sizeof refused / sizeof refused[0]; at++)
        assert_null (asset_type (refused[at]));
    assert_string_equal (asset_type ("a.webmanifest"), "application/manifest+json");
    assert_string_equal (asset_type ("a.html"), "text/html; charset=utf-8");
    char name[ASSET_NAME_MAX + 4];
    memset (name, 'a', sizeof name);
    strcpy (name + ASSET_NAME_MAX - 3, ".js");
    assert_non_null (asset_type (name));
    strcpy (name + ASSET_NAME_MAX - 2, ".js");
    assert_null (asset_type (name));
}

static void test_hashed_names (void **state)
{
    (void)state;
    static const char *const hashed[] = { "index-BwxYz123.js",     "index-B-c4_x9Z.css",          "a-0123abcd.svg",
                                          "index-BwxYz12_.js.map", "my-page-0123456789abcdef.js", "a-b-c-abcdefg1.js" };
    static const char *const plain[] = {
        "index.html",       "app-1234567.js", /* seven */
        "-BwxYz123.js",                       /* no name */
        "BwxYz1234.js",                       /* no dash */
        "index-BwxYz123.",                    /* no extension */
        "index-BwxYz123",   "apple-touch-icon.png", "app-manifest.webmanifest", "maskable-icon-512x512.png",
        "service-worker.js"
    };
    for (size_t at = 0; at < sizeof hashed / sizeof hashed[0]; at++)
        if (!asset_hashed (hashed[at]))
            fail_msg ("%s is hashed", hashed[at]);
    for (size_t at = 0; at < sizeof plain / sizeof plain[0]; at++)
        if (asset_hashed (plain[at]))
            fail_msg ("%s is not hashed", plain[at]);
}

/* `wanted`: the first letters of the codings, best first. */
static void assert_codings (const char *accept, const char *wanted)
{
    static const char letters[CODING_COUNT + 1] = "igb";
    coding_t found[CODING_COUNT];
    char text[CODING_COUNT + 1] = "";
    int count = asset_codings (slice_of (accept), found);
    for (int at = 0; at < count; at++)
        text[at] = letters[found[at]];
    text[count] = '\0';
    if (strcmp (text, wanted) != 0)
        fail_msg ("%s: %s and not %s", accept ? accept : "no header", text, wanted);
}

static void test_codings (void **state)
{
    (void)state;
    assert_codings (NULL, "i");
    assert_codings ("", "i");
    assert_codings ("gzip, deflate, br, zstd", "bgi");
    assert_codings ("gzip", "gi");
    assert_codings ("x-gzip", "gi");
    assert_codings ("GZIP;Q=0.5 , BR ; q=0.4", "gbi");
    assert_codings ("*", "bgi");
    assert_codings ("*;q=0.5, br;q=0", "gi");
    assert_codings ("br;q=0, gzip;q=0", "i");
    assert_codings ("gzip;q=0.5, identity", "ig");
    assert_codings ("gzip;q=0.5, identity;q=0.2", "gi");
    assert_codings ("identity;q=0", "i");
    assert_codings ("identity;q=0, gzip;q=0.001", "gi");
    assert_codings ("br;q=1.000, gzip;q=0.999", "bgi");
    assert_codings (",, gzip ,;q=1,", "gi");
    assert_codings ("brr, g", "i");
}

static void test_a_weight_that_is_none_is_a_no (void **state)
{
    (void)state;
    static const char *const bad[] = { "br;q=2",  "br;q=1.1", "br;q=0.1234", "br;q=.5",
                                       "br;q=-1", "br;q=a",   "br;q=0x1",    "br;q=0.a" };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++)
        assert_codings (bad[at], "i");
}

static void test_tags (void **state)
{
    (void)state;
    char one[ASSET_TAG_SIZE];
    char other[ASSET_TAG_SIZE];
    asset_tag (SLICE ("one"), one);
    asset_tag (SLICE ("other"), other);
    assert_int_equal (strlen (one), ASSET_TAG_SIZE - 1);
    assert_string_not_equal (one, other);
    asset_tag (SLICE ("one"), other);
    assert_string_equal (one, other);

    assert_false (asset_tag_listed (SLICE_ABSENT, "\"ab\""));
    assert_false (asset_tag_listed (SLICE (""), "\"ab\""));
    assert_false (asset_tag_listed (SLICE ("ab"), "\"ab\""));
    assert_false (asset_tag_listed (SLICE ("\"abc\", \"a\""), "\"ab\""));
    assert_true (asset_tag_listed (SLICE ("\"ab\""), "\"ab\""));
    assert_true (asset_tag_listed (SLICE ("\"x\" ,W/\"ab\""), "\"ab\""));
    assert_true (asset_tag_listed (SLICE ("*"), "\"ab\""));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_types),   cmocka_unit_test (test_hashed_names),
        cmocka_unit_test (test_codings), cmocka_unit_test (test_a_weight_that_is_none_is_a_no),
        cmocka_unit_test (test_tags),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
