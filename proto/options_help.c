#include <string.h>

#include "options_internal.h"

static void help_row (const option_table_t *table, const option_t *row, FILE *out)
{
    char env[ENV_NAME_MAX];
    options_env_name (table, row->name, env);
    char flag[80];
    char choices[128] = "";
    if (row->choices)
        snprintf (choices, sizeof choices, "; one of %s", row->choices);
    const char letter[] = { '-', row->letter, ',', ' ', '\0' };
    snprintf (flag, sizeof flag, "%s--%s%s%s", row->letter ? letter : "", row->name, row->value ? " " : "",
              row->value ? row->value : "");
    fprintf (out, "  %-24s %s\n", flag, row->help);
    fprintf (out, "  %-24s [%s%s%s%s%s%s%s]\n", "", env, row->alias ? ", " : "", row->alias ? row->alias : "",
             row->fallback ? "; default " : "", row->fallback ? row->fallback : "", choices,
             row->live ? "; read again on SIGHUP" : "");
}

const char *options_operand (const option_table_t *table, char out[OPERAND_MAX])
{
    const option_t *row = table->operand ? options_find (table, table->operand, strlen (table->operand)) : NULL;
    bool may = row && row->fallback;
    snprintf (out, OPERAND_MAX, "%s%s%s", may ? "[" : "", row ? row->value : "", may ? "]" : "");
    return out;
}

void options_help (const option_table_t *table, FILE *out)
{
    char operand[OPERAND_MAX];
    options_operand (table, operand);
    fprintf (out, "%s: %s\n\nusage: %s [OPTION ...]%s%s%s%s\n\n", table->program, table->summary, table->program,
             *operand ? " " : "", operand, table->rest ? " -- " : "", table->rest ? table->rest : "");
    for (size_t i = 0; i < table->count; i++)
        help_row (table, &table->rows[i], out);
    char env[ENV_NAME_MAX];
    options_env_name (table, "config", env);
    fprintf (out, "  %-24s %s\n  %-24s [%s]\n", "--config FILE", "read options from FILE, lines `name = value`", "",
             env);
    fprintf (out, "  %-24s %s\n", "--options-as FORMAT",
             "print all this as a config file (config), mdoc (man, man-config) or markdown");
    if (table->check)
        fprintf (out, "  %-24s %s\n", "--check-config", "say whether all of this can be used, and end");
    fprintf (out, "  %-24s %s\n  %-24s %s\n", "--help", "print this", "--version", "print the version");
    fprintf (out, "\nThe command line overrides the environment, the environment the config file.\n");
}
