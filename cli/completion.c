/* completion.c - the command, and what the scripts of all shells share. */
#include "cli/completion.h"

#include <string.h>

#include "cli/client.h"
#include "cli/print.h"
#include "proto/clock.h"

enum { IDS_WAIT_MS = 1500 }; /* who pressed Tab does not wait longer */

value_t completion_value (const option_t *row)
{
    static const struct {
        const char *word;
        value_t value;
    } words[] = { { "FILE", VALUE_FILE },        { "DIR", VALUE_FOLDER },     { "DIR|ZIP", VALUE_FILE },
                  { "JOB", VALUE_JOB },          { "JOB...", VALUE_JOB },     { "WORKER", VALUE_WORKER },
                  { "WORKER...", VALUE_WORKER }, { "COMMAND", VALUE_COMMAND } };
    if (row->choices)
        return VALUE_CHOICE;
    for (size_t i = 0; row->value && i < sizeof words / sizeof *words; i++)
        if (strcmp (row->value, words[i].word) == 0)
            return words[i].value;
    return VALUE_ANY;
}

const option_t *completion_operand (const option_table_t *table)
{
    for (size_t i = 0; table->operand && i < table->count; i++)
        if (strcmp (table->rows[i].name, table->operand) == 0)
            return &table->rows[i];
    return NULL;
}

void completion_quote (const char *text, const char *quoted, FILE *out)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs (quoted, out);
        else
            fputc (*text, out);
}

/* Two names begin with the same word. */
static bool same_first (const char *one, const char *other)
{
    size_t len = strcspn (one, " ");
    return strcspn (other, " ") == len && memcmp (one, other, len) == 0;
}

static bool seen_before (size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (same_first (cli_commands[i].name, cli_commands[at].name))
            return true;
    return false;
}

void completion_first_words (FILE *out)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (!seen_before (i))
            fprintf (out, "%s%.*s", i ? " " : "", (int)strcspn (cli_commands[i].name, " "), cli_commands[i].name);
}

void completion_second_words (const char *first, FILE *out)
{
    const char *space = "";
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *second = strchr (cli_commands[i].name, ' ');
        if (!second || !same_first (first, cli_commands[i].name))
            continue;
        fprintf (out, "%s%s", space, second + 1);
        space = " ";
    }
}

bool completion_begins_group (size_t at)
{
    if (!strchr (cli_commands[at].name, ' '))
        return false;
    for (size_t i = 0; i < at; i++)
        if (strchr (cli_commands[i].name, ' ') && same_first (cli_commands[i].name, cli_commands[at].name))
            return false;
    return true;
}

/* ---- the command ---- */

typedef struct {
    common_t common;
    const char *what;
} options_t;

static const option_t rows[] = {
    CLI_COMMON_ROWS,
    { .name = "what",
      .type = OPT_CHOICE,
      .at = offsetof (options_t, what),
      .choices = "bash|zsh|fish|jobs|workers",
      .value = "WHAT",
      .help = "a shell: its script; jobs, workers: the ids that the scripts offer, a line each" },
};

const option_table_t completion_table = { .program = "gleaner completion",
                                          .summary = "print what makes bash, zsh or fish complete these commands",
                                          .rows = rows,
                                          .count = sizeof rows / sizeof *rows,
                                          .operand = "what" };

static bool too_late (void *ctx)
{
    return clock_mono_ms () > *(int64_t *)ctx;
}

/* Whatever goes wrong, there is nothing to offer: a message would stand in the middle of what is being typed. Ids that
 * a shell would not take as one plain word are left out: a server is not to say what stands on a command line. */
static int print_ids (const options_t *options)
{
    bool jobs = strcmp (options->what, "jobs") == 0;
    int64_t end = clock_mono_ms () + IDS_WAIT_MS;
    client_t *client = client_new (&options->common);
    answer_t answer;
    size_t at;
    json_t *item;
    client_watch (client, too_late, &end);
    client_ask (client, "GET", jobs ? "/api/jobs?brief=true&limit=100" : "/api/workers/list", NULL, &answer);
    json_array_foreach (json_object_get (answer.json, jobs ? "jobs" : "workers"), at, item)
    {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
        const char *id = text_of (item, jobs ? "jobId" : "workerId");
        if (*id && *id != '-' && !id[strspn (id, plain)])
            puts (id);
    }
    answer_fini (&answer);
    client_destroy (&client);
    return STATUS_GOOD;
}

int completion_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&completion_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    status = STATUS_GOOD;
    if (!options.what)
        status = cli_say (STATUS_USAGE, "for which shell? gleaner completion bash, zsh or fish.");
    else if (strcmp (options.what, "bash") == 0)
        completion_bash (stdout);
    else if (strcmp (options.what, "zsh") == 0)
        completion_zsh (stdout);
    else if (strcmp (options.what, "fish") == 0)
        completion_fish (stdout);
    else
        status = print_ids (&options);
    cli_fini (&completion_table, &options.common);
    return status;
}
