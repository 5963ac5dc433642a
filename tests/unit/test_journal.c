/* The journal's text: what an entry looks like, what is merged into one, and where it is cut. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "worker/journal.h"

static int begin (void **state)
{
    static journal_t journal;
    journal = (journal_t){ 0 };
    *state = &journal;
    return 0;
}

static int end (void **state)
{
    journal_fini (*state);
    return 0;
}

static void print (journal_t *journal, stream_t stream, const char *text, int64_t now_ms)
{
    journal_printed (journal, stream, text, strlen (text), now_ms);
}

/* Takes the entries away, as the owner does. */
static void assert_text (journal_t *journal, const char *expected)
{
    buf_append (&journal->text, "", 0);
    buf_reserve (&journal->text, 1);
    journal->text.ptr[journal->text.len] = '\0';
    assert_string_equal (journal->text.ptr, expected);
    buf_clear (&journal->text);
}

static void test_each_kind_has_its_form (void **state)
{
    journal_t *journal = *state;
    journal_phase (journal, "run", 0);
    journal_begin (journal, 1, 131);
    print (journal, STREAM_STDOUT, "one\ntwo\n", 140);
    print (journal, STREAM_STDERR, "half", 141);
    journal_end (journal, 1, 0, 0, 150);
    journal_end (journal, 2, 137, 9, 151);
    journal_use (journal, 830, 10485760, 3, 1000);
    assert_text (journal, "0 phase run\n131 begin 1\n140 out 8 2\n141 err 4 0+\n150 end 1 0\n151 end 2 137 9\n"
                          "1000 use 830 10485760 3\n");
    assert_int_equal (journal_due_ms (journal), -1);
}

static void test_what_follows_soon_is_one_entry (void **state)
{
    journal_t *journal = *state;
    print (journal, STREAM_STDOUT, "a\n", 100);
    print (journal, STREAM_STDOUT, "b\nc\n", 109);
    assert_int_equal (journal_due_ms (journal), 110);
    journal_tick (journal, 109);
    assert_text (journal, "");
    journal_tick (journal, 110);
    assert_text (journal, "100 out 6 3\n");
    assert_int_equal (journal_due_ms (journal), -1);
    print (journal, STREAM_STDOUT, "d\n", 111);
    print (journal, STREAM_STDOUT, "e\n", 150); /* nobody called in time: what it brings goes with it */
    assert_text (journal, "111 out 4 2\n");
}

static void test_a_line_waits_for_its_rest (void **state)
{
    journal_t *journal = *state;
    print (journal, STREAM_STDOUT, "be", 100);
    assert_int_equal (journal_due_ms (journal), 130);
    print (journal, STREAM_STDOUT, "gin\n", 125);
    assert_text (journal, "100 out 6 1\n");
    print (journal, STREAM_STDOUT, "a\nb", 200);
    assert_int_equal (journal_due_ms (journal), 210);
    journal_tick (journal, 210);
    assert_text (journal, "200 out 2 1\n"); /* and not the line that it ends within */
    assert_int_equal (journal_due_ms (journal), 230);
    journal_tick (journal, 230);
    assert_text (journal, "200 out 1 0+\n");
    print (journal, STREAM_STDOUT, "c\n", 240);
    journal_tick (journal, 250);
    assert_text (journal, "240 out 2 1\n");
}

static void test_streams_keep_their_order (void **state)
{
    journal_t *journal = *state;
    print (journal, STREAM_STDOUT, "x", 1);
    print (journal, STREAM_STDERR, "y\n", 2);
    print (journal, STREAM_STDERR, "z", 2);
    print (journal, STREAM_STDOUT, "w\n", 3);
    journal_flush (journal);
    assert_text (journal, "1 out 1 0+\n2 err 3 1+\n3 out 2 1\n");
}

