#include "cli/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/travel.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/lines.h"
#include "proto/traceparent.h"

#define AT(member) offsetof (submit_options_t, member)

enum { MIB_SHIFT = 20, ATTEMPTS_LIMIT = 1000 };

static const option_t submit_rows[] = {
    CLI_COMMON_ROWS,
    { .name = "project",
      .type = OPT_TEXT,
      .at = AT (project),
      .fallback = ".",
      .value = "DIR|ZIP",
      .help = "what goes along, less what .gitignore and .gleanerignore name" },
    { .name = "on",
      .type = OPT_LINES,
      .at = AT (on),
      .value = "LABEL",
      .help = "only on a worker with this label: K=V, or `worker=ID`; may be given again" },
    { .name = "artifact",
      .type = OPT_LINES,
      .at = AT (artifact),
      .value = "GLOB",
      .help = "files that come back; may be given again" },
    { .name = "env",
      .type = OPT_LINES,
      .at = AT (env),
      .value = "K=V",
      .help = "a variable of the commands' environment; K alone takes yours; may be given again" },
    { .name = "secret",
      .type = OPT_LINES,
      .at = AT (secret),
      .value = "K",
      .help = "the same, of your environment, kept encrypted and masked in what is printed; K=@FILE takes a file" },
    { .name = "label",
      .type = OPT_LINES,
      .at = AT (label),
      .value = "K=V",
      .help = "the job's own label, to find it by; may be given again" },
    { .name = "name", .type = OPT_TEXT, .at = AT (name), .value = "NAME", .help = "a name for people" },
    { .name = "timeout",
      .type = OPT_DURATION,
      .at = AT (timeout_ms),
      .min = 0,
      .max = TIMEOUT_MAX,
      .value = "TIME",
      .help = "how long an attempt may run; default: the server's, one hour" },
    { .name = "attempts",
      .type = OPT_INT,
      .at = AT (attempts),
      .min = 0,
      .max = ATTEMPTS_LIMIT,
      .value = "N",
      .help = "how often it may be started, when a worker is lost; default: the server's, 3" },
    { .name = "priority",
      .type = OPT_INT,
      .at = AT (priority),
      .min = -PRIORITY_MAX,
      .max = PRIORITY_MAX,
      .value = "N",
      .help = "a higher one comes first" },
    { .name = "memory",
      .type = OPT_BYTES,
      .at = AT (memory),
      .min = 0,
      .max = 1LL << 50,
      .value = "SIZE",
      .help = "memory that it may use, 512M, say" },
    { .name = "cpus", .type = OPT_TEXT, .at = AT (cpus), .value = "N", .help = "processors that it may use, 1.5, say" },
    { .name = "no-network", .type = OPT_FLAG, .at = AT (no_network), .help = "its commands reach no network" },
    { .name = "keep-going",
      .type = OPT_FLAG,
      .at = AT (keep_going),
      .help = "run all commands, whether one fails or not" },
    { .name = "image", .type = OPT_TEXT, .at = AT (image), .value = "IMAGE", .help = "container image to run in" },
    { .name = "all", .type = OPT_FLAG, .at = AT (all), .help = "send what the ignore files name, and .git, too" },
    { .name = "full", .type = OPT_FLAG, .at = AT (full), .help = "send all of it, whatever the server has already" },
    { .name = "key",
      .type = OPT_TEXT,
      .at = AT (key),
      .value = "KEY",
      .help = "idempotency key: the same submission again gives the same job" },
    { .name = "raw",
      .type = OPT_FLAG,
      .at = AT (raw),
      .help = "leave control characters of the output as they are on a terminal: colours, but whatever else, too" },
};
enum { SUBMIT_ROWS = sizeof submit_rows / sizeof *submit_rows, RUN_ONLY = 1 /* the last rows */ };

const option_table_t run_table = { .program = "gleaner run",
                                   .summary =
                                       "run commands on a worker, in a copy of a folder, and show what they print",
                                   .rows = submit_rows,
                                   .count = SUBMIT_ROWS,
                                   .operand = "project",
                                   .rest = "COMMAND...",
                                   .rest_at = AT (commands) };
const option_table_t submit_table = { .program = "gleaner submit",
                                      .summary = "send a project and commands, and print the job's id",
                                      .rows = submit_rows,
                                      .count = SUBMIT_ROWS - RUN_ONLY,
                                      .operand = "project",
                                      .rest = "COMMAND...",
                                      .rest_at = AT (commands) };

/* ---- the form ---- */

