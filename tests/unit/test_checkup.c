/* Lines of a check-up: told, taken over, and as JSON. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/checkup.h"

static json_t *only (checkup_t *checkup)
{
    assert_int_equal (json_array_size (checkup->list), 1);
    return json_array_get (checkup->list, 0);
}

static const char *text_of (const json_t *item, const char *name)
{
    return json_string_value (json_object_get (item, name));
}

static void test_lines_of_another_program_are_taken_over (void **state)
{
    (void)state;
    static const struct {
        const char *line, *state, *name, *text;
    } rows[] = {
        { "ok    disk       1.0 GiB are free\n", "ok", "disk", "1.0 GiB are free" },
        { "warn  time-sync  it is\x1b[2J off\n", "warn", "time-sync", "it is?[2J off" },
        { "FAIL  sandbox    \xff is no text\n", "fail", "sandbox", "(not UTF-8)" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        checkup_t checkup;
        checkup_begin (&checkup, true);
        assert_true (checkup_take (&checkup, rows[i].line));
        const json_t *item = only (&checkup);
        assert_string_equal (text_of (item, "state"), rows[i].state);
        assert_string_equal (text_of (item, "name"), rows[i].name);
        assert_string_equal (text_of (item, "text"), rows[i].text);
        assert_int_equal (checkup.fails, strcmp (rows[i].state, "fail") == 0);
        json_decref (checkup.list);
    }
}

static void test_other_lines_are_not (void **state)
{
    (void)state;
    static const char *const lines[] = {
        "", "\n", "ok\n", "ok disk", "okay disk all is well\n", "2026-11-26 warn worker x\n", "\x1b"
    };
    checkup_t checkup;
    checkup_begin (&checkup, true);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (checkup_take (&checkup, lines[i]))
            fail_msg ("'%s' was taken", lines[i]);
    assert_int_equal (json_array_size (checkup.list), 0);
    json_decref (checkup.list);
}

static void test_a_long_text_is_cut (void **state)
{
    (void)state;
    char *line = NULL;
    checkup_t checkup;
    checkup_begin (&checkup, true);
    assert_true (asprintf (&line, "ok    disk       %0*d\n", 3 * CHECKUP_TEXT_MAX, 1) > 0);
    assert_true (checkup_take (&checkup, line));
    assert_int_equal (strlen (text_of (only (&checkup), "text")), CHECKUP_TEXT_MAX - 1);
    json_decref (checkup.list);
    free (line);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_lines_of_another_program_are_taken_over),
        cmocka_unit_test (test_other_lines_are_not),
        cmocka_unit_test (test_a_long_text_is_cut),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
