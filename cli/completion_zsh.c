/* completion_zsh.c - what zsh loads: source <(gleaner completion zsh), or the file _gleaner on its fpath. */
#include <string.h>

#include "cli/completion.h"

/* As an explanation of _arguments: in '...', in [...], where a colon ends nothing. */
static void print_help (const char *text, FILE *out)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs ("'\\''", out);
        else if (strchr ("[]:\\", *text))
            fprintf (out, "\\%c", *text);
        else
            fputc (*text, out);
}

static void print_action (const option_t *row, FILE *out)
{
    static const char *const actions[] = {
        [VALUE_ANY] = " ",
        [VALUE_FILE] = "_files",
        [VALUE_FOLDER] = "_files -/",
        [VALUE_JOB] = "_gleaner_ids jobs",
        [VALUE_WORKER] = "_gleaner_ids workers",
        [VALUE_COMMAND] = "_gleaner_commands",
    };
    value_t value = completion_value (row);
    fputs (": :", out);
    if (value != VALUE_CHOICE) {
        fputs (actions[value], out);
        return;
    }
    fputc ('(', out);
    for (const char *at = row->choices; *at; at++)
        fputc (*at == '|' ? ' ' : *at, out);
    fputc (')', out);
}

static void print_option (const option_t *row, FILE *out)
{
    const char *again = row->type == OPT_LINES ? "*" : "";
    const char *equals = row->type == OPT_FLAG ? "" : "=";
    fprintf (out, " \\\n            '%s--%s%s[", again, row->name, equals);
    print_help (row->help, out);
    fputc (']', out);
    if (row->type != OPT_FLAG)
        print_action (row, out);
    fputc ('\'', out);
    if (!row->letter)
        return;
    fprintf (out, " \\\n            '%s-%c[", again, row->letter);
    print_help (row->help, out);
    fputc (']', out);
    if (row->type != OPT_FLAG)
        print_action (row, out);
    fputc ('\'', out);
}

static void print_command (const command_t *command, FILE *out)
{
    const option_table_t *table = command->table;
    const option_t *operand = completion_operand (table);
    fprintf (out, "    '%s')\n        _arguments -S", command->name);
    for (size_t i = 0; i < table->count; i++)
        print_option (&table->rows[i], out);
    fputs (" \\\n            '--config=[read options from a file]: :_files' \\\n            '--help[tell the options]'",
           out);
    if (operand) {
        fputs (" \\\n            '*", out);
        print_action (operand, out);
        fputc ('\'', out);
    }
    fputs ("\n        ;;\n", out);
}

static void print_names (FILE *out)
{
    fputs ("_gleaner_commands () {\n    local -a commands=(\n", out);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strchr (cli_commands[i].name, ' '))
            continue;
        fprintf (out, "        '%s:", cli_commands[i].name);
        completion_quote (cli_commands[i].table->summary, "'\\''", out);
        fputs ("'\n", out);
    }
    fputs ("    )\n    _describe command commands\n}\n\n", out);
}

void completion_zsh (FILE *out)
{
    fputs ("#compdef gleaner\n# zsh completion for gleaner; load it with: source <(gleaner completion zsh)\n\n", out);
    print_names (out);
    fputs ("_gleaner_ids () {\n"
           "    local -a ids=(${(f)\"$(gleaner completion $@[-1] 2>/dev/null)\"})\n"
           "    compadd \"${@[1,-2]}\" -a ids\n"
           "}\n\n"
           "_gleaner () {\n"
           "    local curcontext=$curcontext command=$words[2] seconds=''\n"
           "    if (( CURRENT == 2 )); then\n"
           "        _gleaner_commands\n"
           "        return\n"
           "    fi\n"
           "    case $words[2] in\n",
           out);
    for (size_t i = 0; i < cli_command_count; i++)
        if (completion_begins_group (i)) {
            fprintf (out, "    %.*s) seconds='", (int)strcspn (cli_commands[i].name, " "), cli_commands[i].name);
            completion_second_words (cli_commands[i].name, out);
            fputs ("' ;;\n", out);
        }
    fputs ("    esac\n"
           "    if (( CURRENT == 3 )) && [[ -n $seconds && $words[3] != -* ]]; then\n"
           "        compadd -- ${=seconds} && return\n"
           "    fi\n"
           "    if (( CURRENT > 3 )) && [[ \" $seconds \" == *\" $words[3] \"* ]]; then\n"
           "        command=\"$words[2] $words[3]\"\n"
           "        shift words\n"
           "        (( CURRENT-- ))\n"
           "    fi\n"
           "    shift words\n"
           "    (( CURRENT-- ))\n"
           "    case $command in\n",
           out);
    for (size_t i = 0; i < cli_command_count; i++)
        print_command (&cli_commands[i], out);
    fputs ("    esac\n"
           "}\n\n"
           "if [[ $funcstack[1] == _gleaner ]]; then\n"
           "    _gleaner \"$@\"\n"
           "else\n"
           "    compdef _gleaner gleaner\n"
           "fi\n",
           out);
}
