#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "worker/archive.h"

enum { BUCKETS = 4096, SHOWN_MAX = 80 };

typedef struct archive_name {
    struct archive_name *next;
    bool is_folder;
    bool named; /* by an entry of its own, not only as another's parent */
    char text[];
} archive_name_t;

void archive_names_fini (archive_names_t *self)
{
    for (size_t i = 0; self->buckets && i < BUCKETS; i++) {
        while (self->buckets[i]) {
            archive_name_t *name = self->buckets[i];
            self->buckets[i] = name->next;
            free (name);
        }
    }
    free (self->buckets);
    *self = (archive_names_t){ 0 };
}

/* ASCII letters only: what the file systems of other machines fold beyond that cannot overwrite anything here. */
static void fold (const char *path, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = path[i] >= 'A' && path[i] <= 'Z' ? (char)(path[i] + 32) : path[i];
    out[len] = '\0';
}

static archive_name_t **bucket_of (archive_names_t *self, const char *folded)
{
    uint64_t hash = 14695981039346656037ULL;
    for (const char *at = folded; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211ULL;
    if (!self->buckets)
        self->buckets = xcalloc (BUCKETS, sizeof (archive_name_t *));
    return &self->buckets[hash % BUCKETS];
}

/* Enters a name as a file or a folder. False when it is there as the other, or for the second time. */
static bool enter (archive_names_t *self, const char *path, size_t len, bool is_folder, bool named)
{
    char folded[ARCHIVE_PATH_MAX + 1];
    fold (path, len, folded);
    archive_name_t **bucket = bucket_of (self, folded);
    for (archive_name_t *name = *bucket; name; name = name->next) {
        if (strcmp (name->text, folded) != 0)
            continue;
        bool clash = name->is_folder != is_folder || (named && name->named) || !is_folder;
        name->named = name->named || named;
        return !clash;
    }
    archive_name_t *name = xcalloc (1, sizeof *name + len + 1);
    memcpy (name->text, folded, len + 1);
    name->is_folder = is_folder;
    name->named = named;
    name->next = *bucket;
    *bucket = name;
    self->count++;
    return true;
}

bool archive_refuse_entry (const char *path, const char *why, char *problem, size_t size)
{
    char shown[SHOWN_MAX + 1];
    size_t len = 0;
    for (; len < SHOWN_MAX && path[len]; len++)
        shown[len] = path[len] < ' ' || path[len] > '~' ? '?' : path[len];
    shown[len] = '\0';
    snprintf (problem, size, "entry '%s' %s.", shown, why);
    return false;
}

static bool has_control (const char *path)
{
    for (; *path; path++)
        if ((unsigned char)*path < ' ' || *path == 0x7f)
            return true;
    return false;
}

bool archive_path_check (archive_names_t *self, const char *path, bool is_folder, char *problem, size_t size)
{
    size_t len = strlen (path);
    if (!len || len > ARCHIVE_PATH_MAX)
        return archive_refuse_entry (path, "has no name, or one that is too long", problem, size);
    if (has_control (path) || !utf8_valid (slice_from (path, len)))
        return archive_refuse_entry (path, "has control characters or is not UTF-8", problem, size);
    if (path[0] == '/')
        return archive_refuse_entry (path, "has an absolute path", problem, size);
    if (strchr (path, '\\'))
        return archive_refuse_entry (path, "has a backslash in its path", problem, size);
    int depth = 0;
    for (const char *at = path; *at;) {
        size_t part = strcspn (at, "/");
        if ((part == 1 && at[0] == '.') || (part == 2 && at[0] == '.' && at[1] == '.') || part == 0)
            return archive_refuse_entry (path, "leaves its folder or has an empty path part", problem, size);
        if (++depth > ARCHIVE_DEPTH_MAX)
            return archive_refuse_entry (path, "is nested too deeply", problem, size);
        const char *end = at + part;
        bool last = !*end || !end[1];
        bool folder = !last || is_folder;
        if (!enter (self, path, (size_t)(end - path), folder, last))
            return archive_refuse_entry (path, "stands twice, or is both a file and a folder", problem, size);
        at = *end ? end + 1 : end;
    }
    return true;
}
