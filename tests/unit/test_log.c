/* The forms of the log: whatever the text is, a line is one line, no longer than LOG_LINE_MAX, and JSON is UTF-8. */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/log.h"
#include "proto/message.h"

static char said[4 * LOG_LINE_MAX];
static size_t said_len;

/* What an event with this text writes to stderr. */
static void say (const char *form, const char *text)
{
    int ends[2];
    int saved = dup (STDERR_FILENO);
    assert_int_equal (pipe (ends), 0);
    dup2 (ends[1], STDERR_FILENO);
    log_form (form);
    log_event (LEVEL_WARN, "some-event", "%s", text);
    dup2 (saved, STDERR_FILENO);
    close (saved);
    close (ends[1]);
    ssize_t got = read (ends[0], said, sizeof said - 1); /* one write, and a pipe's room for it: one read */
    said_len = got > 0 ? (size_t)got : 0;
    said[said_len] = '\0';
    char rest;
    assert_int_equal (read (ends[0], &rest, 1), 0);
    close (ends[0]);
}

static void assert_one_line (void)
{
    assert_in_range (said_len, 2, LOG_LINE_MAX);
    assert_ptr_equal (strchr (said, '\n'), said + said_len - 1);
}

static void json_is (const char *text, const char *expected)
{
    say ("json", text);
    assert_one_line ();
    json_error_t error;
    json_t *entry = json_loads (said, JSON_REJECT_DUPLICATES, &error);
    assert_non_null (entry);
    assert_string_equal (json_string_value (json_object_get (entry, "text")), expected);
    assert_string_equal (json_string_value (json_object_get (entry, "event")), "some-event");
    assert_string_equal (json_string_value (json_object_get (entry, "level")), "warn");
    assert_int_equal (json_integer_value (json_object_get (entry, "pid")), getpid ());
    json_decref (entry);
}

static void json_bears_any_text (void **state)
{
    (void)state;
    json_is ("plain", "plain");
    json_is ("\"\\/\b\n\x1b\x7f", "\"\\/\b\n\x1b\x7f");
    json_is ("\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80");
    json_is ("a\xff\xc3z\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd");
    json_is ("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* half of a pair of UTF-16 */
}

/* A terminal that shows a log does not obey it. */
static void no_form_has_a_control_byte (void **state)
{
    (void)state;
    static const char *const forms[] = { "text", "json", "journal" };
    for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
        say (forms[form], "\x1b[31m \x7f \xc2\x9b"
                          "31m \xc2\x85 \x9b \xe2\x82\xac \xc2\xa0 end");
        assert_one_line ();
        assert_non_null (strstr (said, "\xe2\x82\xac \xc2\xa0 end"));
        assert_true (utf8_valid (slice_from (said, said_len)));
        assert_null (strpbrk (said, "\x1b\x7f"));
        assert_null (strstr (said, "\xc2\x9b"));
        assert_null (strstr (said, "\xc2\x85"));
    }
    json_is ("\xc2\x9b"
             "31m",
             "\xc2\x9b"
             "31m");
}

/* Each of these as long as it gets, so that the bound comes within every kind of character. */
static void long_lines_are_cut_whole (void **state)
{
    (void)state;
    static const char *const units[] = {
        "x", "\x01", "\"", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "ab\xe2\x82\xac\x02"
    };
    static const char *const forms[] = { "text", "json", "journal" };
    for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
        for (size_t shift = 0; shift < 7; shift++) {
            char text[2 * LOG_LINE_MAX] = "       ";
            text[shift] = '\0';
            while (strlen (text) < sizeof text - 8)
                strcat (text, units[unit]);
            for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
                say (forms[form], text);
                assert_one_line ();
                assert_true (said_len > LOG_LINE_MAX - 64);
                if (form != 1)
                    continue;
                assert_true (utf8_valid (slice_from (said, said_len)));
                json_t *entry = json_loads (said, 0, NULL);
                assert_non_null (entry);
                json_decref (entry);
            }
        }
    }
}

static void levels_stand_before_lines_for_the_journal (void **state)
{
    (void)state;
    say ("journal", "a\nb");
    assert_string_equal (said, "<4>some-event a\\x0ab\n");
    unsetenv ("JOURNAL_STREAM");
    say ("auto", "a");
    assert_non_null (strstr (said, " warn test some-event a\n"));
}

static void the_level_is_another_at_once (void **state)
{
    (void)state;
    log_level_set (LEVEL_ERROR);
    say ("text", "a");
    assert_int_equal (said_len, 0);
    log_level_set (LEVEL_DEBUG);
    say ("text", "a");
    assert_one_line ();
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (json_bears_any_text),          cmocka_unit_test (no_form_has_a_control_byte),
        cmocka_unit_test (long_lines_are_cut_whole),     cmocka_unit_test (levels_stand_before_lines_for_the_journal),
        cmocka_unit_test (the_level_is_another_at_once),
    };
    log_init ("test", LEVEL_DEBUG);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
