#include "worker/argv.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/buf.h"

/* Takes the string over. */
static void take (argv_t *self, char *text)
{
    self->items = xrealloc (self->items, (self->count + 2) * sizeof *self->items);
    self->items[self->count++] = text;
    self->items[self->count] = NULL;
}

void argv_add (argv_t *self, const char *text)
{
    take (self, xstrdup (text));
}

void argv_addf (argv_t *self, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start (args, format);
    int len = vasprintf (&text, format, args);
    va_end (args);
    take (self, len < 0 ? xstrdup ("") : text);
}

void argv_add_all (argv_t *self, const char *const *texts)
{
    for (; *texts; texts++)
        argv_add (self, *texts);
}

void argv_fini (argv_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->items[i]);
    free (self->items);
    *self = (argv_t){ 0 };
}

const char *const *argv_items (const argv_t *self)
{
    return (const char *const *)(uintptr_t)self->items;
}
