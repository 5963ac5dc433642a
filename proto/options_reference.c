/* options_reference.c - an option table as a config file, a part of a man page, and a table in Markdown, so that
 * nothing is written twice. */
#include <string.h>

#include "options_internal.h"

enum { BOUNDS_SIZE = 400 };

static bool is_command (const option_table_t *table)
{
    return strchr (table->program, ' ') != NULL;
}

static const char *short_word (option_type_t type)
{
    return type == OPT_BYTES ? "a size" : type == OPT_DURATION ? "a time" : "a number";
}

/* What a value may be: its choices, or its kind, in `words` or in one, and range. Empty: any text. */
static void describe (const option_t *row, bool words, char out[BOUNDS_SIZE])
{
    out[0] = '\0';
    size_t len = 0;
    for (const char *at = row->choices; at && *at && len < BOUNDS_SIZE - 8; at++)
        if (*at == '|')
            len += (size_t)snprintf (out + len, BOUNDS_SIZE - len, ", ");
        else
            len += (size_t)snprintf (out + len, BOUNDS_SIZE - len, "%c", *at);
    if (row->choices || row->type == OPT_TEXT || row->type == OPT_LINES || row->type == OPT_FLAG)
        return;
    char low[32];
    char high[32];
    options_format_number (row, row->min, low, sizeof low);
    options_format_number (row, row->max, high, sizeof high);
    bool above = row->min || row->max;
    bool below = above && row->max != INT64_MAX;
    snprintf (out, BOUNDS_SIZE, "%s%s%s%s%s", words ? options_type_words (row->type) : short_word (row->type),
              above ? ", from " : "", above ? low : "", below ? " to " : "", below ? high : "");
}

/* The variable that sets it; NULL where the table has none of its own, and the row no other. */
static const char *variable (const option_table_t *table, const option_t *row, char env[ENV_NAME_MAX])
{
    options_env_name (table, row->name, env);
    return strpbrk (table->program, "- ") ? env : row->alias;
}

/* ---- a config file ---- */

static void print_config (const option_table_t *table, FILE *out)
{
    size_t count = table->config_rows ? table->config_rows : table->count;
    fprintf (out,
             "# The configuration of %.*s %s: lines of `name = value`.\n"
             "# Each name stands at its default: take the # in front of it away to change it. An empty value is none.\n"
             "# The environment counts more than this file, the command line more than both.\n",
             (int)strcspn (table->program, " "), table->program, GLEANER_VERSION);
    for (size_t i = 0; i < count; i++) {
        const option_t *row = &table->rows[i];
        const char *value = row->fallback ? row->fallback : row->type == OPT_FLAG ? "false" : "";
        char bounds[BOUNDS_SIZE];
        describe (row, true, bounds);
        fprintf (out, "\n# %s\n", row->help);
        if (*bounds || row->type == OPT_FLAG)
            fprintf (out, "# %s%s\n", row->choices ? "one of " : "", *bounds ? bounds : options_type_words (row->type));
        if (row->live)
            fprintf (out, "# Read again on SIGHUP.\n");
        fprintf (out, "#%s =%s%s\n", row->name, *value ? " " : "", value);
    }
}

/* ---- a part of a man page, in mdoc ---- */

/* Text of ours as roff takes it: no escapes, no requests, and a - is the one that a shell knows. */
static void put_roff (const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs ("\\&", out);
    for (; *text; text++)
        if (*text == '\\')
            fputs ("\\e", out);
        else if (*text == '-')
            fputs ("\\-", out);
        else
            fputc (*text, out);
}

static void print_man_head (const option_t *row, bool config, FILE *out)
{
    fputs (".It ", out);
    if (row->letter && !config)
        fprintf (out, "Fl %c , ", row->letter);
    fputs (config ? "Ic " : "Fl \\-", out);
    put_roff (row->name, out);
    if (config)
        fputs (" No =", out);
    if (row->value) {
        fputs (" Ar ", out);
        put_roff (row->value, out);
    } else if (config) {
        fputs (" Ar true | false", out);
    }
    fputc ('\n', out);
}

