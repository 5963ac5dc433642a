/* completion.h - scripts that let a shell complete the arguments of `gleaner`, made of the commands' option tables. */
#ifndef GLEANER_CLI_COMPLETION_H
#define GLEANER_CLI_COMPLETION_H

#include <stdio.h>

#include "cli/commands.h"

/* What a value is chosen from. The word that --help shows for it tells, so that a new option needs nothing more. */
typedef enum { VALUE_ANY, VALUE_FILE, VALUE_FOLDER, VALUE_JOB, VALUE_WORKER, VALUE_COMMAND, VALUE_CHOICE } value_t;

value_t completion_value (const option_t *row);
/* The row that a bare argument is; NULL: none. */
const option_t *completion_operand (const option_table_t *table);
/* The text without what would end a shell's '...': each ' becomes `quoted`. */
void completion_quote (const char *text, const char *quoted, FILE *out);
/* The first words of all commands, each once, with a space between; of those of two words the second ones behind
 * `first`. */
void completion_first_words (FILE *out);
void completion_second_words (const char *first, FILE *out);
/* True for a command of two words whose first one is of no command that was listed before it. */
bool completion_begins_group (size_t at);

void completion_bash (FILE *out);
void completion_zsh (FILE *out);
void completion_fish (FILE *out);

#endif
