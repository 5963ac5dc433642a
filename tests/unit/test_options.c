/* Options: four sources and who wins, ranges, and the sentence for each mistake. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/options.h"

typedef struct {
    const char *dir;
    int64_t size;
    int64_t wait_ms;
    int64_t slots;
    bool once;
    const char *level;
} sample_t;

static const option_t rows[] = {
    { .name = "work-dir", .type = OPT_TEXT, .at = offsetof (sample_t, dir), .alias = "SAMPLE_DIR", .help = "h" },
    { .name = "size",
      .type = OPT_BYTES,
      .at = offsetof (sample_t, size),
      .fallback = "64K",
      .min = 1,
      .max = 1 << 30,
      .help = "h" },
    { .name = "wait",
      .type = OPT_DURATION,
      .at = offsetof (sample_t, wait_ms),
      .fallback = "5s",
      .max = 60000,
      .help = "h" },
    { .name = "slots",
      .type = OPT_INT,
      .at = offsetof (sample_t, slots),
      .fallback = "1",
      .min = 1,
      .max = 8,
      .help = "h" },
    { .name = "once", .type = OPT_FLAG, .at = offsetof (sample_t, once), .help = "h" },
    { .name = "level",
      .type = OPT_CHOICE,
      .at = offsetof (sample_t, level),
      .fallback = "info",
      .choices = "info|debug",
      .help = "h" },
};
static const option_table_t table = {
    .program = "gleaner-sample", .summary = "a sample", .rows = rows, .count = sizeof rows / sizeof *rows
};

static char said[4096]; /* what the last parse wrote to stderr */

static int parse (sample_t *options, char **env, int argc, const char *const *argv)
{
    char path[] = "/tmp/gleaner-options-XXXXXX";
    int fd = mkstemp (path);
    int saved = dup (STDERR_FILENO);
    fflush (stderr);
    dup2 (fd, STDERR_FILENO);
    memset (options, 0, sizeof *options);
    int status = options_parse (&table, argc, (char **)(uintptr_t)argv, env, options);
    fflush (stderr);
    dup2 (saved, STDERR_FILENO);
    close (saved);
    ssize_t len = pread (fd, said, sizeof said - 1, 0);
    said[len > 0 ? len : 0] = '\0';
    close (fd);
    unlink (path);
    return status;
}

#define PARSE(env, ...)                                                                                                \
    parse (&options, env, sizeof ((const char *const[]){ "p", __VA_ARGS__ }) / sizeof (char *),                        \
           (const char *const[]){ "p", __VA_ARGS__, NULL })

static void assert_said (const char *part)
{
    assert_non_null (strstr (said, part));
    assert_ptr_equal (strchr (said, '\n'), said + strlen (said) - 1); /* one sentence */
}

static char *no_env[] = { NULL };

static void test_defaults_and_values (void **state)
{
    (void)state;
    sample_t options;
    assert_int_equal (PARSE (no_env, "--work-dir=/x", "--wait", "1500ms", "--once"), OPTIONS_RUN);
    assert_string_equal (options.dir, "/x");
    assert_int_equal (options.size, 65536);
    assert_int_equal (options.wait_ms, 1500);
    assert_int_equal (options.slots, 1);
    assert_true (options.once);
    assert_string_equal (options.level, "info");
    options_fini (&table, &options);
}

static void test_who_wins (void **state)
{
    (void)state;
    sample_t options;
    char path[] = "/tmp/gleaner-config-XXXXXX";
    int fd = mkstemp (path);
    assert_true (dprintf (fd, "# a comment\nslots = 2\nsize = 1M\n\nwork-dir = /file\nlevel=debug\n") > 0);
    char slots[] = "GLEANER_SAMPLE_SLOTS=3";
    char dir[] = "SAMPLE_DIR=/alias";
    char *env[] = { slots, dir, NULL };
    assert_int_equal (PARSE (env, "--config", path, "--slots", "4"), OPTIONS_RUN);
    assert_int_equal (options.slots, 4);         /* command line */
    assert_string_equal (options.dir, "/alias"); /* environment, by its alias */
    assert_int_equal (options.size, 1 << 20);    /* file */
    assert_string_equal (options.level, "debug");
    options_fini (&table, &options);
    close (fd);
    unlink (path);
}

static void test_each_mistake_is_one_sentence (void **state)
{
    (void)state;
    sample_t options;
    char slots[] = "GLEANER_SAMPLE_SLOTS=many";
    char *env[] = { slots, NULL };
    assert_int_equal (PARSE (no_env, "--slot", "1"), 2);
    assert_said ("did you mean '--slots'");
    options_fini (&table, &options);
    assert_int_equal (PARSE (no_env, "--slots", "9"), 2);
    assert_said ("1 to 8");
    options_fini (&table, &options);
    assert_int_equal (PARSE (no_env, "--slots"), 2);
    assert_said ("missing");
    options_fini (&table, &options);
    assert_int_equal (PARSE (no_env, "--wait", "5 parsecs"), 2);
    assert_said ("30s");
    options_fini (&table, &options);
    assert_int_equal (PARSE (no_env, "--level", "loud"), 2);
    assert_said ("info|debug");
    options_fini (&table, &options);
    assert_int_equal (PARSE (no_env, "extra"), 2);
    assert_said ("extra");
    options_fini (&table, &options);
    assert_int_equal (PARSE (no_env, "--config", "/nowhere/at/all"), 2);
    assert_said ("/nowhere/at/all");
    options_fini (&table, &options);
    assert_int_equal (PARSE (env, "--once"), 2);
    assert_said ("GLEANER_SAMPLE_SLOTS");
    options_fini (&table, &options);
}

