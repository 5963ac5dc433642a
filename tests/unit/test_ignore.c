/* What stays at home: rules of ignore files, as git reads them. */
#include "unit.h"

#include <stdio.h>

#include "cli/ignore.h"

typedef struct {
    const char *rules; /* of the top */
    const char *path;  /* a slash at its end: a folder */
    bool takes;
} row_t;

static const row_t rows[] = {
    { "*.o", "a.o", true },
    { "*.o", "sub/deep/a.o", true },
    { "*.o", "a.out", false },
    { "/a", "a", true },
    { "/a", "sub/a", false },
    { "sub/a", "sub/a", true },
    { "sub/a", "x/sub/a", false },
    { "build/", "build/", true },
    { "build/", "build", false },
    { "build/", "x/build/", true },
    { "/build/", "x/build/", false },
    { "**/x", "a/b/x", true },
    { "a/**/x", "a/x", true },
    { "a/**/x", "a/b/c/x", true },
    { "a/**", "a/b", true },
    { "*.o\n!keep.o", "keep.o", false },
    { "!keep.o\n*.o", "keep.o", true },
    { "*\n!*.c", "a.c", false },
    { "*\n!*.c", "a.h", true },
    { "*\n!src", "src/x", true }, /* the folder comes back in, what is in it does not */
    { "# no\n\n   \n", "# no", false },
    { "\\#yes", "#yes", true },
    { "\\!yes", "!yes", true },
    { "a ", "a", true },
    { "a\\ ", "a ", true },
    { "a\r\nb\r\n", "b", true },
    { "fo[abo]", "foo", true },
    { "fo[!o]", "foo", false },
    { "\\*", "*", true },
    { "\\*", "a", false },
    { "/", "a", false },
    { "../x", "x", false },
};

static void test_rules_of_one_file (void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ignore_t *ignore = ignore_new ();
        char path[64];
        snprintf (path, sizeof path, "%s", rows[i].path);
        size_t len = strlen (path);
        bool is_folder = path[len - 1] == '/';
        if (is_folder)
            path[len - 1] = '\0';
        ignore_read (ignore, "", rows[i].rules);
        if (ignore_takes (ignore, path, is_folder) != rows[i].takes)
            fail_msg ("'%s' and '%s'", rows[i].rules, rows[i].path);
        ignore_destroy (&ignore);
    }
}

static void test_rules_hold_below_their_folder (void **state)
{
    (void)state;
    ignore_t *ignore = ignore_new ();
    ignore_read (ignore, "", "*.log");
    ignore_read (ignore, "sub", "!keep.log\n/only\n");
    assert_false (ignore_takes (ignore, "sub/keep.log", false));
    assert_true (ignore_takes (ignore, "keep.log", false));
    assert_true (ignore_takes (ignore, "sub/only", false));
    assert_false (ignore_takes (ignore, "only", false));
    assert_false (ignore_takes (ignore, "subway/only", false));
    ignore_leave (ignore, "sub");
    assert_true (ignore_takes (ignore, "sub/keep.log", false));
    ignore_destroy (&ignore);
}

static void test_rules_are_bounded (void **state)
{
    (void)state;
    ignore_t *ignore = ignore_new ();
    for (int i = 0; i < IGNORE_RULES_MAX; i++)
        ignore_read (ignore, "", "x\n");
    assert_false (ignore_full (ignore));
    ignore_read (ignore, "", "y\n");
    assert_true (ignore_full (ignore));
    assert_false (ignore_takes (ignore, "y", false));
    ignore_destroy (&ignore);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_rules_of_one_file),
        cmocka_unit_test (test_rules_hold_below_their_folder),
        cmocka_unit_test (test_rules_are_bounded),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
