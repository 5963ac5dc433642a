/* Secrets in output: found wherever pieces begin and end, however they overlap; nothing else is changed. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/limits.h"
#include "proto/lines.h"
#include "worker/mask.h"

static mask_t *mask_of (const char *const *secrets)
{
    buf_t rows = { 0 };
    for (int i = 0; secrets[i]; i++)
        assert_true (rows_add (&rows, SLICE ("NAME"), slice_of (secrets[i])));
    mask_t *mask = mask_new (buf_slice (&rows));
    buf_fini (&rows);
    return mask;
}

/* Printed in pieces of so many bytes. The caller frees it. */
static buf_t shown (const mask_t *mask, slice_t text, size_t piece)
{
    mask_stream_t stream;
    buf_t out = { 0 };
    mask_stream_init (&stream, mask);
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;
        slice_t part = mask_stream_take (&stream, slice_from (text.ptr + at, len));
        buf_append (&out, part.ptr, part.len);
    }
    slice_t rest = mask_stream_end (&stream);
    buf_append (&out, rest.ptr, rest.len);
    mask_stream_fini (&stream);
    return out;
}

static void assert_shown (const char *const *secrets, const char *text, const char *expected)
{
    mask_t *mask = mask_of (secrets);
    for (size_t piece = 1; piece <= strlen (text); piece++) {
        buf_t out = shown (mask, slice_of (text), piece);
        assert_slice (buf_slice (&out), expected);
        buf_fini (&out);
    }
    mask_destroy (&mask);
}

#define SECRETS(...)                                                                                                   \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static void test_a_secret_is_hidden_whatever_the_pieces (void **state)
{
    (void)state;
    assert_shown (SECRETS ("hunter2"), "login hunter2 ok", "login *** ok");
    assert_shown (SECRETS ("hunter2"), "hunter2", "***");
    assert_shown (SECRETS ("hunter2"), "hunter1 hunter", "hunter1 hunter");
    assert_shown (SECRETS ("hunter2"), "hunhunter2ter2", "hun***ter2");
    assert_shown (SECRETS ("hunter2"), "hunter2hunter2", "***");
    assert_shown (SECRETS ("abab"), "xababab-abab", "x***-***");
}

static void test_secrets_that_overlap_are_hidden_together (void **state)
{
    (void)state;
    assert_shown (SECRETS ("abcdef", "defghi"), "-abcdefghi-", "-***-");
    assert_shown (SECRETS ("bcde", "abcdefgh"), "xabcdefghx", "x***x");
    assert_shown (SECRETS ("bcde", "abcdefgh"), "xabcdefx", "xa***fx");
    assert_shown (SECRETS ("cdef", "abcdefgh"), "abcdef", "ab***");
}

static void test_each_line_of_a_long_secret_is_one (void **state)
{
    (void)state;
    const char *key = "-----BEGIN KEY-----\n  MIIEvQ\r\nab\nzzzz\n";
    assert_shown (SECRETS (key), "a MIIEvQ b\nab\nzzzz.", "a *** b\nab\n***.");
    assert_shown (SECRETS (key), "-----BEGIN KEY-----\n  MIIEvQ\r\nab\nzzzz\n", "***\n");
    assert_shown (SECRETS ("abc"), "abc", "abc"); /* the broker takes none that short */
}

static void test_without_secrets_all_passes_untouched (void **state)
{
    (void)state;
    mask_stream_t stream = { 0 };
    slice_t text = SLICE ("anything");
    assert_ptr_equal (mask_stream_take (&stream, text).ptr, text.ptr);
    assert_int_equal (mask_stream_end (&stream).len, 0);
    mask_stream_fini (&stream);
}

/* The same by looking at every place for every secret. */
static buf_t shown_slowly (const char *const *secrets, slice_t text)
{
    buf_t out = { 0 };
    char *covered = xcalloc (text.len + 1, 1);
    for (int i = 0; secrets[i]; i++)
        for (size_t at = 0; at + strlen (secrets[i]) <= text.len; at++)
            if (memcmp (text.ptr + at, secrets[i], strlen (secrets[i])) == 0)
                memset (covered + at, 1, strlen (secrets[i]));
    for (size_t at = 0; at < text.len; at++)
        if (!covered[at])
            buf_append (&out, text.ptr + at, 1);
        else if (!at || !covered[at - 1])
            buf_append_str (&out, "***");
    free (covered);
    return out;
}

static void test_random_texts_are_shown_as_by_the_slow_way (void **state)
{
    (void)state;
    srand (7);
    for (int round = 0; round < 3000; round++) {
        char secret[4][16], text[120];
        const char *secrets[5] = { secret[0], secret[1], secret[2], secret[3], NULL };
        for (int i = 0; i < 4; i++) {
            int len = SECRET_MIN + rand () % 10;
            for (int at = 0; at < len; at++)
                secret[i][at] = (char)('a' + rand () % 2);
            secret[i][len] = '\0';
        }
        for (size_t at = 0; at < sizeof text; at++)
            text[at] = (char)('a' + rand () % (rand () % 8 ? 2 : 3));
        mask_t *mask = mask_of (secrets);
        buf_t slow = shown_slowly (secrets, slice_from (text, sizeof text));
        buf_t fast = shown (mask, slice_from (text, sizeof text), 1 + (size_t)rand () % 50);
        assert_int_equal (fast.len, slow.len);
        assert_memory_equal (fast.ptr, slow.ptr, slow.len);
        buf_fini (&slow);
        buf_fini (&fast);
        mask_destroy (&mask);
    }
}

/* The worst there is: a long secret of one letter, and nothing else printed. */
static void test_the_cost_does_not_grow_with_the_secret (void **state)
{
    (void)state;
    static char letters[SECRETS_MAX - 16];
    memset (letters, 'a', sizeof letters - 1);
    mask_t *mask = mask_of (SECRETS (letters));
    buf_t text = { 0 };
    buf_reserve (&text, 1 << 20);
    memset (text.ptr, 'a', 1 << 20);
    text.len = 1 << 20;
    buf_t out = shown (mask, buf_slice (&text), 64 * 1024);
    assert_slice (buf_slice (&out), "***");
    buf_fini (&out);
    buf_fini (&text);
    mask_destroy (&mask);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_secret_is_hidden_whatever_the_pieces),
        cmocka_unit_test (test_secrets_that_overlap_are_hidden_together),
        cmocka_unit_test (test_each_line_of_a_long_secret_is_one),
        cmocka_unit_test (test_without_secrets_all_passes_untouched),
        cmocka_unit_test (test_random_texts_are_shown_as_by_the_slow_way),
        cmocka_unit_test (test_the_cost_does_not_grow_with_the_secret),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
