#include "cli/ignore.h"

#include <stdlib.h>
#include <string.h>

#include "proto/buf.h"
#include "proto/glob.h"

typedef struct {
    char *folder; /* it stands in that, with a slash behind; "" for the top */
    char *glob;
    bool back_in; /* '!' */
    bool folders; /* a slash at its end: folders only */
} rule_t;

struct ignore {
    rule_t *rules;
    size_t count, cap;
    bool full;
};

ignore_t *ignore_new (void)
{
    return xcalloc (1, sizeof (ignore_t));
}

static void forget_last (ignore_t *self)
{
    self->count--;
    free (self->rules[self->count].folder);
    free (self->rules[self->count].glob);
}

void ignore_destroy (ignore_t **self_p)
{
    ignore_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->count)
        forget_last (self);
    free (self->rules);
    free (self);
}

bool ignore_full (const ignore_t *self)
{
    return self->full;
}

/* A backslash makes the next character a plain one; in a glob a set does that for those that mean something. */
static void add_plain (buf_t *glob, char one)
{
    char set[] = { '[', one, ']' };
    bool special = one == '*' || one == '?' || one == '[';
    buf_append (glob, special ? set : &one, special ? sizeof set : 1);
}

static void append_rule (ignore_t *self, const rule_t *rule)
{
    if (self->count == self->cap) {
        self->cap = self->cap ? 2 * self->cap : 32;
        self->rules = xrealloc (self->rules, self->cap * sizeof *self->rules);
    }
    self->rules[self->count++] = *rule;
}

/* `line` is without its newline. */
static void read_rule (ignore_t *self, const char *folder, slice_t line)
{
    rule_t rule = { 0 };
    while (line.len && (line.ptr[line.len - 1] == '\r' ||
                        (line.ptr[line.len - 1] == ' ' && (line.len < 2 || line.ptr[line.len - 2] != '\\'))))
        line.len--;
    if (!line.len || line.ptr[0] == '#')
        return;
    rule.back_in = line.ptr[0] == '!';
    if (rule.back_in)
        line = slice_from (line.ptr + 1, line.len - 1);
    rule.folders = line.len && line.ptr[line.len - 1] == '/';
    line.len -= rule.folders;
    bool anchored = line.len && memchr (line.ptr, '/', line.len);
    if (line.len && line.ptr[0] == '/')
        line = slice_from (line.ptr + 1, line.len - 1);
    buf_t glob = { 0 };
    buf_append_str (&glob, anchored ? "" : "**/");
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '\\' && i + 1 < line.len)
            add_plain (&glob, line.ptr[++i]);
        else
            buf_append (&glob, line.ptr + i, 1);
    buf_append (&glob, "", 1);
    bool good = line.len && glob_safe (glob.ptr);
    self->full = self->full || (good && self->count == IGNORE_RULES_MAX);
    if (good && self->count < IGNORE_RULES_MAX) {
        buf_t prefix = { 0 };
        buf_printf (&prefix, "%s%s", folder, *folder ? "/" : "");
        rule.folder = xstrdup (prefix.ptr ? prefix.ptr : "");
        rule.glob = xstrdup (glob.ptr);
        append_rule (self, &rule);
        buf_fini (&prefix);
    }
    buf_fini (&glob);
}

void ignore_read (ignore_t *self, const char *folder, const char *text)
{
    while (*text) {
        size_t len = strcspn (text, "\n");
        read_rule (self, folder, slice_from (text, len));
        text += len + (text[len] == '\n');
    }
}

void ignore_leave (ignore_t *self, const char *folder)
{
    size_t len = strlen (folder);
    while (self->count && strncmp (self->rules[self->count - 1].folder, folder, len) == 0 &&
           self->rules[self->count - 1].folder[len] == '/')
        forget_last (self);
}

/* A glob takes what is below what it matches, too; git takes nothing back in that way. */
static bool is_exact (const rule_t *rule, const char *path)
{
    const char *slash = strrchr (path, '/');
    char *parent = slash ? slice_dup (slice_from (path, (size_t)(slash - path))) : NULL;
    bool exact = !parent || !glob_match (rule->glob, parent);
    free (parent);
    return exact;
}

static bool rule_matches (const rule_t *rule, const char *path, bool is_folder)
{
    size_t len = strlen (rule->folder);
    return (is_folder || !rule->folders) && strncmp (path, rule->folder, len) == 0 &&
           glob_match (rule->glob, path + len) && (!rule->back_in || is_exact (rule, path + len));
}

bool ignore_takes (const ignore_t *self, const char *path, bool is_folder)
{
    for (size_t i = self->count; i-- > 0;)
        if (rule_matches (&self->rules[i], path, is_folder))
            return !self->rules[i].back_in;
    return false;
}
