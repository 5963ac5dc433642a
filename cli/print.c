#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "proto/buf.h"

#define NUMBER_MAX (1LL << 53)

void print_text (const char *text, const char *behind)
{
    char *copy = xstrdup (text);
    printf ("%s%s", cli_plain (copy), behind);
    free (copy);
}

void grid_add (grid_t *self, const char *text)
{
    if (self->rows == self->cap) {
        self->cap = self->cap ? 2 * self->cap : 64;
        self->cells = xrealloc (self->cells, self->cap * CELL_SIZE);
    }
    char *cell = self->cells[self->rows++];
    snprintf (cell, CELL_SIZE, "%s", text);
    cli_plain (cell);
}

/* Columns on a screen: bytes that begin a character. */
static size_t width_of (const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void grid_print (grid_t *self, FILE *out)
{
    size_t widths[COLUMNS_MAX] = { 0 };
    for (size_t i = 0; i < self->rows; i++)
        if (width_of (self->cells[i]) > widths[i % self->columns])
            widths[i % self->columns] = width_of (self->cells[i]);
    for (size_t i = 0; i < self->rows; i++) {
        bool last = i % self->columns == self->columns - 1;
        size_t pad = last ? 0 : widths[i % self->columns] - width_of (self->cells[i]) + 2;
        fprintf (out, "%s%*s%s", self->cells[i], (int)pad, "", last ? "\n" : "");
    }
    free (self->cells);
    *self = (grid_t){ .columns = self->columns };
}

void span_format (int64_t ms, char *out, size_t size)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ms >= units[i].ms) {
            snprintf (out, size, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
            return;
        }
    snprintf (out, size, "%lldms", (long long)(ms > 0 ? ms : 0));
}

void ago_format (int64_t at_ms, int64_t now, char *out, size_t size)
{
    char span[32];
    span_format (now - at_ms, span, sizeof span);
    snprintf (out, size, at_ms ? "%s ago" : "", span);
}

void bytes_format (int64_t bytes, char *out, size_t size)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    int unit = -1;
    for (; value >= 1024 && unit < 3; unit++)
        value /= 1024;
    if (unit < 0)
        snprintf (out, size, "%lld B", (long long)bytes);
    else
        snprintf (out, size, "%.1f %s", value, units[unit]);
}

const char *text_of (const json_t *object, const char *name)
{
    const char *text = json_string_value (json_object_get (object, name));
    return text ? text : "";
}

int64_t number_of (const json_t *object, const char *name)
{
    int64_t number = json_integer_value (json_object_get (object, name));
    return number > -NUMBER_MAX && number < NUMBER_MAX ? number : 0; /* so that differences are numbers, too */
}

void print_json (const json_t *json)
{
    json_dumpf (json, stdout, JSON_INDENT (2));
    putchar ('\n');
}

void state_format (const json_t *job, char *out, size_t size)
{
    const char *state = text_of (job, "status");
    const char *reason = text_of (job, "reason");
    const json_t *code = json_object_get (job, "exitCode");
    if (strcmp (state, "failed") != 0)
        snprintf (out, size, "%s", state);
    else if (json_is_integer (code) && json_integer_value (code) != 0)
        snprintf (out, size, "failed: exit %lld", (long long)json_integer_value (code));
    else
        snprintf (out, size, "failed%s%s", *reason ? ": " : "", reason);
}
