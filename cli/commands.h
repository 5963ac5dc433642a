/* commands.h - all commands of `gleaner`, by name. */
#ifndef GLEANER_CLI_COMMANDS_H
#define GLEANER_CLI_COMMANDS_H

#include <stdio.h>

#include "cli/cli.h"

/* A command, whole: help, completions and manual pages are made of these. */
typedef struct {
    const char *name; /* as it is typed behind `gleaner`: one word or more, with a space between */
    command_fn *run;  /* gets its name's last word as argv[0] */
    const option_table_t *table;
} command_t;

extern const command_t cli_commands[]; /* in the order of --help */
extern const size_t cli_command_count;

extern const option_table_t artifacts_table, cancel_table, completion_table, doctor_table, drain_table, help_table,
    jobs_table, logs_table, resume_table, retry_table, run_table, status_table, submit_table, token_table,
    token_create_table, token_forget_table, token_list_table, token_revoke_table, token_save_table, top_table, up_table,
    wait_table, workers_table;

/* The command whose name the words begin with, and in `taken` how many of them are its name; NULL: there is none. */
const command_t *command_find (int count, char *const *words, int *taken);
/* True when a word that follows such a command can only be a second word of its name: it has no operand. */
bool command_has_words (const command_t *command);
/* Says that there is no such command, and which one is nearest. Returns STATUS_USAGE. */
int command_unknown (const char *name);
/* Prints all of them, a line each. Returns the status to exit with: on stderr it is an answer to bad usage. */
int commands_help (FILE *out);
/* Prints the options of all commands in one of the formats of options_reference, what they share only once. Returns the
 * status to exit with. */
int commands_reference (const char *format);

#endif