static void print_man_row (const option_table_t *table, const option_t *row, bool config, FILE *out)
{
    char bounds[BOUNDS_SIZE];
    char env[ENV_NAME_MAX];
    const char *name = variable (table, row, env);
    describe (row, true, bounds);
    print_man_head (row, config, out);
    put_roff (row->help, out);
    bool bounded = *bounds;
    if (bounded) {
        fputs (row->choices ? " (one of " : " (", out);
        put_roff (bounds, out);
    }
    if (row->fallback) {
        fputs (bounded ? "; default " : " (default ", out);
        put_roff (row->fallback, out);
    }
    fputs (bounded || row->fallback ? ").\n" : ".\n", out);
    if (row->live)
        fputs ("Read again on SIGHUP.\n", out);
    if (name)
        fprintf (out, ".br\n.Ev %s\n", name);
    if (row->alias && strcmp (name, row->alias) != 0)
        fprintf (out, "or\n.Ev %s\n", row->alias);
}

static void print_man_usage (const option_table_t *table, FILE *out)
{
    char operand[OPERAND_MAX];
    options_operand (table, operand);
    fprintf (out, ".Ss %s\n.Ic ", table->program);
    put_roff (table->program, out);
    fputs ("\n.Op Ar OPTION ...\n", out);
    if (*operand)
        fprintf (out, ".Ar %s\n", operand);
    if (table->rest)
        fprintf (out, ".Fl \\- Ar %s\n", table->rest);
    fputs (".Pp\n", out);
    put_roff (table->summary, out);
    fputs (".\n", out);
}

static void print_man (const option_table_t *table, bool config, FILE *out)
{
    size_t count = config && table->config_rows ? table->config_rows : table->count;
    size_t first = config ? 0 : table->common;
    if (is_command (table) && !config)
        print_man_usage (table, out);
    if (first == count)
        return;
    fputs (".Bl -tag -width Ds\n", out);
    for (size_t i = first; i < count; i++)
        print_man_row (table, &table->rows[i], config, out);
    fputs (".El\n", out);
}

/* ---- a table in Markdown ---- */

/* In a table a | ends a cell, in code too. */
static void put_cell (const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc ('\\', out);
        fputc (*text, out);
    }
}

static void print_markdown_row (const option_table_t *table, const option_t *row, FILE *out)
{
    char bounds[BOUNDS_SIZE];
    char env[ENV_NAME_MAX];
    const char *name = variable (table, row, env);
    describe (row, false, bounds);
    fputs ("| `", out);
    if (row->letter)
        fprintf (out, "-%c`, `", row->letter);
    fprintf (out, "--%s%s", row->name, row->value ? " " : "");
    put_cell (row->value ? row->value : "", out);
    fputs ("` | ", out);
    if (row->fallback)
        fprintf (out, "`%s`", row->fallback);
    fputs (" | ", out);
    put_cell (bounds, out);
    fputs (" | ", out);
    put_cell (row->help, out);
    if (row->alias && strcmp (name, row->alias) != 0)
        fprintf (out, " (the environment's `%s`, too)", row->alias);
    else if (row->alias)
        fprintf (out, " (in the environment `%s`)", row->alias);
    if (row->live)
        fputs ("; read again on SIGHUP", out);
    fputs (" |\n", out);
}

static void print_markdown (const option_table_t *table, FILE *out)
{
    char operand[OPERAND_MAX];
    options_operand (table, operand);
    fprintf (out, "%s `%s%s%s%s%s`\n\n%s.\n\n", is_command (table) ? "###" : "##", table->program, *operand ? " " : "",
             operand, table->rest ? " -- " : "", table->rest ? table->rest : "", table->summary);
    if (table->common == table->count)
        return;
    fputs ("| option | default | value | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = table->common; i < table->count; i++)
        print_markdown_row (table, &table->rows[i], out);
    fputc ('\n', out);
}

bool options_reference (const option_table_t *table, const char *format, FILE *out)
{
    if (strcmp (format, "config") == 0)
        print_config (table, out);
    else if (strcmp (format, "man") == 0 || strcmp (format, "man-config") == 0)
        print_man (table, format[3] == '-', out);
    else if (strcmp (format, "markdown") == 0)
        print_markdown (table, out);
    else
        return false;
    return true;
}
