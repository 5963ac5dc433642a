#include "reload.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "log.h"
#include "options_internal.h"

struct reload {
    const option_table_t *table;
    int argc;
    char **argv;
    char **environ_p;
    char *options; /* the program's */
    char *begun;   /* what it was started with, as it was read */
    size_t size;
};

static bool is_text (const option_t *row)
{
    return row->type == OPT_TEXT || row->type == OPT_CHOICE || row->type == OPT_LINES;
}

reload_t *reload_new (const option_table_t *table, int argc, char **argv, char **environ_p, void *options, size_t size)
{
    reload_t *self = xcalloc (1, sizeof *self);
    *self = (reload_t){ table, argc, argv, environ_p, options, xcalloc (1, size), size };
    memcpy (self->begun, options, size);
    for (size_t i = 0; i < table->count; i++) {
        if (!is_text (&table->rows[i]))
            continue;
        char *text = NULL;
        memcpy (&text, self->begun + table->rows[i].at, sizeof text);
        text = text ? xstrdup (text) : NULL;
        memcpy (self->begun + table->rows[i].at, &text, sizeof text);
    }
    return self;
}

void reload_destroy (reload_t **self_p)
{
    reload_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    options_fini (self->table, self->begun);
    free (self->begun);
    free (self);
}

static size_t value_size (const option_t *row)
{
    return is_text (row) ? sizeof (char *) : row->type == OPT_FLAG ? sizeof (bool) : sizeof (int64_t);
}

static bool is_equal (const option_t *row, const char *a, const char *b)
{
    if (!is_text (row))
        return memcmp (a + row->at, b + row->at, value_size (row)) == 0;
    const char *one = NULL;
    const char *other = NULL;
    memcpy (&one, a + row->at, sizeof one);
    memcpy (&other, b + row->at, sizeof other);
    return one == other || (one && other && strcmp (one, other) == 0);
}

/* The old value goes with `from`. */
static void exchange (const option_t *row, char *into, char *from)
{
    char kept[sizeof (int64_t)];
    size_t size = value_size (row);
    memcpy (kept, into + row->at, size);
    memcpy (into + row->at, from + row->at, size);
    memcpy (from + row->at, kept, size);
}

static void take_over (reload_t *self, char *fresh, buf_t *changed, buf_t *pending)
{
    for (size_t i = 0; i < self->table->count; i++) {
        const option_t *row = &self->table->rows[i];
        if (!row->live && !is_equal (row, self->begun, fresh))
            buf_printf (pending, "%s%s", pending->len ? ", " : "", row->name);
        if (!row->live || is_equal (row, self->options, fresh))
            continue;
        buf_printf (changed, "%s%s", changed->len ? ", " : "", row->name);
        exchange (row, self->options, fresh);
        if (strcmp (row->name, "log-level") == 0) {
            const char *word = NULL;
            memcpy (&word, self->options + row->at, sizeof word);
            log_level_set (log_level_find (word));
        }
    }
}

bool reload_run (reload_t *self)
{
    char problem[1024];
    char *fresh = xcalloc (1, self->size);
    if (!options_read (self->table, self->argc, self->argv, self->environ_p, fresh, problem, sizeof problem)) {
        log_event (LEVEL_ERROR, "config-refused", "everything stays as it was: %s", problem);
        free (fresh);
        return false;
    }
    buf_t changed = { 0 };
    buf_t pending = { 0 };
    take_over (self, fresh, &changed, &pending);
    log_event (LEVEL_INFO, "config-reloaded", "%s",
               changed.len ? changed.ptr : "nothing has changed that counts at once");
    if (pending.len)
        log_event (LEVEL_WARN, "restart-needed", "changed, and counts after a restart: %s", pending.ptr);
    buf_fini (&changed);
    buf_fini (&pending);
    options_fini (self->table, fresh);
    free (fresh);
    return true;
}
