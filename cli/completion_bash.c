/* completion_bash.c - what bash loads: source <(gleaner completion bash). */
#include <string.h>

#include "cli/completion.h"

/* How the script names what a value is chosen from; of choices the words themselves. */
static void print_value (const option_t *row, FILE *out)
{
    static const char *const names[] = {
        [VALUE_ANY] = "@any",  [VALUE_FILE] = "@files",     [VALUE_FOLDER] = "@folders",
        [VALUE_JOB] = "@jobs", [VALUE_WORKER] = "@workers", [VALUE_COMMAND] = "@commands",
    };
    value_t value = row ? completion_value (row) : VALUE_ANY;
    if (value != VALUE_CHOICE)
        fputs (names[value], out);
    else
        for (const char *at = row->choices; *at; at++)
            fputc (*at == '|' ? ' ' : *at, out);
}

static void print_command (const command_t *command, FILE *out)
{
    const option_table_t *table = command->table;
    fprintf (out, "    '%s')\n        options='", command->name);
    for (size_t i = 0; i < table->count; i++)
        fprintf (out, "--%s ", table->rows[i].name);
    fprintf (out, "--config --help'\n        operand='");
    print_value (completion_operand (table), out);
    fprintf (out, "'\n        case $option in\n        --config) value=@files ;;\n");
    for (size_t i = 0; i < table->count; i++) {
        const option_t *row = &table->rows[i];
        if (row->type == OPT_FLAG)
            continue;
        const char letter[] = { '|', '-', row->letter, '\0' };
        fprintf (out, "        --%s%s) value='", row->name, row->letter ? letter : "");
        print_value (row, out);
        fprintf (out, "' ;;\n");
    }
    fprintf (out, "        esac\n        ;;\n");
}

static const char head[] =
    "# bash completion for gleaner; load it with: source <(gleaner completion bash)\n"
    "\n"
    "# Words that begin with what has been typed. They are taken as they are: compgen -W would expand them.\n"
    "_gleaner_words () {\n"
    "    local word\n"
    "    while read -r word; do\n"
    "        [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$word\")\n"
    "    done\n"
    "}\n"
    "\n"
    "_gleaner_value () {\n"
    "    case $1 in\n"
    "    @any) ;;\n"
    "    @files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "    @folders) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
    "    @jobs) _gleaner_words < <(\"${COMP_WORDS[0]}\" completion jobs 2>/dev/null) ;;\n"
    "    @workers) _gleaner_words < <(\"${COMP_WORDS[0]}\" completion workers 2>/dev/null) ;;\n"
    "    @commands) _gleaner_words < <(printf '%s\\n' $commands) ;;\n"
    "    *) _gleaner_words < <(printf '%s\\n' $1) ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_gleaner () {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command='' options='' operand='' value='' seconds='' i\n"
    "    local IFS=$' \\t\\n'\n"
    "    COMPREPLY=()\n";

static const char middle[] = "    if [[ $COMP_CWORD == 1 ]]; then\n"
                             "        _gleaner_value \"$commands --help --version\"\n"
                             "        return\n"
                             "    fi\n"
                             "    # readline splits --option=value\n"
                             "    [[ $cur == '=' ]] && cur=''\n"
                             "    [[ $option == '=' ]] && option=${COMP_WORDS[COMP_CWORD-2]}\n"
                             "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                             "        [[ ${COMP_WORDS[i]} == -- ]] && { _gleaner_value @files; return; }\n"
                             "    done\n"
                             "    case $command in\n";

static const char tail[] = "    esac\n"
                           "    if [[ $value ]]; then\n"
                           "        _gleaner_value \"$value\"\n"
                           "    elif [[ $cur == -* ]]; then\n"
                           "        _gleaner_value \"$options\"\n"
                           "    else\n"
                           "        [[ $COMP_CWORD == 2 && $seconds ]] && _gleaner_value \"$seconds\"\n"
                           "        [[ ${#COMPREPLY[@]} == 0 && $operand ]] && _gleaner_value \"$operand\"\n"
                           "    fi\n"
                           "}\n"
                           "\n"
                           "complete -F _gleaner gleaner\n";

void completion_bash (FILE *out)
{
    fputs (head, out);
    fputs ("    local commands='", out);
    completion_first_words (out);
    fputs ("'\n    command=${COMP_WORDS[1]}\n    case \"$command ${COMP_WORDS[2]-}\" in\n", out);
    for (size_t i = 0; i < cli_command_count; i++)
        if (strchr (cli_commands[i].name, ' '))
            fprintf (out, "    '%s') [[ $COMP_CWORD -gt 2 ]] && command='%s' ;;\n", cli_commands[i].name,
                     cli_commands[i].name);
    fputs ("    esac\n    case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < cli_command_count; i++)
        if (completion_begins_group (i)) {
            fprintf (out, "    %.*s) seconds='", (int)strcspn (cli_commands[i].name, " "), cli_commands[i].name);
            completion_second_words (cli_commands[i].name, out);
            fputs ("' ;;\n", out);
        }
    fputs ("    esac\n", out);
    fputs (middle, out);
    for (size_t i = 0; i < cli_command_count; i++)
        print_command (&cli_commands[i], out);
    fputs (tail, out);
}
