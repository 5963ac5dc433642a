/* What a terminal is shown of a job's output. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "cli/escape.h"

typedef struct {
    const char *printed;
    const char *shown;
} row_t;

static const row_t rows[] = {
    { "plain\ttext\r\n", "plain\ttext\r\n" },
    { "\x1b[31mred\x1b[0m", "^[[31mred^[[0m" },
    { "\a\b\x7f", "^G^H^?" },
    { "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80" },
    { "\xc2\xa3 \xc2\xbf", "\xc2\xa3 \xc2\xbf" },
    { "\xc2\x9b"
      "31m",
      "<9b>31m" },
    { "\x9b"
      "31m",
      "<9b>31m" },
    { "\xc3\xbc\x9b", "\xc3\xbc<9b>" },
    { "\xe2\x82\x1b[A", "\xe2\x82^[[A" },
    { "\xc2\x1bx", "\xc2^[x" },
};

/* Wherever the chunks are cut. */
static void test_what_steers_is_shown (void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t cut = 0; cut <= strlen (rows[i].printed); cut++) {
            escape_t escape = { 0 };
            buf_t out = { 0 };
            slice_t whole = slice_of (rows[i].printed);
            escape_append (&escape, slice_from (whole.ptr, cut), &out);
            escape_append (&escape, slice_from (whole.ptr + cut, whole.len - cut), &out);
            if (out.len != strlen (rows[i].shown) || memcmp (out.ptr, rows[i].shown, out.len) != 0)
                fail_msg ("row %zu, cut at %zu: %.*s", i, cut, (int)out.len, out.ptr);
            buf_fini (&out);
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test (test_what_steers_is_shown) };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
