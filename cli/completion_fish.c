/* completion_fish.c - what fish loads: gleaner completion fish | source. */
#include <string.h>

#include "cli/completion.h"

static void print_text (const char *text, FILE *out)
{
    fputc ('\'', out);
    for (; *text; text++)
        fprintf (out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    fputc ('\'', out);
}

/* What follows -l NAME, or stands for an operand. */
static void print_value (const option_t *row, FILE *out)
{
    static const char *const actions[] = {
        [VALUE_ANY] = "",
        [VALUE_FILE] = "",
        [VALUE_FOLDER] = "(__fish_complete_directories)",
        [VALUE_JOB] = "(gleaner completion jobs 2>/dev/null)",
        [VALUE_WORKER] = "(gleaner completion workers 2>/dev/null)",
        [VALUE_COMMAND] = "",
    };
    value_t value = completion_value (row);
    if (value == VALUE_FILE) {
        fputs (" -r -F", out);
        return;
    }
    fputs (" -x", out);
    if (value == VALUE_ANY)
        return;
    fputs (" -a '", out);
    if (value == VALUE_COMMAND)
        completion_first_words (out);
    else if (value == VALUE_CHOICE)
        for (const char *at = row->choices; *at; at++)
            fputc (*at == '|' ? ' ' : *at, out);
    else
        fputs (actions[value], out);
    fputc ('\'', out);
}

static void print_option (const command_t *command, const option_t *row, FILE *out)
{
    fprintf (out, "complete -c gleaner -n \"__gleaner_at '%s'\" -l %s", command->name, row->name);
    if (row->letter)
        fprintf (out, " -s %c", row->letter);
    if (row->type != OPT_FLAG)
        print_value (row, out);
    fputs (" -d ", out);
    print_text (row->help, out);
    fputc ('\n', out);
}

static void print_command (const command_t *command, FILE *out)
{
    const char *second = strchr (command->name, ' ');
    const option_t *operand = completion_operand (command->table);
    if (second)
        fprintf (out, "complete -c gleaner -n \"__gleaner_behind %.*s\" -a %s", (int)(second - command->name),
                 command->name, second + 1);
    else
        fprintf (out, "complete -c gleaner -n __gleaner_begins -a %s", command->name);
    fputs (" -d ", out);
    print_text (command->table->summary, out);
    fputc ('\n', out);
    for (size_t i = 0; i < command->table->count; i++)
        print_option (command, &command->table->rows[i], out);
    if (!operand || completion_value (operand) == VALUE_ANY)
        return;
    fprintf (out, "complete -c gleaner -n \"__gleaner_at '%s'\"", command->name);
    print_value (operand, out);
    fputc ('\n', out);
}

void completion_fish (FILE *out)
{
    fputs ("# fish completion for gleaner; load it with: gleaner completion fish | source\n\n"
           "function __gleaner_begins\n"
           "    test (count (commandline -opc)) -eq 1\n"
           "end\n\n"
           "function __gleaner_behind\n"
           "    set -l words (commandline -opc)\n"
           "    test (count $words) -eq 2; and test $words[2] = $argv[1]\n"
           "end\n\n"
           "# The longest command that the line begins with.\n"
           "function __gleaner_at\n"
           "    set -l words (commandline -opc)\n"
           "    test (count $words) -ge 2; or return 1\n"
           "    set -l command $words[2]\n"
           "    if test (count $words) -ge 3; and contains -- \"$words[2] $words[3]\"",
           out);
    for (size_t i = 0; i < cli_command_count; i++)
        if (strchr (cli_commands[i].name, ' '))
            fprintf (out, " '%s'", cli_commands[i].name);
    fputs ("\n"
           "        set command \"$words[2] $words[3]\"\n"
           "    end\n"
           "    test \"$command\" = \"$argv[1]\"\n"
           "end\n\n"
           "complete -c gleaner -f\n",
           out);
    for (size_t i = 0; i < cli_command_count; i++)
        print_command (&cli_commands[i], out);
}