static void test_much_is_split_at_newlines (void **state)
{
    journal_t *journal = *state;
    static char much[3 * JOURNAL_ENTRY_MAX];
    memset (much, 'x', sizeof much);
    for (size_t i = 99; i < 2 * JOURNAL_ENTRY_MAX; i += 100)
        much[i] = '\n';
    journal_printed (journal, STREAM_STDOUT, much, sizeof much, 5);
    journal_flush (journal);
    int64_t sum = 0;
    int64_t lines = 0;
    buf_append (&journal->text, "", 1);
    for (const char *at = journal->text.ptr; *at; at = strchr (at, '\n') + 1) {
        char *end_of_bytes;
        assert_memory_equal (at, "5 out ", 6);
        int64_t bytes = strtoll (at + 6, &end_of_bytes, 10);
        assert_in_range (bytes, 1, JOURNAL_ENTRY_MAX);
        sum += bytes;
        lines += strtoll (end_of_bytes, &end_of_bytes, 10);
        assert_true (*end_of_bytes == '+' ? sum > 2 * JOURNAL_ENTRY_MAX - 100 : sum % 100 == 0);
    }
    assert_int_equal (sum, sizeof much);
    assert_int_equal (lines, 2 * JOURNAL_ENTRY_MAX / 100);
}

static void test_time_never_goes_back (void **state)
{
    journal_t *journal = *state;
    journal_phase (journal, "run", 100);
    journal_begin (journal, 1, 90);
    print (journal, STREAM_STDOUT, "a\n", 95);
    journal_flush (journal);
    assert_text (journal, "100 phase run\n100 begin 1\n100 out 2 1\n");
}

static void test_it_is_cut_and_the_rest_still_comes (void **state)
{
    journal_t *journal = *state;
    int64_t now_ms = 0;
    for (; !journal->cut; now_ms += JOURNAL_MERGE_MS) {
        buf_clear (&journal->text);
        print (journal, now_ms & 1 ? STREAM_STDERR : STREAM_STDOUT, "a\n", now_ms);
        journal_flush (journal);
    }
    assert_in_range (journal->length, JOURNAL_PRINTED_MAX - 64, JOURNAL_PRINTED_MAX + 64);
    char cut[32];
    snprintf (cut, sizeof cut, "%lld cut\n", (long long)(now_ms - JOURNAL_MERGE_MS));
    assert_text (journal, cut);
    print (journal, STREAM_STDOUT, "b\n", now_ms);
    journal_end (journal, 1, 0, 0, 10000000);
    journal_use (journal, 1, 2, 3, 10000001);
    assert_text (journal, "10000000 end 1 0\n10000001 use 1 2 3\n");
    for (int i = 0; i < 200 * 1000; i++) {
        journal_use (journal, 1, 2, 3, 10000002);
        buf_clear (&journal->text);
    }
    assert_in_range (journal->length, JOURNAL_USE_MAX - 64, JOURNAL_USE_MAX);
    for (int i = 1; i <= COMMAND_MAX / 2; i++) {
        journal_begin (journal, i, 2592000000);
        journal_end (journal, i, 255, 64, 2592000000);
    }
    journal_phase (journal, "upload", 2592000000);
    assert_non_null (memmem (journal->text.ptr, journal->text.len, "end 32768 255 64\n2592000000 phase upload\n", 40));
    for (int i = 0; i < 100 * 1000; i++)
        journal_phase (journal, "run", 2592000000);
    assert_in_range (journal->length, JOURNAL_MAX - 64, JOURNAL_MAX);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_each_kind_has_its_form, begin, end),
        cmocka_unit_test_setup_teardown (test_what_follows_soon_is_one_entry, begin, end),
        cmocka_unit_test_setup_teardown (test_a_line_waits_for_its_rest, begin, end),
        cmocka_unit_test_setup_teardown (test_streams_keep_their_order, begin, end),
        cmocka_unit_test_setup_teardown (test_much_is_split_at_newlines, begin, end),
        cmocka_unit_test_setup_teardown (test_time_never_goes_back, begin, end),
        cmocka_unit_test_setup_teardown (test_it_is_cut_and_the_rest_still_comes, begin, end),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
