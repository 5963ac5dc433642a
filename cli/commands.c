/* commands.c - all commands, and which of them was meant. */
#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/nearest.h"

const command_t cli_commands[] = {
    { "run", run_command, &run_table },
    { "submit", submit_command, &submit_table },
    { "status", status_command, &status_table },
    { "logs", logs_command, &logs_table },
    { "wait", wait_command, &wait_table },
    { "cancel", cancel_command, &cancel_table },
    { "retry", retry_command, &retry_table },
    { "artifacts", artifacts_command, &artifacts_table },
    { "jobs", jobs_command, &jobs_table },
    { "workers", workers_command, &workers_table },
    { "top", top_command, &top_table },
    { "drain", drain_command, &drain_table },
    { "resume", resume_command, &resume_table },
    { "token", token_command, &token_table },
    { "token save", token_save_command, &token_save_table },
    { "token forget", token_forget_command, &token_forget_table },
    { "token create", token_create_command, &token_create_table },
    { "token list", token_list_command, &token_list_table },
    { "token revoke", token_revoke_command, &token_revoke_table },
    { "up", up_command, &up_table },
    { "doctor", doctor_command, &doctor_table },
    { "completion", completion_command, &completion_table },
    { "help", help_command, &help_table },
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

/* How many of the arguments are the command's name; 0: it is another's. */
static int words_of (const char *name, int count, char *const *words)
{
    int taken = 0;
    for (const char *at = name; *at; taken++) {
        size_t len = strcspn (at, " ");
        if (taken == count || strlen (words[taken]) != len || memcmp (words[taken], at, len) != 0)
            return 0;
        at += len + (at[len] == ' ');
    }
    return taken;
}

const command_t *command_find (int count, char *const *words, int *taken)
{
    const command_t *found = NULL;
    *taken = 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        int here = words_of (cli_commands[i].name, count, words);
        if (here > *taken) {
            found = &cli_commands[i];
            *taken = here;
        }
    }
    return found;
}

bool command_has_words (const command_t *command)
{
    size_t len = strlen (command->name);
    for (size_t i = 0; i < cli_command_count && !command->table->operand; i++)
        if (strncmp (cli_commands[i].name, command->name, len) == 0 && cli_commands[i].name[len] == ' ')
            return true;
    return false;
}

int command_unknown (const char *name)
{
    nearest_t nearest = nearest_begin (slice_of (name));
    for (size_t i = 0; i < cli_command_count; i++)
        nearest_try (&nearest, cli_commands[i].name);
    if (nearest.known)
        return cli_say (STATUS_USAGE, "unknown command '%.60s'; did you mean '%s'?", name, nearest.known);
    return cli_say (STATUS_USAGE, "unknown command '%.60s'; see gleaner --help.", name);
}

int commands_help (FILE *out)
{
    fprintf (out, "gleaner: run jobs on idle PCs\n\nusage: gleaner COMMAND [OPTION ...]\n\n");
    for (size_t i = 0; i < cli_command_count; i++)
        fprintf (out, "  %-13s %s\n", cli_commands[i].name, cli_commands[i].table->summary);
    fprintf (out,
             "\n`gleaner help COMMAND` tells a command's options. The server is --server URL or GLEANER_SERVER, your\n"
             "token GLEANER_TOKEN or --token-file FILE; both can stand in ~/.config/gleaner/gleaner.conf.\n");
    return out == stdout ? STATUS_GOOD : STATUS_USAGE;
}

int commands_reference (const char *format)
{
    static const option_t rows[] = { CLI_COMMON_ROWS };
    static const option_table_t shared = { .program = "gleaner",
                                           .summary = "run jobs on idle PCs; what nearly every command takes",
                                           .rows = rows,
                                           .count = CLI_COMMON,
                                           .config_rows = CLI_IN_CONFIG };
    if (!options_reference (&shared, format, stdout))
        return cli_say (STATUS_USAGE, "--options-as stands alone: config, man, man-config or markdown.");
    bool each = strcmp (format, "man") == 0 || strcmp (format, "markdown") == 0;
    for (size_t i = 0; each && i < cli_command_count; i++) {
        option_table_t table = *cli_commands[i].table;
        bool shares = table.count >= CLI_COMMON && strcmp (table.rows[0].name, rows[0].name) == 0;
        table.common = shares ? CLI_COMMON : 0;
        options_reference (&table, format, stdout);
    }
    return STATUS_GOOD;
}

/* ---- help ---- */

typedef struct {
    const char *command; /* lines: its words */
} help_options_t;

static const option_t help_rows[] = {
    { .name = "command",
      .type = OPT_LINES,
      .at = offsetof (help_options_t, command),
      .value = "COMMAND",
      .help = "the command to tell of; default: all, a line each" },
};

const option_table_t help_table = { .program = "gleaner help",
                                    .summary = "what the commands are, or the options of one",
                                    .rows = help_rows,
                                    .count = sizeof help_rows / sizeof *help_rows,
                                    .operand = "command" };

static int help_of (const char *lines)
{
    enum { WORDS_MAX = 4 };
    char *words[WORDS_MAX];
    int count = 0;
    int taken = 0;
    int status = STATUS_GOOD;
    char *text = xstrdup (lines);
    for (char *rest = text, *word; count < WORDS_MAX && (word = strsep (&rest, "\n")) && *word;)
        words[count++] = word;
    const command_t *command = command_find (count, words, &taken);
    if (command)
        options_help (command->table, stdout);
    else
        status = command_unknown (count ? words[0] : "");
    free (text);
    return status;
}

int help_command (int argc, char **argv)
{
    help_options_t options = { 0 };
    int status = options_parse (&help_table, argc, argv, environ, &options);
    if (status != OPTIONS_RUN)
        return status;
    status = options.command ? help_of (options.command) : commands_help (stdout);
    options_fini (&help_table, &options);
    return status;
}