/* One command, as one shell takes it apart again: its words quoted when there are several. */
static bool quote_commands (const options_rest_t *rest, buf_t *out)
{
    for (int i = 0; i < rest->count; i++) {
        const char *word = rest->args[i];
        bool plain =
            *word && !word[strspn (word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%")];
        if (strchr (word, '\n') && rest->count > 1)
            return false;
        buf_append_str (out, i ? " " : "");
        if (rest->count == 1 || plain) {
            buf_append_str (out, word);
            continue;
        }
        buf_append_str (out, "'");
        for (; *word; word++)
            if (*word == '\'')
                buf_append_str (out, "'\\''");
            else
                buf_append (out, word, 1);
        buf_append_str (out, "'");
    }
    return true;
}

static void set_text (form_t *form, const char *name, const char *value)
{
    if (value && *value && json_object_set_new (form->fields, name, json_string (value)) != 0)
        form->wrong = name;
}

static void set_number (form_t *form, const char *name, int64_t number)
{
    char text[32];
    snprintf (text, sizeof text, "%lld", (long long)number);
    if (number)
        set_text (form, name, text);
}

/* What a line K or K=V of an option means for K; NULL after one sentence. The caller frees it. */
typedef char *value_fn (const char *key, const char *value);

static char *label_value (const char *key, const char *value)
{
    (void)key;
    return xstrdup (value ? value : "true");
}

static char *own_variable (const char *key, const char *value)
{
    const char *own = value ? value : getenv (key);
    if (!own)
        cli_say (0, "your environment has no variable '%s' to send.", key);
    return own ? xstrdup (own) : NULL;
}

static char *file_text (const char *path)
{
    FILE *file = fopen (path, "re");
    if (!file) {
        cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
        return NULL;
    }
    char *text = xcalloc (1, SECRETS_MAX + 1);
    size_t len = fread (text, 1, SECRETS_MAX, file);
    bool good = !ferror (file) && len < SECRETS_MAX && strlen (text) == len;
    fclose (file);
    if (good)
        return text;
    cli_say (0, "'%s' is no text of less than %d bytes.", path, SECRETS_MAX);
    free (text);
    return NULL;
}

static char *secret_value (const char *key, const char *value)
{
    if (!value)
        return own_variable (key, NULL);
    if (value[0] == '@')
        return file_text (value + 1);
    cli_say (0,
             "a secret on a command line can be read by others: export it and say --secret %s, or --secret %s=@FILE.",
             key, key);
    return NULL;
}

/* Lines K or K=V as the JSON map of a field. */
static bool add_map (form_t *form, const char *field, const char *lines, value_fn *meaning)
{
    json_t *map = json_object ();
    slice_t rest = slice_of (lines);
    slice_t line;
    bool good = true;
    while (good && rest.ptr && lines_next (&rest, &line)) {
        slice_t key;
        slice_t value;
        line_split (line, &key, &value);
        char *name = slice_dup (key);
        char *said = slice_dup (value);
        char *text = meaning (name, said);
        good = text && json_object_set_new (map, name, json_string (text)) == 0;
        if (text && !good)
            cli_say (0, "the value of '%s' is not UTF-8.", name);
        free (name);
        free (said);
        free (text);
    }
    char *text = good && json_object_size (map) ? json_dumps (map, JSON_COMPACT) : NULL;
    set_text (form, field, text);
    free (text);
    json_decref (map);
    return good;
}

static bool fill_form (form_t *form)
{
    const submit_options_t *options = form->options;
    slice_t trace = slice_of (getenv ("TRACEPARENT"));
    traceparent_t parsed;
    if (options->commands.count == 0)
        return cli_say (0, "what is to be run? Put it behind --: gleaner run -- make test");
    if (!quote_commands (&options->commands, &form->commands))
        return cli_say (0, "a command of several words cannot hold a line break: give the script as one word.");
    random_id_make (form->key);
    set_text (form, "mode", "distributed");
    set_text (form, "idempotencyKey", options->key ? options->key : form->key);
    set_text (form, "name", options->name);
    set_text (form, "traceparent", traceparent_parse (trace, &parsed) ? trace.ptr : NULL);
    set_text (form, "artifacts", options->artifact);
    set_number (form, "timeoutMs", options->timeout_ms);
    set_number (form, "maxAttempts", options->attempts);
    set_number (form, "priority", options->priority);
    set_number (form, "memoryMb", (options->memory + (1 << MIB_SHIFT) - 1) >> MIB_SHIFT);
    set_text (form, "cpus", options->cpus);
    set_text (form, "network", options->no_network ? "none" : NULL);
    set_text (form, "onError", options->keep_going ? "continue" : NULL);
    set_text (form, "image", options->image);
    if (form->wrong)
        return cli_say (0, "the value of '%s' is not UTF-8.", form->wrong);
    return add_map (form, "requires", options->on, label_value) &&
           add_map (form, "labels", options->label, label_value) && add_map (form, "env", options->env, own_variable) &&
           add_map (form, "secrets", options->secret, secret_value);
}

int submit (client_t *client, const submit_options_t *options, json_t **job_p)
{
    form_t form = { .options = options, .fields = json_object () };
    int status = fill_form (&form) ? travel (client, &form, job_p) : STATUS_USAGE;
    free (form.there);
    json_decref (form.fields);
    buf_fini (&form.commands);
    return status;
}

int submit_command (int argc, char **argv)
{
    submit_options_t options = { 0 };
    int status = cli_parse (&submit_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    json_t *job = NULL;
    client_t *client = client_new (&options.common);
    status = submit (client, &options, &job);
    if (job && options.common.json)
        print_json (job);
    else if (job)
        print_text (text_of (job, "jobId"), "\n");
    json_decref (job);
    client_destroy (&client);
    cli_fini (&submit_table, &options.common);
    return status;
}
