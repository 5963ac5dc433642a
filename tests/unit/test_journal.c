/* What the worker writes down of an attempt: entries, their merging, and the end of their room. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "worker/journal.h"

static void assert_text (journal_t *self, const char *expected)
{
    buf_append (&self->text, "", 1);
    assert_string_equal (self->text.ptr, expected);
    buf_clear (&self->text);
}

static void printed (journal_t *self, int64_t ms, stream_t stream, const char *text)
{
    journal_printed (self, ms, stream, slice_of (text));
}

static void test_an_attempt_in_order (void **state)
{
    (void)state;
    journal_t self = { 0 };
    journal_phase (&self, 0, "download");
    journal_phase (&self, 12, "run");
    journal_begin (&self, 13, 1);
    printed (&self, 20, STREAM_STDOUT, "one\ntwo\n");
    printed (&self, 21, STREAM_STDERR, "oops\n");
    journal_end (&self, 30, 1, 137, 9);
    journal_use (&self, 31, 830, 10485760, 3);
    assert_text (&self, "0 phase download\n12 phase run\n13 begin 1\n21 out 8 2\n30 err 5 1\n30 end 1 137 9\n"
                        "31 use 830 10485760 3\n");
    journal_fini (&self);
}

static void test_pieces_that_come_together_are_one_entry (void **state)
{
    (void)state;
    journal_t self = { 0 };
    for (int i = 0; i < 5; i++)
        printed (&self, 100 + i, STREAM_STDOUT, "line\n");
    assert_int_equal (journal_due_ms (&self), 110);
    journal_flush (&self, 109, false);
    assert_int_equal (self.text.len, 0);
    journal_flush (&self, 110, false);
    assert_text (&self, "110 out 25 5\n");
    assert_true (journal_due_ms (&self) == INT64_MAX);
    journal_fini (&self);
}

static void test_the_beginning_of_a_line_waits_for_its_end (void **state)
{
    (void)state;
    journal_t self = { 0 };
    printed (&self, 0, STREAM_STDOUT, "half");
    printed (&self, 5, STREAM_STDERR, "between\n");
    printed (&self, 9, STREAM_STDOUT, " a line\n");
    journal_flush (&self, 50, true);
    assert_text (&self, "9 err 8 1\n50 out 12 1\n");
    printed (&self, 60, STREAM_STDOUT, "prompt> ");
    assert_int_equal (journal_due_ms (&self), 90);
    journal_flush (&self, 90, false);
    journal_flush (&self, 100, false);
    assert_text (&self, "100 out 8 0+\n");
    journal_fini (&self);
}

/* Whatever comes, the entries add up to it, in order, and none is too long. */
static void test_entries_add_up (void **state)
{
    (void)state;
    journal_t self = { 0 };
    int64_t bytes[2] = { 0 }, lines[2] = { 0 }, told_bytes[2] = { 0 }, told_lines[2] = { 0 };
    static char text[100000];
    srand (7);
    for (int64_t ms = 0; ms < 3000; ms += rand () % 7) {
        size_t len = (size_t)rand () % (rand () % 50 ? 300 : sizeof text);
        int stream = rand () % 2;
        for (size_t i = 0; i < len; i++) {
            text[i] = rand () % 40 ? 'x' : '\n';
            lines[stream] += text[i] == '\n';
        }
        journal_printed (&self, ms, (stream_t)stream, slice_from (text, len));
        bytes[stream] += (int64_t)len;
        if (rand () % 3 == 0)
            journal_flush (&self, ms, false);
    }
    journal_flush (&self, 3000, true);
    buf_append (&self.text, "", 1);
    long long last = 0;
    for (char *line = strtok (self.text.ptr, "\n"); line; line = strtok (NULL, "\n")) {
        long long ms, count, newlines;
        char kind[4];
        assert_int_equal (sscanf (line, "%lld %3s %lld %lld", &ms, kind, &count, &newlines), 4);
        assert_true (ms >= last && count > 0 && count <= JOURNAL_ENTRY_MAX);
        last = ms;
        told_bytes[kind[0] == 'e'] += count;
        told_lines[kind[0] == 'e'] += newlines;
    }
    for (int stream = 0; stream < 2; stream++) {
        assert_int_equal (told_bytes[stream], bytes[stream]);
        assert_int_equal (told_lines[stream], lines[stream]);
    }
    journal_fini (&self);
}

static void test_a_full_journal_leaves_output_out_and_tells_the_rest (void **state)
{
    (void)state;
    journal_t self = { 0 };
    int64_t kept = 0;
    for (int64_t i = 0; i < 1000000; i++) {
        printed (&self, i, i % 2 ? STREAM_STDOUT : STREAM_STDERR, "x\n");
        kept += (int64_t)self.text.len;
        buf_clear (&self.text);
    }
    assert_true (self.cut);
    journal_end (&self, 1000000, 1, 0, 0);
    assert_text (&self, "1000000 end 1 0\n");
    assert_true (kept <= JOURNAL_MAX && kept >= JOURNAL_MAX - 2 * JOURNAL_RESERVE);
    for (int64_t i = 0; i < 10000; i++)
        journal_use (&self, 1000001, i, i, i);
    assert_true (self.written <= JOURNAL_MAX);
    journal_fini (&self);
}

static void test_time_never_goes_back (void **state)
{
    (void)state;
    journal_t self = { 0 };
    journal_phase (&self, 500, "run");
    journal_begin (&self, 400, 1);
    assert_text (&self, "500 phase run\n500 begin 1\n");
    journal_fini (&self);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_an_attempt_in_order),
        cmocka_unit_test (test_pieces_that_come_together_are_one_entry),
        cmocka_unit_test (test_the_beginning_of_a_line_waits_for_its_end),
        cmocka_unit_test (test_entries_add_up),
        cmocka_unit_test (test_a_full_journal_leaves_output_out_and_tells_the_rest),
        cmocka_unit_test (test_time_never_goes_back),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