static void test_a_value_cannot_steer_the_terminal (void **state)
{
    (void)state;
    sample_t options;
    assert_int_equal (PARSE (no_env, "--wait", "\x1b[31m\nroot: all is well"), 2);
    assert_said ("'?[31m?root: all is well'");
    assert_null (strchr (said, '\x1b'));
}

/* A program that is refused just ends: nothing is left to free, so that a leak checker keeps its exit status. */
static void test_a_refusal_leaves_nothing_behind (void **state)
{
    (void)state;
    sample_t options;
    assert_int_equal (PARSE (no_env, "--work-dir", "/x", "--slots", "9"), 2);
    assert_null (options.dir);
    assert_null (options.level);
}

static void test_empty_variables_are_none (void **state)
{
    (void)state;
    sample_t options;
    char config[] = "GLEANER_SAMPLE_CONFIG=";
    char slots[] = "GLEANER_SAMPLE_SLOTS=";
    char *env[] = { config, slots, NULL };
    assert_int_equal (PARSE (env, "--once"), OPTIONS_RUN);
    assert_int_equal (options.slots, 1);
    options_fini (&table, &options);
}

static void test_names_that_every_program_has_are_near_too (void **state)
{
    (void)state;
    sample_t options;
    assert_int_equal (PARSE (no_env, "--hepl"), 2);
    assert_said ("did you mean '--help'");
    assert_int_equal (PARSE (no_env, "--x"), 2);
    assert_said ("see --help");
}

/* What --options-as prints of the sample table. */
static void reference (const char *format, char *out, size_t size)
{
    FILE *file = fmemopen (out, size, "w");
    assert_non_null (file);
    assert_true (options_reference (&table, format, file));
    fclose (file);
}

static void write_config (char *path, const char *text)
{
    int fd = mkstemp (path);
    assert_int_equal (write (fd, text, strlen (text)), strlen (text));
    close (fd);
}

static void assert_defaults (const sample_t *options)
{
    assert_null (options->dir);
    assert_int_equal (options->size, 64 * 1024);
    assert_int_equal (options->wait_ms, 5000);
    assert_int_equal (options->slots, 1);
    assert_false (options->once);
    assert_string_equal (options->level, "info");
}

/* As it is, and with every name's # taken away. */
static void test_the_printed_config_file_says_the_defaults (void **state)
{
    (void)state;
    sample_t options;
    char text[4096];
    reference ("config", text, sizeof text);
    assert_non_null (strstr (text, "\n#work-dir =\n"));
    assert_non_null (strstr (text, "\n# one of info, debug\n#level = info\n"));
    assert_non_null (strstr (text, "\n# a time such as 500ms, 30s, 5m or 2h, from 0 to 1m\n#wait = 5s\n"));
    char whole[] = "/tmp/gleaner-config-XXXXXX";
    write_config (whole, text);
    assert_int_equal (PARSE (no_env, "--config", whole), OPTIONS_RUN);
    assert_defaults (&options);
    options_fini (&table, &options);
    for (char *at = strstr (text, "\n#"); at; at = strstr (at + 1, "\n#"))
        if (at[2] != ' ')
            at[1] = ' ';
    char bare[] = "/tmp/gleaner-config-XXXXXX";
    write_config (bare, text);
    assert_int_equal (PARSE (no_env, "--config", bare), OPTIONS_RUN);
    assert_defaults (&options);
    options_fini (&table, &options);
    unlink (whole);
    unlink (bare);
}

static void test_the_reference_has_other_forms (void **state)
{
    (void)state;
    sample_t options;
    char text[4096];
    reference ("man", text, sizeof text);
    assert_non_null (strstr (text, ".It Fl \\-work\\-dir\nh.\n.br\n.Ev GLEANER_SAMPLE_WORK_DIR\nor\n.Ev SAMPLE_DIR\n"));
    reference ("man-config", text, sizeof text);
    assert_non_null (strstr (text, ".It Ic once No = Ar true | false\n"));
    reference ("markdown", text, sizeof text);
    assert_non_null (strstr (text, "## `gleaner-sample`\n\na sample.\n"));
    assert_non_null (strstr (text, "| `--size` | `64K` |"));
    assert_false (options_reference (&table, "prose", stdout));
    assert_int_equal (PARSE (no_env, "--options-as", "prose"), 2);
    assert_said ("config, man, man-config or markdown");
    assert_int_equal (PARSE (no_env, "--slots", "2", "--options-as", "config"), 2);
    assert_said ("stands alone");
}

static void test_a_config_mistake_names_its_line (void **state)
{
    (void)state;
    sample_t options;
    char path[] = "/tmp/gleaner-config-XXXXXX";
    int fd = mkstemp (path);
    assert_true (dprintf (fd, "slots = 2\nsloots = 3\n") > 0);
    assert_int_equal (PARSE (no_env, "--config", path), 2);
    assert_said (":2: unknown option 'sloots'; did you mean 'slots'");
    options_fini (&table, &options);
    close (fd);
    unlink (path);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_defaults_and_values),
        cmocka_unit_test (test_who_wins),
        cmocka_unit_test (test_each_mistake_is_one_sentence),
        cmocka_unit_test (test_a_value_cannot_steer_the_terminal),
        cmocka_unit_test (test_a_refusal_leaves_nothing_behind),
        cmocka_unit_test (test_empty_variables_are_none),
        cmocka_unit_test (test_names_that_every_program_has_are_near_too),
        cmocka_unit_test (test_the_printed_config_file_says_the_defaults),
        cmocka_unit_test (test_the_reference_has_other_forms),
        cmocka_unit_test (test_a_config_mistake_names_its_line),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
