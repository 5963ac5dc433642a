/* Patterns of artifacts: what each takes, and what it leaves. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/glob.h"

typedef struct {
    const char *pattern;
    const char *takes[6];
    const char *leaves[6];
} row_t;

static void check_rows (const row_t *rows, size_t count)
{
    for (const row_t *row = rows; row < rows + count; row++) {
        assert_true (glob_safe (row->pattern));
        for (size_t i = 0; i < 6 && row->takes[i]; i++)
            if (!glob_match (row->pattern, row->takes[i]))
                fail_msg ("'%s' does not take '%s'", row->pattern, row->takes[i]);
        for (size_t i = 0; i < 6 && row->leaves[i]; i++)
            if (glob_match (row->pattern, row->leaves[i]))
                fail_msg ("'%s' takes '%s'", row->pattern, row->leaves[i]);
    }
}

#define CHECK(...)                                                                                                     \
    do {                                                                                                               \
        static const row_t rows[] = { __VA_ARGS__ };                                                                   \
        check_rows (rows, sizeof rows / sizeof *rows);                                                                 \
    } while (0)

static void test_names (void **state)
{
    (void)state;
    CHECK ({ "a.txt", { "a.txt" }, { "a.txt2", "ba.txt", "b/a.txt", "A.txt", "a.tx", "a" } },
           { "out/a.txt", { "out/a.txt" }, { "a.txt", "out/b/a.txt", "out" } },
           { "./out//a.txt", { "out/a.txt" }, { "a.txt" } }, { "-x", { "-x" }, { "x" } });
}

static void test_wildcards_stay_in_their_component (void **state)
{
    (void)state;
    CHECK ({ "*.log", { "a.log", ".log", "a.b.log" }, { "b/a.log", "a.logs", "log" } },
           { "a*b*c", { "abc", "a1b2c", "abcabc" }, { "abd", "ab", "a/b/c" } },
           { "a?c",
             { "abc", "a\xc3\xa4"
                      "c" },
             { "ac", "abbc", "a/c" } },
           { "*/x", { "a/x", ".a/x" }, { "x", "a/b/x" } }, { "?", { "a", "\xe2\x82\xac" }, { "ab" } },
           { "*", { "a", ".hidden", "folder/below/it" }, { NULL } });
}

static void test_sets (void **state)
{
    (void)state;
    CHECK ({ "[abc].c", { "a.c", "c.c" }, { "d.c", ".c", "ab.c" } },
           { "v[0-9][0-9]", { "v00", "v42" }, { "v4", "va1" } }, { "[!a-c]", { "d", "-" }, { "a", "b", "c" } },
           { "[^a-c]", { "d" }, { "a" } }, { "[]x]", { "]", "x" }, { "[", "a" } }, { "[!]]", { "a" }, { "]" } },
           { "[a-]", { "a", "-" }, { "b" } }, { "[-a]", { "a", "-" }, { "b" } }, { "a[b", { "a[b" }, { "ab" } },
           { "[\xc3\xa0-\xc3\xbc]", { "\xc3\xa4" }, { "a", "\xe2\x82\xac" } }, { "[", { "[" }, { "a" } },
           { "[]", { "[]" }, { "a" } }, { "[a]*", { "a", "abc" }, { "b" } }, { "*[0-9]", { "a1", "12" }, { "1a" } });
}

static void test_any_folders (void **state)
{
    (void)state;
    CHECK ({ "**/*.o", { "a.o", "b/a.o", "c/b/a.o" }, { "a.c", "b/a.c" } },
           { "src/**/x", { "src/x", "src/a/x", "src/a/b/x", "src/a/x/y" }, { "x", "src/y", "src" } },
           { "**", { "a", "a/b", "a/b/c" }, { NULL } }, { "src/**", { "src/a", "src/a/b" }, { "src", "a" } },
           { "**/a/**/b", { "a/b", "x/a/y/b", "a/a/b/b" }, { "a", "b", "b/a" } },
           { "**/**/b", { "b", "a/b", "a/a/b" }, { "a" } }, { "a**b", { "ab", "axxb" }, { "a/b" } });
}

static void test_a_folder_takes_what_is_below (void **state)
{
    (void)state;
    CHECK ({ "build", { "build", "build/a", "build/b/c" }, { "builds/a", "x/build" } },
           { "build/", { "build/a", "build/b/c" }, { "build", "x/build/a" } },
           { "b*d/out", { "build/out/a", "bd/out" }, { "build/in", "build" } },
           { "**/out/", { "out/a", "x/out/a" }, { "out", "x/out" } }, { ".", { "a", "a/b" }, { NULL } });
}

static void test_what_leaves_the_folder_is_not_safe (void **state)
{
    (void)state;
    static const char *const refused[] = { "",     "/",      "/etc/passwd", "..",   "../a",
                                           "a/..", "a/../b", "a\\b",        "a\nb", "\x7f" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (glob_safe (refused[i]))
            fail_msg ("'%s' is safe", refused[i]);
    static const char *const safe[] = { "a", "..a", "a..", "a/...", "*..", "a b", "a/", ".", "\xc3\xa4" };
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (!glob_safe (safe[i]))
            fail_msg ("'%s' is not safe", safe[i]);
}

/* Patterns that make matchers with plain recursion run for years. */
static void test_no_pattern_takes_long (void **state)
{
    (void)state;
    char pattern[512] = "";
    char path[1024] = "";
    for (int i = 0; i < 100; i++)
        strcat (pattern, "*a");
    memset (path, 'a', 900);
    path[899] = 'b';
    clock_t begun = clock ();
    assert_false (glob_match (pattern, path));
    pattern[0] = '\0';
    for (int i = 0; i < 100; i++)
        strcat (pattern, "**/a/");
    for (size_t i = 1; i < 899; i += 2)
        path[i] = '/';
    strcat (pattern, "c");
    assert_false (glob_match (pattern, path));
    assert_true (clock () - begun < CLOCKS_PER_SEC);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_names),
        cmocka_unit_test (test_wildcards_stay_in_their_component),
        cmocka_unit_test (test_sets),
        cmocka_unit_test (test_any_folders),
        cmocka_unit_test (test_a_folder_takes_what_is_below),
        cmocka_unit_test (test_what_leaves_the_folder_is_not_safe),
        cmocka_unit_test (test_no_pattern_takes_long),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
